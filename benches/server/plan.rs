//! What to measure, and how often.

use anyhow::{Context as _, Result, bail};

pub(crate) const USAGE: &str = "\
usage: scripts/bench [--write] [--rounds N] [--soaks N] [--baseline COMMIT] [SECTION…]

Prints tables, in Markdown, each with the machine's load beside it: the server-only build of the server
against a plain actix-web server with the same handlers, and whatever else docs/benchmarks.md tells
numbers of. Uses only the loopback interface; `build` fetches what Cargo.lock names.

Sections, all of them by default:
  instructions  instructions a request, counted by perf, or by valgrind where perf cannot
  requests      throughput and CPU time a request, alternated runs
  log           instructions and CPU time of a line of the access log, alternated runs
  scrapes       a scrape of the metrics, idle and under full load
  stops         start to ready, SIGTERM to exit, last byte to exit; memory, size
  soak          servers drained under 128 clients, who count what is lost
  hyper         instructions a request of an axum application, plain and on the framework
  load          the load generator, held against what can be computed by hand
  manifests     how long a check takes of what a large cluster has
  page          a report of a million requests: its size, and what it takes to open it
  build         a clean release build, and from there to the lab's first word

Options:
  --write       puts the tables into docs/benchmarks.md, in place of those that are there
  --rounds N    alternated runs of each server under load (9)
  --soaks N     servers started and drained under load (10)
  --full        100 soaks
  --baseline COMMIT  builds that commit too, and gives the ratio";

/// What the arguments ask for.
pub(crate) struct Plan {
    pub(crate) sections: Vec<Section>,
    pub(crate) rounds: usize,
    pub(crate) soaks: usize,
    pub(crate) write: bool,
    /// What the build is compared with.
    pub(crate) baseline: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    Instructions,
    Requests,
    Log,
    Scrapes,
    Stops,
    Soak,
    Hyper,
    Load,
    Manifests,
    Page,
    Build,
}

impl Section {
    pub(crate) const ALL: [(&'static str, Self); 11] = [
        ("instructions", Self::Instructions),
        ("requests", Self::Requests),
        ("log", Self::Log),
        ("scrapes", Self::Scrapes),
        ("stops", Self::Stops),
        ("soak", Self::Soak),
        ("hyper", Self::Hyper),
        ("load", Self::Load),
        ("manifests", Self::Manifests),
        ("page", Self::Page),
        ("build", Self::Build),
    ];

    /// Whether it measures the two servers.
    pub(crate) fn is_of_servers(self) -> bool {
        use Section::{Instructions, Log, Requests, Scrapes, Soak, Stops};
        [Instructions, Requests, Log, Scrapes, Stops, Soak].contains(&self)
    }

    /// Whether it sends load with h2load.
    pub(crate) fn is_loaded(self) -> bool {
        [Self::Instructions, Self::Requests, Self::Log, Self::Scrapes, Self::Hyper].contains(&self)
    }
}

impl Plan {
    /// `None` when the arguments ask for help.
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Option<Self>> {
        let mut plan =
            Self { sections: Vec::new(), rounds: 9, soaks: 10, write: false, baseline: None };
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
                "--write" => plan.write = true,
                "--rounds" => plan.rounds = number()?,
                "--soaks" => plan.soaks = number()?,
                "--full" => plan.soaks = 100,
                "--baseline" => {
                    plan.baseline = Some(arguments.next().context("--baseline takes a commit")?);
                }
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
