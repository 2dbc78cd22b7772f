//! What is going to be done, decided before anything is started.

mod mix;
mod preset;
mod secure;
mod target;
mod variant;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use websample_lifecycle::Mode;
use websample_load::{Mix, results::Encoding};

use self::{
    mix::mix,
    secure::secure,
    target::{on_cluster, proxy},
    variant::{default_names, variant},
};
pub use self::{preset::Preset, secure::Secure};
use super::{
    args::RolloutArgs,
    cluster::{kubernetes, local::ClusterSpec},
    disruption::Disruption,
    gate::Condition,
    through,
};

/// A request to connect is given up after this; the client's own limit lies above it, so that
/// the pod which was chosen stays known.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// What cannot be done: which option, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{option}: {problem}")]
pub struct PlanError {
    /// The option.
    pub option: &'static str,
    /// What is wrong with it and what would be right.
    pub problem: String,
}

/// One thing to compare: a mode with its hook, or somebody else's server.
#[derive(Debug, Clone)]
pub struct Variant {
    /// Its name in tables and reports: the mode, and the event where there are several.
    pub label: String,
    /// What it is apart from the event.
    pub name: String,
    /// What happens to its pods.
    pub event: Disruption,
    /// The drain mode, where it is one.
    pub mode: Option<Mode>,
    /// Its cluster, without a seed.
    pub cluster: ClusterSpec,
}

impl Variant {
    /// Whether SIGUSR2 is anything to it: in the modes that lose requests it is ignored.
    fn may_hand_over(&self) -> bool {
        !matches!(self.mode, Some(Mode::Ignore | Mode::Immediate))
    }

    /// Whether this is what it is called, with or without the event.
    fn is_called(&self, name: &str) -> bool {
        self.label == name || self.name == name
    }
}

/// Everything that is going to be done.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What is compared, in this order.
    pub variants: Vec<Variant>,
    /// Whether what is compared is somebody else's server.
    pub foreign: bool,
    /// What is sent to each.
    pub mix: Mix,
    /// How often.
    pub repeat: u32,
    /// The seed of the first repeat; the others follow it.
    pub seed: u64,
    /// The labels whose losses fail the command.
    pub fail_on_loss: Vec<String>,
    /// What must not be.
    pub fail_on: Vec<Condition>,
    /// Where a JUnit file goes, if one does.
    pub junit: Option<PathBuf>,
    /// Where a SARIF file goes, if one does.
    pub sarif: Option<PathBuf>,
    /// Where the times go, if they do.
    pub record: Option<PathBuf>,
    /// Where the results go.
    pub out: PathBuf,
    /// Whether single results are written, and how.
    pub results: Option<Encoding>,
    /// TLS between load and pods, if there is.
    pub tls: Option<Secure>,
    /// A real proxy between load and pods.
    pub proxy: Option<through::Options>,
    /// A real listener in front of the first variant's Service.
    pub listen: Option<SocketAddr>,
    /// Where Prometheus finds the lab.
    pub metrics: Option<SocketAddr>,
    /// The cluster, if it is not this machine.
    pub kubernetes: Option<kubernetes::Options>,
}

impl Plan {
    /// Decides what to do. `own` is this program, for its own modes.
    ///
    /// # Errors
    /// Names the option that cannot work.
    pub fn new(args: &RolloutArgs, own: &str, seed: u64) -> Result<Self, PlanError> {
        let args = &preset::applied(args)?;
        let kubernetes = on_cluster(args)?;
        let foreign = !args.command.is_empty();
        let names: Vec<String> =
            if args.modes.is_empty() { default_names(args) } else { args.modes.clone() };
        let propagation = args.propagation.read();
        let propagation = match propagation {
            Ok(propagation) => propagation,
            Err(error) => return fail("--propagation", error.to_string()),
        };
        let mut variants = Vec::new();
        for name in &names {
            if variants.iter().any(|v: &Variant| v.name == *name) {
                return fail("--modes", format!("{name} is there twice"));
            }
            variants.push(variant(args, own, name, &propagation, foreign)?);
        }
        let variants = for_each_event(&args.event, &variants, !args.modes.is_empty())?;
        let fail_on_loss = fail_on_loss(args, &variants)?;
        let fail_on = fail_on(args, &variants)?;
        if !(args.rate().is_finite() && args.rate() > 0.0 && args.rate() <= 100_000.0) {
            return fail("--rate", format!("{} is not a rate from 0 to 100000", args.rate()));
        }
        let mix = mix(args, foreign)?;
        let tls = secure(args, foreign)?;
        fits("--record", args.record.as_deref())?;
        Ok(Self {
            tls,
            proxy: proxy(args, &variants, &mix)?,
            variants,
            foreign,
            mix,
            repeat: args.repeat,
            seed: args.seed.unwrap_or(seed),
            fail_on_loss,
            fail_on,
            junit: args.junit.clone(),
            sarif: args.sarif.clone(),
            record: args.record.clone(),
            out: args.out.clone(),
            results: args.results,
            listen: args.listen,
            metrics: args.metrics,
            kubernetes,
        })
    }

