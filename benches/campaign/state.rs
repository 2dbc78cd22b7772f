//! What of a campaign is done: a line a rollout, so that it can go on where it was stopped.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::{self, File, OpenOptions},
    io::Write as _,
    path::Path,
};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::judge::{Finding, Verdict};

/// A rollout that is done.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) n: u64,
    pub(crate) verdict: Verdict,
}

/// Those that are done, and the file that says so.
pub(crate) struct State {
    file: File,
    done: BTreeMap<u64, Verdict>,
}

impl State {
    /// Reads what is done, if there is anything.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let named = || format!("the state {}", path.display());
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).with_context(named)?;
        }
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .with_context(named)?;
        let text = fs::read_to_string(path).with_context(named)?;
        // Whoever was killed may have left half a line, which is not to become part of the next.
        if !text.is_empty() && !text.ends_with('\n') {
            file.write_all(b"\n").with_context(named)?;
        }
        let entries = text.lines().filter_map(|line| serde_json::from_str::<Entry>(line).ok());
        let done = entries.map(|entry| (entry.n, entry.verdict)).collect();
        Ok(Self { file, done })
    }

    pub(crate) fn has(&self, n: u64) -> bool {
        self.done.contains_key(&n)
    }

    pub(crate) fn done(&self) -> impl Iterator<Item = u64> {
        self.done.keys().copied()
    }

    pub(crate) fn add(&mut self, entry: Entry) -> Result<()> {
        let line = serde_json::to_string(&entry)? + "\n";
        self.file.write_all(line.as_bytes()).context("the state")?;
        self.done.insert(entry.n, entry.verdict);
        Ok(())
    }

    /// The findings, the first of each kind with the number of its rollout.
    pub(crate) fn findings(&self) -> Vec<(u64, Finding)> {
        let mut first: BTreeMap<&str, (u64, Finding)> = BTreeMap::new();
        for (n, verdict) in &self.done {
            for finding in &verdict.findings {
                first.entry(&finding.kind).or_insert_with(|| (*n, finding.clone()));
            }
        }
        first.into_values().collect()
    }

    /// What all of them add up to; the first line says most.
    pub(crate) fn summary(&self) -> String {
        let (mut requests, mut findings, mut invalid) = (0, 0, 0);
        let mut excused: BTreeMap<&str, u64> = BTreeMap::new();
        for verdict in self.done.values() {
            requests += verdict.requests;
            findings += verdict.findings.len();
            invalid += u64::from(verdict.invalid.is_some());
            for (why, count) in &verdict.excused {
                *excused.entry(why).or_default() += count;
            }
        }
        let promised = self.done.values().flat_map(|verdict| &verdict.findings);
        let promised = promised.filter(|finding| finding.kind.starts_with("lost")).count();
        let mut text = format!(
            "{} rollouts, {requests} requests: {promised} lost that the promise covers, {} that it does \
             not; {findings} findings, {invalid} rollouts whose load was late",
            self.done.len(),
            excused.values().sum::<u64>(),
        );
        for (why, count) in excused {
            let _ = write!(text, "\n  {count:>7}  {why}");
        }
        text
    }
}
