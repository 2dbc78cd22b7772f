//! What is going to be done, decided before anything is started.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use super::{
    args::{RolloutArgs, Target},
    cluster::{
        kubernetes,
        local::{ClusterSpec, CommandTemplate, PreStop, Probe, Probes, Propagation},
    },
    through,
};
use crate::lifecycle::Mode;
use crate::load::{Mix, MixError, Protocol, StreamSpec, results::Encoding};

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
    /// Its name in tables and reports.
    pub label: String,
    /// The drain mode, where it is one.
    pub mode: Option<Mode>,
    /// Its cluster, without a seed.
    pub cluster: ClusterSpec,
}

/// Everything that is going to be done.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What is compared, in this order.
    pub variants: Vec<Variant>,
    /// What is sent to each.
    pub mix: Mix,
    /// How often.
    pub repeat: u32,
    /// The seed of the first repeat; the others follow it.
    pub seed: u64,
    /// The labels whose losses fail the command.
    pub fail_on_loss: Vec<String>,
    /// Where the results go.
    pub out: PathBuf,
    /// Whether single results are written, and how.
    pub results: Option<Encoding>,
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
        let kubernetes = on_cluster(args)?;
        let foreign = !args.command.is_empty();
        let names: Vec<String> =
            if args.modes.is_empty() { default_names(args) } else { args.modes.clone() };
        let mut variants = Vec::new();
        for name in names {
            if variants.iter().any(|v: &Variant| v.label == name) {
                return fail("--modes", format!("{name} is there twice"));
            }
            variants.push(variant(args, own, &name, foreign)?);
        }
        for label in &args.fail_on_loss {
            if !variants.iter().any(|variant| variant.label == *label) {
                let known: Vec<_> = variants.iter().map(|v| v.label.as_str()).collect();
                let known = known.join(", ");
                return fail(
                    "--fail-on-loss",
                    format!("{label} is not compared; it can be {known}"),
                );
            }
        }
        if !(args.rate.is_finite() && args.rate > 0.0 && args.rate <= 100_000.0) {
            return fail("--rate", format!("{} is not a rate from 0 to 100000", args.rate));
        }
        let mix = mix(args, foreign)?;
        Ok(Self {
            proxy: proxy(args, &variants, &mix)?,
            variants,
            mix,
            repeat: args.repeat,
            seed: args.seed.unwrap_or(seed),
            fail_on_loss: args.fail_on_loss.clone(),
            out: args.out.clone(),
            results: args.results,
            listen: args.listen,
            metrics: args.metrics,
            kubernetes,
        })
    }

    /// The seed of a repeat. Every variant of a repeat has the same: the same delays meet each.
    pub fn seed_of(&self, repeat: u32) -> u64 {
        self.seed.wrapping_add(u64::from(repeat))
    }
}

fn fail<T>(option: &'static str, problem: impl Into<String>) -> Result<T, PlanError> {
    Err(PlanError { option, problem: problem.into() })
}

/// What a cluster is told, if it is to be one. Options that mean nothing there are refused, rather
/// than a rollout run that is not the one which was asked for.
fn on_cluster(args: &RolloutArgs) -> Result<Option<kubernetes::Options>, PlanError> {
    if args.target == Target::Local {
        return match args.kubernetes.first_given() {
            Some(option) => fail(option, "only a cluster has this: add --target kubernetes"),
            None => Ok(None),
        };
    }
    let emulated = "the local target's; on a cluster it is as the cluster has it: leave it out";
    let manifest = "the local target's; on a cluster it is the manifest's: leave it out";
    for (option, given, problem) in [
        (
            "COMMAND",
            !args.command.is_empty(),
            "the local target's; a cluster runs --image-v1 and --image-v2",
        ),
        ("--propagation", args.propagation != Propagation::Proxy, emulated),
        (
            "--through",
            args.through.program().is_some(),
            "the local target's; send through a proxy of the cluster's with --url",
        ),
        ("--proxy-retries", args.proxy_retries != through::Retries::default(), emulated),
        ("--proxy-upstream", args.proxy_upstream != through::Upstream::default(), emulated),
        ("--seed", args.seed.is_some(), "the local target's; a cluster draws its own delays"),
        ("--listen", args.listen.is_some(), "the local target's; use `kubectl port-forward`"),
        ("--logs", args.logs, "the local target's; use `kubectl logs` or `stern`, with --keep"),
        ("--readiness", args.readiness.is_some(), manifest),
        ("--liveness", args.liveness.is_some(), manifest),
        ("--startup", args.startup != "none", manifest),
    ] {
        if given {
            return fail(option, problem);
        }
    }
    for (option, time) in [
        ("--grace", args.grace),
        ("--min-ready", args.min_ready),
        ("--probe-period", args.probe_period),
    ] {
        if time.subsec_nanos() != 0 {
            return fail(option, "Kubernetes counts it in whole seconds");
        }
    }
    match args.kubernetes.options() {
        Ok(options) => Ok(Some(options)),
        Err((option, problem)) => fail(option, problem),
    }
}

