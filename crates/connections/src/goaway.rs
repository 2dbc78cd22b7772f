//! Leaving an HTTP/2 connection: when to send the first GOAWAY, and when to show the server the
//! one that makes it send the second.

use std::time::Duration;

use tokio::{io::ReadBuf, time::Instant};

use super::{
    frames::{CLIENT_LEAVES, Frames, LEAVE},
    state::{Connection, FIRST_WORD, Stage},
};

/// GOAWAY goes before the next response, or when nothing was sent for this long. Straight behind
/// a response it would meet the request that its client has just prepared, and that is then
/// given up unsent: h2load and others built on nghttp2 report that as a failure.
const QUIET: Duration = Duration::from_millis(200);

/// Between our GOAWAY and the end of new streams there is at least this: some clients answer a
/// PING while another of their threads is still opening a stream.
const ROUND_TRIP: Duration = Duration::from_millis(300);

/// A client that does not answer PING is not waited for longer than this.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is known of an HTTP/2 connection, and how far it has been left.
#[derive(Debug)]
pub struct Leaving {
    /// What has been said in both directions.
    pub frames: Frames,
    /// What is left to write of our own GOAWAY.
    pub leave: &'static [u8],
    told: Option<Instant>,
    /// What is left to show the server of the GOAWAY it takes for the client's.
    show: &'static [u8],
    shown: bool,
    /// What is left to write, and to show the server, of the resets of streams that are given up.
    resets: Vec<u8>,
    shown_resets: Vec<u8>,
}

/// On which occasion the GOAWAY would be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Something else is about to be written.
    BeforeWrite,
    /// Nothing is.
    Quiet,
}

/// Whether a client that has asked nothing has had its time to do so.
fn has_had_its_time(connection: &Connection) -> bool {
    match connection.stage() {
        Stage::Open | Stage::Leaving => false,
        Stage::Closing => connection.accepted().elapsed() >= FIRST_WORD,
        Stage::Abrupt | Stage::Cut => true,
    }
}

impl Default for Leaving {
    fn default() -> Self {
        Self::new()
    }
}

impl Leaving {
    /// A connection that nobody has begun to leave.
    pub const fn new() -> Self {
        Self {
            frames: Frames::new(),
            leave: &[],
            told: None,
            show: &[],
            shown: false,
            resets: Vec::new(),
            shown_resets: Vec::new(),
        }
    }

    /// Begins the GOAWAY, if this is an occasion to send it.
    pub fn begin(&mut self, connection: &Connection, when: When) {
        let Some(since) = connection.leaving_since() else { return };
        if self.told.is_some() || !self.frames.may_send() {
            return;
        }
        // A client that has just come wants to ask something first.
        let greeted = self.frames.has_had_streams() || has_had_its_time(connection);
        if greeted && (when == When::BeforeWrite || since.elapsed() >= QUIET) {
            self.told = Some(Instant::now());
            self.leave = &LEAVE;
            self.frames.sent(&LEAVE);
        }
    }

    /// What has to be written before anything else may be, in whole.
    pub fn unwritten(&self) -> &[u8] {
        if self.leave.is_empty() { &self.resets } else { self.leave }
    }

    /// So much of that was written.
    pub fn wrote(&mut self, bytes: usize) {
        if self.leave.is_empty() {
            self.resets.drain(..bytes);
        } else {
            self.leave = &self.leave[bytes..];
        }
    }

    /// Gives up streams of whose responses the client has let nothing pass for so long: both sides are
    /// told that the other has reset them. Tells when the next one is due, and whether one was now.
    pub fn limit_windows(&mut self, limit: Duration) -> (Option<Instant>, bool) {
        let Some(due) = self.frames.blocked_until(limit) else { return (None, false) };
        if Instant::now() < due || !self.unwritten().is_empty() || !self.frames.may_send() {
            return (Some(due), false);
        }
        let resets = self.frames.give_up_blocked(limit);
        self.frames.sent(&resets);
        self.shown_resets.extend_from_slice(&resets);
        self.resets = resets;
        (self.frames.blocked_until(limit), true)
    }

    /// When the next step is due, if nothing happens before.
    pub fn due(&self, connection: &Connection, first_word: Instant) -> Option<Instant> {
        if let Some(told) = self.told {
            return (!self.shown).then_some(self.show_at(told));
        }
        let quiet = connection.leaving_since()? + QUIET;
        match connection.stage() {
            _ if self.frames.has_had_streams() => Some(quiet),
            Stage::Open | Stage::Leaving => None,
            Stage::Closing | Stage::Abrupt | Stage::Cut => Some(quiet.max(first_word)),
        }
    }

    /// When the client's GOAWAY is shown to the server.
    fn show_at(&self, told: Instant) -> Instant {
        told + if self.frames.is_answered() { ROUND_TRIP } else { PATIENCE }
    }

    /// Shows the server a GOAWAY from its client, once those streams have arrived that crossed
    /// ours; tells whether it wrote any of it.
    pub fn poll_show(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        if !self.shown_resets.is_empty() && self.frames.may_show() {
            let here = self.shown_resets.len().min(buf.remaining());
            buf.put_slice(&self.shown_resets[..here]);
            self.shown_resets.drain(..here);
            return here > 0;
        }
        if !self.shown
            && self.frames.may_show()
            && self.told.is_some_and(|told| Instant::now() >= self.show_at(told))
        {
            self.shown = true;
            self.show = &CLIENT_LEAVES;
        }
        let here = self.show.len().min(buf.remaining());
        let (now, later) = self.show.split_at(here);
        buf.put_slice(now);
        self.show = later;
        here > 0
    }
}
