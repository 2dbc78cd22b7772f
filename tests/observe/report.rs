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

    pub(crate) fn lost(&self) -> u64 {
        self.0["lost"].as_u64().expect("a number")
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
