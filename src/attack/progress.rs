//! How far an attack has come.

use std::{
    io::{self, IsTerminal},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use websample_load::Attempt;

/// A line on the terminal while the attack runs; nothing where nobody watches.
pub(super) struct ProgressLine {
    bar: ProgressBar,
    pub(super) counts: Arc<Counts>,
    ticker: tokio::task::JoinHandle<()>,
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    ended: AtomicU64,
    lost: AtomicU64,
}

impl Counts {
    pub(super) fn add(&self, attempt: &Attempt) {
        self.ended.fetch_add(1, Ordering::Relaxed);
        self.lost.fetch_add(attempt.outcome.is_lost().into(), Ordering::Relaxed);
    }
}

impl ProgressLine {
    pub(super) fn start(duration: Option<Duration>) -> Self {
        let counts = Arc::new(Counts::default());
        let bar = if io::stderr().is_terminal() {
            ProgressBar::new_spinner()
        } else {
            ProgressBar::hidden()
        };
        let of = duration.map_or(String::new(), |duration| {
            format!(" of {}", humantime::format_duration(duration))
        });
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed}{prefix}: {msg}") {
            bar.set_style(style);
        }
        bar.set_prefix(of);
        let ticker = tokio::spawn({
            let (bar, counts) = (bar.clone(), Arc::clone(&counts));
            async move {
                let mut interval = tokio::time::interval(Duration::from_millis(200));
                while !bar.is_hidden() {
                    interval.tick().await;
                    bar.set_message(format!(
                        "{} answered or failed, {} lost",
                        counts.ended.load(Ordering::Relaxed),
                        counts.lost.load(Ordering::Relaxed)
                    ));
                    bar.tick();
                }
            }
        });
        Self { bar, counts, ticker }
    }

    pub(super) fn finish(self) {
        self.ticker.abort();
        self.bar.finish_and_clear();
    }
}
