//! Signals of this very process: the only test here, since they are everybody's.

use std::{process::Command, time::Duration};

use websample_lifecycle::{BegunBy, Delay, ExitReason, Lifecycle, Policy, Signal};

#[tokio::test]
async fn a_signal_that_comes_long_before_the_drain_runs_is_acted_on_then() {
    let none = Duration::ZERO;
    let delay = Delay { min: none, quiet: none, max: none };
    let (lifecycle, drain) =
        Lifecycle::with_signals(Policy { delay, ..Policy::default() }).expect("handlers");
    // A start-up that takes its time: caches are warmed, databases connected.
    let sent = Command::new("kill").args(["-TERM", &std::process::id().to_string()]).status();
    assert!(sent.expect("a shell's").success());
    tokio::time::sleep(Duration::from_millis(100)).await;
    lifecycle.ready();
    let report = drain.run().await;
    assert_eq!((report.outcome, report.cause), (ExitReason::Clean, Some(BegunBy::Signal)));
    assert_eq!((report.signal, lifecycle.signals(Signal::Sigterm)), (Some(Signal::Sigterm), 1));
}
