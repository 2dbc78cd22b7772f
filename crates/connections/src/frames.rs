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

use std::time::Duration;

use tokio::time::Instant;

/// Every frame begins with this many bytes: length (3), type (1), flags (1), stream id (4).
const HEADER: usize = 9;

/// The client's connection preface, before its first frame.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const RST_STREAM: u8 = 0x3;
const SETTINGS: u8 = 0x4;
const PUSH_PROMISE: u8 = 0x5;
const PING: u8 = 0x6;
const GOAWAY: u8 = 0x7;
const WINDOW_UPDATE: u8 = 0x8;
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

/// The setting that says how large the windows of streams are at first.
const INITIAL_WINDOW_SIZE: u16 = 0x4;

/// What windows are at first, in bytes, unless somebody says otherwise (RFC 9113, section 6.9.2).
const WINDOW: i64 = 65_535;

#[derive(Debug, Clone, Copy)]
struct Header {
    kind: u8,
    flags: u8,
    stream: u32,
    length: u32,
}

/// What is seen of one direction.
#[derive(Debug, Clone, Copy)]
enum Seen {
    /// A frame's header, and where its payload begins.
    Frame(Header, usize),
    /// A stream's window, or the connection's, has grown by so much.
    Window { stream: u32, by: u32 },
    /// So large are the windows of streams at first.
    InitialWindow(u32),
}

/// One direction of a connection.
#[derive(Debug)]
struct Direction {
    header: [u8; HEADER],
    have: usize,
    /// Bytes of the current payload still to come.
    payload: usize,
    /// Of a payload that says something about windows, what has come of its current item.
    item: [u8; 6],
    item_has: usize,
    /// Bytes of the preface still to come.
    preface: usize,
    /// Inside a header block, which nothing may interrupt.
    in_headers: bool,
    frames: u64,
}

impl Direction {
    const fn new(preface: usize) -> Self {
        Self {
            header: [0; HEADER],
            have: 0,
            payload: 0,
            item: [0; 6],
            item_has: 0,
            preface,
            in_headers: false,
            frames: 0,
        }
    }

    const fn at_boundary(&self) -> bool {
        self.preface == 0 && self.have == 0 && self.payload == 0 && !self.in_headers
    }

    /// Follows bytes, and tells of every frame whose header is complete, and of what it says about
    /// windows.
    fn follow(&mut self, all: &[u8], mut seen: impl FnMut(Seen)) {
        let skipped = self.preface.min(all.len());
        self.preface -= skipped;
        let mut bytes = &all[skipped..];
        while !bytes.is_empty() {
            if self.payload > 0 {
                let here = self.payload.min(bytes.len());
                self.payload -= here;
                if matches!(self.header[3], SETTINGS | WINDOW_UPDATE) {
                    self.follow_items(&bytes[..here], &mut seen);
                }
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
                let length = self.payload as u32;
                self.item_has = 0;
                let header = Header { kind, flags, stream, length };
                seen(Seen::Frame(header, all.len() - bytes.len()));
            }
        }
    }

    /// Settings are of six bytes each (RFC 9113, section 6.5.1), an update of a window of four.
    fn follow_items(&mut self, payload: &[u8], seen: &mut impl FnMut(Seen)) {
        let [_, _, _, kind, _, stream @ ..] = self.header;
        let whole = if kind == SETTINGS { 6 } else { 4 };
        for byte in payload {
            self.item[self.item_has] = *byte;
            self.item_has += 1;
            if self.item_has < whole {
                continue;
            }
            self.item_has = 0;
            let [first, second, third, fourth, ..] = self.item;
            if kind == WINDOW_UPDATE {
                let stream = u32::from_be_bytes(stream) & 0x7FFF_FFFF;
                seen(Seen::Window {
                    stream,
                    by: u32::from_be_bytes([first & 0x7F, second, third, fourth]),
                });
            } else if u16::from_be_bytes([first, second]) == INITIAL_WINDOW_SIZE {
                seen(Seen::InitialWindow(u32::from_be_bytes([
                    third,
                    fourth,
                    self.item[4],
                    self.item[5],
                ])));
            }
        }
    }
}

/// A stream that the client opened and the server has not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stream {
    id: u32,
    /// How much more its client takes of it, in bytes.
    window: i64,
    /// Its response has begun.
    answered: bool,
    /// Since when it is known that nothing of it may be sent.
    blocked: Option<Instant>,
}

