//! HTTP/2 frames as they pass, so that a GOAWAY can be put between two of them.
//!
//! Neither actix-http nor its h2 sends a GOAWAY on shutdown. So this follows the boundaries of
//! frames in both directions (RFC 9113, section 4.1) and the streams that are open, and
//! 1. writes GOAWAY with the largest stream id: the client opens no more streams here, and those
//!    that crossed it on the way are still served (RFC 9113, section 6.8);
//! 2. asks with a PING whether the client has read that: the answer comes behind every stream
//!    that the client had opened before;
//! 3. then shows the h2 server a GOAWAY as if the client had sent it: the server finishes its
//!    streams, sends a GOAWAY with the last stream it served, and closes.

/// Every frame begins with this many bytes: length (3), type (1), flags (1), stream id (4).
const HEADER: usize = 9;

/// The client's connection preface, before its first frame.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const RST_STREAM: u8 = 0x3;
const PUSH_PROMISE: u8 = 0x5;
const PING: u8 = 0x6;
const GOAWAY: u8 = 0x7;
const CONTINUATION: u8 = 0x9;
/// A type that nobody uses; frames of such types are ignored (RFC 9113, section 4.1).
const UNUSED: u8 = 0xF0;

const ACK: u8 = 0x1;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

const NO_ERROR: u32 = 0;
const CANCEL: u32 = 8;

/// The largest stream id: "everything you have opened so far".
const LARGEST_STREAM: u32 = (1 << 31) - 1;

/// A GOAWAY frame with NO_ERROR.
pub const fn goaway(last_stream: u32) -> [u8; HEADER + 8] {
    let [s0, s1, s2, s3] = last_stream.to_be_bytes();
    let [e0, e1, e2, e3] = NO_ERROR.to_be_bytes();
    [0, 0, 8, GOAWAY, 0, 0, 0, 0, 0, s0, s1, s2, s3, e0, e1, e2, e3]
}

/// What the server takes for its client's GOAWAY.
pub const CLIENT_LEAVES: [u8; HEADER + 8] = goaway(LARGEST_STREAM);

/// What our PING carries, to be told from the h2 server's own.
const QUESTION: [u8; 8] = *b"leaving?";

/// The first of the two GOAWAY frames, and the question whether it was read.
pub const LEAVE: [u8; 2 * (HEADER + 8)] = {
    let mut frames = [0; 2 * (HEADER + 8)];
    let goaway = goaway(LARGEST_STREAM);
    let ping = [0, 0, 8, PING, 0, 0, 0, 0, 0];
    let (first, second) = frames.split_at_mut(HEADER + 8);
    first.copy_from_slice(&goaway);
    let (header, payload) = second.split_at_mut(HEADER);
    header.copy_from_slice(&ping);
    payload.copy_from_slice(&QUESTION);
    frames
};

const fn rst_stream(stream: u32) -> [u8; HEADER + 4] {
    let [s0, s1, s2, s3] = stream.to_be_bytes();
    let [e0, e1, e2, e3] = CANCEL.to_be_bytes();
    [0, 0, 4, RST_STREAM, 0, s0, s1, s2, s3, e0, e1, e2, e3]
}

#[derive(Debug, Clone, Copy)]
struct Header {
    kind: u8,
    flags: u8,
    stream: u32,
}

/// One direction of a connection.
#[derive(Debug)]
struct Direction {
    header: [u8; HEADER],
    have: usize,
    /// Bytes of the current payload still to come.
    payload: usize,
    /// Bytes of the preface still to come.
    preface: usize,
    /// Inside a header block, which nothing may interrupt.
    in_headers: bool,
    frames: u64,
}

impl Direction {
    const fn new(preface: usize) -> Self {
        Self { header: [0; HEADER], have: 0, payload: 0, preface, in_headers: false, frames: 0 }
    }

    const fn at_boundary(&self) -> bool {
        self.preface == 0 && self.have == 0 && self.payload == 0 && !self.in_headers
    }

    /// Follows bytes, and tells of every frame whose header is complete: what it is, and where
    /// its payload begins.
    fn follow(&mut self, all: &[u8], mut seen: impl FnMut(Header, usize)) {
        let skipped = self.preface.min(all.len());
        self.preface -= skipped;
        let mut bytes = &all[skipped..];
        while !bytes.is_empty() {
            if self.payload > 0 {
                let here = self.payload.min(bytes.len());
                self.payload -= here;
                bytes = &bytes[here..];
                continue;
            }
            let here = (HEADER - self.have).min(bytes.len());
            self.header[self.have..self.have + here].copy_from_slice(&bytes[..here]);
            self.have += here;
            bytes = &bytes[here..];
            if self.have == HEADER {
                self.have = 0;
                self.frames += 1;
                let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = self.header;
                self.payload = u32::from_be_bytes([0, l0, l1, l2]) as usize;
                if matches!(kind, HEADERS | PUSH_PROMISE | CONTINUATION) {
                    self.in_headers = flags & END_HEADERS == 0;
                }
                let stream = u32::from_be_bytes([s0 & 0x7F, s1, s2, s3]);
                seen(Header { kind, flags, stream }, all.len() - bytes.len());
            }
        }
    }
}