/// A hook that Kubernetes can have.
fn whole_seconds(hook: &PreStop) -> Result<(), PlanError> {
    match hook {
        PreStop::Sleep(time) if time.subsec_nanos() != 0 || time.is_zero() => {
            fail("--pre-stop", format!("{hook}: Kubernetes sleeps whole seconds, 1 at least"))
        }
        _ => Ok(()),
    }
}

/// The proxy that the arguments ask for.
fn proxy(
    args: &RolloutArgs,
    variants: &[Variant],
    mix: &Mix,
) -> Result<Option<through::Options>, PlanError> {
    let (retries, upstream) = (args.proxy_retries, args.proxy_upstream);
    let Some(program) = args.through.program() else {
        let needs = "only a proxy has this: add --through nginx, haproxy or envoy";
        if retries != through::Retries::default() {
            return fail("--proxy-retries", needs);
        }
        if upstream != through::Upstream::default() {
            return fail("--proxy-upstream", needs);
        }
        return Ok(None);
    };
    if upstream == through::Upstream::Http2 && !program.speaks_http2_upstream() {
        let problem = format!("{program} speaks only HTTP/1.1 to pods; use haproxy or envoy");
        return fail("--proxy-upstream", problem);
    }
    let http2 = mix.streams().iter().any(|stream| stream.protocol == Protocol::Http2);
    if http2 && !program.speaks_http2_downstream() {
        let problem =
            format!("{program} does not take HTTP/2 without TLS beside HTTP/1.1; leave http2 out");
        return fail("--mix", problem);
    }
    // Those that stay, those that come and, while the table is stale, those that leave.
    let replicas = variants.iter().map(|variant| variant.cluster.replicas).max().unwrap_or(0);
    let slots = replicas as usize * 4 + 8;
    Ok(Some(through::Options { program, retries, upstream, slots }))
}

fn default_names(args: &RolloutArgs) -> Vec<String> {
    let takes_mode = args.command.iter().any(|part| part.contains("{mode}"));
    if args.command.is_empty() || takes_mode {
        return Mode::ALL.iter().map(|mode| mode.name().to_owned()).collect();
    }
    let program = PathBuf::from(&args.command[0]);
    let name = program.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    vec![name]
}

fn variant(
    args: &RolloutArgs,
    own: &str,
    label: &str,
    foreign: bool,
) -> Result<Variant, PlanError> {
    let (name, own_hook) = match label.split_once('+') {
        Some((name, hook)) => match hook.parse::<PreStop>() {
            Ok(hook) => (name, Some(hook)),
            Err(error) => return fail("--modes", error.to_string()),
        },
        None => (label, None),
    };
    let mode = match name.parse::<Mode>() {
        Ok(mode) => Some(mode),
        Err(_) if foreign => None,
        Err(error) => return fail("--modes", error.to_string()),
    };
    let default_hook =
        if foreign { PreStop::None } else { "http".parse().unwrap_or(PreStop::None) };
    let command = if foreign {
        let parts = args.command.iter().map(|part| part.replace("{mode}", name));
        let mut parts = parts.collect::<Vec<_>>().into_iter();
        CommandTemplate::new(parts.next().unwrap_or_default(), parts)
    } else {
        own_command(own, name, args.grace)
    };
    let cluster = ClusterSpec {
        replicas: args.replicas,
        max_surge: args.max_surge,
        max_unavailable: args.max_unavailable,
        min_ready: args.min_ready,
        grace: args.grace,
        probes: probes(args, foreign)?,
        pre_stop: own_hook.or_else(|| args.pre_stop.clone()).unwrap_or(default_hook),
        propagation: args.propagation.clone(),
        syn_timeout: CONNECT_LIMIT,
        logs: args.logs.then(|| args.out.join("logs").join(file_name(label))),
        ..ClusterSpec::new(command)
    };
    if args.target == Target::Kubernetes {
        whole_seconds(&cluster.pre_stop)?;
    }
    let spec_fits = cluster.validate();
    if let Err(error) = spec_fits {
        return fail("rollout", error.to_string());
    }
    Ok(Variant { label: label.to_owned(), mode, cluster })
}

/// A label as part of a file's name.
pub(super) fn file_name(label: &str) -> String {
    label.replace(|c: char| !c.is_alphanumeric(), "-")
}

