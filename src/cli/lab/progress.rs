//! What is seen while it runs: a line a mode, kept up to date on a terminal, printed now and
//! then elsewhere.

use std::{io::IsTerminal as _, sync::Arc, time::Duration};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio::time::{Instant, MissedTickBehavior, interval};

use websample_lab::experiment::{Experiment, Pods, Stage};

use super::super::complain_plainly;

const ON_TERMINAL: Duration = Duration::from_millis(200);
const ELSEWHERE: Duration = Duration::from_secs(5);

/// Shows the experiments until it is dropped.
pub(super) async fn show(experiments: &[Arc<Experiment>], start: Instant) {
    if std::io::stderr().is_terminal() {
        on_terminal(experiments, start).await;
    } else {
        elsewhere(experiments, start).await;
    }
}

async fn on_terminal(experiments: &[Arc<Experiment>], start: Instant) {
    let all = MultiProgress::new();
    let style =
        ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
    let lines: Vec<_> = experiments
        .iter()
        .map(|_| all.add(ProgressBar::new_spinner().with_style(style.clone())))
        .collect();
    let _cleared = Cleared(all);
    let mut ticks = interval(ON_TERMINAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let width = width(experiments);
        for (experiment, line) in experiments.iter().zip(&lines) {
            line.set_message(describe(experiment, start, width));
        }
    }
}

/// Leaves the terminal as it was, also when interrupted.
struct Cleared(MultiProgress);

impl Drop for Cleared {
    fn drop(&mut self) {
        // An error means that the terminal is gone.
        let _ = self.0.clear();
    }
}

async fn elsewhere(experiments: &[Arc<Experiment>], start: Instant) {
    let mut ticks = interval(ELSEWHERE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let width = width(experiments);
        for experiment in experiments {
            complain_plainly(&describe(experiment, start, width));
        }
    }
}

fn width(experiments: &[Arc<Experiment>]) -> usize {
    experiments.iter().map(|e| e.label().len()).max().unwrap_or(0)
}

fn describe(experiment: &Experiment, start: Instant, width: usize) -> String {
    let counts = experiment.counts();
    let stage = match experiment.stage() {
        Stage::Starting => "v1 starts".to_owned(),
        Stage::Up => "v1 is up".to_owned(),
        Stage::WarmingUp => "load on v1".to_owned(),
        Stage::RollingOut(Pods { old, new, starting, terminating }) => {
            format!("v1 {old}  v2 {new} (+{starting} starting)  leaving {terminating}")
        }
        Stage::CoolingDown => "last answers".to_owned(),
        Stage::Done => "done".to_owned(),
    };
    format!(
        "{:>4.0} s  {:<width$}  {stage:<38}  {:>7} requests  {:>5} lost",
        start.elapsed().as_secs_f64(),
        experiment.label(),
        counts.requests,
        counts.lost,
    )
}
