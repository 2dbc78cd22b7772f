//! What is known of requests, compared with what actix's decoder makes of the same bytes.

use std::collections::VecDeque;

use actix_http::{
    HttpMessage as _, ServiceConfig,
    h1::{Codec, Message, MessageType},
};
use actix_web::{rt::Runtime, web::BytesMut};
use tokio_util::codec::Decoder as _;

use super::heads::Heads;

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
pub(super) fn segments(data: &[u8]) {
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

#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
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
    /// The place of a request was not known, so that from there on less is.
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
                    if let Some(chunk) = chunk {
                        request.bytes += chunk.len();
                    } else {
                        request.complete = true;
                        if self.requests.len() == 1 {
                            self.complete();
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
        self.lost |= !self.heads.has_followers();
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
        if inside {
            return;
        }
        if self.blurred || self.lost {
            if behind == 0 {
                assert!(!half || self.heads.is_waiting(), "half a request is forgotten");
            }
        } else if self.requests.iter().skip(usize::from(self.begun)).any(|next| next.has_body) {
            // Until it is begun, a line of its body may be taken for the end of a head.
            assert!(self.heads.is_waiting());
        } else if !self.half_line {
            let waiting = self.heads.whole() + usize::from(self.heads.is_half());
            assert_eq!(waiting, behind + usize::from(half), "{:?}", self.buffer);
        }
        if self.requests.is_empty() && self.buffer.is_empty() {
            self.half_line = false;
            self.blurred = false;
            assert!(self.lost || !self.heads.is_waiting(), "nothing waits");
        }
    }
}
