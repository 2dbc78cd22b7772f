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
const MAY_BE_EMPTY: [(&str, &str); 1] =
    [(": alert ", "an alert is for what should not happen; its promtool case shows that it fires")];

/// What asks for servers that are up, of which there are none any more when the window ends, or only as
/// long as nobody has noticed: it has to have found something at some time in it.
const WHILE_UP: [&str; 1] = [": Safe to deploy now? "];

const COMPARISON: &str = "grafana/dashboards/comparison.json";

/// The scrape interval of the shipped configuration, in seconds.
const INTERVAL: f64 = 1.0;

/// A scrape on a busy machine, and the exit of a process, take a moment.
const MOMENT: f64 = 1.0;

/// A small one with repeats, and the one that everybody makes.
const RUNS: [&[&str]; 2] = [
    &["--modes", "immediate,drain", "--replicas", "2", "--mix", "50/s new GET /", "--repeat", "2"],
    // The grace period is all that `ignore` takes, and nothing is learned from its length.
    &["--grace", "20s"],
];

/// A report, its run's name, and where and when it was scraped.
struct Compared {
    run: String,
    runs: Vec<Run>,
    window: Window,
    prometheus: Prometheus,
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64()
}

/// What a rollout reports, once it is over; and the name of the run in the link that it says.
fn rollout(observer: &Observer, arguments: &[&str]) -> (String, Vec<Run>) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let ran = Command::new(env!("CARGO_BIN_EXE_websample"))
        .args(["rollout", "--metrics", &observer.lab.to_string(), "--out"])
        .arg(directory.path())
        .args(arguments)
        .output()
        .expect("the binary starts");
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(ran.status.success(), "{said}");
    assert!(said.contains("waiting for the last scrape of --metrics"), "{said}");
    let text = std::fs::read_to_string(directory.path().join("report.json")).expect("a report");
    let link = said.lines().rev().find_map(|line| line.strip_prefix("panels at ")).expect("a link");
    let run = link.split("var-run=").nth(1).and_then(|rest| rest.split('&').next());
    (run.expect("a run").to_owned(), report::runs(&text))
}

#[test]
fn every_query_finds_what_the_comparisons_left_and_it_is_what_each_report_says() {
    if !installed() {
        return;
    }
    let observer = Observer::start();
    let from = now();
    let runs = RUNS.map(|arguments| rollout(&observer, arguments));
    // One range with both.
    let (window, prometheus) = (Window { from, to: now() }, observer.prometheus);
    let all = runs.map(|(run, runs)| Compared { run, runs, window, prometheus });
    for compared in &all {
        compared.the_verdict_is_that_of_the_report();
        compared.causes_are_those_of_the_report();
    }
    let [_, newest] = all;
    newest.it_is_the_first_value_of_its_variable();
    newest.time_to_drain_is_that_of_the_report();
    newest.every_last_scrape_landed();
    newest.a_server_has_few_series();
    newest.processors_are_measured();
    newest.every_query_finds_something();
    newest.every_rule_is_loaded_and_well();
    assert_eq!(observer.end().code(), Some(0));
}

impl Compared {
    /// What a query of a panel of the comparison's dashboard shows.
    fn panel(&self, title: &str, reference: &str) -> Vec<Series> {
        self.query(&dashboards::expr(COMPARISON, title, reference))
    }

    fn query(&self, expr: &str) -> Vec<Series> {
        let expr = filled(expr, self.window, &self.run).unwrap_or_else(|e| panic!("{expr}: {e}"));
        let found = self.prometheus.query(&expr, self.window);
        found.unwrap_or_else(|error| panic!("{expr}: {error}"))
    }

    fn by_mode(&self, title: &str, reference: &str) -> BTreeMap<String, f64> {
        let series = self.panel(title, reference);
        series.iter().map(|s| (s.label("mode").to_owned(), s.last())).collect()
    }

    /// By mode, what the report's repeats add up to.
    fn reported(
        &self,
        of: impl Fn(&Run) -> f64,
        add: impl Fn(f64, f64) -> f64,
    ) -> BTreeMap<String, f64> {
        let mut modes = BTreeMap::new();
        for run in &self.runs {
            let sum = modes.entry(run.mode().to_owned()).or_insert(0.0);
            *sum = add(*sum, of(run));
        }
        modes
    }