/// Both directions of a connection and its open streams.
#[derive(Debug)]
pub struct Frames {
    inbound: Direction,
    outbound: Direction,
    /// Streams that the client opened and the server has not finished.
    open: Vec<u32>,
    last_stream: u32,
    /// The client has read our GOAWAY.
    answered: bool,
}

impl Default for Frames {
    fn default() -> Self {
        Self::new()
    }
}

impl Frames {
    /// A connection on which nothing has been said.
    pub const fn new() -> Self {
        Self {
            inbound: Direction::new(PREFACE.len()),
            outbound: Direction::new(0),
            open: Vec::new(),
            last_stream: 0,
            answered: false,
        }
    }

    /// Follows what the client sent. The answer to our question is made a frame that the h2
    /// server ignores: it did not ask.
    pub fn received(&mut self, bytes: &mut [u8]) {
        let Self { inbound, open, last_stream, .. } = self;
        let mut ours = None;
        let all: &[u8] = bytes;
        inbound.follow(all, |frame, payload| match frame.kind {
            HEADERS if frame.stream > *last_stream => {
                *last_stream = frame.stream;
                open.push(frame.stream);
            }
            RST_STREAM => open.retain(|id| *id != frame.stream),
            // One that is cut in two goes on to the server, which then logs its surprise; our
            // patience ends without it.
            PING if frame.flags & ACK != 0
                && payload >= HEADER
                && all[payload..].starts_with(&QUESTION) =>
            {
                ours = Some(payload - HEADER);
            }
            _ => {}
        });
        if let Some(start) = ours {
            bytes[start + 3] = UNUSED;
            self.answered = true;
        }
    }

    /// Follows what was sent.
    pub fn sent(&mut self, bytes: &[u8]) {
        let Self { outbound, open, .. } = self;
        outbound.follow(bytes, |frame, _| match frame.kind {
            DATA | HEADERS if frame.flags & END_STREAM != 0 => {
                open.retain(|id| *id != frame.stream);
            }
            RST_STREAM => open.retain(|id| *id != frame.stream),
            _ => {}
        });
    }

    /// How many streams the client has opened and the server has not finished.
    pub fn open_streams(&self) -> u32 {
        self.open.len() as u32
    }

    /// The client has read our GOAWAY: all it opened before has come.
    pub const fn is_answered(&self) -> bool {
        self.answered
    }

    /// The server has begun to speak.
    pub const fn has_begun(&self) -> bool {
        self.outbound.frames > 0
    }

    /// The client is in the middle of a frame, of a header block, or of the preface.
    pub const fn is_partial(&self) -> bool {
        !self.inbound.at_boundary()
    }

    /// The client is in the middle of a header block.
    pub const fn is_in_head(&self) -> bool {
        let Direction { header, payload, in_headers, .. } = &self.inbound;
        *in_headers || (*payload > 0 && matches!(header[3], HEADERS | CONTINUATION))
    }

    /// The client has opened a stream at some time.
    pub const fn has_had_streams(&self) -> bool {
        self.last_stream > 0
    }

    /// A frame of ours may follow what was sent. The server's first frame has to be SETTINGS.
    pub const fn may_send(&self) -> bool {
        self.outbound.frames > 0 && self.outbound.at_boundary()
    }

    /// A frame may be shown to the server between what was received.
    pub const fn may_show(&self) -> bool {
        self.inbound.frames > 0 && self.inbound.at_boundary()
    }

    /// What to send when the connection is given up: every open stream is reset, then GOAWAY.
    pub fn farewell(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.open.iter().flat_map(|id| rst_stream(*id)).collect();
        bytes.extend_from_slice(&goaway(self.last_stream));
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, payload: usize) -> Vec<u8> {
        let length = (payload as u32).to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags];
        frame.extend_from_slice(&stream.to_be_bytes());
        frame.resize(HEADER + payload, 0);
        frame
    }

    const SETTINGS: u8 = 0x4;

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
        assert_eq!(frames.open, [7]);
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
}
