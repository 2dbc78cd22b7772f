//! A connection's dispatcher, and what that knows nothing of: limits, leaving, the close.

use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};
use websample_lifecycle::{Lifecycle, Unfinished};

use super::{
    accepted::Timeouts,
    goaway::When,
    limit::missed,
    state::{Connection, FIRST_WORD, Stage},
    transport::Io,
};

/// After its own FIN the server reads and discards what was under way for this long, so that it
/// is not answered by a reset, which could overtake the last response.
const LINGER: Duration = Duration::from_secs(2);

/// The same at the deadline, when the process is about to exit.
const LAST_LINGER: Duration = Duration::from_millis(200);

/// How the dispatcher came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It finished.
    Finished,
    /// It was given up at the deadline.
    Cut,
    /// Its client takes nothing any more.
    Stalled,
}

/// Polls a dispatcher, and arranges what it knows nothing of.
pub async fn dispatch<F: Future>(
    mut dispatcher: Pin<&mut F>,
    connection: &Connection,
    io: &RefCell<Io>,
    timeouts: Timeouts,
    lifecycle: &Lifecycle,
) -> End {
    let mut alarm = Alarm::default();
    let mut partial_since: Option<Instant> = None;
    // Where the process has missed the end of that.
    let mut head_until: Option<Instant> = None;
    // The last instant of `Io::due` that has been acted on.
    let mut acted: Option<Instant> = None;
    poll_fn(|cx| {
        connection.set_waker(cx.waker());
        if connection.stage() == Stage::Cut {
            let age = partial_since.map_or(0.0, |at| at.elapsed().as_secs_f64());
            note_cut(connection, &io.borrow(), lifecycle, age);
            return Poll::Ready(End::Cut);
        }
        loop {
            if dispatcher.as_mut().poll(cx).is_ready() {
                return Poll::Ready(End::Finished);
            }
            let (stalled, partial, due, window, body_due) = {
                let io = &mut *io.borrow_mut();
                // What most polls of HTTP/1 find: there is nothing to arrange.
                if io.is_calm() && connection.is_untroubled() {
                    connection.sent(0);
                    if connection.body_due().is_none() && !io.is_partial(connection) {
                        (partial_since, head_until) = (None, None);
                        return Poll::Pending;
                    }
                }
                let (window, given_up) = io.limit_windows(timeouts.write_timeout);
                if let Poll::Ready(Err(_)) = io.poll_leave(connection, cx, When::Quiet) {
                    return Poll::Ready(End::Finished);
                }
                connection.sent(io.unsent());
                if given_up || io.may_see_the_end(connection) {
                    // The dispatcher reads again, and finds it.
                    continue;
                }
                let due = io.due(connection).filter(|at| Some(*at) != acted);
                let body_due = connection.body_due();
                (io.stalled, io.is_partial(connection), due, window, body_due)
            };
            let any = stalled.or(due).or(window).or(body_due);
            if !partial && any.is_none() {
                (partial_since, head_until) = (None, None);
                return Poll::Pending;
            }

            let stalled = stalled.map(|since| since + timeouts.write_timeout);
            // A request head that has begun has to end. The dispatcher limits only the first,
            // with an answer, and therefore comes first.
            let head_due = if partial && !connection.has_expired() {
                let since = *partial_since.get_or_insert_with(Instant::now);
                Some(head_until.unwrap_or(since + timeouts.header_timeout + FIRST_WORD))
            } else {
                (partial_since, head_until) = (None, None);
                None
            };
            let all = [head_due, body_due, stalled, due, window];
            let Some(next) = all.into_iter().flatten().min() else {
                return Poll::Pending;
            };
            if alarm.poll(next, cx).is_pending() {
                return Poll::Pending;
            }
            let now = Instant::now();
            if stalled.is_some_and(|at| now >= at) {
                return Poll::Ready(End::Stalled);
            }
            if let Some(at) = head_due.filter(|at| now >= *at) {
                match missed(at, now) {
                    // What has come since is still to be read.
                    Some(until) => head_until = Some(until),
                    None => connection.expire(),
                }
            }
            if body_due.is_some_and(|at| now >= at) {
                connection.end_wait();
            }
            if due.is_some_and(|at| now >= at) {
                acted = due;
            }
            // The dispatcher reads again, and finds what has changed.
        }
    })
    .await
}

/// Requests that were not begun are nobody's but their connection's, and they are cut with it.
fn note_cut(connection: &Connection, io: &Io, lifecycle: &Lifecycle, age_seconds: f64) {
    let note = |what: &str| {
        lifecycle.note_cut(Unfinished { kind: "request", what: what.to_owned(), age_seconds });
    };
    for _ in 0..connection.whole() {
        note("a request that waited behind another");
    }
    if io.is_half(connection) {
        note("a request whose head was still arriving");
    }
}

/// Closes the connection so that the client gets everything that was written, and these last words,
/// which are for where nothing of a response was.
pub async fn close(connection: &Connection, io: &RefCell<Io>, end: End, last_words: &[u8]) {
    if end == End::Stalled {
        io.borrow().abort();
        return;
    }
    let farewell = if end == End::Cut { io.borrow().farewell() } else { last_words.to_vec() };
    let mut farewell = farewell.as_slice();
    let mut lingers_until = Instant::now() + if end == End::Cut { LAST_LINGER } else { LINGER };
    let mut limit = pin!(sleep_until(lingers_until));
    poll_fn(|cx| {
        connection.set_waker(cx.waker());
        let io = &mut *io.borrow_mut();
        while !farewell.is_empty() {
            match io.poll_write(cx, farewell) {
                Poll::Ready(Ok(written)) if written > 0 => farewell = &farewell[written..],
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return limit.as_mut().poll(cx),
            }
        }
        // Stages move on while this waits. The abrupt close does not linger, and at the deadline
        // nobody does for long.
        match connection.stage() {
            Stage::Abrupt => lingers_until = Instant::now(),
            Stage::Cut => lingers_until = lingers_until.min(Instant::now() + LAST_LINGER),
            Stage::Open | Stage::Leaving | Stage::Closing => {}
        }
        if limit.deadline() > lingers_until {
            limit.as_mut().reset(lingers_until);
        }
        match io.poll_finish(cx) {
            Poll::Ready(Ok(())) if !io.ended => {}
            Poll::Ready(_) => return Poll::Ready(()),
            Poll::Pending => return limit.as_mut().poll(cx),
        }
        match io.poll_discard(cx) {
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending => limit.as_mut().poll(cx),
        }
    })
    .await;
}

/// Wakes a connection's task for the first of all that it has to act on.
///
/// That changes with every request, and comes about with hardly any. A timer is therefore not moved to
/// a later instant: it wakes the task too early, once, and is set again then.
#[derive(Default)]
struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
    /// Whom the timer wakes; there is nothing to be told again.
    waker: Option<Waker>,
}

impl Alarm {
    /// Whether an instant has come. If not, the task is woken when it has, at the latest.
    fn poll(&mut self, until: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(until)));
        let is_set = sleep.deadline() <= until && !sleep.is_elapsed();
        if is_set && self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            return Poll::Pending;
        }
        if !is_set {
            sleep.as_mut().reset(until);
        }
        self.waker = Some(cx.waker().clone());
        sleep.as_mut().poll(cx)
    }
}

/// Lets go of the requests that a connection has not sent to their end, and never will: also where a
/// handler's panic takes the connection's task with it.
#[derive(Debug)]
pub struct CloseOnDrop<'a>(pub &'a Connection);

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}
