//! The log lines that nobody took, as a metric: a log cannot tell that it is not read.

use prometheus::{
    Opts,
    core::{Collector, Desc, Describer as _},
    proto::MetricFamily,
};

use crate::logs;

/// `websample_log_lines_dropped_total`.
#[derive(Debug)]
pub struct DroppedLines {
    opts: Opts,
    desc: Vec<Desc>,
}

impl DroppedLines {
    /// Reads what was dropped at every scrape.
    pub fn new() -> Self {
        let opts = Opts::new(
            "websample_log_lines_dropped_total",
            "Log lines that were dropped, since nobody took them in time.",
        );
        let desc = opts.describe().into_iter().collect();
        Self { opts, desc }
    }
}

impl Default for DroppedLines {
    fn default() -> Self {
        Self::new()
    }
}

impl Collector for DroppedLines {
    fn desc(&self) -> Vec<&Desc> {
        self.desc.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Ok(counter) = prometheus::IntCounter::with_opts(self.opts.clone()) else {
            return Vec::new();
        };
        counter.inc_by(logs::dropped());
        counter.collect()
    }
}
