//! HTTP/2 by hand: frames as they come, over anything that reads and writes.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
};

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(crate) const LARGEST_STREAM: u32 = (1 << 31) - 1;

/// A frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn new(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Self {
        Self { kind, flags, stream, payload: payload.into() }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let length = (self.payload.len() as u32).to_be_bytes();
        let mut bytes = vec![length[1], length[2], length[3], self.kind, self.flags];
        bytes.extend_from_slice(&self.stream.to_be_bytes());
        bytes.extend_from_slice(&self.payload);
        bytes
    }

    /// A GET, with names from HPACK's static table and no compression.
    pub(crate) fn get(stream: u32, path: &str) -> Self {
        Self::new(HEADERS, END_HEADERS | END_STREAM, stream, request(0x82, path))
    }

    /// The head of a POST.
    pub(crate) fn post(stream: u32, path: &str) -> Self {
        Self::new(HEADERS, END_HEADERS, stream, request(0x83, path))
    }

    /// Of a GOAWAY: the last stream that was served, and the error.
    pub(crate) fn goaway(&self) -> Option<(u32, u32)> {
        (self.kind == GOAWAY).then(|| (number(&self.payload), number(&self.payload[4..])))
    }

    fn is(&self, kind: u8, flag: u8) -> bool {
        self.kind == kind && self.flags & flag != 0
    }
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes[..4].try_into().expect("four bytes"))
}

fn request(method: u8, path: &str) -> Vec<u8> {
    let mut block = vec![method, 0x86, 0x41, 4];
    block.extend_from_slice(b"test");
    block.extend_from_slice(&[0x44, path.len() as u8]);
    block.extend_from_slice(path.as_bytes());
    block
}

/// A connection that answers SETTINGS and PING by itself.
pub(crate) struct Client<T> {
    io: T,
    /// Whether PING is answered.
    pub(crate) answers: bool,
    /// Everything but SETTINGS, PING and WINDOW_UPDATE.
    pub(crate) seen: Vec<Frame>,
    bodies: BTreeMap<u32, Vec<u8>>,
}

impl<T: Read + Write> Client<T> {
    /// Sends the preface and SETTINGS, with this initial window for the server's bodies.
    pub(crate) fn new(mut io: T, window: u32) -> Self {
        let [a, b, c, d] = window.to_be_bytes();
        let settings = Frame::new(SETTINGS, 0, 0, [0, 4, a, b, c, d]);
        io.write_all(&[PREFACE, &settings.bytes()].concat()).expect("it is taken");
        Self { io, answers: true, seen: Vec::new(), bodies: BTreeMap::new() }
    }

    pub(crate) fn io(&mut self) -> &mut T {
        &mut self.io
    }

    #[track_caller]
    pub(crate) fn send(&mut self, frame: &Frame) -> &mut Self {
        self.io.write_all(&frame.bytes()).expect("it is taken");
        self
    }

    /// Lets the server send so much more on a stream.
    pub(crate) fn open_window(&mut self, stream: u32, more: u32) {
        self.send(&Frame::new(WINDOW_UPDATE, 0, stream, more.to_be_bytes()));
    }

    /// The next frame that is worth telling; nothing at the end of the connection.
    pub(crate) fn next(&mut self) -> io::Result<Option<Frame>> {
        loop {
            let mut header = [0; 9];
            if self.io.read(&mut header[..1])? == 0 {
                return Ok(None);
            }
            self.io.read_exact(&mut header[1..])?;
            let length = u32::from_be_bytes([0, header[0], header[1], header[2]]);
            let mut payload = vec![0; length as usize];
            self.io.read_exact(&mut payload)?;
            let frame =
                Frame::new(header[3], header[4], number(&header[5..]) & LARGEST_STREAM, payload);
            match frame.kind {
                SETTINGS if frame.flags & ACK == 0 => {
                    self.send(&Frame::new(SETTINGS, ACK, 0, []));
                }
                PING if self.answers && frame.flags & ACK == 0 => {
                    self.send(&Frame::new(PING, ACK, 0, frame.payload));
                }
                SETTINGS | PING | WINDOW_UPDATE => {}
                _ => {
                    if frame.kind == DATA {
                        let body = self.bodies.entry(frame.stream).or_default();
                        body.extend_from_slice(&frame.payload);
                    }
                    self.seen.push(frame.clone());
                    return Ok(Some(frame));
                }
            }
        }
    }

    /// Reads until a frame that is wanted comes.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, wanted: impl Fn(&Frame) -> bool) -> Frame {
        loop {
            match self.next() {
                Ok(Some(frame)) if wanted(&frame) => return frame,
                Ok(Some(_)) => {}
                other => panic!("{other:?} instead of {what}, after {:?}", self.seen),
            }
        }
    }

    /// Reads until a stream's response is complete, and returns its body.
    #[track_caller]
    pub(crate) fn response(&mut self, stream: u32) -> Vec<u8> {
        let complete = |frame: &Frame| {
            frame.stream == stream
                && (frame.is(DATA, END_STREAM)
                    || frame.is(HEADERS, END_STREAM)
                    || frame.kind == RST_STREAM)
        };
        if !self.seen.iter().any(complete) {
            self.until(&format!("the end of stream {stream}"), complete);
        }
        let reset = |frame: &&Frame| frame.stream == stream && frame.kind == RST_STREAM;
        assert_eq!(self.seen.iter().find(reset), None, "stream {stream}");
        self.bodies.remove(&stream).unwrap_or_default()
    }

    /// Reads to the end of the connection, which must not be a reset.
    #[track_caller]
    pub(crate) fn end(&mut self) -> &[Frame] {
        while self.next().expect("no reset").is_some() {}
        &self.seen
    }

    /// Every GOAWAY so far: last stream and error.
    pub(crate) fn goaways(&self) -> Vec<(u32, u32)> {
        self.seen.iter().filter_map(Frame::goaway).collect()
    }
}
