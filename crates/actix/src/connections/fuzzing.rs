//! What any bytes must not be able to break; see `fuzz/` and `docs/security.md`.

use std::collections::VecDeque;

use actix_http::{
    HttpMessage as _, ServiceConfig,
    h1::{Codec, Message, MessageType},
};
use actix_web::{rt::Runtime, web::BytesMut};
use tokio_util::codec::Decoder as _;

use super::{
    frames::{Frames, PREFACE},
    heads::Heads,
    records::Boundaries,
    websocket::Outbound,
};

thread_local! {
    /// A codec's clock is a task of its thread.
    static RUNTIME: Runtime = Runtime::new().expect("a runtime");
    static CONFIG: ServiceConfig = RUNTIME.with(|runtime| {
        runtime.block_on(async { ServiceConfig::default() })
    });
}

/// Plays a client that sends requests in segments, whole, half and wrong, and compares what is known
/// of them with what actix's decoder makes of the same bytes.
///
/// # Panics
/// When a request that has come is not known of, or one that has not come is.
pub fn segments(data: &[u8]) {
    let config = CONFIG.with(Clone::clone);
    RUNTIME.with(|runtime| runtime.block_on(async { Dialogue::new(data, config).run() }));
}

/// A request that the decoder has read.
struct Decoded {
    has_body: bool,
    chunked: bool,
    /// Bytes of its body.
    bytes: usize,
    complete: bool,
}

struct Dialogue<'a> {
    script: std::slice::Iter<'a, u8>,
    codec: Codec,
    buffer: BytesMut,
    heads: Heads,
    /// The first is in its handler's hands, if it was begun.
    requests: VecDeque<Decoded>,
    begun: bool,
    /// Handlers answer at once.
    at_once: bool,
    /// Something was behind a body, and not followed.
    blurred: bool,
    /// The place of the request in flight is not known.
    lost: bool,
    /// Half an empty line has come.
    half_line: bool,
}

impl<'a> Dialogue<'a> {
    fn new(data: &'a [u8], config: ServiceConfig) -> Self {
        let (first, rest) = data.split_first().unwrap_or((&0, &[]));
        Self {
            script: rest.iter(),
            codec: Codec::new(config),
            buffer: BytesMut::new(),
            heads: Heads::default(),
            requests: VecDeque::new(),
            begun: false,
            at_once: first & 1 == 0,
            blurred: false,
            lost: false,
            half_line: false,
        }
    }

    fn next(&mut self) -> usize {
        usize::from(self.script.next().copied().unwrap_or(0))
    }

