//! The lab as a target: what it shows, and to whom it waits to show it.

use std::{
    cell::Cell,
    net::{SocketAddr, TcpListener},
};

use nix::sys::signal::Signal;

use crate::{
    harness::{Lab, rollout},
    promtool,
    scraper::{Scraper, get},
};

/// A rollout of little more than a pod.
const SMALL: [&str; 8] = [
    "--replicas",
    "1",
    "--mix",
    "20/s new GET /",
    "--pre-stop",
    "none",
    "--metrics",
    "127.0.0.1:0",
];

const SHORT: (&str, &str) = ("WEBSAMPLE_DELAY__MIN", "500ms");

/// A lab on its way, and where it serves its metrics.
fn lab(arguments: &[&str]) -> (Lab, SocketAddr) {
    let mut lab = Lab::start(&[SHORT], &[&SMALL, arguments].concat());
    let address = Cell::new(None);
    lab.saw(|line| {
        let told = line.strip_prefix("metrics at http://");
        address.set(told.and_then(|rest| rest.split('/').next()?.parse().ok()));
        told.is_some()
    });
    (lab, address.get().expect("it was told"))
}

#[test]
fn whoever_scrapes_sees_what_the_report_says_and_the_end_of_every_pod() {
    let (lab, address) = lab(&["--modes", "immediate,graceful,drain"]);
    let scraper = Scraper::start(address);
    let ran = lab.end();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.err.contains("waiting for the last scrape of --metrics"), "{ran:?}");
    let links: Vec<_> = ran.err.lines().filter_map(|l| l.strip_prefix("panels at ")).collect();
    let [open, whole] = links[..] else {
        panic!("a link at the beginning and at the end: {ran:?}")
    };
    let (until_now, run) = open.split_once("?var-run=").expect("a link to a run");
    assert_eq!(until_now, "http://127.0.0.1:3000/d/websample-comparison");
    let (run, range) = run.split_once('&').expect("a range");
    assert!(
        whole.contains(run) && range.ends_with("&to=now") && !whole.contains("now"),
        "{links:?}"
    );
    let scraped = scraper.end();
    for run in ran.report()["runs"].as_array().unwrap() {
        let mode = format!("mode=\"{}\"", run["mode"].as_str().unwrap());
        for (outcome, count) in run["outcomes"].as_object().unwrap() {
            let labels = [mode.as_str(), &format!("outcome=\"{outcome}\"")];
            let seen = scraped.sum("websample_lab_requests_total", &labels);
            assert_eq!(Some(seen as u64), count.as_u64(), "{labels:?} {scraped:#?}");
        }
        for name in [
            "websample_lab_requests_total",
            "websample_lab_requests_due_total",
            "websample_lab_request_duration_seconds_count",
        ] {
            let seen = scraped.sum(name, &[&mode]);
            assert_eq!(Some(seen as u64), run["requests"].as_u64(), "{name} {mode}");
        }
        let took = scraped.sum("websample_lab_rollout_ended_timestamp_seconds", &[&mode])
            - scraped.sum("websample_lab_rollout_began_timestamp_seconds", &[&mode]);
        assert!((took - run["rollout_seconds"].as_f64().unwrap()).abs() < 0.1, "{took} {mode}");
        let number = |name: &str| run[name].as_f64().unwrap();
        let slowest = scraped.sum("websample_lab_rollout_duration_seconds", &[&mode]);
        assert!((slowest - number("rollout_seconds")).abs() < 1e-9, "{slowest} {mode}");
        let lost = scraped.sum("websample_lab_losses_total", &[&mode]);
        assert_eq!(lost as u64, run["lost"].as_u64().unwrap(), "{mode}");
        // The one old pod: how it ended, from outside.
        let [old] = run["pods"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|pod| pod["version"] == "v1")
            .collect::<Vec<_>>()[..]
        else {
            panic!("one old pod: {run}")
        };
        let exit = format!("exit=\"{}\"", old["exit"]);
        let ended = scraped.sum("websample_lab_termination_duration_seconds_count", &[&mode]);
        let so = scraped.sum("websample_lab_termination_duration_seconds_count", &[&mode, &exit]);
        assert_eq!((ended as u64, so as u64), (1, 1), "{mode} {exit}");
    }
    // One pod before and one after, in three modes, all gone by the last scrape.
    assert_eq!(scraped.pods.len(), 6, "{:?}", scraped.pods);
    assert_eq!(scraped.sum("websample_lab_pods", &[]) as u64, 0, "{:?}", scraped.lab);
    let old: Vec<_> =
        scraped.pods.values().filter(|(labels, _)| labels["version"] == "v1").collect();
    assert_eq!(old.len(), 3, "{:?}", scraped.pods);
    for (labels, series) in old {
        // Every old pod was found before the update began, so that its end could be seen.
        let last = |phase: &str| series[&format!("websample_lifecycle_phase{{phase=\"{phase}\"}}")];
        let seen = if labels["mode"] == "immediate" { last("serving") } else { last("drained") };
        assert_eq!(seen as u64, 1, "{labels} {series:?}");
    }
}

