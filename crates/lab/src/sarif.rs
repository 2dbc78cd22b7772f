//! A result for code scanning: why requests were lost, and what was not as it must be.

use std::path::Path;

use serde_json::{Value, json};
use websample_manifest::output::{sarif_log, sarif_place};

use super::{causes::Cause, report::RunReport};

/// The rule of everything that `--fail-on` says.
const FAIL_ON: &str = "fail-on";

/// Writes the runs as SARIF: a result for each cause of losses in each run, an error where the mode must
/// not have lost anything and a warning elsewhere, and one for each broken condition. All are at the
/// report, since what was measured is in no file of anybody's. `invalid` says why nothing follows from it.
pub(super) fn sarif(
    runs: &[RunReport],
    report: &Path,
    failed: &[(String, u64)],
    broken: impl Fn(&RunReport) -> Vec<String>,
    invalid: Option<&str>,
) -> Value {
    let place = sarif_place(&report.to_string_lossy(), None);
    let result = |rule: &str, level: &str, text: String| json!({ "ruleId": rule, "level": level, "message": { "text": text }, "locations": [place] });
    let mut results = Vec::new();
    for run in runs {
        let gated = failed.iter().any(|(mode, _)| *mode == run.mode);
        let level = if gated { "error" } else { "warning" };
        for cause in &run.causes {
            let text = format!(
                "{}, repeat {}: {} of {} requests {}",
                run.mode,
                run.repeat,
                cause.count,
                run.requests,
                cause.cause.sentence()
            );
            results.push(result(cause.cause.name(), level, text));
        }
        results.extend(broken(run).into_iter().map(|said| result(FAIL_ON, "error", said)));
    }
    let seen = |name: &str| results.iter().any(|result| result["ruleId"] == name);
    let mut rules: Vec<_> = Cause::ALL
        .into_iter()
        .filter(|cause| seen(cause.name()))
        .map(|cause| rule(cause.name(), &format!("Requests {}", cause.sentence())))
        .collect();
    if seen(FAIL_ON) {
        rules.push(rule(FAIL_ON, "A result is as it must not be"));
    }
    let problems: Vec<_> = invalid
        .map(|why| {
            let text = format!("the load generator did not keep up, the result says little: {why}");
            json!({ "level": "error", "message": { "text": text } })
        })
        .into_iter()
        .collect();
    sarif_log("websample rollout", &rules, &results, &problems)
}

fn rule(name: &str, about: &str) -> Value {
    json!({
        "id": name,
        "shortDescription": { "text": about },
        "help": { "text": "see docs/502.md" },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::tests::run;

    #[test]
    fn a_result_for_each_cause_which_is_an_error_where_nothing_may_be_lost() {
        let mut runs = [run("graceful", 12), run("drain", 1)];
        let causes = |counts: &[(&str, u64)]| {
            let cause = |(cause, count): &(&str, u64)| json!({"cause": cause, "count": count, "outcomes": {}, "latest_after_sigterm": null});
            let causes: Vec<_> = counts.iter().map(cause).collect();
            serde_json::from_value(json!(causes)).expect("causes")
        };
        runs[0].causes = causes(&[("closed_listener", 11), ("idle_closed", 1)]);
        runs[1].causes = causes(&[("idle_closed", 1)]);
        let failed = [("drain".to_owned(), 1)];
        let broken = |run: &RunReport| match run.mode.as_str() {
            "drain" => vec!["p99>1ms: drain has 400.0ms in repeat 0".to_owned()],
            _ => Vec::new(),
        };
        let log = sarif(&runs, Path::new("out dir/report.json"), &failed, broken, None);
        assert_eq!(log["version"], "2.1.0");
        let run = &log["runs"][0];
        assert_eq!(run["invocations"][0]["executionSuccessful"], true);
        let found: Vec<_> = run["results"]
            .as_array()
            .expect("results")
            .iter()
            .map(|r| (r["ruleId"].as_str().expect("a rule"), r["level"].as_str().expect("a level")))
            .collect();
        assert_eq!(
            found,
            [
                ("closed_listener", "warning"),
                ("idle_closed", "warning"),
                ("idle_closed", "error"),
                ("fail-on", "error"),
            ]
        );
        let first = &run["results"][0];
        assert_eq!(
            first["message"]["text"],
            "graceful, repeat 0: 11 of 1000 requests were sent to a closed listener before the proxy's update"
        );
        let place = &first["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
        assert_eq!(place, "out%20dir/report.json");
        // Each rule once, and every rule that is used.
        let rules: Vec<_> = run["tool"]["driver"]["rules"]
            .as_array()
            .expect("rules")
            .iter()
            .map(|rule| rule["id"].as_str().expect("a name"))
            .collect();
        assert_eq!(rules, ["closed_listener", "idle_closed", "fail-on"]);
    }

    #[test]
    fn a_run_that_says_nothing_says_so() {
        let log = sarif(&[run("drain", 0)], Path::new("r"), &[], |_| Vec::new(), Some("3 unsent"));
        let invocation = &log["runs"][0]["invocations"][0];
        assert_eq!(invocation["executionSuccessful"], false);
        let said = &invocation["toolExecutionNotifications"][0]["message"]["text"];
        assert!(said.as_str().is_some_and(|said| said.contains("3 unsent")), "{said}");
        assert_eq!(log["runs"][0]["results"], json!([]));
    }
}
