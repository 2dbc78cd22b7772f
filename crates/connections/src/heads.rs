//! Where requests begin and end on an HTTP/1.1 connection, as far as its bytes tell.
//!
//! actix's dispatcher reads as much as it can and shows a request only when it begins to serve it.
//! Whether something has come behind that one, a whole request or half of its head, decides whether
//! a connection may be closed, and whether a response may say so.

use std::collections::VecDeque;

/// The longest end of a head: two ends of lines. A head is much longer.
const TWO_LINES: u32 = 4;

/// The last bytes of what is one head and nothing else, as [`fold`] gives them.
const END_OF_HEAD: u32 = u32::from_be_bytes(*b"\r\n\r\n");

/// Follows what the client sends.
///
/// A body is not followed: how it ends is known only once all of it has been read. What is
/// pipelined behind a body is therefore known exactly where it came with the head and the body has a
/// length. Else it is known by the last bytes alone: half a head is noticed, whole requests are not.
#[derive(Debug, Default)]
pub struct Heads {
    /// Bytes that have come, counted round and round.
    came: u32,
    /// The last four of them.
    tail: u32,
    /// The last of those that belong to the head that has begun.
    head_tail: u32,
    /// Where the head of the request ended that was begun last, if that is known.
    end: Option<u32>,
    /// A head has begun, and is not complete.
    half: bool,
    /// All that has come of it are empty lines, of which one came in two halves. The decoder has
    /// them: it is better off with a time limit.
    blank: bool,
    /// The request that was begun last has a body of which more may come.
    body: bool,
    /// How much more of it, where that is known.
    left: u64,
    /// Where heads ended whose requests nobody has begun.
    ends: Ends,
}

/// A queue that takes no further memory for one, which is what most clients send at a time.
#[derive(Debug, Default)]
struct Ends {
    first: Option<u32>,
    others: VecDeque<u32>,
}

impl Ends {
    #[inline]
    fn push(&mut self, end: u32) {
        if self.first.is_none() {
            self.first = Some(end);
        } else {
            self.others.push_back(end);
        }
    }

    #[inline]
    fn pop(&mut self) -> Option<u32> {
        let first = self.first.take();
        if first.is_some() {
            self.first = self.others.pop_front();
        }
        first
    }

    fn clear(&mut self) {
        *self = Self::default();
    }

    fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.others.len()
    }
}

impl Heads {
    /// Follows bytes that came. Tells whether they mean anything: empty lines before a request do
    /// not (RFC 9112, section 2.2).
    #[inline]
    pub fn follow(&mut self, bytes: &[u8], idle: bool) -> bool {
        let before = self.came;
        if !(self.body | self.half | self.blank) && is_one_head(bytes) {
            self.came = before.wrapping_add(bytes.len() as u32);
            self.tail = END_OF_HEAD;
            self.ends.push(self.came);
            return true;
        }
        let ends_with_cr = self.tail & 0xFF == u32::from(b'\r');
        self.came = before.wrapping_add(bytes.len() as u32);
        self.tail = fold(self.tail, bytes);
        let mut at = 0;
        if self.body && self.left > bytes.len() as u64 {
            self.left -= bytes.len() as u64;
            return true;
        }
        if self.body && self.left > 0 {
            at = self.left as usize;
            (self.left, self.body, self.blank) = (0, false, false);
        } else if self.body {
            // What is left of a body that its handler did not want, or what comes behind it.
            self.half = idle && !ends_head(self.tail);
            self.blank = false;
            self.ends.clear();
            return true;
        }
        let waited = self.is_waiting() || at > 0;
        at += usize::from(self.blank && ends_with_cr && bytes.first() == Some(&b'\n'));
        while at < bytes.len() {
            if !self.half || self.blank {
                at += empty_lines(&bytes[at..]);
                if at == bytes.len() {
                    break;
                }
                self.half = true;
                self.blank = bytes[at..] == [b'\r'];
                self.head_tail = 0;
            }
            // Behind a head may be a body, which has fewer lines, or none.
            let start = if at == 0 && self.head_tail == 0 { lines_before_empty(bytes) } else { 0 };
            if let Some(length) = head_end(self.head_tail, &bytes[at..], start) {
                at += length;
                self.half = false;
                self.ends.push(before.wrapping_add(at as u32));
            } else {
                self.head_tail = fold(self.head_tail, &bytes[at..]);
                at = bytes.len();
            }
        }
        !idle || waited || self.is_waiting()
    }

    /// A request is begun: the first of those that wait.
    #[inline]
    pub fn begin(&mut self, has_body: bool) {
        if self.body {
            // Nobody has read the last body to its end, so what was behind it was not followed.
            self.half = false;
            self.ends.clear();
        }
        self.end = self.ends.pop();
        self.left = 0;
        self.body = has_body;
        if has_body {
            // What came behind the head may be its body.
            self.half = false;
        }
    }

    /// A request is begun whose body is of so many bytes, by a dispatcher that reads no more than
    /// that as its body. What comes behind it is then known exactly.
    pub fn begin_sized(&mut self, bytes: u64) {
        self.begin(true);
        let Some(end) = self.end else { return };
        let came = u64::from(self.came.wrapping_sub(end));
        if came < bytes {
            self.left = bytes - came;
            self.ends.clear();
        } else {
            self.end_body(bytes as usize, false);
        }
    }

    /// Whether a body that ends now may have something behind it that was taken for heads.
    pub const fn has_followers(&self) -> bool {
        self.ends.first.is_some()
    }

