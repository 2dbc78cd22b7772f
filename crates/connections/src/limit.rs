//! How long a client may take, not counting what the process itself has missed.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// A timer that rings so late was not looked at: the process was stopped, or got no processor, or had too
/// much to do. What its client has sent meanwhile may be in the kernel still.
const LATE: Duration = Duration::from_millis(100);

/// What then is given for that to be read.
const CATCH_UP: Duration = Duration::from_secs(1);

/// Until when to wait instead, where an instant that was waited for is long past.
pub(crate) fn missed(until: Instant, now: Instant) -> Option<Instant> {
    (now.saturating_duration_since(until) > LATE).then(|| now + CATCH_UP)
}

/// A client's time limit.
#[derive(Debug)]
pub(crate) struct Limit(Pin<Box<Sleep>>);

impl Limit {
    /// A limit that ends then.
    pub(crate) fn new(until: Instant) -> Self {
        Self(Box::pin(sleep_until(until)))
    }

    /// Whether it is over, and was looked at in time.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            std::task::ready!(self.0.as_mut().poll(cx));
            match missed(self.0.deadline(), Instant::now()) {
                Some(until) => self.0.as_mut().reset(until),
                None => return Poll::Ready(()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_over_when_it_is() {
        let start = Instant::now();
        let mut limit = Limit::new(start + Duration::from_secs(5));
        poll_fn(|cx| limit.poll(cx)).await;
        assert!(start.elapsed() < Duration::from_secs(5) + LATE);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_loses_the_time_that_the_process_was_stopped() {
        let start = Instant::now();
        let mut limit = Limit::new(start + Duration::from_secs(5));
        advance(Duration::from_secs(60)).await;
        poll_fn(|cx| limit.poll(cx)).await;
        let took = start.elapsed().saturating_sub(Duration::from_secs(60));
        assert!(took >= CATCH_UP && took < CATCH_UP + LATE, "{took:?}");
    }
}