/// This project's server in one of its modes.
fn own_command(own: &str, mode: &str, grace: Duration) -> CommandTemplate {
    let grace = humantime::format_duration(grace).to_string().replace(' ', "");
    CommandTemplate::new(
        own,
        [
            "serve",
            "--version",
            "{version}",
            "--mode",
            mode,
            "--instance",
            "{pod}",
            "--listen",
            "{host}:{port}",
            "--admin.listen",
            "{host}:{admin_port}",
            "--grace_period",
            &grace,
            "--log.level",
            "warn",
            "--log.format",
            "human",
            // Many pods share this machine.
            "--workers",
            "1",
        ],
    )
}

fn probes(args: &RolloutArgs, foreign: bool) -> Result<Probes, PlanError> {
    let (readiness, liveness) =
        if foreign { ("tcp", "none") } else { ("http:/readiness", "http:/liveness") };
    let often = |probe: Probe| Probe {
        failure_threshold: args.failure_threshold,
        ..probe.every(args.probe_period)
    };
    let readiness = probe("--readiness", args.readiness.as_deref().unwrap_or(readiness))?;
    let liveness = probe("--liveness", args.liveness.as_deref().unwrap_or(liveness))?;
    let startup = probe("--startup", &args.startup)?;
    // Kubernetes' default threshold and period for liveness: a restart is never in a hurry.
    Ok(Probes { startup: startup.map(often), readiness: readiness.map(often), liveness })
}

fn probe(option: &'static str, text: &str) -> Result<Option<Probe>, PlanError> {
    match text.split_once(':') {
        None if text == "none" => Ok(None),
        None if text == "tcp" => Ok(Some(Probe::tcp())),
        Some(("http", path)) if path.starts_with('/') => Ok(Some(Probe::http(path))),
        _ => fail(option, format!("'{text}' is no probe: use http:/path, tcp or none")),
    }
}

fn mix(args: &RolloutArgs, foreign: bool) -> Result<Mix, PlanError> {
    let mix = match &args.mix {
        Some(mix) => mix.clone(),
        None if foreign => {
            // Nothing is known of a foreign server but that it answers GET /.
            let get =
                |protocol| StreamSpec::new(args.rate / 2.0, protocol, hyper::Method::GET, "/");
            let streams = vec![get(Protocol::New), get(Protocol::KeepAlive)];
            return checked(Mix::new(streams), args);
        }
        None if args.through.program().is_some() => {
            // It is the pods' connections that are tried. A proxy closes its clients' for reasons
            // of its own: a client that does not look would count every reload of nginx.
            let mix = Mix::default_at(args.rate);
            let looks = |stream: &StreamSpec| StreamSpec { stale_check: true, ..stream.clone() };
            return checked(Mix::new(mix.streams().iter().map(looks).collect()), args);
        }
        None => Mix::default_at(args.rate),
    };
    checked(Ok(mix), args)
}

fn checked(mix: Result<Mix, MixError>, args: &RolloutArgs) -> Result<Mix, PlanError> {
    let mix = match mix {
        Ok(mix) => mix,
        Err(error) => return fail("--mix", error.to_string()),
    };
    let Some(expect) = &args.expect else { return Ok(mix) };
    let streams =
        mix.streams().iter().map(|stream| StreamSpec { expect: expect.clone(), ..stream.clone() });
    Mix::new(streams.collect()).or_else(|error| fail("--expect", error.to_string()))
}