/// Both directions of a connection and its open streams.
#[derive(Debug)]
pub struct Frames {
    inbound: Direction,
    outbound: Direction,
    /// Streams that the client opened and the server has not finished.
    open: Vec<Stream>,
    /// What the window of a stream is at first.
    initial_window: i64,
    /// How much more the client takes of all of them together.
    window: i64,
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
            initial_window: WINDOW,
            window: WINDOW,
            last_stream: 0,
            answered: false,
        }
    }

    /// Follows what the client sent. The answer to our question is made a frame that the h2
    /// server ignores: it did not ask.
    pub fn received(&mut self, bytes: &mut [u8]) {
        let Self { inbound, open, last_stream, initial_window, window, .. } = self;
        let mut ours = None;
        let all: &[u8] = bytes;
        inbound.follow(all, |seen| match seen {
            Seen::Window { stream: 0, by } => {
                *window += i64::from(by);
                // Others are blocked by their own windows still.
                for stream in open.iter_mut().filter(|stream| stream.window > 0) {
                    stream.blocked = None;
                }
            }
            Seen::Window { stream, by } => {
                if let Some(known) = open.iter_mut().find(|known| known.id == stream) {
                    known.window += i64::from(by);
                    known.blocked = None;
                }
            }
            Seen::InitialWindow(size) => {
                let more = i64::from(size) - *initial_window;
                *initial_window = i64::from(size);
                for stream in open.iter_mut() {
                    stream.window += more;
                    if stream.window > 0 {
                        stream.blocked = None;
                    }
                }
            }
            Seen::Frame(frame, payload) => match frame.kind {
                HEADERS if frame.stream > *last_stream => {
                    *last_stream = frame.stream;
                    open.push(Stream {
                        id: frame.stream,
                        window: *initial_window,
                        answered: false,
                        blocked: None,
                    });
                }
                RST_STREAM => open.retain(|stream| stream.id != frame.stream),
                // One that is cut in two goes on to the server, which then logs its surprise; our
                // patience ends without it.
                PING if frame.flags & ACK != 0
                    && payload >= HEADER
                    && all[payload..].starts_with(&QUESTION) =>
                {
                    ours = Some(payload - HEADER);
                }
                _ => {}
            },
        });
        if let Some(start) = ours {
            bytes[start + 3] = UNUSED;
            self.answered = true;
        }
    }

    /// Follows what was sent.
    pub fn sent(&mut self, bytes: &[u8]) {
        let Self { outbound, open, window, .. } = self;
        outbound.follow(bytes, |seen| {
            let Seen::Frame(frame, _) = seen else { return };
            if frame.kind == DATA {
                *window -= i64::from(frame.length);
            }
            match frame.kind {
                DATA | HEADERS if frame.flags & END_STREAM != 0 => {
                    open.retain(|stream| stream.id != frame.stream);
                }
                RST_STREAM => open.retain(|stream| stream.id != frame.stream),
                DATA | HEADERS => {
                    if let Some(stream) = open.iter_mut().find(|s| s.id == frame.stream) {
                        stream.answered = true;
                        if frame.kind == DATA {
                            stream.window -= i64::from(frame.length);
                        }
                    }
                }
                _ => {}
            }
        });
    }

    /// When the first of the streams is due of whose response the client has let nothing pass for so
    /// long, as far as that is known before anything else happens.
    pub(super) fn blocked_until(&mut self, limit: Duration) -> Option<Instant> {
        let has_room = self.window > 0;
        let blocked = |stream: &&mut Stream| stream.answered && (!has_room || stream.window <= 0);
        let since = |stream: &mut Stream| *stream.blocked.get_or_insert_with(Instant::now);
        self.open.iter_mut().filter(blocked).map(since).min().map(|since| since + limit)
    }

    /// Gives up the streams of whose response the client has let nothing pass for so long: what resets
    /// them, for either side.
    pub(super) fn give_up_blocked(&mut self, limit: Duration) -> Vec<u8> {
        let is_due = |stream: &&Stream| stream.blocked.is_some_and(|at| at.elapsed() >= limit);
        self.open.iter().filter(is_due).flat_map(|stream| rst_stream(stream.id)).collect()
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
        let mut bytes: Vec<u8> =
            self.open.iter().flat_map(|stream| rst_stream(stream.id)).collect();
        bytes.extend_from_slice(&goaway(self.last_stream));
        bytes
    }
}

#[cfg(test)]
mod tests;
