//! The tables in docs/benchmarks.md, and the machine's load beside each.

use std::{fs, process::Command, thread};

use anyhow::{Context as _, Result, bail};

use super::cargo::root;

/// When and where a section was measured, and what else ran.
pub(crate) struct Beside {
    before: f64,
}

/// Threads that ran or waited for a processor, of the last minute.
fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(f64::NAN)
}

impl Beside {
    /// Before the section begins.
    pub(crate) fn begin() -> Self {
        Self { before: load() }
    }

    /// After it.
    pub(crate) fn told(&self) -> String {
        let cpus = thread::available_parallelism().map_or(0, usize::from);
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let model = model.map_or("unknown", |(_, model)| model);
        let day = Command::new("date").args(["-u", "+%F"]).output();
        let day = day.map(|day| String::from_utf8_lossy(&day.stdout).trim().to_owned());
        let loaded = if self.before > 0.3 { ": **not left alone**" } else { "" };
        format!(
            "{}, {cpus} processors ({model}); load of the machine before: {:.2}{loaded}, after: {:.2}.\n",
            day.unwrap_or_default(),
            self.before,
            load()
        )
    }
}

/// Puts sections in the place of those of the same names.
pub(crate) fn write(sections: &[(&str, String)]) -> Result<()> {
    let path = root().join("docs/benchmarks.md");
    let mut text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    for (name, section) in sections {
        text = replaced(&text, name, section)?;
    }
    fs::write(&path, text).with_context(|| path.display().to_string())
}

fn replaced(text: &str, name: &str, section: &str) -> Result<String> {
    let begin = format!("<!-- bench: {name} -->\n");
    let found = text.split_once(&begin).and_then(|(before, rest)| {
        let (_, after) = rest.split_once("<!-- end -->")?;
        Some(format!("{before}{begin}{}\n<!-- end -->{after}", section.trim()))
    });
    match found {
        Some(text) => Ok(text),
        None => bail!("docs/benchmarks.md has no place for '{name}'"),
    }
}
