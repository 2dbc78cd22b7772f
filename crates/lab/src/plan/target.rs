//! Where it runs: options that mean nothing there are refused, rather than a rollout run that is
//! not the one which was asked for.

use websample_load::{Mix, Protocol};

use super::{PlanError, Variant, fail};
use crate::{
    args::{GroundKind, RolloutArgs},
    cluster::{
        kubernetes,
        local::{Propagation, PropagationArg},
    },
    disruption::Disruption,
    through,
};

/// What a cluster is told, if it is to be one.
pub(super) fn on_cluster(args: &RolloutArgs) -> Result<Option<kubernetes::Options>, PlanError> {
    if args.target == GroundKind::Local {
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
        ("--propagation", args.propagation != PropagationArg::Known(Propagation::Proxy), emulated),
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
    let inside = |event: &&Disruption| event.only_inside().is_some();
    if let Some(event) = args.event.iter().find(inside) {
        let why = event.only_inside().unwrap_or_default();
        let problem = format!("{event} is the local target's: on a cluster {why}");
        return fail("--event", problem);
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
        Ok(options) => Ok(Some(kubernetes::Options { events: args.event.clone(), ..options })),
        Err((option, problem)) => fail(option, problem),
    }
}

/// The proxy that the arguments ask for.
pub(super) fn proxy(
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
