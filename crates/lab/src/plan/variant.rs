//! What is compared: this project's modes, or somebody else's server.

use std::path::PathBuf;

use websample_lifecycle::Mode;

use super::{CONNECT_LIMIT, PlanError, Preset, Variant, fail, file_name};
use crate::{
    args::{GroundKind, RolloutArgs},
    cluster::local::{
        ClusterSpec, CommandTemplate, Port, PreStop, Probe, ProbeAction, Probes, Propagation,
        Scheme,
    },
    disruption::Disruption,
};

/// The names of what is compared where none are given.
pub(super) fn default_names(args: &RolloutArgs) -> Vec<String> {
    let takes_mode = args.command.iter().any(|part| part.contains("{mode}"));
    if args.command.is_empty() || takes_mode {
        return Mode::ALL.iter().map(|mode| mode.name().to_owned()).collect();
    }
    if let Some(name) = args.preset.and_then(Preset::behind_shell) {
        return vec![name.to_owned()];
    }
    let program = PathBuf::from(&args.command[0]);
    let name = program.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    vec![name]
}

pub(super) fn variant(
    args: &RolloutArgs,
    own: &str,
    label: &str,
    propagation: &Propagation,
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
    let hook = own_hook.or_else(|| args.pre_stop.clone()).unwrap_or(default_hook);
    let hook = match hook {
        // Where this project's server has it, as its manifest calls it.
        PreStop::Http { scheme: Scheme::Https, .. } if !foreign => {
            return fail(
                "--pre-stop",
                "this project's hook is on a listener that is plain: use http",
            );
        }
        PreStop::Http { path, .. } if !foreign => {
            PreStop::Http { path, port: Port::Admin, scheme: Scheme::Http }
        }
        PreStop::Http { path, port, scheme } => {
            PreStop::Http { path, port, scheme: spoken("--pre-stop", args, scheme)? }
        }
        hook => hook,
    };
    let command = if foreign {
        let parts = args.command.iter().map(|part| part.replace("{mode}", name));
        let mut parts = parts.collect::<Vec<_>>().into_iter();
        CommandTemplate::new(parts.next().unwrap_or_default(), parts)
    } else {
        own_command(own, name, args)
    };
    let cluster = ClusterSpec {
        replicas: args.replicas,
        max_surge: args.max_surge,
        max_unavailable: args.max_unavailable,
        min_ready: args.min_ready,
        grace: args.grace,
        probes: probes(args, foreign)?,
        pre_stop: hook,
        propagation: propagation.clone(),
        syn_timeout: CONNECT_LIMIT,
        logs: args.logs.then(|| args.out.join("logs").join(file_name(label))),
        ..ClusterSpec::new(command)
    };
    if args.target == GroundKind::Kubernetes {
        whole_seconds(&cluster.pre_stop)?;
    }
    let spec_fits = cluster.validate();
    if let Err(error) = spec_fits {
        return fail("rollout", error.to_string());
    }
    let (label, event) = (label.to_owned(), Disruption::default());
    Ok(Variant { name: label.clone(), label, event, mode, cluster })
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

/// This project's server in one of its modes.
fn own_command(own: &str, mode: &str, args: &RolloutArgs) -> CommandTemplate {
    let grace = humantime::format_duration(args.grace).to_string().replace(' ', "");
    let mut command = CommandTemplate::new(
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
    );
    if args.tls {
        let files = ["--tls.cert", "{cert}", "--tls.key", "{key}"];
        command.args.extend(files.map(str::to_owned));
    }
    command
}

/// What is spoken to the application's port. There is one, so that it is TLS or it is not.
fn spoken(option: &'static str, args: &RolloutArgs, scheme: Scheme) -> Result<Scheme, PlanError> {
    match (args.tls, scheme) {
        (true, _) => Ok(Scheme::Https),
        (false, Scheme::Http) => Ok(Scheme::Http),
        (false, Scheme::Https) => fail(option, "https: is for pods that speak TLS: add --tls"),
    }
}

fn probes(args: &RolloutArgs, foreign: bool) -> Result<Probes, PlanError> {
    let (readiness, liveness) =
        if foreign { ("tcp", "none") } else { ("http:/readiness", "http:/liveness") };
    let often = |probe: Probe| Probe {
        failure_threshold: args.failure_threshold,
        ..probe.every(args.probe_period)
    };
    let probe = |option, text: &str| -> Result<Option<Probe>, PlanError> {
        let Some(probe) = probe(option, text)? else { return Ok(None) };
        let asked = match &probe.action {
            ProbeAction::HttpGet { scheme, .. } => *scheme,
            ProbeAction::TcpSocket { .. } => return Ok(Some(probe)),
        };
        spoken(option, args, asked).map(|scheme| Some(probe.over(scheme)))
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
        Some(("https", path)) if path.starts_with('/') => {
            Ok(Some(Probe::http(path).over(Scheme::Https)))
        }
        _ => {
            fail(option, format!("'{text}' is no probe: use http:/path, https:/path, tcp or none"))
        }
    }
}
