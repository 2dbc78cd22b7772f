//! The lab's own report of the run that was scraped.

use serde_json::Value;

/// One mode of the report.
#[derive(Debug)]
pub(crate) struct Run(Value);

/// The runs of a report.
pub(crate) fn runs(report: &str) -> Vec<Run> {
    let report: Value = serde_json::from_str(report).expect("JSON");
    report["runs"].as_array().expect("runs").iter().cloned().map(Run).collect()
}

impl Run {
    pub(crate) fn mode(&self) -> &str {
        self.0["mode"].as_str().expect("a mode")
    }

    /// A number that it has.
    pub(crate) fn number(&self, name: &str) -> f64 {
        self.0[name].as_f64().unwrap_or_else(|| panic!("no number {name}: {}", self.0))
    }

    /// A percentile of the latency, in seconds.
    pub(crate) fn latency(&self, percentile: &str) -> f64 {
        self.0["latency_ms"][percentile].as_f64().expect("a number") / 1e3
    }

    /// How many requests each cause lost.
    pub(crate) fn causes(&self) -> Vec<(&str, u64)> {
        let causes = self.0["causes"].as_array().expect("causes").iter();
        let counted = causes.map(|cause| (cause["cause"].as_str(), cause["count"].as_u64()));
        counted.map(|(cause, count)| (cause.expect("a cause"), count.expect("a count"))).collect()
    }

    /// The names of the pods that were terminated, and how long that took them: from the first
    /// word, the hook's or SIGTERM, to the end of the process.
    pub(crate) fn terminated(&self) -> Vec<(&str, f64)> {
        let pods = self.0["pods"].as_array().expect("pods").iter();
        let terminated = pods.filter_map(|pod| {
            let events = pod["events"].as_array().expect("events");
            let first = |names: &[&str]| {
                let event = events.iter().find(|e| names.iter().any(|name| e["what"] == *name))?;
                event["at"].as_f64()
            };
            let told = first(&["hook_called", "sigterm"])?;
            Some((pod["name"].as_str().expect("a name"), first(&["exited"])? - told))
        });
        terminated.collect()
    }
}
