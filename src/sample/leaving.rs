//! When a WebSocket's handler closes it: in the lame duck, and not before what its peer has on the way
//! is answered.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// A peer that has sent nothing for this long has nothing on its way; also one that has just opened the
/// WebSocket.
const SILENT: Duration = Duration::from_millis(100);

/// A peer that is never silent is told to leave all the same.
const AT_MOST: Duration = Duration::from_secs(1);

/// One WebSocket's way out.
pub(super) struct Leaving {
    lame_duck: CancellationToken,
    spread: Duration,
    due: Option<Instant>,
}

impl Leaving {
    /// A way out that begins `spread` after the lame duck.
    pub(super) fn new(lame_duck: CancellationToken, spread: Duration) -> Self {
        Self { lame_duck, spread, due: None }
    }

    /// Returns when it is time to close, unless a message comes before. To be waited for anew after each
    /// message.
    pub(super) async fn silent(&mut self) {
        let due = self.due().await;
        sleep_until(due).await;
        sleep_until((Instant::now() + SILENT).min(due + AT_MOST)).await;
    }

    /// Whether it is time to close although messages still come.
    pub(super) fn is_over(&self) -> bool {
        self.due.is_some_and(|due| due + AT_MOST <= Instant::now())
    }

    async fn due(&mut self) -> Instant {
        if self.due.is_none() {
            self.lame_duck.cancelled().await;
        }
        *self.due.get_or_insert_with(|| Instant::now() + self.spread)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPREAD: Duration = Duration::from_secs(2);

    #[tokio::test(start_paused = true)]
    async fn it_is_time_once_the_peer_is_silent() {
        let lame_duck = CancellationToken::new();
        let mut leaving = Leaving::new(lame_duck.clone(), SPREAD);
        let silent = tokio::time::timeout(Duration::from_secs(60), leaving.silent()).await;
        assert!(silent.is_err(), "there is no lame duck yet");
        lame_duck.cancel();
        let began = Instant::now();
        leaving.silent().await;
        assert!(began.elapsed() >= SPREAD + SILENT && began.elapsed() < SPREAD + AT_MOST);
        assert!(!leaving.is_over());
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_never_silent_has_a_second() {
        let lame_duck = CancellationToken::new();
        lame_duck.cancel();
        let mut leaving = Leaving::new(lame_duck, Duration::ZERO);
        let began = Instant::now();
        while !leaving.is_over() {
            let message = tokio::time::sleep(SILENT / 2);
            tokio::select! {
                () = leaving.silent() => break,
                () = message => {}
            }
        }
        let took = began.elapsed();
        assert!(took >= AT_MOST && took < AT_MOST + SILENT, "{took:?}");
    }
}
