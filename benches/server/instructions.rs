//! Instructions a request, in user space: a number that a busy machine does not change.

use std::{
    fs,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};

use super::{
    is_installed,
    load::{self, Load},
    require,
    server::{Kind, Programs, Settings},
    table::{Row, Table},
};

/// Who counts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Counter {
    /// The processor.
    Perf,
    /// Every instruction is simulated, so fewer requests have to do.
    Valgrind,
}

/// A processor counts `rep stosb` once, valgrind once for each byte. actix clears 6 KiB a request
/// with it; glibc is told to use a loop there instead.
const NO_REP: &str = "GLIBC_TUNABLES=glibc.cpu.x86_rep_stosb_threshold=1000000000:\
     glibc.cpu.x86_rep_movsb_threshold=1000000000";

const VALGRIND: &[&str] = &[
    "env",
    NO_REP,
    "valgrind",
    "--tool=cachegrind",
    "--cache-sim=no",
    "--cachegrind-out-file=/dev/null",
];

impl Counter {
    /// perf where the machine has counters that it may read; virtual ones often do not.
    pub(crate) fn choose() -> Result<Self> {
        let event = ["stat", "-x,", "-e", "instructions:u", "--", "true"];
        let counted = Command::new("perf").args(event).stdout(Stdio::null()).output();
        if counted.is_ok_and(|output| {
            output.status.success()
                && perf_count(&String::from_utf8_lossy(&output.stderr)).is_some()
        }) {
            eprintln!("bench: instructions are counted by perf");
            return Ok(Self::Perf);
        }
        if !is_installed("valgrind") {
            eprintln!("bench: perf cannot count instructions here (Debian: linux-perf)");
        }
        require("valgrind", "valgrind")?;
        eprintln!("bench: instructions are counted by valgrind");
        Ok(Self::Valgrind)
    }

    /// Few and many requests; the difference leaves out start, connections and stop.
    const fn requests(self) -> [u64; 2] {
        match self {
            Self::Perf => [20_000, 220_000],
            Self::Valgrind => [2_000, 12_000],
        }
    }

    fn count(self, programs: &Programs, kind: Kind, load: Load, requests: u64) -> Result<f64> {
        let settings = Settings::new(kind).workers(1);
        match self {
            Self::Perf => {
                let server = settings.start(programs)?;
                let counts = tempfile::NamedTempFile::new()?;
                let file = counts.path().to_str().context("the temporary directory's name")?;
                let id = server.id();
                // With a command, perf counts the server for as long as that runs.
                let perf = ["perf", "stat", "-x,", "-e", "instructions:u", "-p", &id, "-o", file];
                load.run(server.address, requests, &[&perf[..], &["--"]].concat())?;
                server.stop()?;
                perf_count(&fs::read_to_string(file)?).context("perf has counted nothing")
            }
            Self::Valgrind => {
                let server = Settings { under: VALGRIND, ..settings }.start(programs)?;
                load.run(server.address, requests, &[])?;
                let exit = server.stop()?;
                valgrind_count(&exit.stderr)
                    .with_context(|| format!("valgrind has counted nothing:\n{}", exit.stderr))
            }
        }
    }

    pub(crate) fn per_request(self, programs: &Programs, kind: Kind, load: Load) -> Result<f64> {
        let [few, many] = self.requests();
        let less = self.count(programs, kind, load, few)?;
        let more = self.count(programs, kind, load, many)?;
        Ok((more - less) / (many - few) as f64)
    }
}

/// `1234,,instructions:u,…`; what could not be counted is no number.
fn perf_count(output: &str) -> Option<f64> {
    output.lines().find_map(|line| line.split_once(",,instructions")?.0.parse().ok())
}

/// `==1== I   refs:      1,234`.
fn valgrind_count(output: &str) -> Option<f64> {
    let line = output.lines().find(|line| line.contains(" refs:"))?;
    line.rsplit_once(':')?.1.trim().replace(',', "").parse().ok()
}

pub(crate) fn measure(programs: &Programs, table: &mut Table) -> Result<()> {
    let counter = Counter::choose()?;
    for load in [load::GET, load::POST, load::H2C] {
        let websample = counter.per_request(programs, Kind::Websample, load)?;
        let plain = counter.per_request(programs, Kind::Plain, load)?;
        let ratio = websample / plain;
        table.push(Row {
            what: format!("{}: instructions/request", load.name),
            websample: format!("{websample:.0}"),
            plain: format!("{plain:.0}"),
            ratio: format!("{ratio:.3}"),
            target: "≤ 1.05".to_owned(),
            met: Some(ratio <= 1.05),
        });
    }
    Ok(())
}
