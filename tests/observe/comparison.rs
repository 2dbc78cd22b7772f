//! The comparison, scraped while it runs.

use std::{
    collections::BTreeMap,
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{
    client::{Prometheus, Series, Window},
    dashboards,
    observer::{Observer, installed},
    queries::{self, Kind, Query},
    report::{self, Run},
    variables::filled,
};

/// What may find nothing in a comparison of healthy servers, and why.
const MAY_BE_EMPTY: [(&str, &str); 2] = [
    (": alert ", "an alert is for what should not happen; its promtool case shows that it fires"),
    ("Which pods cut something off", "every request of the mix ends well before the deadline"),
];

/// The scrape interval of the shipped configuration, in seconds.
const INTERVAL: f64 = 1.0;

/// A scrape on a busy machine, and the exit of a process, take a moment.
const MOMENT: f64 = 1.0;

/// The report, and where and when it was scraped.
struct Compared {
    runs: Vec<Run>,
    window: Window,
    prometheus: Prometheus,
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64()
}

#[test]
fn every_query_finds_what_the_comparison_left_and_it_is_what_the_report_says() {
    if !installed() {
        return;
    }
    let observer = Observer::start();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let from = now();
    let ran = Command::new(env!("CARGO_BIN_EXE_websample"))
        // The grace period is all that `ignore` takes, and nothing is learned from its length.
        .args(["rollout", "--grace", "20s", "--metrics", &observer.lab.to_string(), "--out"])
        .arg(directory.path())
        .output()
        .expect("the binary starts");
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(ran.status.success(), "{said}");
    assert!(said.contains("waiting for the last scrape of --metrics"), "{said}");
    let text = std::fs::read_to_string(directory.path().join("report.json")).expect("a report");
    let compared = Compared {
        runs: report::runs(&text),
        window: Window { from, to: now() },
        prometheus: observer.prometheus,
    };
    compared.lost_requests_are_those_of_the_report();
    compared.time_to_drain_is_that_of_the_report();
    compared.every_last_scrape_landed();
    compared.a_server_has_few_series();
    compared.every_query_finds_something();
    compared.every_rule_is_loaded_and_well();
    assert_eq!(observer.end().code(), Some(0));
}

impl Compared {
    /// What a panel of the comparison's dashboard shows.
    fn panel(&self, title: &str) -> Vec<Series> {
        let expr = dashboards::expr("grafana/dashboards/comparison.json", title);
        let expr = filled(&expr, self.window).unwrap_or_else(|error| panic!("{title}: {error}"));
        let found = self.prometheus.query(&expr, self.window);
        found.unwrap_or_else(|error| panic!("{expr}: {error}"))
    }

    fn by_mode(&self, title: &str) -> BTreeMap<String, f64> {
        let series = self.panel(title);
        series.iter().map(|s| (s.label("mode").to_owned(), s.last())).collect()
    }

    fn lost_requests_are_those_of_the_report(&self) {
        let lost = self.by_mode("How many requests did each mode lose?");
        let reported = self.runs.iter().map(|run| (run.mode().to_owned(), run.lost() as f64));
        assert_eq!(lost, reported.collect());
        assert!(lost["immediate"] > 0.0 && lost["drain"] < 1.0, "{lost:?}");
        println!("lost by mode, as in report.json: {lost:?}");
    }

    /// By pod, what the panel says against what was seen from outside, which is longer by the wait
    /// for the last scrape.
    fn time_to_drain_is_that_of_the_report(&self) {
        let took = self.panel("How long did each pod take to drain?");
        // The same seed gives the pods of every mode the same names.
        let took = took.iter().filter(|series| series.label("mode") == "drain");
        let took: BTreeMap<_, _> = took.map(|s| (s.label("pod"), s.last())).collect();
        let drain = self.runs.iter().find(|run| run.mode() == "drain").expect("it was compared");
        let reported = drain.terminated();
        assert_eq!(reported.len(), 4);
        for (pod, reported) in reported {
            let seen = took.get(pod).unwrap_or_else(|| panic!("{pod} is not in {took:?}"));
            let apart = reported - seen;
            println!("{pod} drained in {seen:.3} s, gone after {reported:.3} s");
            assert!((0.0..INTERVAL + MOMENT).contains(&apart), "{pod}: {seen} s, {reported} s");
        }
    }

    fn every_last_scrape_landed(&self) {
        let share = self.by_mode("What share of the pods was scraped after its drain?");
        println!("last scrapes: {share:?}");
        // Those that do not drain have no such phase.
        let expected = [("drain", 1.0), ("graceful", 1.0), ("ignore", 0.0), ("immediate", 0.0)];
        assert_eq!(share, expected.map(|(mode, share)| (mode.to_owned(), share)).into());
    }

    fn a_server_has_few_series(&self) {
        let expr = "max(count by (mode, pod) ({job=\"websample\", __name__=~\"websample_.+\"}))";
        let found = self.prometheus.query_range(expr, self.window).expect("it is asked");
        let most = found.iter().flat_map(|series| &series.values).copied().fold(0.0, f64::max);
        println!("at most {most} series of a server");
        assert!(most > 0.0 && most <= 60.0, "{most} series");
    }

    fn every_query_finds_something(&self) {
        let mut wrong = Vec::new();
        let all = queries::all();
        let bogus = |expr: &str| {
            let query = Query { at: String::new(), expr: expr.to_owned(), kind: Kind::Range };
            query.ask(self.prometheus, self.window)
        };
        assert_eq!(bogus("websample_no_such_family"), Ok(0));
        bogus("sum(").expect_err("it cannot be parsed");
        for query in &all {
            let may_be_empty = MAY_BE_EMPTY.iter().any(|(at, _)| query.at.contains(at));
            match query.ask(self.prometheus, self.window) {
                Err(error) => wrong.push(format!("{}: {error}\n    {}", query.at, query.expr)),
                Ok(0) if !may_be_empty => {
                    wrong.push(format!("{}: nothing found\n    {}", query.at, query.expr));
                }
                Ok(_) => {}
            }
        }
        for (at, _) in MAY_BE_EMPTY {
            assert!(all.iter().any(|query| query.at.contains(at)), "{at} excuses nothing");
        }
        println!("{} queries asked", all.len());
        assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), all.len(), wrong.join("\n"));
    }

    fn every_rule_is_loaded_and_well(&self) {
        let rules = self.prometheus.rules().expect("it is asked");
        assert!(!rules.is_empty());
        for rule in rules {
            assert_eq!(rule["health"], "ok", "{rule:#}");
        }
    }
}
