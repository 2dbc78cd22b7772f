//! The name of a run, and the link to its panels.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

/// What is shown of the time before the run: its first scrapes are not at its first moment.
const BEFORE: Duration = Duration::from_secs(2);

/// The name of the run that began then, `20261124T101503Z`. Names sort as the runs did, so that the
/// newest one can be found, and are good as labels of Prometheus and of Kubernetes.
pub(super) fn name(began: SystemTime) -> Arc<str> {
    let text = humantime::format_rfc3339_seconds(began).to_string();
    text.replace(['-', ':'], "").into()
}

/// The address of the panels of a run, with its range.
pub(super) fn panels(
    grafana: &str,
    run: &str,
    began: SystemTime,
    until: Option<SystemTime>,
) -> String {
    let millis = |time: SystemTime| {
        time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis())
    };
    let grafana = grafana.trim_end_matches('/');
    let from = millis(began - BEFORE);
    let to = until.map_or_else(|| "now".to_owned(), |until| millis(until).to_string());
    format!("{grafana}/d/websample-comparison?var-run={run}&from={from}&to={to}")
}

#[test]
fn names_sort_as_the_runs_did_and_links_hold_their_range() {
    let at = |seconds: u64| SystemTime::UNIX_EPOCH + Duration::from_millis(seconds * 1000 + 250);
    assert_eq!(&*name(at(1_795_688_103)), "20261126T101503Z");
    assert!(name(at(1_795_688_103)) < name(at(1_795_688_104)));
    assert!(name(at(1_798_761_599)) < name(at(1_798_761_600)), "the new year");
    let link = |until| panels("http://127.0.0.1:3000/", "r", at(1_795_688_103), until);
    let from = "http://127.0.0.1:3000/d/websample-comparison?var-run=r&from=1795688101250";
    assert_eq!(link(None), format!("{from}&to=now"));
    assert_eq!(link(Some(at(1_795_688_163))), format!("{from}&to=1795688163250"));
}
