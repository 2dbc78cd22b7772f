//! The drain report: what happened between the first sign of the end and the exit.

use std::time::Duration;
#[cfg(feature = "json")]
use std::{io, path::Path};

use super::{in_flight::Unfinished, phase::Phase, policy::Mode, sequence::BegunBy, signal::Signal};

/// The kubelet keeps this many bytes of a termination message.
/// Source: `MaxPodTerminationMessageLogLength`, Kubernetes.
#[cfg(feature = "json")]
const TERMINATION_MESSAGE_LIMIT: usize = 4096;

/// How the process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "json", derive(serde::Serialize))]
#[cfg_attr(feature = "json", serde(rename_all = "snake_case"))]
pub enum ExitReason {
    /// Everything accepted was answered.
    Clean,
    /// Something was still running at the deadline and was cut.
    Cut,
    /// A second signal ended it early.
    Forced,
    /// The mode exits at once on a signal.
    Immediate,
}

/// How long the server was in a phase, and what came in it.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "json", derive(serde::Serialize))]
pub struct PhaseReport {
    /// Which phase.
    pub phase: Phase,
    /// When it began, as Unix time in seconds.
    pub entered: f64,
    /// How long it lasted, in seconds; the time so far for the last one.
    pub seconds: f64,
}

/// Requests by the phase they came in; probes, scrapes and hooks are not among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "json", derive(serde::Serialize))]
pub struct RequestsByPhase {
    /// While ready.
    pub serving: u64,
    /// While traffic was moving away.
    pub lame_duck: u64,
    /// Late ones: after the listener had closed, on connections still open.
    pub draining: u64,
}

/// What happened from the first sign of the end to the exit.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "json", derive(serde::Serialize))]
pub struct DrainReport {
    /// The drain mode.
    pub mode: Mode,
    /// How it ended.
    pub outcome: ExitReason,
    /// The process' exit code.
    pub exit_code: u8,
    /// What began it.
    pub cause: Option<BegunBy>,
    /// The first termination signal.
    pub signal: Option<Signal>,
    /// From the start of the termination to the report, in seconds.
    pub termination_seconds: f64,
    /// Every phase in order.
    pub phases: Vec<PhaseReport>,
    /// What came in each phase.
    pub requests: RequestsByPhase,
    /// From the start of the lame duck to the last new request, in seconds.
    pub last_arrival_seconds: Option<f64>,
    /// How long the delay lasted, in seconds.
    pub delay_seconds: Option<f64>,
    /// The `delay.min` that would have covered the last arrival of this shutdown, in seconds.
    pub delay_needed_seconds: f64,
    /// How many requests, connections and works were cut.
    pub cut_total: usize,
    /// What was cut, a hundred at most; the oldest first.
    pub cut: Vec<Unfinished>,
}

impl DrainReport {
    /// The shortest delay, in whole tenths of a second, that covers an arrival this late.
    pub(super) fn delay_for(last_arrival: Option<Duration>) -> f64 {
        last_arrival.map_or(0.0, |last| (last.as_secs_f64() * 10.0).ceil() / 10.0)
    }

    /// The report as one line of JSON.
    #[cfg(feature = "json")]
    pub fn to_json(&self) -> String {
        // Nothing in it can fail to serialise: no maps, no foreign types.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The report as JSON, shortened to what the kubelet keeps of a termination message.
    ///
    /// Cut things are left out from the end; `cut_total` always tells how many there were.
    #[cfg(feature = "json")]
    pub fn to_termination_message(&self) -> String {
        let mut short = self.clone();
        loop {
            let json = short.to_json();
            if json.len() <= TERMINATION_MESSAGE_LIMIT || short.cut.is_empty() {
                return json;
            }
            short.cut.truncate(short.cut.len() / 2);
        }
    }

    /// Writes the termination message to a file that already exists; the kubelet makes it.
    ///
    /// # Errors
    /// When the file is there and cannot be written, or is no regular file.
    #[cfg(feature = "json")]
    pub fn write_termination_message(&self, path: &Path) -> io::Result<bool> {
        match std::fs::metadata(path) {
            // To open a pipe would wait for its reader, for ever if need be.
            Ok(metadata) if !metadata.is_file() => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "it is not a regular file; the kubelet makes one",
                ));
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        }
        match std::fs::OpenOptions::new().write(true).truncate(true).open(path) {
            Ok(mut file) => {
                io::Write::write_all(&mut file, self.to_termination_message().as_bytes())?;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl From<DrainReport> for std::process::ExitCode {
    fn from(report: DrainReport) -> Self {
        Self::from(report.exit_code)
    }
}

#[cfg(all(test, feature = "json"))]
mod tests {
    use super::*;

    fn report(cut: usize) -> DrainReport {
        let what = |n| Unfinished { kind: "request", what: format!("/r/{n}"), age_seconds: 1.0 };
        DrainReport {
            mode: Mode::Drain,
            outcome: ExitReason::Cut,
            exit_code: 3,
            cause: Some(BegunBy::Signal),
            signal: Some(Signal::Sigterm),
            termination_seconds: 28.0,
            phases: Vec::new(),
            requests: RequestsByPhase::default(),
            last_arrival_seconds: None,
            delay_seconds: None,
            delay_needed_seconds: 0.0,
            cut_total: cut,
            cut: (0..cut).map(what).collect(),
        }
    }

    #[test]
    fn the_needed_delay_covers_the_last_arrival() {
        for (last, expected) in [(None, 0.0), (Some(0), 0.0), (Some(6_210), 6.3), (Some(100), 0.1)]
        {
            let delay = DrainReport::delay_for(last.map(Duration::from_millis));
            assert!((delay - expected).abs() < 1e-9, "{last:?}: {delay}");
        }
    }

    #[test]
    fn a_termination_message_fits_and_keeps_the_total() {
        let message = report(1000).to_termination_message();
        assert!(message.len() <= TERMINATION_MESSAGE_LIMIT, "{}", message.len());
        let json: serde_json::Value = serde_json::from_str(&message).expect("valid JSON");
        assert_eq!(json["cut_total"], 1000);
        assert_eq!(json["cut"][0]["what"], "/r/0");
    }

    #[test]
    fn a_termination_message_goes_only_into_a_file_that_exists() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("termination-log");
        assert!(!report(1).write_termination_message(&path).expect("no error"));
        assert!(!path.exists());
        std::fs::write(&path, "before").expect("written");
        assert!(report(1).write_termination_message(&path).expect("no error"));
        assert_eq!(std::fs::read_to_string(&path).expect("read"), report(1).to_json());
    }
}