    /// Those that run side by side: the variants of an event, one event after the other.
    pub fn rounds(&self) -> impl Iterator<Item = &[Variant]> {
        self.variants.chunk_by(|a, b| a.event == b.event)
    }

    /// The seed of a repeat. Every variant of a repeat has the same: the same delays meet each.
    pub fn seed_of(&self, repeat: u32) -> u64 {
        self.seed.wrapping_add(u64::from(repeat))
    }
}

/// The labels of the variants that must not lose anything.
fn fail_on_loss(args: &RolloutArgs, variants: &[Variant]) -> Result<Vec<String>, PlanError> {
    let mut labels = Vec::new();
    for name in &args.fail_on_loss {
        let meant: Vec<_> = variants.iter().filter(|variant| variant.is_called(name)).collect();
        if meant.is_empty() {
            return fail("--fail-on-loss", not_compared(name, variants));
        }
        labels.extend(meant.iter().map(|variant| variant.label.clone()));
    }
    Ok(labels)
}

/// The conditions, if they are about what is compared.
fn fail_on(args: &RolloutArgs, variants: &[Variant]) -> Result<Vec<Condition>, PlanError> {
    let modes = args.fail_on.iter().filter_map(Condition::mode);
    for mode in modes {
        if !variants.iter().any(|variant| variant.is_called(mode)) {
            return fail("--fail-on", not_compared(mode, variants));
        }
    }
    Ok(args.fail_on.clone())
}

fn not_compared(name: &str, variants: &[Variant]) -> String {
    let mut known: Vec<&str> = Vec::new();
    for variant in variants {
        if !known.contains(&variant.name.as_str()) {
            known.push(&variant.name);
        }
    }
    format!("{name} is not compared; it can be {}", known.join(", "))
}

/// Each variant once for each event that it can have; those that were `chosen` have to.
fn for_each_event(
    events: &[Disruption],
    variants: &[Variant],
    chosen: bool,
) -> Result<Vec<Variant>, PlanError> {
    let mut all = Vec::new();
    for (index, event) in events.iter().enumerate() {
        if events[..index].contains(event) {
            return fail("--event", format!("{event} is there twice"));
        }
        for variant in variants {
            if *event == Disruption::Handoff && !variant.may_hand_over() {
                if chosen {
                    let why = format!(
                        "the mode `{}` hands nothing over; graceful and drain do",
                        variant.name
                    );
                    return fail("--event", why);
                }
                continue;
            }
            let mut variant = Variant { event: *event, ..variant.clone() };
            if events.len() > 1 {
                variant.label = format!("{} ({event})", variant.name);
            }
            variant.cluster.hands_over = *event == Disruption::Handoff;
            all.push(variant);
        }
    }
    Ok(all)
}

/// Refuses a file that cannot be written: nobody wants to learn that after a rollout.
pub(crate) fn fits(option: &'static str, file: Option<&Path>) -> Result<(), PlanError> {
    let Some(file) = file else { return Ok(()) };
    let directory = file.parent().filter(|parent| *parent != Path::new(""));
    match directory {
        _ if file.is_dir() => fail(option, format!("{} is a directory", file.display())),
        Some(directory) if !directory.is_dir() => {
            fail(option, format!("there is no directory {}", directory.display()))
        }
        _ => Ok(()),
    }
}

fn fail<T>(option: &'static str, problem: impl Into<String>) -> Result<T, PlanError> {
    Err(PlanError { option, problem: problem.into() })
}

/// A label as part of a file's name.
pub(super) fn file_name(label: &str) -> String {
    label.replace(|c: char| !c.is_alphanumeric(), "-")
}

/// The time limit of a connection attempt, as the load generator has it.
pub(super) const fn connect_timeout() -> Duration {
    CONNECT_LIMIT.saturating_add(Duration::from_secs(1))
}

#[cfg(test)]
mod tests;
