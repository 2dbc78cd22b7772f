//! What the tests of closing share: the real server as a process, and clients that see
//! everything.

#![allow(dead_code, reason = "every test binary uses its part")]

pub(crate) mod http2;
pub(crate) mod raw;
pub(crate) mod server;
pub(crate) mod tls;

use std::time::{Duration, Instant};

/// Longer than anything takes on a busy machine: who waits this long has found a bug.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Whether the long versions of the tests are wanted.
pub(crate) fn full() -> bool {
    std::env::var_os("WEBSAMPLE_TEST_FULL").is_some_and(|value| value != "0")
}

/// A number for everyday runs, and one for runs with `WEBSAMPLE_TEST_FULL=1`.
pub(crate) fn count(everyday: usize, thorough: usize) -> usize {
    if full() { thorough } else { everyday }
}

/// Waits for a condition to hold, and says what was waited for if it never does.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "never came: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A runtime for the clients of one test.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}
