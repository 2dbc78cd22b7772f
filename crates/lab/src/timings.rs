//! `timings.json`: how long things took on some cluster, for a rollout here that takes as long.
//!
//! ```text
//! rollout, watch ─► --record FILE ─► rollout --propagation FILE
//! ```
//!
//! Each time is kept as what was measured, shortest first, in seconds; whoever replays it draws one of them
//! for each pod.

mod measure;

use std::{
    fmt, io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

pub use self::measure::Reached;
use super::report::Report;

/// The version of the format that this program writes and reads.
const VERSION: u32 = 1;
/// More than so many measured times say no more about how they are distributed.
const MOST: usize = 1_000;
/// No time of a rollout is longer: whatever says so is no record of one.
const LONGEST: f64 = 24.0 * 60.0 * 60.0;

/// How long things took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timings {
    /// The version of the format.
    pub websample_timings: u32,
    /// Where they were measured, and how.
    pub recorded: Recorded,
    /// The times.
    pub seconds: Times,
    /// The file that they were read from.
    #[serde(skip)]
    pub file: PathBuf,
}

/// Where times were measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    /// The cluster, or `local`.
    pub on: String,
    /// What was rolled out.
    pub what: Vec<String>,
    /// When, in Unix time.
    pub unix: u64,
    /// The version of the program that measured them.
    pub websample: String,
    /// What requests went through: `service`, a URL with whatever is in front of it, or a proxy.
    pub through: Through,
    /// Where propagation was seen by requests only: the time between two new connections to a pod, which
    /// is how exact it is. `null` where the consumer itself told.
    #[serde(default)]
    pub connections_apart: Option<Distribution>,
}

/// What requests went through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Through {
    /// The Service alone.
    Service,
    /// A URL, with a load balancer or whatever else is in front.
    Url(String),
    /// A proxy of the lab's.
    Proxy(String),
}

/// The times, each from one pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Times {
    /// From the publication that a pod is not ready to the last new connection that is sent to it.
    pub propagation_remove: Distribution,
    /// From the publication that a pod is ready to the first new connection that is sent to it.
    #[serde(default)]
    pub propagation_add: Distribution,
    /// From a pod's creation to the start of its container.
    #[serde(default)]
    pub start: Distribution,
    /// From there to its being ready.
    #[serde(default)]
    pub readiness: Distribution,
    /// From a pod's deletion to the end of its container: the server's own doing, and not replayed.
    #[serde(default)]
    pub termination: Distribution,
    /// From there to the end of the pod object.
    #[serde(default)]
    pub removal: Distribution,
}

/// What was measured of one thing, shortest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Distribution(Vec<Duration>);

impl Distribution {
    /// Of these times.
    pub fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        if times.len() > MOST {
            // Evenly, with both ends.
            let last = times.len() - 1;
            times = (0..MOST).map(|n| times[n * last / (MOST - 1)]).collect();
        }
        Self(times)
    }

    /// The times.
    pub fn times(&self) -> &[Duration] {
        &self.0
    }

    /// The shortest and the longest.
    pub fn span(&self) -> Option<(Duration, Duration)> {
        self.0.first().copied().zip(self.0.last().copied())
    }
}

impl Serialize for Distribution {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // A tenth of a millisecond is finer than any of it is known.
        let seconds = self.0.iter().map(|time| (time.as_secs_f64() * 1e4).round() / 1e4);
        serializer.collect_seq(seconds)
    }
}

impl<'de> Deserialize<'de> for Distribution {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = Vec::<f64>::deserialize(deserializer)?;
        let time = |seconds: f64| {
            let time = Duration::try_from_secs_f64(seconds).ok().filter(|_| seconds <= LONGEST);
            time.ok_or_else(|| serde::de::Error::custom(format!("{seconds} is no time in seconds")))
        };
        Ok(Self::of(seconds.into_iter().map(time).collect::<Result<_, _>>()?))
    }
}

/// Why a file is no record of times.
#[derive(Debug, thiserror::Error)]
pub enum TimingsError {
    /// It cannot be read.
    #[error("{file}: {source}")]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is something else, or broken.
    #[error("{file} is no record of times, as --record writes them: {problem}")]
    Malformed {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// It is of another version of this program.
    #[error(
        "{file} has version {version} of the format, and this program reads {VERSION}: record it again"
    )]
    Version {
        /// The file.
        file: PathBuf,
        /// Its version.
        version: u64,
    },
    /// There is nothing in it to replay.
    #[error(
        "{file} has no propagation: record a rollout whose requests reached the pods that left, and tell \
         which pod they reached"
    )]
    Empty {
        /// The file.
        file: PathBuf,
    },
}

