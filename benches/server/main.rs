//! What the drain framework costs, side by side with a plain actix-web server in one run.
//!
//! `scripts/bench --help` says how to call it; docs/benchmarks.md says what the numbers mean.

mod client;
mod instructions;
mod load;
mod log;
mod requests;
mod scrapes;
mod server;
mod soak;
mod stops;
mod table;

use std::{
    env,
    path::PathBuf,
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result, bail, ensure};

use self::{server::Programs, table::Table};

const USAGE: &str = "\
usage: scripts/bench [--rounds N] [--soaks N] [SECTION…]

Prints a table, in Markdown: the image's build of the server, without the lab, against a plain
actix-web server with the same handlers. Uses only the loopback interface.

Sections, all of them by default:
  instructions  instructions a request, counted by perf, or by valgrind where perf cannot
  requests      throughput and CPU time a request, alternated runs
  log           instructions and CPU time of a line of the access log, alternated runs
  scrapes       a scrape of the metrics, idle and under full load
  stops         start to ready, SIGTERM to exit, last byte to exit; memory, size
  soak          servers drained under 128 clients, who count what is lost

Options:
  --rounds N    alternated runs of each server under load (9)
  --soaks N     servers started and drained under load (10)
  --full        100 soaks";

/// What to measure, and how often.
struct Plan {
    sections: Vec<Section>,
    rounds: usize,
    soaks: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    Instructions,
    Requests,
    Log,
    Scrapes,
    Stops,
    Soak,
}

impl Section {
    const ALL: [(&'static str, Self); 6] = [
        ("instructions", Self::Instructions),
        ("requests", Self::Requests),
        ("log", Self::Log),
        ("scrapes", Self::Scrapes),
        ("stops", Self::Stops),
        ("soak", Self::Soak),
    ];
}

impl Plan {
    /// `None` when the arguments ask for help.
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Option<Self>> {
        let mut plan = Self { sections: Vec::new(), rounds: 9, soaks: 10 };
        while let Some(argument) = arguments.next() {
            let mut number = || {
                let value = arguments.next().unwrap_or_default();
                let parsed = value.parse().ok().filter(|n| *n > 0);
                parsed.with_context(|| format!("{argument} takes a number, not '{value}'"))
            };
            match argument.as_str() {
                "--help" | "-h" => return Ok(None),
                // Given by cargo.
                "--bench" => {}
                "--rounds" => plan.rounds = number()?,
                "--soaks" => plan.soaks = number()?,
                "--full" => plan.soaks = 100,
                name => match Section::ALL.into_iter().find(|(known, _)| *known == name) {
                    Some((_, section)) => plan.sections.push(section),
                    None => bail!("unknown argument '{name}'; see scripts/bench --help"),
                },
            }
        }
        if plan.sections.is_empty() {
            plan.sections = Section::ALL.map(|(_, section)| section).to_vec();
        }
        Ok(Some(plan))
    }
}

fn main() -> ExitCode {
    // `cargo test --all-targets` runs this too, and measures nothing.
    if !env::args().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    match Plan::parse(env::args().skip(1)) {
        Ok(Some(plan)) => match measure(&plan) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("bench: {error:#}");
                ExitCode::FAILURE
            }
        },
        Ok(None) => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::from(64)
        }
    }
}

fn measure(plan: &Plan) -> Result<()> {
    let loaded = [Section::Instructions, Section::Requests, Section::Log, Section::Scrapes];
    if plan.sections.iter().any(|section| loaded.contains(section)) {
        require("h2load", "nghttp2-client")?;
    }
    let programs = build()?;
    let mut table = Table::default();
    let measured = measure_sections(plan, &programs, &mut table);
    // Also where one section has failed.
    println!("{table}");
    measured
}

fn measure_sections(plan: &Plan, programs: &Programs, table: &mut Table) -> Result<()> {
    for (name, section) in Section::ALL {
        if !plan.sections.contains(&section) {
            continue;
        }
        eprintln!("bench: {name}");
        match section {
            Section::Instructions => instructions::measure(programs, table)?,
            Section::Requests => requests::measure(programs, plan.rounds, table)?,
            Section::Log => log::measure(programs, plan.rounds, table)?,
            Section::Scrapes => scrapes::measure(programs, table)?,
            Section::Stops => stops::measure(programs, table)?,
            Section::Soak => soak::measure(programs, plan.soaks, table)?,
        }
    }
    Ok(())
}

/// Builds both servers as the image has them.
fn build() -> Result<Programs> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    // What cargo has said of this program is news to build scripts, ring's for one: everything
    // would be built again, each time.
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_"].iter().any(|p| name.starts_with(p)) {
            build.env_remove(&*name);
        }
    }
    let built = build
        .current_dir(&root)
        .args([
            "build",
            "--profile",
            "dist",
            "--quiet",
            "--package",
            "websample",
            "--no-default-features",
            "--features",
            "plain",
        ])
        .args(["--bin", "websample", "--bin", "plain"])
        .status()
        .context("cargo cannot be run")?;
    ensure!(built.success(), "the servers could not be built");
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let directory = target.join("dist");
    Ok(Programs { websample: directory.join("websample"), plain: directory.join("plain") })
}

/// Whether a program is on the PATH.
fn is_installed(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

fn require(program: &str, package: &str) -> Result<()> {
    ensure!(
        is_installed(program),
        "{program} is not on the PATH; on Debian and Ubuntu: apt-get install {package}"
    );
    Ok(())
}
