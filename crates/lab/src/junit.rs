//! A result for whatever shows tests: a case for every run, which fails by what was to be looked for.

use std::fmt::Write as _;

use websample_manifest::output::xml_escaped as escaped;

use super::report::RunReport;

/// Writes the runs as JUnit's XML. `failed` are the modes that must not have lost anything, and `broken`
/// gives what else of a run is as it must not be.
pub(super) fn junit(
    runs: &[RunReport],
    failed: &[(String, u64)],
    broken: impl Fn(&RunReport) -> Vec<String>,
) -> String {
    let mut cases = String::new();
    let mut failures = 0;
    for run in runs {
        let mut said = broken(run);
        if run.lost > 0 && failed.iter().any(|(mode, _)| *mode == run.mode) {
            said.push(format!("{} of {} requests were lost", run.lost, run.requests));
        }
        let name = escaped(&format!("{}, repeat {}", run.mode, run.repeat));
        let seconds = run.rollout_seconds;
        let _ = write!(
            cases,
            "  <testcase classname=\"websample.rollout\" name=\"{name}\" time=\"{seconds:.3}\""
        );
        if said.is_empty() {
            cases.push_str("/>\n");
            continue;
        }
        failures += 1;
        cases.push_str(">\n");
        for said in said {
            let causes: Vec<_> =
                run.causes.iter().map(|c| format!("{} {}", c.count, c.cause.name())).collect();
            let (message, causes) = (escaped(&said), escaped(&causes.join(", ")));
            let _ = writeln!(cases, "    <failure message=\"{message}\">{causes}</failure>");
        }
        cases.push_str("  </testcase>\n");
    }
    let tests = runs.len();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"websample rollout\" \
         tests=\"{tests}\" failures=\"{failures}\" errors=\"0\" skipped=\"0\">\n{cases}</testsuite>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::tests::run;

    #[test]
    fn a_case_for_each_run_which_fails_by_what_was_looked_for() {
        let runs = [run("graceful", 12), run("a&b", 0)];
        let failed = [("graceful".to_owned(), 12)];
        let xml = junit(&runs, &failed, |run| match run.mode.as_str() {
            "a&b" => vec!["p99>1ms: too \"slow\"".to_owned()],
            _ => Vec::new(),
        });
        assert!(xml.contains("tests=\"2\" failures=\"2\""), "{xml}");
        assert!(xml.contains("name=\"graceful, repeat 0\" time=\"12.500\">"), "{xml}");
        assert!(
            xml.contains("<failure message=\"12 of 1000 requests were lost\"></failure>"),
            "{xml}"
        );
        assert!(xml.contains("name=\"a&amp;b, repeat 0\""), "{xml}");
        assert!(xml.contains("message=\"p99&gt;1ms: too &quot;slow&quot;\""), "{xml}");
        let fine = junit(&runs, &[], |_| Vec::new());
        assert!(fine.contains("failures=\"0\"") && fine.contains("\"12.500\"/>"), "{fine}");
    }
}