/// The time limit of a connection attempt, as the load generator has it.
pub(super) const fn connect_timeout() -> Duration {
    CONNECT_LIMIT.saturating_add(Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        rollout: RolloutArgs,
    }

    fn plan(args: &[&str]) -> Result<Plan, PlanError> {
        let args = Cli::parse_from(["rollout"].iter().chain(args)).rollout;
        Plan::new(&args, "/bin/websample", 7)
    }

    fn labels(plan: &Plan) -> Vec<&str> {
        plan.variants.iter().map(|v| v.label.as_str()).collect()
    }

    #[test]
    fn by_default_the_four_modes_are_compared_with_the_hook() {
        let plan = plan(&[]).expect("a plan");
        assert_eq!(labels(&plan), ["ignore", "immediate", "graceful", "drain"]);
        assert!(plan.variants.iter().all(|v| v.cluster.pre_stop.to_string() == "http"));
        assert_eq!(plan.seed, 7);
        assert_eq!(plan.mix.streams().len(), 4);
    }

    #[test]
    fn a_mode_can_have_a_hook_of_its_own() {
        let plan = plan(&["--modes", "graceful+sleep:5s,drain"]).expect("a plan");
        assert_eq!(plan.variants[0].cluster.pre_stop.to_string(), "sleep:5s");
        assert_eq!(plan.variants[0].mode, Some(Mode::Graceful));
        assert!(plan.variants[0].cluster.command.args.contains(&"graceful".to_owned()));
        assert_eq!(plan.variants[1].cluster.pre_stop.to_string(), "http");
    }

    #[test]
    fn a_foreign_server_is_asked_no_more_than_any_server_can_answer() {
        let plan = plan(&["--", "/srv/app", "--port", "{port}"]).expect("a plan");
        assert_eq!(labels(&plan), ["app"]);
        let cluster = &plan.variants[0].cluster;
        assert_eq!(cluster.pre_stop, PreStop::None);
        assert_eq!(cluster.probes.liveness, None);
        assert_eq!(
            cluster.probes.readiness.as_ref().map(|p| &p.action),
            Some(&Probe::tcp().action)
        );
        assert!(plan.mix.streams().iter().all(|s| s.method == "GET" && s.path == "/"));
    }

    #[test]
    fn a_foreign_server_that_takes_a_mode_is_compared_in_each() {
        let plan = plan(&["--", "app", "--mode={mode}"]).expect("a plan");
        assert_eq!(plan.variants.len(), 4);
        assert_eq!(plan.variants[3].cluster.command.args, ["--mode=drain"]);
    }

    #[test]
    fn what_cannot_be_done_names_the_option() {
        for (args, option) in [
            (&["--modes", "gracefull"][..], "--modes"),
            (&["--modes", "drain,drain"], "--modes"),
            (&["--modes", "drain+nap:5s"], "--modes"),
            (&["--fail-on-loss", "drian"], "--fail-on-loss"),
            (&["--rate", "0"], "--rate"),
            (&["--readiness", "readiness"], "--readiness"),
        ] {
            assert_eq!(plan(args).map(|_| ()).map_err(|e| e.option), Err(option), "{args:?}");
        }
    }

    #[test]
    fn a_proxy_is_asked_only_what_it_can() {
        let options = |args: &[&str]| plan(args).map(|plan| plan.proxy).map_err(|e| e.option);
        assert_eq!(options(&[]), Ok(None));
        let proxy = options(&["--through", "haproxy", "--proxy-retries", "off"]);
        let proxy = proxy.expect("a plan").expect("a proxy");
        assert_eq!(proxy.program, through::Program::Haproxy);
        assert_eq!(proxy.retries, through::Retries::Off);
        let looks = |args: &[&str]| {
            plan(args).is_ok_and(|plan| plan.mix.streams().iter().all(|s| s.stale_check))
        };
        assert!(looks(&["--through", "nginx"]) && !looks(&[]));
        for (args, option) in [
            (&["--proxy-retries", "off"][..], "--proxy-retries"),
            (&["--proxy-upstream", "http2"], "--proxy-upstream"),
            (&["--through", "nginx", "--proxy-upstream", "http2"], "--proxy-upstream"),
            (&["--through", "nginx", "--mix", "1/s http2 GET /"], "--mix"),
        ] {
            assert_eq!(options(args), Err(option), "{args:?}");
        }
    }

    #[test]
    fn what_one_target_has_is_refused_for_the_other() {
        let option =
            |args: &[&str]| plan(args).map(|p| p.kubernetes.is_some()).map_err(|e| e.option);
        assert_eq!(option(&[]), Ok(false));
        assert_eq!(option(&["--target", "kubernetes", "--keep"]), Ok(true));
        for (args, refused) in [
            (&["--keep"][..], "--keep"),
            (&["--namespace", "x"], "--namespace"),
            (&["--target", "local", "--url", "http://x"], "--url"),
        ] {
            assert_eq!(option(args), Err(refused), "{args:?}");
        }
        for (args, refused) in [
            (&["--propagation", "ingress"][..], "--propagation"),
            (&["--through", "nginx"], "--through"),
            (&["--seed", "7"], "--seed"),
            (&["--listen", "127.0.0.1:1"], "--listen"),
            (&["--logs"], "--logs"),
            (&["--readiness", "tcp"], "--readiness"),
            (&["--grace", "1500ms"], "--grace"),
            (&["--pre-stop", "sleep:1500ms"], "--pre-stop"),
            (&["--modes", "drain+sleep:500ms"], "--pre-stop"),
            (&["--namespace", "No"], "--namespace"),
            (&["--", "./server"], "COMMAND"),
        ] {
            let args: Vec<_> = ["--target", "kubernetes"].iter().chain(args).copied().collect();
            assert_eq!(option(&args), Err(refused), "{args:?}");
        }
    }

    #[test]
    fn what_counts_as_success_can_be_said_for_all_streams() {
        let plan = plan(&["--expect", "200-299|404"]).expect("a plan");
        assert!(
            plan.mix.streams().iter().all(|s| s.expect.contains(404) && !s.expect.contains(302))
        );
    }
}