    /// Every column of the verdict, by mode, to the last digit.
    fn the_verdict_is_that_of_the_report(&self) {
        let verdict = "What did it cost, and why?";
        let sum = |a, b| a + b;
        let lost = self.reported(|run| run.number("lost"), sum);
        let requests = self.reported(|run| run.number("requests"), sum);
        let share = lost.iter().map(|(mode, lost)| (mode.clone(), lost / requests[mode]));
        assert_eq!(self.by_mode("How many requests did each mode lose?", "A"), lost);
        assert_eq!(self.by_mode(verdict, "A"), lost);
        assert_eq!(self.by_mode(verdict, "B"), requests);
        assert_eq!(self.by_mode(verdict, "C"), share.collect());
        let replaced = self.reported(|run| run.number("rollout_seconds"), f64::max);
        assert_eq!(self.by_mode(verdict, "E"), replaced);
        let killed = self.reported(|run| run.number("killed"), sum);
        assert_eq!(self.by_mode(verdict, "G"), killed);
        let p99 = self.reported(|run| run.latency("p99"), f64::max);
        assert_eq!(self.by_mode(verdict, "H"), p99);
        assert!(lost["immediate"] > 0.0 && lost["drain"] < 1.0, "{lost:?}");
        println!("{}: lost by mode, as in report.json: {lost:?}", self.run);
    }

    fn causes_are_those_of_the_report(&self) {
        let mut reported = BTreeMap::<_, f64>::new();
        for run in &self.runs {
            for (cause, count) in run.causes() {
                let key = (run.mode().to_owned(), cause.to_owned());
                *reported.entry(key).or_default() += count as f64;
            }
        }
        let series = self.panel("Why were requests lost?", "A");
        let key = |s: &Series| (s.label("mode").to_owned(), s.label("cause").to_owned());
        let shown: BTreeMap<_, _> = series.iter().map(|s| (key(s), s.last())).collect();
        assert_eq!(shown, reported);
    }

    /// In descending order, as the variable has it.
    fn it_is_the_first_value_of_its_variable(&self) {
        let runs = self.prometheus.label_values("run").expect("it is asked");
        let newest = runs.iter().filter_map(|run| run.as_str()).max();
        assert_eq!((runs.len(), newest), (RUNS.len(), Some(self.run.as_str())));
    }

    /// Servers that were busy for seconds need some of a processor, and no more than there is.
    fn processors_are_measured(&self) {
        let used = self.query(
            "sum by (mode) (max_over_time(process_cpu_seconds_total{run=~\"$run\",mode=~\".+\"}[$__range]))",
        );
        let parts = used.iter().map(Series::last).filter(|used| used.fract() > 0.0).count();
        assert!(used.len() == 4 && parts == 4, "{used:?}");
    }

    /// By pod, what the panel says against what was seen from outside, which is longer by the wait
    /// for the last scrape.
    fn time_to_drain_is_that_of_the_report(&self) {
        let took = self.panel("How long did each pod take to drain?", "A");
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
        let share = self.by_mode("Are the numbers complete?", "A");
        println!("last scrapes: {share:?}");
        // Those that do not drain have no such phase.
        let expected = [("drain", 1.0), ("graceful", 1.0), ("ignore", 0.0), ("immediate", 0.0)];
        assert_eq!(share, expected.map(|(mode, share)| (mode.to_owned(), share)).into());
    }

    fn a_server_has_few_series(&self) {
        let expr =
            "max(count by (run, mode, pod) ({job=\"websample\", __name__=~\"websample_.+\"}))";
        let found = self.prometheus.query_range(expr, self.window).expect("it is asked");
        let most = found.iter().flat_map(|series| &series.values).copied().fold(0.0, f64::max);
        println!("at most {most} series of a server");
        assert!(most > 0.0 && most <= 64.0, "{most} series");
    }

    fn every_query_finds_something(&self) {
        let mut wrong = Vec::new();
        let all = queries::all();
        let bogus = |expr: &str| {
            let query = Query { at: String::new(), expr: expr.to_owned(), kind: Kind::Range };
            query.ask(self.prometheus, self.window, &self.run)
        };
        assert_eq!(bogus("websample_no_such_family"), Ok(0));
        bogus("sum(").expect_err("it cannot be parsed");
        for query in &all {
            let may_be_empty = MAY_BE_EMPTY.iter().any(|(at, _)| query.at.contains(at));
            let while_up = WHILE_UP.iter().any(|at| query.at.contains(at));
            let at_any_time = Query { kind: Kind::Range, ..query.clone() };
            let query = if while_up { &at_any_time } else { query };
            match query.ask(self.prometheus, self.window, &self.run) {
                Err(error) => wrong.push(format!("{}: {error}\n    {}", query.at, query.expr)),
                Ok(0) if !may_be_empty => {
                    wrong.push(format!("{}: nothing found\n    {}", query.at, query.expr));
                }
                Ok(_) => {}
            }
        }
        for at in MAY_BE_EMPTY.map(|(at, _)| at).iter().chain(&WHILE_UP) {
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