    fn run(mut self) {
        let mut segment = Vec::new();
        while let Some(token) = self.script.next() {
            match token % 16 {
                0 => {
                    if !self.deliver(&std::mem::take(&mut segment)) {
                        return;
                    }
                }
                1 => segment.extend_from_slice(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"),
                2 => {
                    let head = format!(
                        "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
                        self.next()
                    );
                    segment.extend_from_slice(head.as_bytes());
                }
                3 => segment.extend_from_slice(
                    b"PUT / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n",
                ),
                4 => segment.resize(segment.len() + self.next(), b'x'),
                5 => {
                    let length = self.next() % 32 + 1;
                    segment.extend_from_slice(format!("{length:x}\r\n").as_bytes());
                    segment.resize(segment.len() + length, b'\n');
                    segment.extend_from_slice(b"\r\n");
                }
                6 => segment.extend_from_slice(b"0\r\n\r\n"),
                7 => segment.extend_from_slice(b"\r\n"),
                8 => segment.push(b'\n'),
                9 => segment.push(b'\r'),
                10 => segment.extend_from_slice(b"GET / HTTP/1.1\r\nho"),
                11 => segment.extend_from_slice(b"st: x\r\n\r\n"),
                12 => segment.push(self.next() as u8),
                13 => segment.extend_from_slice(b"GET / HTTP/1.0\n\n"),
                14 => segment.extend_from_slice(
                    b"POST / HTTP/1.1\nhost: x\ncontent-length: 6\n\na\n\nb\r\n",
                ),
                _ => self.answer(),
            }
        }
        self.deliver(&segment);
    }

    /// Brings a segment; tells whether the connection goes on.
    fn deliver(&mut self, segment: &[u8]) -> bool {
        if segment.is_empty() {
            return true;
        }
        let in_body = self.heads.is_in_body();
        self.half_line |= segment.ends_with(b"\r");
        if !self.heads.follow(segment, !self.begun) {
            assert!(segment.iter().all(|byte| matches!(byte, b'\r' | b'\n')));
            assert!(!in_body && self.requests.is_empty());
            return true;
        }
        self.buffer.extend_from_slice(segment);
        loop {
            match self.codec.decode(&mut self.buffer) {
                Err(_) => return false,
                Ok(None) => break,
                Ok(Some(Message::Item(request))) => {
                    if self.codec.message_type() == MessageType::Stream {
                        return false;
                    }
                    let has_body = self.codec.message_type() != MessageType::None;
                    let chunked = request.chunked().unwrap_or(false);
                    self.blurred |= in_body;
                    self.requests.push_back(Decoded {
                        has_body,
                        chunked,
                        bytes: 0,
                        complete: !has_body,
                    });
                    self.begin();
                }
                Ok(Some(Message::Chunk(chunk))) => {
                    let Some(request) = self.requests.back_mut() else { panic!("whose body?") };
                    match chunk {
                        Some(chunk) => request.bytes += chunk.len(),
                        None => {
                            request.complete = true;
                            if self.requests.len() == 1 {
                                self.complete();
                            }
                        }
                    }
                }
            }
        }
        self.check();
        true
    }

    /// The first request goes to its handler, if that is free.
    fn begin(&mut self) {
        let Some(request) = self.requests.front() else { return };
        if self.begun {
            return;
        }
        self.begun = true;
        let (has_body, complete) = (request.has_body, request.complete);
        self.lost = !self.heads.has_followers();
        self.heads.begin(has_body);
        if complete {
            self.complete();
        }
    }

    /// The body of the first request has been read to its end.
    fn complete(&mut self) {
        let Some(request) = self.requests.front() else { return };
        if request.has_body {
            // The body's chunks, and what is behind them, were not followed.
            self.blurred |= request.chunked;
            self.heads.end_body(request.bytes, request.chunked);
        }
        if self.at_once {
            self.answer();
        }
    }

    /// The handler answers, and takes the next one.
    fn answer(&mut self) {
        if self.begun && self.requests.front().is_some_and(|request| request.complete) {
            self.requests.pop_front();
            self.begun = false;
            self.begin();
        }
    }

    /// What is known, once the decoder has read all that it can.
    fn check(&mut self) {
        if self.heads.is_in_body() {
            return;
        }
        let behind = self.requests.len() - usize::from(self.begun);
        let inside = self.requests.back().is_some_and(|request| !request.complete);
        let start = self.buffer.iter().position(|byte| !matches!(byte, b'\r' | b'\n'));
        let half = start.is_some() && !inside;
        if inside || (self.lost && self.blurred) {
            return;
        }
        if self.blurred {
            if behind == 0 {
                assert!(!half || self.heads.is_waiting(), "half a request is forgotten");
            }
        } else if self.requests.iter().skip(usize::from(self.begun)).any(|next| next.has_body) {
            // Until it is begun, a line of its body may be taken for the end of a head.
            assert!(self.heads.is_waiting());
        } else if !self.half_line {
            assert_eq!(self.heads.waiting(), behind + usize::from(half), "{:?}", self.buffer);
        }
        if self.requests.is_empty() && self.buffer.is_empty() {
            self.half_line = false;
            self.blurred = false;
            assert!(!self.heads.is_waiting(), "nothing waits");
        }
    }
}

/// Sends frames of any kind in pieces of any size; what is known of them must not depend on that.
///
/// # Panics
/// When it does.
pub fn frames(data: &[u8]) {
    let (cuts, data) = data.split_at(data.len().min(8));
    let (inbound, outbound) = data.split_at(data.len() / 2);
    let mut inbound = stream(inbound);
    inbound.splice(0..0, PREFACE.iter().copied());
    let outbound = stream(outbound);

    let mut whole = Frames::new();
    let mut cut = Frames::new();
    let mut same = inbound.clone();
    whole.received(&mut same);
    let mut pieces = cuts.iter().map(|cut| usize::from(*cut) + 1).cycle();
    let mut rest = inbound.as_mut_slice();
    while !rest.is_empty() {
        let length = pieces.next().unwrap_or(7).min(rest.len());
        let (piece, later) = rest.split_at_mut(length);
        cut.received(piece);
        assert!(cut.is_partial() != cut.may_show() || !cut.has_had_streams());
        rest = later;
    }
    assert_eq!(whole.is_partial(), cut.is_partial());
    assert_eq!(whole.is_in_head(), cut.is_in_head());

    whole.sent(&outbound);
    for piece in outbound.chunks(pieces.next().unwrap_or(7)) {
        cut.sent(piece);
    }
    assert_eq!(whole.may_send(), cut.may_send());
    assert_eq!(whole.may_show(), cut.may_show());
    assert_eq!(whole.open_streams(), cut.open_streams());
    assert_eq!(whole.has_begun(), cut.has_begun());
    // Every open stream is reset with 13 bytes, and the GOAWAY has 17.
    let farewell = whole.farewell();
    assert_eq!(farewell, cut.farewell());
    assert_eq!(farewell.len(), 13 * whole.open_streams() as usize + 17);

    let (mut whole, mut cut) = (Outbound::new(), Outbound::new());
    whole.follow(data);
    data.chunks(pieces.next().unwrap_or(7)).for_each(|piece| cut.follow(piece));
    assert_eq!(whole.may_close(), cut.may_close());

    let (mut whole, mut cut) = (Boundaries::default(), Boundaries::default());
    whole.follow(data);
    data.chunks(pieces.next().unwrap_or(7)).for_each(|piece| cut.follow(piece));
    assert_eq!(whole.is_inside(), cut.is_inside());
}

/// Frames: five bytes say what one is, and how much of it comes.
fn stream(data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for five in data.chunks_exact(5) {
        let [kind, flags, stream, length, byte] = [five[0], five[1], five[2], five[3], five[4]];
        bytes.extend_from_slice(&[0, 0, length, kind % 12, flags, 0, 0, 0, stream % 32]);
        bytes.resize(bytes.len() + usize::from(length), byte);
    }
    bytes.extend_from_slice(data.chunks_exact(5).remainder());
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn segments(data in vec(any::<u8>(), 0..200)) {
            super::segments(&data);
        }

        #[test]
        fn frames(data in vec(any::<u8>(), 0..400)) {
            super::frames(&data);
        }
    }
}
