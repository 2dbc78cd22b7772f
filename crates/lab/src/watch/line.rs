//! An event as a line.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use crate::{summary::printable, timeline::PodEvent};

/// The longest name of an event, for columns.
const WHAT: usize = "endpoint_ready_false".len();

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// When, from the start of the watch.
    pub at: Duration,
    /// The same by this machine's clock.
    pub time: SystemTime,
    /// To whom, as kubectl names it: `pod/web-1`, `deployment/web`; `probe` for the requests.
    pub subject: String,
    /// What, by the name that it has in reports.
    pub what: String,
    /// What the name does not say.
    pub detail: Option<String>,
    /// How wide the column of subjects is by now.
    width: usize,
}

/// Gives lines their time of day, and their columns.
#[derive(Debug)]
pub(super) struct Clock {
    start: SystemTime,
    width: usize,
}

impl Clock {
    pub(super) fn new(start: SystemTime) -> Self {
        Self { start, width: 0 }
    }

    pub(super) fn line(
        &mut self,
        at: Duration,
        subject: String,
        what: String,
        detail: Option<String>,
    ) -> Line {
        self.width = self.width.max(subject.chars().count());
        Line { at, time: self.start + at, subject, what, detail, width: self.width }
    }

    pub(super) fn pod(&mut self, event: &PodEvent) -> Line {
        let (subject, what) = (format!("pod/{}", event.pod), event.event.what.name().to_owned());
        self.line(event.event.at, subject, what, event.event.what.detail())
    }
}

impl fmt::Display for Line {
    /// The time of day in UTC, then columns. What comes from a cluster must not drive a terminal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = humantime::format_rfc3339_millis(self.time).to_string();
        let time = time.get(11..23).unwrap_or(&time);
        let (subject, what) = (printable(&self.subject), printable(&self.what));
        write!(f, "{time}  {subject:<width$}  ", width = self.width)?;
        match &self.detail {
            Some(detail) => write!(f, "{what:<WHAT$}  {}", printable(detail)),
            None => f.write_str(&what),
        }
    }
}

impl Serialize for Line {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = 4 + usize::from(self.detail.is_some());
        let mut line = serializer.serialize_struct("Line", fields)?;
        let time = humantime::format_rfc3339_millis(self.time).to_string();
        line.serialize_field("time", &time)?;
        line.serialize_field("at", &((self.at.as_secs_f64() * 1e3).round() / 1e3))?;
        line.serialize_field("subject", &self.subject)?;
        line.serialize_field("what", &self.what)?;
        if let Some(detail) = &self.detail {
            line.serialize_field("detail", detail)?;
        }
        line.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_by_people_and_by_programs() {
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let mut clock = Clock::new(start);
        let at = Duration::from_millis(1_250);
        let detail = Some("exit code 143\u{1b}[2J".to_owned());
        let line = clock.line(at, "pod/web-1".to_owned(), "exited".to_owned(), detail);
        assert_eq!(
            line.to_string(),
            "08:00:01.250  pod/web-1  exited                exit code 143\u{fffd}[2J"
        );
        let json = serde_json::to_value(&line).expect("an object");
        assert_eq!(json["time"], "2027-01-15T08:00:01.250Z");
        assert_eq!((&json["at"], &json["what"]), (&1.25.into(), &"exited".into()));
        let next = clock.line(at, "probe".to_owned(), "lost".to_owned(), None);
        assert_eq!(next.to_string(), "08:00:01.250  probe      lost");
        assert_eq!(serde_json::to_value(&next).expect("an object").get("detail"), None);
    }
}