#[test]
fn promtool_finds_nothing_to_complain_about() {
    let (lab, address) = lab(&["--modes", "ignore,drain"]);
    let (_, text) = get(address, "/metrics").unwrap();
    lab.send(Signal::SIGINT);
    assert_eq!(lab.end().code, Some(130));
    promtool::finds_nothing_in(&text);
}

#[test]
fn nobody_is_waited_for_where_nobody_scrapes() {
    let (lab, address) = lab(&["--modes", "immediate"]);
    let (status, index) = get(address, "/").unwrap();
    assert!(status.contains(" 200 ") && index.contains("/targets"), "{status} {index}");
    let (status, hint) = get(address, "/metric").unwrap();
    assert!(status.contains(" 404 ") && hint.contains("/metrics"), "{status} {hint}");
    let ran = lab.end();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(!ran.err.contains("waiting for"), "{ran:?}");
}

#[test]
fn whoever_does_not_want_to_wait_for_the_last_scrape_says_so() {
    let (mut lab, address) = lab(&["--modes", "immediate"]);
    // Once: when the next one is due cannot be known, and the wait is as long as it may be.
    get(address, "/metrics").unwrap();
    lab.saw(|line| line.contains("waiting for the last scrape of --metrics, 20 s at most"));
    lab.send(Signal::SIGINT);
    let ran = lab.end();
    assert_eq!(ran.code, Some(0), "the results are complete: {ran:?}");
    assert!(ran.err.ends_with("not waiting for the last scrape any longer"), "{ran:?}");
    assert!(ran.report_file().exists(), "{ran:?}");
}

#[test]
fn an_address_that_is_taken_is_told_before_anything_starts() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ran = rollout(&["--metrics", &address]);
    assert_eq!(ran.code, Some(69), "{ran:?}");
    let expected =
        format!("websample: --metrics: cannot listen on {address}: Address already in use");
    assert!(ran.err.starts_with(&expected), "{ran:?}");
    assert!(ran.out.is_empty() && !ran.report_file().exists(), "{ran:?}");
}

#[test]
fn a_server_without_an_admin_port_is_no_target_but_its_clients_tell() {
    let own = env!("CARGO_BIN_EXE_websample");
    let serve = ["--", own, "serve", "--version", "{version}", "--admin.listen", "off"];
    let at = ["--listen", "{host}:{port}"];
    let (lab, address) = lab(&[&["--repeat", "2"], &serve[..], &at].concat());
    let scraper = Scraper::start(address);
    let ran = lab.end();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let scraped = scraper.end();
    assert!(scraped.pods.is_empty(), "{:?}", scraped.pods);
    let report = ran.report();
    let runs = report["runs"].as_array().unwrap();
    let requests: Vec<_> = runs.iter().map(|run| run["requests"].as_u64().unwrap()).collect();
    assert_eq!(requests.len(), 2);
    let seen = scraped.sum("websample_lab_requests_total", &["mode=\"websample\""]);
    assert_eq!(seen as u64, requests.iter().sum::<u64>(), "repeats add up: {scraped:#?}");
}
