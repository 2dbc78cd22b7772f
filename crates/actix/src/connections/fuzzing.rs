//! Random segments for what finds the boundaries of requests and frames in them.

#[path = "../../../../tests/common/fuzz.rs"]
mod fuzz;

use std::time::Duration;

use proptest::{
    collection::vec,
    prelude::{Strategy, any, prop_oneof},
    prop_assert_eq,
    sample::{Index, select},
};

use self::fuzz::fuzz;
use super::{
    decoder::segments,
    frames::{Frames, PREFACE},
    state::{Connection, Stage},
};

/// A request as a client may send it, and the length of its body.
#[derive(Debug, Clone)]
struct Sent {
    bytes: Vec<u8>,
    body: Option<usize>,
    chunked: bool,
}

fn request() -> impl Strategy<Value = Sent> {
    let head = (select(vec!["/", "/sleep/5", "/a?b=c"]), vec("[a-z]{1,9}: [ -~]{0,20}", 0..4));
    let head = head.prop_map(|(path, headers)| {
        let headers = headers.join("\r\n") + if headers.is_empty() { "" } else { "\r\n" };
        format!("{path} HTTP/1.1\r\nhost: x\r\n{headers}")
    });
    // Bodies that look like heads, or like the ends of some.
    let body = prop_oneof![
        vec(any::<u8>(), 1..40),
        select(vec!["\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "\n\n", "\r\n", "0\r\n\r\n", "x"])
            .prop_map(|text| text.as_bytes().to_vec()),
    ];
    (head, 0..3_u8, body).prop_map(|(head, kind, body)| match kind {
        0 => Sent { bytes: format!("GET {head}\r\n").into_bytes(), body: None, chunked: false },
        1 => {
            let head = format!("POST {head}content-length: {}\r\n\r\n", body.len());
            let bytes = [head.as_bytes(), &body].concat();
            Sent { bytes, body: Some(body.len()), chunked: false }
        }
        _ => {
            let head = format!("POST {head}transfer-encoding: chunked\r\n\r\n{:x}\r\n", body.len());
            let bytes = [head.as_bytes(), &body, b"\r\n0\r\n\r\n"].concat();
            Sent { bytes, body: Some(body.len()), chunked: true }
        }
    })
}

/// The end of a head in what has come, as the decoder finds it.
fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

/// What a dispatcher does that serves one request after the other: a connection whose client has sent
/// part of a further one must not be taken for idle, or that one is lost at the close.
#[test]
fn http1_segments() {
    let tail = prop_oneof![
        select(vec!["", "\r\n", "\n"]).prop_map(|text| (text.as_bytes().to_vec(), false)),
        (request(), any::<Index>()).prop_map(|(request, at)| {
            let head = head_end(&request.bytes).unwrap_or(request.bytes.len());
            // Neither nothing nor a whole head.
            (request.bytes[..=at.index(head - 1)].to_vec(), true)
        }),
    ];
    let strategy = (vec(request(), 1..4), tail, vec(any::<Index>(), 0..6));
    fuzz("http1_segments", &strategy, |(requests, (tail, begun), cuts)| {
        let mut stream: Vec<u8> = requests.iter().flat_map(|sent| sent.bytes.clone()).collect();
        let complete = stream.len();
        stream.extend_from_slice(&tail);
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        // Half of an empty line is more than nothing.
        cuts.retain(|cut| !stream[complete..].starts_with(b"\r\n") || *cut != complete + 1);
        cuts.push(stream.len());
        cuts.sort_unstable();

        let connection = Connection::new(Stage::Open, Duration::from_secs(30));
        let mut ends = Vec::new();
        let mut heads = Vec::new();
        let mut at = 0;
        for sent in &requests {
            heads.push(at + head_end(&sent.bytes).expect("a head"));
            at += sent.bytes.len();
            ends.push(at);
        }
        let (mut heard, mut next, mut serving) = (0, 0, false);
        for cut in cuts {
            if cut > heard {
                connection.heard(&stream[heard..cut]);
                heard = cut;
            }
            while next < requests.len() {
                if !serving && heard >= heads[next] {
                    connection.begin();
                    connection.expects_body(requests[next].body.is_some());
                    serving = true;
                }
                if !serving || heard < ends[next] {
                    break;
                }
                if let Some(bytes) = requests[next].body {
                    connection.has_body(bytes, requests[next].chunked);
                }
                connection.end();
                serving = false;
                next += 1;
            }
        }
        prop_assert_eq!((next, heard >= complete), (requests.len(), true));
        if begun {
            proptest::prop_assert!(connection.is_waiting(), "half a request would be lost");
        } else if requests.len() == 1 {
            prop_assert_eq!(connection.is_waiting(), false, "nothing is there to wait for");
        }
        Ok(())
    });
}

/// What is known of the requests in any segments, and what actix's decoder makes of them.
#[test]
fn http1_decoder() {
    fuzz("http1_decoder", &vec(any::<u8>(), 0..200), |script| {
        segments(&script);
        Ok(())
    });
}

fn frame() -> impl Strategy<Value = Vec<u8>> {
    let kinds = select(vec![0_u8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0xF0]);
    (kinds, any::<u8>(), 0..9_u32, vec(any::<u8>(), 0..30)).prop_map(
        |(kind, flags, stream, payload)| {
            let mut bytes = vec![0, 0, payload.len() as u8, kind, flags];
            bytes.extend_from_slice(&stream.to_be_bytes());
            bytes.extend_from_slice(&payload);
            bytes
        },
    )
}

/// What is seen of frames does not depend on how the network cuts them.
#[test]
fn http2_frames() {
    let noise = vec(any::<u8>(), 0..40);
    let inbound = (vec(frame(), 0..8), noise.clone());
    let strategy = (
        inbound,
        vec(frame(), 0..8),
        noise,
        vec(any::<Index>(), 0..12),
        vec(any::<Index>(), 0..12),
    );
    fuzz("http2_frames", &strategy, |((inbound, rest), outbound, more, cuts, other_cuts)| {
        let inbound = [PREFACE.to_vec(), inbound.concat(), rest].concat();
        let outbound = [outbound.concat(), more].concat();
        let view = |cuts: &[Index]| {
            let mut frames = Frames::new();
            let pieces = |bytes: &[u8]| {
                let mut at: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
                at.extend([0, bytes.len()]);
                at.sort_unstable();
                at.windows(2).map(|pair| bytes[pair[0]..pair[1]].to_vec()).collect::<Vec<_>>()
            };
            for mut piece in pieces(&inbound) {
                frames.received(&mut piece);
            }
            for piece in pieces(&outbound) {
                frames.sent(&piece);
            }
            (
                frames.open_streams(),
                frames.is_partial(),
                frames.has_had_streams(),
                frames.may_send(),
                frames.may_show(),
                frames.farewell(),
            )
        };
        prop_assert_eq!(view(&cuts), view(&other_cuts));
        Ok(())
    });
}