impl Timings {
    /// What these runs took; `None` where nothing shows when a pod was sent to for the last time.
    pub fn measured(report: &Report) -> Option<Self> {
        let timings = measure::measured(report);
        (!timings.seconds.propagation_remove.times().is_empty()).then_some(timings)
    }

    /// Reads a record.
    ///
    /// # Errors
    /// A file that cannot be read, or is none.
    pub fn read(file: &Path) -> Result<Self, TimingsError> {
        let text = std::fs::read_to_string(file)
            .map_err(|source| TimingsError::Unreadable { file: file.to_owned(), source })?;
        Self::parsed(&text, file)
    }

    fn parsed(text: &str, file: &Path) -> Result<Self, TimingsError> {
        /// What comes first, whatever follows.
        #[derive(Deserialize)]
        struct Version {
            websample_timings: u64,
        }
        let (file, malformed) = (file.to_owned(), |error: &dyn fmt::Display| {
            TimingsError::Malformed { file: file.to_owned(), problem: error.to_string() }
        });
        let version: Version = serde_json::from_str(text).map_err(|error| malformed(&error))?;
        if version.websample_timings != u64::from(VERSION) {
            return Err(TimingsError::Version { file, version: version.websample_timings });
        }
        let timings: Self = serde_json::from_str(text).map_err(|error| malformed(&error))?;
        if timings.seconds.propagation_remove.times().is_empty() {
            return Err(TimingsError::Empty { file });
        }
        Ok(Self { file, ..timings })
    }
}

impl fmt::Display for Timings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "as recorded in {}", self.file.display())?;
        if let Some((first, last)) = self.seconds.propagation_remove.span() {
            let (first, last) = (first.as_secs_f64(), last.as_secs_f64());
            write!(f, " ({first:.1} to {last:.1} s)")?;
        }
        Ok(())
    }
}

/// `--record FILE`: writes what was measured; says what was done.
///
/// # Errors
/// Names the file that cannot be written.
pub(crate) fn record(report: &Report, file: &Path) -> io::Result<String> {
    let shown = file.display();
    let Some(timings) = Timings::measured(report) else {
        return Ok(format!(
            "--record: {shown} was not written: no request showed which of the pods that left it reached"
        ));
    };
    let json = serde_json::to_string_pretty(&timings).map_err(io::Error::other)?;
    std::fs::write(file, json + "\n").map_err(|error| {
        io::Error::new(error.kind(), format!("--record: cannot write {shown}: {error}"))
    })?;
    let pods = timings.seconds.propagation_remove.times().len();
    Ok(format!("--record: the times of {pods} pods that left are in {shown}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(seconds: &str) -> String {
        format!(
            r#"{{"websample_timings": 1, "seconds": {seconds}, "recorded": {{"on": "local",
                "what": ["drain"], "unix": 1, "websample": "0", "through": "service"}}}}"#
        )
    }

    fn parsed(text: &str) -> Result<Timings, TimingsError> {
        Timings::parsed(text, Path::new("timings.json"))
    }

    #[test]
    fn what_is_written_is_read_again() {
        let read = parsed(&text(r#"{"propagation_remove": [1.5, 0.25, 20], "start": [0]}"#));
        let read = read.expect("a record");
        let millis = read.seconds.propagation_remove.times().iter().map(Duration::as_millis);
        assert_eq!(millis.collect::<Vec<_>>(), [250, 1_500, 20_000]);
        let written = serde_json::to_string(&read).expect("it is written");
        assert_eq!(parsed(&written).expect("and read"), read);
        assert_eq!(read.to_string(), "as recorded in timings.json (0.2 to 20.0 s)");
    }

    #[test]
    fn what_is_no_record_is_told_with_what_is_wrong() {
        let bad = |text: &str, words: &str| {
            let error = parsed(text).expect_err(text).to_string();
            assert!(error.starts_with("timings.json ") && error.contains(words), "{error}");
        };
        bad("[]", "as --record writes them");
        bad("{}", "websample_timings");
        bad(r#"{"websample_timings": 2, "propagation": 1}"#, "version 2 of the format");
        bad(&text(r#"{"propagation_remove": []}"#), "has no propagation");
        bad(&text(r#"{"propagation_remove": [-1]}"#), "-1 is no time");
        bad(&text(r#"{"propagation_remove": [1e9]}"#), "is no time");
        bad(&text(r#"{"propagation_remove": [1], "sleep": []}"#), "sleep");
        bad(&text(r#"{"propagation_remove": 1}"#), "line 1");
    }

    #[test]
    fn many_times_are_thinned_with_both_ends() {
        let many = (0..5_000).rev().map(Duration::from_millis).collect();
        let thin = Distribution::of(many);
        assert_eq!(thin.times().len(), MOST);
        assert_eq!(thin.span(), Some((Duration::ZERO, Duration::from_millis(4_999))));
    }
}
