//! WebSocket frames as they leave, so that a close frame can be put between two of them.
//!
//! A handler that knows the lame-duck token closes its socket itself. For one that does not, the
//! deadline comes: then the peer is told 1012, "service restart", instead of seeing 1006.

/// A whole close frame with code 1012 (service restart), unmasked as a server's frames are.
/// Source: RFC 6455 section 5.5.1 and the IANA WebSocket close code registry.
pub const CLOSE_SERVICE_RESTART: [u8; 4] = [0x88, 0x02, 0x03, 0xF4];

/// Where in the outbound bytes of an upgraded connection we are.
#[derive(Debug)]
pub struct Outbound {
    state: State,
    closed: bool,
}

#[derive(Debug)]
enum State {
    /// In the head of the 101 response; how many bytes of its end have been seen.
    Head(usize),
    /// In a frame's header.
    Header { bytes: [u8; 10], have: usize },
    /// In a frame's payload.
    Payload(u64),
}

const NEXT_FRAME: State = State::Header { bytes: [0; 10], have: 0 };

impl Default for Outbound {
    fn default() -> Self {
        Self::new()
    }
}

impl Outbound {
    /// A connection whose 101 response is about to be written.
    pub const fn new() -> Self {
        Self { state: State::Head(0), closed: false }
    }

    /// Between two frames, with no close frame sent yet: a close frame may follow.
    pub fn may_close(&self) -> bool {
        !self.closed && matches!(self.state, State::Header { have: 0, .. })
    }

    /// Follows bytes that were written.
    pub fn follow(&mut self, mut written: &[u8]) {
        while let Some((&byte, rest)) = written.split_first() {
            match &mut self.state {
                State::Head(seen) => {
                    written = rest;
                    *seen = match (*seen, byte) {
                        (0 | 2, b'\r') => *seen + 1,
                        (1, b'\n') => 2,
                        (3, b'\n') => {
                            self.state = NEXT_FRAME;
                            continue;
                        }
                        (_, b'\r') => 1,
                        _ => 0,
                    };
                }
                State::Header { bytes, have } => {
                    written = rest;
                    bytes[*have] = byte;
                    *have += 1;
                    if let Some(length) = payload_length(&bytes[..*have]) {
                        // Opcode 8 closes the conversation: nothing may follow it.
                        self.closed |= bytes[0] & 0x0F == 8;
                        self.state = if length == 0 { NEXT_FRAME } else { State::Payload(length) };
                    }
                }
                State::Payload(left) => {
                    let here = (*left).min(written.len() as u64);
                    written = &written[here as usize..];
                    *left -= here;
                    if *left == 0 {
                        self.state = NEXT_FRAME;
                    }
                }
            }
        }
    }
}

/// The payload's length, once the whole header of an unmasked frame is there.
fn payload_length(header: &[u8]) -> Option<u64> {
    let big_endian = |bytes: &[u8]| bytes.iter().fold(0, |n, b| n << 8 | u64::from(*b));
    match (header.get(1)? & 0x7F, header.len()) {
        (length @ 0..=125, 2..) => Some(u64::from(length)),
        (126, 4..) => Some(big_endian(&header[2..4])),
        (127, 10..) => Some(big_endian(&header[2..10])),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n";

    #[test]
    fn a_close_frame_fits_only_between_two_frames() {
        let long = [[0x82, 126, 0x01, 0x00].as_slice(), &[0; 256]].concat();
        let longer = [[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0].as_slice(), &vec![0; 65_536]].concat();
        let frames: [&[u8]; 4] = [&[0x81, 2, b'h', b'i'], &[0x89, 0], &long, &longer];
        for chunk in [1, 3, 1000, 100_000] {
            let mut outbound = Outbound::new();
            for piece in HEAD.chunks(chunk) {
                assert!(!outbound.may_close());
                outbound.follow(piece);
            }
            assert!(outbound.may_close());
            for frame in frames {
                let pieces = frame.chunks(chunk);
                let last = pieces.len() - 1;
                for (index, piece) in pieces.enumerate() {
                    outbound.follow(piece);
                    assert_eq!(outbound.may_close(), index == last, "{chunk} {index}");
                }
            }
            outbound.follow(&CLOSE_SERVICE_RESTART);
            assert!(!outbound.may_close(), "nothing may follow a close frame");
        }
    }
}
