//! A trial carried out: the real binary, in a directory of its own.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::Deserialize;
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    time::sleep,
};
use websample_lab::report::{FILE, Report};

use super::{
    harm::{Told, harm},
    processes::{TOKEN, left_of},
    trial::Trial,
};

/// No rollout takes as long; one that does hangs.
const PATIENCE: Duration = Duration::from_secs(300);
/// From the start of the lab to the start of its load, about.
const UP: Duration = Duration::from_secs(2);
/// How long what a rollout has started may take to be gone.
const GONE: Duration = Duration::from_secs(5);

/// What a trial has left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    /// As a shell has it: 128 and the signal where one ended it. `None` if it did not end.
    pub(crate) exit: Option<i32>,
    pub(crate) said: String,
    /// Its report, if it wrote one.
    pub(crate) report: Option<Report>,
    /// Single results by their status; 0 where there was no complete answer.
    pub(crate) statuses: BTreeMap<u16, u64>,
    /// The pods that somebody else told to go.
    pub(crate) told: Vec<String>,
    /// Whether the lab was told to stop while it ran.
    pub(crate) interrupted: bool,
    /// Processes and files that are still there.
    pub(crate) left: Vec<String>,
    pub(crate) took: Duration,
}

/// Runs a trial to its end. Dropping the future ends everything.
///
/// # Errors
/// When the binary cannot be started or its files not be read: nothing is known of the trial.
pub(crate) async fn run(trial: &Trial, binary: &Path) -> anyhow::Result<Ran> {
    static RUN: AtomicU64 = AtomicU64::new(0);
    let directory = tempfile::Builder::new().prefix("campaign-").tempdir()?;
    let (out, scratch) = (directory.path().join("out"), directory.path().join("tmp"));
    fs::create_dir(&scratch)?;
    let token = format!("{}-{}", std::process::id(), RUN.fetch_add(1, Ordering::Relaxed));
    let began = Instant::now();
    let _spinning = Spinning::start(trial.spinners);
    let mut lab = Command::new(binary)
        .args(trial.arguments(binary, &out))
        .envs(trial.environment())
        .env(TOKEN, &token)
        // What it writes besides its results goes here, and may not stay.
        .env("TMPDIR", &scratch)
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(directory.path().join("said"))?)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("{} cannot be started", binary.display()))?;
    let told = Told::default();
    let (exit, interrupted) = watch(trial, &mut lab, &told).await?;
    let took = began.elapsed();
    let mut left = gone(&token).await;
    left.extend(files_in(&scratch)?);
    let told = told.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let said = fs::read_to_string(directory.path().join("said"))?;
    let report = read_report(&out)?;
    let statuses = statuses(&out)?;
    close(directory)?;
    Ok(Ran { exit, said, report, statuses, told, interrupted, left, took })
}

/// Waits for the lab's end, and does meanwhile what the trial says. Says how it ended, and whether it
/// was told to.
async fn watch(trial: &Trial, lab: &mut Child, told: &Told) -> io::Result<(Option<i32>, bool)> {
    let id = lab.id().ok_or_else(|| io::Error::other("it has ended already"))?;
    let harm = async {
        sleep(UP).await;
        harm(trial, id, Arc::clone(told)).await;
    };
    let interrupted = AtomicBool::new(false);
    let interrupt = async {
        if let Some(interrupt) = trial.interrupt {
            sleep(UP + Duration::from_millis(interrupt.after_ms)).await;
            interrupted.store(true, Ordering::Relaxed);
            let signal = if interrupt.term { Signal::SIGTERM } else { Signal::SIGINT };
            // Not reaped yet, so the id is its own.
            let _ = kill(Pid::from_raw(id.cast_signed()), signal);
        }
        std::future::pending::<()>().await;
    };
    let ended = tokio::select! {
        ended = lab.wait() => Some(ended?),
        () = harm => unreachable!("it goes on for ever"),
        () = interrupt => unreachable!("it waits for ever"),
        () = sleep(PATIENCE) => None,
    };
    if ended.is_none() {
        lab.kill().await?;
    }
    let code = ended.map(|status| status.code().or(status.signal().map(|signal| 128 + signal)));
    Ok((code.flatten(), interrupted.into_inner()))
}

/// Waits until nothing is left of a trial's processes, for a while; what still is.
async fn gone(token: &str) -> Vec<String> {
    let deadline = Instant::now() + GONE;
    loop {
        let left = left_of(token);
        if left.is_empty() || Instant::now() > deadline {
            return left.into_iter().map(|process| format!("process {process}")).collect();
        }
        sleep(Duration::from_millis(50)).await;
    }
}

fn files_in(directory: &Path) -> io::Result<Vec<String>> {
    let entries = fs::read_dir(directory)?.collect::<io::Result<Vec<_>>>()?;
    Ok(entries.iter().map(|entry| format!("file {}", entry.path().display())).collect())
}

fn read_report(out: &Path) -> anyhow::Result<Option<Report>> {
    match fs::read(out.join(FILE)) {
        Ok(text) => Ok(Some(serde_json::from_slice(&text).context("report.json")?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Counts the single results by status.
fn statuses(out: &Path) -> anyhow::Result<BTreeMap<u16, u64>> {
    #[derive(Deserialize)]
    struct Line {
        code: u16,
    }
    let mut counted = BTreeMap::new();
    let files: Vec<PathBuf> = match fs::read_dir(out) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
        Err(_) => Vec::new(),
    };
    let results = |path: &&PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("results-"))
    };
    for file in files.iter().filter(results) {
        let text = fs::read_to_string(file)?;
        // An interrupted run may stop in the middle of a line.
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
        for Line { code } in lines {
            *counted.entry(code).or_default() += 1;
        }
    }
    Ok(counted)
}

fn close(directory: TempDir) -> io::Result<()> {
    directory.close()
}

/// Threads that take processor time until this is dropped.
struct Spinning(Arc<AtomicBool>);

impl Spinning {
    fn start(threads: u32) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        for _ in 0..threads {
            let over = Arc::clone(&over);
            thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        Self(over)
    }
}

impl Drop for Spinning {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
