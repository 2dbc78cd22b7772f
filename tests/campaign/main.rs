//! A short campaign, always the same one, and whether a campaign would notice what should not be.
//!
//! `scripts/campaign` is the long one.

#![cfg(target_os = "linux")]

#[path = "../../benches/campaign/mod.rs"]
#[allow(dead_code, reason = "the rest is for the program")]
mod campaign;

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt as _, path::Path};

use clap::Parser;
use websample_lab::{args::RolloutArgs, disruption::Disruption, plan::Plan};

use self::campaign::{
    draw::draw,
    judge::{Finding, Verdict, judge},
    run::run,
    shrink::simpler,
    state::{Entry, State},
    trial::{Client, Signal, Trial, Unexpected},
};

const PROXIES: [&str; 3] = ["nginx", "haproxy", "envoy"];

fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_websample"))
}

/// The lab's command line.
#[derive(Parser)]
struct Lab {
    #[command(flatten)]
    rollout: RolloutArgs,
}

#[test]
fn whatever_is_drawn_is_a_rollout() {
    let mut events = BTreeSet::new();
    for n in 0..500 {
        let trial = draw(7, n, &PROXIES);
        assert_eq!(trial, draw(7, n, &PROXIES), "the number decides");
        assert_eq!(serde_json::from_str::<Trial>(&trial.line()).unwrap(), trial);
        // Without the command's own name.
        let arguments = trial.arguments(binary(), Path::new("out"));
        let lab = Lab::try_parse_from(&arguments)
            .unwrap_or_else(|error| panic!("{error}: {}", trial.line()));
        let plan = Plan::new(&lab.rollout, "websample", 0);
        plan.unwrap_or_else(|error| panic!("{error}: {}", trial.line()));
        let settings = trial
            .environment()
            .into_iter()
            .fold(websample::config::Sources::none(), |sources, (name, value)| {
                sources.variable(name, &value)
            });
        let settings = settings.variable("WEBSAMPLE_GRACE_PERIOD", format!("{}s", trial.grace));
        websample::config::Settings::load(&settings)
            .unwrap_or_else(|error| panic!("{error}: {}", trial.line()));
        events.insert(trial.event);
    }
    // A signal that nobody expects meets a server that hands over in a way that is promised nowhere.
    let drawn = Disruption::ALL.into_iter().filter(|event| *event != Disruption::Handoff);
    assert_eq!(events, drawn.collect());
    assert_ne!(draw(7, 1, &PROXIES), draw(8, 1, &PROXIES), "and the campaign");
}

#[test]
fn a_simpler_trial_says_one_thing_less() {
    let trial = Trial {
        seed: 3,
        replicas: 5,
        mix: vec!["1/s new GET /a".to_owned(), "1/s new GET /b".to_owned()],
        clients: vec![Client::Reset],
        signal: Some(Signal { what: Unexpected::TermTwice(20), after_ms: 5 }),
        ..Trial::default()
    };
    let simpler: Vec<_> = simpler(&trial).iter().map(Trial::line).collect();
    // No replicas, no mix, either stream, no clients, no signal.
    assert_eq!(simpler.len(), 6, "{simpler:#?}");
    for line in &simpler {
        assert!(line.len() < trial.line().len() && line.contains(r#""seed":3"#), "{line}");
    }
    assert!(simpler.iter().any(|line| !line.contains("signal") && line.contains("reset")));
}

#[test]
fn a_campaign_goes_on_where_it_was_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a/state.jsonl");
    let mut state = State::open(&path).unwrap();
    let verdict = Verdict { requests: 10, ..Verdict::default() };
    state.add(Entry { n: 4, verdict }).unwrap();
    drop(state);
    // Killed while it wrote.
    let half = fs::read_to_string(&path).unwrap() + r#"{"n":5,"verd"#;
    fs::write(&path, half).unwrap();
    let mut state = State::open(&path).unwrap();
    assert!(state.has(4) && !state.has(5));
    state.add(Entry { n: 5, verdict: Verdict::default() }).unwrap();
    let state = State::open(&path).unwrap();
    assert_eq!(state.done().collect::<Vec<_>>(), [4, 5]);
    assert!(state.summary().starts_with("2 rollouts, 10 requests: 0 lost"), "{}", state.summary());
}

async fn tried(trial: &Trial, binary: &Path) -> Verdict {
    judge(trial, &run(trial, binary).await.expect("it can be run"))
}

/// Four at a time, each of another kind. What is drawn here is what a busy machine can keep.
#[tokio::test(flavor = "multi_thread")]
async fn a_short_campaign_finds_nothing() {
    let plain = Trial {
        delay_min_ms: 2_000,
        propagation: "0ms..500ms".to_owned(),
        mix: [
            "40/s new GET /",
            "30/s keep-alive POST /echo body=900 connections=3",
            "20/s http2 GET /",
        ]
        .map(str::to_owned)
        .into(),
        ..Trial::default()
    };
    let trials = [
        Trial {
            framework: "hyper".to_owned(),
            clients: vec![Client::Reset, Client::HalfHead],
            ..plain.clone()
        },
        Trial { event: Disruption::Evict, pre_stop: "none".to_owned(), ..plain.clone() },
        Trial {
            event: Disruption::Rollback,
            slow_start_ms: 700,
            on_drain: "keep".to_owned(),
            ..plain.clone()
        },
        Trial {
            signal: Some(Signal { what: Unexpected::Hook, after_ms: 500 }),
            replicas: 3,
            ..plain.clone()
        },
    ];
    let all = trials.iter().map(|trial| tried(trial, binary()));
    for (trial, verdict) in trials.iter().zip(futures_util::future::join_all(all).await) {
        assert!(verdict.requests > 300, "{verdict:?}");
        // A load that could not be sent in time is none that the promise is about.
        let late = verdict.invalid.is_some();
        let findings = verdict.findings.iter().filter(|it| !(late && it.kind.starts_with("lost")));
        assert_eq!(findings.collect::<Vec<_>>(), [] as [&Finding; 0], "{}", trial.line());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_should_not_be_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let wrong = directory.path().join("wrong");
    // A server that closes at once, and a lab that leaves things behind and ends as it likes.
    let script = format!(
        "#!/bin/sh\nexport WEBSAMPLE_DELAY__MIN=0s WEBSAMPLE_DELAY__QUIET=0s WEBSAMPLE_DELAY__MAX=0s\n\
         touch \"$TMPDIR/left\"\nsleep 20 &\n{} \"$@\"\nexit 7\n",
        binary().display()
    );
    fs::write(&wrong, script).unwrap();
    fs::set_permissions(&wrong, fs::Permissions::from_mode(0o755)).unwrap();
    let trial = Trial {
        propagation: "800ms..900ms".to_owned(),
        mix: vec!["200/s new GET /".to_owned()],
        ..Trial::default()
    };
    let verdict = tried(&trial, &wrong).await;
    let kinds: BTreeSet<_> = verdict.findings.iter().map(|finding| &*finding.kind).collect();
    let left = verdict.findings.iter().filter(|finding| finding.kind == "left behind").count();
    assert_eq!(left, 2, "a process and a file: {:?}", verdict.findings);
    assert!(kinds.contains("exit code"), "{kinds:?}");
    assert!(kinds.iter().any(|kind| kind.starts_with("lost: ")), "{kinds:?}");
}
