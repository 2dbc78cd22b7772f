//! A campaign: as many rollouts as somebody wants, drawn at random, each held against the promise.
//!
//! `scripts/campaign --help` says how to call it; docs/events.md says what came of it.

#[path = "mod.rs"]
mod campaign;
mod still;

use std::{
    env,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use clap::Parser;
use tokio::{signal, task::JoinSet, time::interval};
use websample_lab::through::Installed;

use self::campaign::{
    draw::draw,
    judge::{Verdict, judge},
    run::run,
    shrink::shrink,
    state::{Entry, State},
    trial::Trial,
};
use self::still::Watch;

const EXIT_FOUND: u8 = 1;
const EXIT_USAGE: u8 = 64;
const EXIT_UNAVAILABLE: u8 = 69;
const EXIT_INTERRUPTED: u8 = 130;

/// Findings of a rollout that are shown one by one.
const SHOWN: usize = 3;

/// How often it says how far it is.
const TELL: Duration = Duration::from_secs(30);

/// So often a rollout with a finding is run again because the machine stood still meanwhile.
const AGAIN: u32 = 3;

/// Draws rollouts at random and holds each against the promise
#[derive(Debug, Parser)]
#[command(
    name = "scripts/campaign",
    after_help = "\
A finding is shrunk to the simplest rollout that still shows it, and printed as one command.
What is done is written to the state file: the same command goes on where it was stopped.

Exit codes: 0 nothing was found, 1 something was, 64 usage, 69 it could not be run, 130 interrupted."
)]
struct Arguments {
    /// What everything is drawn from
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,

    /// How many
    #[arg(long, default_value_t = 100, value_name = "M")]
    rollouts: u64,

    /// How many at a time [default: twice the processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,

    /// What is done, a line each [default: target/campaign/SEED.jsonl]
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,

    /// One rollout, as a finding shows it, instead of those that are drawn
    #[arg(long, value_name = "JSON", conflicts_with_all = ["rollouts", "state"])]
    trial: Option<String>,

    /// Print the trial of this number, and do nothing
    #[arg(long, value_name = "N")]
    show: Option<u64>,

    /// So many rollouts at most to make a finding simpler
    #[arg(long, default_value_t = 60, value_name = "N")]
    shrink: u32,

    /// The program that is tried
    #[arg(long, value_name = "PATH", default_value = env!("CARGO_BIN_EXE_websample"))]
    binary: PathBuf,

    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    // `cargo test --all-targets` runs this too, and tries nothing.
    if !env::args().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nobody is left to tell where printing fails.
            let _ = error.print();
            return if error.use_stderr() { EXIT_USAGE.into() } else { ExitCode::SUCCESS };
        }
    };
    let runtime = tokio::runtime::Runtime::new().context("no runtime could be had");
    let done = runtime.and_then(|runtime| runtime.block_on(campaign(&arguments)));
    done.unwrap_or_else(|error| {
        eprintln!("campaign: {error:#}");
        EXIT_UNAVAILABLE.into()
    })
}

async fn campaign(arguments: &Arguments) -> Result<ExitCode> {
    let proxies = proxies().await;
    if let Some(n) = arguments.show {
        println!("{}", draw(arguments.seed, n, &proxies).line());
        return Ok(ExitCode::SUCCESS);
    }
    let binary = std::path::absolute(&arguments.binary)?;
    if let Some(line) = &arguments.trial {
        let trial = match serde_json::from_str(line) {
            Ok(trial) => trial,
            Err(error) => {
                eprintln!("campaign: --trial: {error}");
                return Ok(EXIT_USAGE.into());
            }
        };
        return one(&trial, &binary).await;
    }
    let path = arguments
        .state
        .clone()
        .unwrap_or_else(|| Path::new("target/campaign").join(format!("{}.jsonl", arguments.seed)));
    let mut state = State::open(&path)?;
    let jobs = arguments.jobs.map_or_else(default_jobs, usize::from);
    eprintln!(
        "campaign: seed {}, {} rollouts, {jobs} at a time, through {}; {} are done in {}",
        arguments.seed,
        arguments.rollouts,
        if proxies.is_empty() {
            "no proxy: none is installed".to_owned()
        } else {
            proxies.join(", ")
        },
        state.done().count(),
        path.display(),
    );
    let interrupted = all(arguments, &binary, &proxies, jobs, &mut state).await?;
    println!("{}", state.summary());
    if interrupted {
        return Ok(EXIT_INTERRUPTED.into());
    }
    let found = state.findings();
    for (n, finding) in &found {
        let trial = draw(arguments.seed, *n, &proxies);
        println!("\nrollout {n}: {}: {}", finding.kind, finding.text);
        let simplest = shrink(&trial, &finding.kind, &binary, arguments.shrink).await;
        println!("  scripts/campaign --trial '{}'", simplest.line());
    }
    Ok(if found.is_empty() { ExitCode::SUCCESS } else { EXIT_FOUND.into() })
}