    /// All of the body has come, which is of so many bytes.
    ///
    /// What else came behind the head is the framing of a chunked body, which ends as a head does,
    /// or the beginning of a further request.
    pub fn end_body(&mut self, bytes: usize, chunked: bool) {
        (self.body, self.left) = (false, 0);
        let Some(end) = self.end else {
            // Nor is it known whether something is behind. To wait for nothing is not as bad as to
            // lose something.
            self.half = !ends_head(self.tail);
            self.head_tail = self.tail;
            self.ends.clear();
            return;
        };
        if chunked {
            self.ends.clear();
        } else {
            let end = end.wrapping_add(bytes as u32).wrapping_add(TWO_LINES);
            // What looked like the end of a head was within the body, or was empty lines behind it.
            while self.ends.first.is_some_and(|at| !is_after(at, end)) {
                self.ends.pop();
            }
        }
        let more = self.came.wrapping_sub(end).wrapping_sub(bytes as u32);
        let last = self.tail.to_be_bytes();
        let behind = &last[last.len() - more.min(4) as usize..];
        let is_empty = is_empty_lines(behind);
        // Of empty lines, also behind a further request, the last may have come in half.
        self.blank = behind.last() == Some(&b'\r') && (is_empty || ends_head(self.tail >> 8));
        self.half = self.blank || (!is_empty && !ends_head(self.tail));
        self.head_tail = if more < 4 { self.tail & ((1 << (8 * more)) - 1) } else { self.tail };
    }

    /// The request that was begun last has a body of which more may come.
    #[inline]
    pub const fn is_in_body(&self) -> bool {
        self.body
    }

    /// Whether something has come of a request that nobody has begun.
    #[inline]
    pub const fn is_waiting(&self) -> bool {
        self.half || (!self.body && self.ends.first.is_some())
    }

    /// Of how many requests the whole head has come that nobody has begun. A body that waits too may
    /// hold lines that look like the end of one.
    pub fn whole(&self) -> usize {
        if self.body { 0 } else { self.ends.len() }
    }

    /// Whether a head has begun, and is not complete.
    pub const fn is_half(&self) -> bool {
        self.half
    }
}

/// Whether a place is behind another one, of places that are not far from each other.
const fn is_after(place: u32, other: u32) -> bool {
    place != other && place.wrapping_sub(other) < u32::MAX / 2
}

/// The last four of these bytes, and of those before them.
#[inline]
fn fold(before: u32, bytes: &[u8]) -> u32 {
    let start = bytes.len().saturating_sub(4);
    bytes[start..].iter().fold(before, |tail, byte| tail << 8 | u32::from(*byte))
}

/// Whether the last of these bytes is that of a request's head. A line may also end with LF alone
/// (RFC 9112, section 2.2).
const fn ends_head(tail: u32) -> bool {
    tail & 0xFF_FFFF == 0x0A_0D_0A || tail & 0xFFFF == 0x0A0A
}

fn is_empty_lines(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n'))
}

/// How many of these bytes are empty lines, from the first one on.
#[inline]
fn empty_lines(bytes: &[u8]) -> usize {
    let mut length = 0;
    loop {
        match bytes[length..] {
            [b'\n', ..] => length += 1,
            [b'\r', b'\n', ..] => length += 2,
            _ => return length,
        }
    }
}

/// As many bytes as every 64-bit processor compares in one instruction.
const BLOCK: usize = 16;

/// Whether any of these bytes may be the end of a line with an empty line behind it; `next` are the
/// bytes one further on.
///
/// To compare all bytes costs half of going from line to line, since many are compared at a time.
#[inline]
fn any_empty_line(lines: &[u8], next: &[u8]) -> bool {
    let empty = |line: u8, next: u8| {
        u8::from(line == b'\n') & (u8::from(next == b'\n') | u8::from(next == b'\r'))
    };
    lines.iter().zip(next).fold(0, |any, (line, next)| any | empty(*line, *next)) != 0
}

/// Whether these bytes are certainly one head and nothing else, which is what most clients send: they
/// end as a head does, and have no empty line before that.
#[inline]
fn is_one_head(bytes: &[u8]) -> bool {
    let Some(lines) = bytes.strip_suffix(&END_OF_HEAD.to_be_bytes()) else { return false };
    if lines.len() <= BLOCK || lines.ends_with(b"\n") {
        return false;
    }
    let (lines, next) = (&lines[..lines.len() - 1], &lines[1..]);
    // In whole blocks, of which the last two overlap.
    let (whole, last) = (lines.len() / BLOCK * BLOCK, lines.len() - BLOCK);
    !any_empty_line(&lines[..whole], &next[..whole])
        && !any_empty_line(&lines[last..], &next[last..])
}

/// How many of these bytes have no empty line behind them, as far as it is cheap to tell.
#[inline]
fn lines_before_empty(bytes: &[u8]) -> usize {
    const PIECE: usize = 4 * BLOCK;
    /// What most heads are not longer than.
    const PIECES: usize = 8;
    let Some(next) = bytes.get(1..) else { return 0 };
    let pieces = bytes.chunks_exact(PIECE).zip(next.chunks_exact(PIECE)).take(PIECES);
    pieces.take_while(|(lines, next)| !any_empty_line(lines, next)).count() * PIECE
}

/// Where the first head in these bytes ends, of which `tail` has come before; not before `start`.
#[inline]
fn head_end(tail: u32, bytes: &[u8], start: usize) -> Option<usize> {
    let before = tail.to_be_bytes();
    let at = |index: usize, back: usize| match index.checked_sub(back) {
        Some(index) => bytes[index],
        // The tail is the four bytes before the first one.
        None => before[before.len() + index - back],
    };
    memchr::memchr_iter(b'\n', &bytes[start..])
        .map(|index| start + index)
        .find(|&index| at(index, 1) == b'\n' || (at(index, 1) == b'\r' && at(index, 2) == b'\n'))
        .map(|index| index + 1)
}

#[cfg(test)]
mod tests;
