use super::*;

fn frame(kind: u8, flags: u8, stream: u32, payload: usize) -> Vec<u8> {
    let length = (payload as u32).to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.resize(HEADER + payload, 0);
    frame
}

#[test]
fn boundaries_are_found_however_the_bytes_are_cut() {
    let inbound = [
        PREFACE.to_vec(),
        frame(SETTINGS, 0, 0, 18),
        frame(HEADERS, END_STREAM, 1, 40),
        frame(CONTINUATION, END_HEADERS, 1, 7),
        frame(DATA, 0, 3, 16_384),
    ];
    // After the preface no frame has been seen; after HEADERS a CONTINUATION has to follow.
    let may_show_after = [false, true, false, true, true];
    for chunk in [1, 2, 8, 9, 10, 100_000] {
        let mut frames = Frames::new();
        for (bytes, expected) in inbound.iter().zip(may_show_after) {
            let pieces = bytes.chunks(chunk);
            let last = pieces.len() - 1;
            for (index, piece) in pieces.enumerate() {
                frames.received(&mut piece.to_vec());
                if index < last && bytes.len() > PREFACE.len() {
                    assert!(!frames.may_show(), "inside a frame");
                }
            }
            assert_eq!(frames.may_show(), expected, "cut into {chunk}");
        }
    }
}

#[test]
fn streams_are_open_from_their_headers_to_the_servers_end() {
    let mut frames = Frames::new();
    frames.received(&mut PREFACE.to_vec());
    for stream in [1, 3, 5, 7] {
        frames.received(&mut frame(HEADERS, END_HEADERS | END_STREAM, stream, 5));
    }
    assert!(!frames.may_send(), "before the server's SETTINGS");
    frames.sent(&frame(SETTINGS, 0, 0, 0));
    assert!(frames.may_send());
    frames.sent(&frame(HEADERS, END_HEADERS | END_STREAM, 1, 5));
    frames.sent(&frame(HEADERS, END_HEADERS, 3, 5));
    frames.sent(&frame(DATA, END_STREAM, 3, 5));
    frames.received(&mut frame(RST_STREAM, 0, 5, 4));
    assert_eq!(frames.open.iter().map(|stream| stream.id).collect::<Vec<_>>(), [7]);
    assert_eq!(frames.farewell(), [rst_stream(7).as_slice(), &goaway(7)].concat());
}

#[test]
fn trailers_do_not_open_a_stream_again() {
    let mut frames = Frames::new();
    frames.received(&mut PREFACE.to_vec());
    frames.received(&mut frame(HEADERS, END_HEADERS, 1, 5));
    frames.sent(&frame(HEADERS, END_HEADERS | END_STREAM, 1, 5));
    frames.received(&mut frame(HEADERS, END_HEADERS | END_STREAM, 1, 5));
    assert!(frames.open.is_empty());
}

#[test]
fn only_the_answer_to_our_own_question_is_taken_away() {
    let ping = |flags, payload: &[u8; 8]| {
        [[0, 0, 8, PING, flags, 0, 0, 0, 0].as_slice(), payload].concat()
    };
    let mut frames = Frames::new();
    frames.received(&mut [PREFACE.to_vec(), frame(SETTINGS, 0, 0, 0)].concat());
    let others = [ping(0, &QUESTION), ping(ACK, b"another!"), ping(0, &[0; 8])].concat();
    let mut seen = others.clone();
    frames.received(&mut seen);
    assert_eq!(seen, others);
    assert!(!frames.is_answered());

    let mut seen = [ping(ACK, &QUESTION), frame(HEADERS, END_HEADERS, 1, 3)].concat();
    frames.received(&mut seen);
    assert!(frames.is_answered());
    assert_eq!(seen[3], UNUSED, "a type to ignore");
    assert_eq!((frames.last_stream, frames.may_show()), (1, true), "the rest is as it was");
}

fn window_update(stream: u32, by: u32) -> Vec<u8> {
    let mut update = frame(WINDOW_UPDATE, 0, stream, 4);
    update[HEADER..].copy_from_slice(&by.to_be_bytes());
    update
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_given_up_when_its_window_stays_closed() {
    const LIMIT: Duration = Duration::from_secs(60);
    for chunk in [1, 5, 100_000] {
        let hear = |frames: &mut Frames, bytes: &[u8]| {
            bytes.chunks(chunk).for_each(|piece| frames.received(&mut piece.to_vec()));
        };
        let mut frames = Frames::new();
        // Another setting, and windows of 10 bytes.
        let mut settings = frame(SETTINGS, 0, 0, 12);
        settings[HEADER..].copy_from_slice(&[0, 3, 0, 0, 0, 0, 0, 4, 0, 0, 0, 10]);
        hear(&mut frames, &[PREFACE.to_vec(), settings].concat());
        for stream in [1, 3, 5] {
            hear(&mut frames, &frame(HEADERS, END_HEADERS | END_STREAM, stream, 5));
        }
        assert_eq!(frames.blocked_until(LIMIT), None, "nothing is answered");
        for (stream, sent) in [(1, 10), (3, 9)] {
            frames.sent(&frame(HEADERS, END_HEADERS, stream, 5));
            frames.sent(&frame(DATA, 0, stream, sent));
        }
        let until = frames.blocked_until(LIMIT);
        assert_eq!(until, Some(Instant::now() + LIMIT), "the first has no room");
        tokio::time::advance(LIMIT / 2).await;
        hear(&mut frames, &window_update(1, 5));
        assert_eq!(frames.blocked_until(LIMIT), None);
        frames.sent(&frame(DATA, 0, 1, 5));
        assert_eq!(frames.blocked_until(LIMIT), Some(Instant::now() + LIMIT), "begun anew");
        tokio::time::advance(LIMIT).await;
        let resets = frames.give_up_blocked(LIMIT);
        assert_eq!(resets, rst_stream(1));
        frames.sent(&resets);
        assert_eq!((frames.open_streams(), frames.blocked_until(LIMIT)), (2, None));
    }
}

#[tokio::test(start_paused = true)]
async fn the_connections_window_is_every_streams() {
    let limit = Duration::from_secs(1);
    let mut frames = Frames::new();
    frames.received(&mut [PREFACE.to_vec(), window_update(0, 1)].concat());
    frames.received(&mut frame(HEADERS, END_HEADERS | END_STREAM, 1, 5));
    frames.received(&mut window_update(1, 100_000));
    frames.sent(&frame(HEADERS, END_HEADERS, 1, 5));
    for _ in 0..4 {
        frames.sent(&frame(DATA, 0, 1, 16_384));
    }
    assert_eq!(frames.blocked_until(limit), Some(Instant::now() + limit));
    frames.received(&mut window_update(0, 1));
    assert_eq!(frames.blocked_until(limit), None);
}