/// Runs what is not done yet, several at a time; whether it was interrupted.
async fn all(
    arguments: &Arguments,
    binary: &Path,
    proxies: &[&'static str],
    jobs: usize,
    state: &mut State,
) -> Result<bool> {
    let began = Instant::now();
    let mut left: Vec<u64> = (0..arguments.rollouts).filter(|n| !state.has(*n)).collect();
    left.reverse();
    let (todo, binary) = (left.len(), Arc::new(binary.to_owned()));
    let watch = Watch::start();
    let mut running = JoinSet::new();
    let mut told = interval(TELL);
    loop {
        while running.len() < jobs
            && let Some(n) = left.pop()
        {
            let trial = draw(arguments.seed, n, proxies);
            let (binary, watch) = (Arc::clone(&binary), watch.clone());
            running.spawn(async move { (n, tried(&trial, &binary, &watch).await) });
        }
        tokio::select! {
            ended = running.join_next() => {
                let Some(ended) = ended else { return Ok(false) };
                let (n, verdict) = ended?;
                let verdict = verdict.with_context(|| format!("rollout {n}"))?;
                for finding in verdict.findings.iter().take(SHOWN) {
                    eprintln!("campaign: rollout {n}: {}: {}", finding.kind, finding.text);
                }
                if let Some(more) = verdict.findings.len().checked_sub(SHOWN).filter(|n| *n > 0) {
                    eprintln!("campaign: rollout {n}: and {more} more");
                }
                state.add(Entry { n, verdict })?;
            }
            _ = told.tick() => {
                let done = todo - left.len() - running.len();
                let each = began.elapsed().as_secs_f64() / (done.max(1) as f64);
                let minutes = each * (todo - done) as f64 / 60.0;
                let left = if done == 0 { String::new() } else { format!("; {minutes:.0} min left") };
                eprintln!("campaign: {}{left}", state.summary().lines().next().unwrap_or_default());
            }
            // Dropping the others ends all that they have started.
            _ = signal::ctrl_c() => return Ok(true),
        }
    }
}

/// One trial, shown.
async fn one(trial: &Trial, binary: &Path) -> Result<ExitCode> {
    let environment = trial.environment();
    let environment = environment.iter().map(|(key, value)| format!("{key}={value}"));
    let words = trial.arguments(binary, Path::new("out"));
    let words = words.iter().map(|word| format!("'{}'", word.replace('\'', "'\\''")));
    eprintln!(
        "campaign: {} {} {}",
        environment.collect::<Vec<_>>().join(" "),
        binary.display(),
        words.collect::<Vec<_>>().join(" "),
    );
    let verdict = tried(trial, binary, &Watch::start()).await?;
    for finding in &verdict.findings {
        println!("{}: {}", finding.kind, finding.text);
    }
    println!("{}", serde_json::to_string(&verdict)?);
    Ok(if verdict.findings.is_empty() { ExitCode::SUCCESS } else { EXIT_FOUND.into() })
}

/// Runs a trial and judges it; again where it shows something and the machine has stood still.
async fn tried(trial: &Trial, binary: &Path, watch: &Watch) -> Result<Verdict> {
    let mut again = 0;
    loop {
        let began = Instant::now();
        let verdict = judge(trial, &run(trial, binary).await?);
        let Some(still) = watch.since(began) else { return Ok(verdict) };
        if verdict.findings.is_empty() || again == AGAIN {
            return Ok(verdict);
        }
        again += 1;
        eprintln!(
            "campaign: this machine stood still for {:.1} s while a rollout showed something ({}): once more",
            still.as_secs_f64(),
            verdict.findings[0].kind,
        );
    }
}

/// The proxies that are installed.
async fn proxies() -> Vec<&'static str> {
    let mut found = Vec::new();
    for program in Trial::proxies() {
        if Installed::find(program).await.is_ok() {
            found.push(program.name());
        }
    }
    found
}

fn default_jobs() -> usize {
    2 * std::thread::available_parallelism().map_or(1, usize::from)
}
