//! What `websample watch` is asked.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};
use websample_load::{Accepted, Mix, Protocol, StreamSpec, target::Target};

use super::probe::ProbePlan;
use crate::{
    args::{GroundKind, RolloutArgs, accepted},
    cluster::kubernetes::{
        Location, Reference,
        args::{is_label, no_namespace},
    },
    gate::Condition,
    plan::{PlanError, fits},
};

/// Requests a second that nobody notices.
const GENTLE: f64 = 10.0;

/// The command line of `websample watch`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  websample watch web -n shop
      Look on until the next rollout of the Deployment is over: a line an event.
  websample watch statefulset/db --follow
      Go on after it, until Ctrl-C.
  websample watch web --url http://web.example.org/healthz --fail-on-loss
      Send a gentle 10 requests a second meanwhile; exit code 1 if one is lost.
  websample watch web --fail-on killed,hook-failed & kubectl set image deployment/web web=web:v2; wait $!
      A gate around somebody else's rollout.
  websample watch web --url http://web.example.org/ --fix fix.yaml
      Write the smallest change of its manifest that ends what was lost.
  websample watch web --output json | jq -r 'select(.what == \"exited\") | .subject'
      An object a line, for programs.

It reads and never writes: deploy/kubernetes/watch-role.yaml is all that it needs.
Exit codes: 0 done; 1 --fail-on-loss or --fail-on found something; 64 usage; 69 there was nothing to
look at, no rollout within --wait, or one that makes no progress; 75 --fail-on asks for what requests
show, and they were not sent as they should have been; 130 interrupted, except with --follow.
Whatever the end: what was seen so far is written.")]
pub struct WatchArgs {
    /// A Deployment by its NAME, or any workload as kubectl names it: deployment/NAME,
    /// statefulset/NAME, daemonset/NAME
    #[arg(value_name = "[KIND/]NAME")]
    pub workload: Reference,

    /// The namespace [default: the context's]
    #[arg(short, long, value_name = "NAME")]
    pub namespace: Option<String>,

    /// The kubeconfig's context [default: its current one]
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,

    /// The kubeconfig [default: KUBECONFIG, ~/.kube/config, or the pod's own account]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// The Service whose endpoints are looked at [default: one that selects the pods]
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,

    /// Go on after the rollout, until Ctrl-C
    #[arg(long)]
    pub follow: bool,

    /// How long to wait for a rollout to begin [default: for ever]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, conflicts_with = "follow")]
    pub wait: Option<Duration>,

    /// Send requests to this URL meanwhile, at a constant rate and without retries
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,

    /// Requests a second, half of them on new connections [default: 10]
    #[arg(long, requires = "url")]
    pub rate: Option<f64>,

    /// The streams instead, such as '5/s new GET /, 5/s keep-alive POST /echo body=256'
    #[arg(long, requires = "url", conflicts_with = "rate")]
    pub mix: Option<Mix>,

    /// The statuses that count as success [default: 200-399]
    #[arg(long, requires = "url", value_name = "STATUSES", value_parser = accepted)]
    pub expect: Option<Accepted>,

    /// Exit with 1 if a request was lost
    #[arg(long, requires = "url")]
    pub fail_on_loss: bool,

    /// Exit with 1 if any of these is so: killed, hook-failed, restarted, oom-killed, probe-failed,
    /// no-endpoint, loss, or a limit as in killed>1, replaced>60s, lost>0.1%, p99>500ms
    #[arg(long, value_delimiter = ',', value_name = "CONDITION,…")]
    pub fail_on: Vec<Condition>,

    /// Write what ends what was lost, or was seen of what the check says of the manifest: a strategic
    /// merge patch of it
    #[arg(long, value_name = "FILE")]
    pub fix: Option<PathBuf>,

    /// Also write how long things took, for rollout --propagation: propagation with whatever --url goes
    /// through, and starts, readiness and ends of pods
    #[arg(long, value_name = "FILE.json")]
    pub record: Option<PathBuf>,

    /// How events are printed
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Output,

    /// Where report.json and its page go
    #[arg(long, default_value = "websample-watch", value_name = "DIR")]
    pub out: PathBuf,
}

/// How events are printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people: a line an event, and what it came to.
    #[default]
    Text,
    /// For programs: an object a line.
    Json,
}

impl WatchArgs {
    /// Where the cluster is.
    pub(super) fn location(&self) -> Location {
        Location {
            kubeconfig: self.kubeconfig.clone(),
            context: self.context.clone(),
            namespace: self.namespace.clone(),
        }
    }

    /// Refuses what cannot be, before anybody is asked; `asks` where requests are sent.
    pub(super) fn checked(&self, asks: bool) -> Result<(), PlanError> {
        let name = &self.workload.name;
        if let Some(namespace) = self.namespace.as_ref().filter(|namespace| !is_label(namespace)) {
            return fail("--namespace", no_namespace(namespace));
        }
        if let Some(condition) = self.fail_on.iter().find(|one| one.is_of_requests() && !asks) {
            return fail("--fail-on", format!("{condition} is only seen of requests: add --url"));
        }
        let others = self.fail_on.iter().filter_map(Condition::mode);
        if let Some(other) = others.into_iter().find(|other| other != name) {
            return fail("--fail-on", format!("{other} is not looked at; it can be {name}"));
        }
        fits("--fix", self.fix.as_deref())?;
        fits("--record", self.record.as_deref())
    }

    /// What is sent from here, if anything is.
    pub(super) fn probe(&self) -> Result<Option<ProbePlan>, PlanError> {
        let Some(url) = &self.url else { return Ok(None) };
        let target = match Target::plain(url) {
            Ok(target) => target,
            Err(error) => return fail("--url", format!("{error}")),
        };
        if self.mix.is_some() && target.path != "/" {
            let problem = "every stream of --mix has a path of its own";
            return fail("--url", format!("{problem}: leave `{}` out", target.path));
        }
        let mix = self.mix(&target.path)?;
        Ok(Some(ProbePlan { url: url.clone(), target, mix }))
    }

    /// The streams; with this path where they are not given.
    pub(super) fn mix(&self, path: &str) -> Result<Mix, PlanError> {
        let rate = self.rate.unwrap_or(GENTLE);
        if !(rate.is_finite() && rate > 0.0 && rate <= 100_000.0) {
            return fail("--rate", format!("{rate} is not a rate from 0 to 100000"));
        }
        let get = |protocol| StreamSpec::new(rate / 2.0, protocol, hyper::Method::GET, path);
        let streams = match &self.mix {
            Some(mix) => mix.streams().to_vec(),
            None => vec![get(Protocol::New), get(Protocol::KeepAlive)],
        };
        let expecting = |stream: StreamSpec| match &self.expect {
            Some(expect) => StreamSpec { expect: expect.clone(), ..stream },
            None => stream,
        };
        let mix = Mix::new(streams.into_iter().map(expecting).collect());
        mix.or_else(|error| fail("--mix", error.to_string()))
    }
}

/// What is looked at in our own rollout of a Deployment that exists.
pub(super) fn of_rollout(args: &RolloutArgs) -> Result<WatchArgs, PlanError> {
    let existing = &args.kubernetes.existing;
    let name = existing.deployment.clone().unwrap_or_default();
    if args.target != GroundKind::Kubernetes {
        return fail("--deployment", "only a cluster has this: add --target kubernetes");
    }
    if existing.image.is_none() && !existing.restart {
        return fail("--deployment", "say what is to be changed: --image IMAGE, or --restart");
    }
    let own = "this project's server's; a Deployment that exists brings its own: leave it out";
    for (option, given) in [
        ("COMMAND", !args.command.is_empty()),
        ("--modes", !args.modes.is_empty()),
        ("--event", args.event.iter().any(|event| !event.is_update())),
        ("--pre-stop", args.pre_stop.is_some()),
        ("--readiness", args.readiness.is_some()),
        ("--liveness", args.liveness.is_some()),
        ("--image-v1", args.kubernetes.image_v1.is_some()),
        ("--image-v2", args.kubernetes.image_v2.is_some()),
        ("--keep", args.kubernetes.keep),
        ("--results", args.results.is_some()),
        ("--metrics", args.metrics.is_some()),
        ("--listen", args.listen.is_some()),
        ("--seed", args.seed.is_some()),
        ("--repeat", args.repeat > 1),
    ] {
        if given {
            return fail(option, own);
        }
    }
    if let Some(other) = args.fail_on_loss.iter().find(|other| **other != name) {
        return fail("--fail-on-loss", format!("{other} is not rolled out; it can be {name}"));
    }
    let reference: Result<Reference, _> = format!("deployment/{name}").parse();
    let workload = match reference {
        Ok(reference) => reference,
        Err(error) => return fail("--deployment", error.to_string()),
    };
    Ok(WatchArgs {
        workload,
        namespace: args.kubernetes.namespace.clone(),
        context: args.kubernetes.context.clone(),
        kubeconfig: args.kubernetes.kubeconfig.clone(),
        service: existing.service.clone(),
        follow: false,
        wait: None,
        url: args.kubernetes.url.clone(),
        rate: args.rate,
        mix: args.mix.clone(),
        expect: args.expect.clone(),
        fail_on_loss: !args.fail_on_loss.is_empty(),
        fail_on: args.fail_on.clone(),
        fix: existing.fix.clone(),
        record: args.record.clone(),
        output: Output::Text,
        out: args.out.clone(),
    })
}

fn fail<T>(option: &'static str, problem: impl Into<String>) -> Result<T, PlanError> {
    Err(PlanError { option, problem: problem.into() })
}

#[cfg(test)]
mod tests {
    use clap::{Command, FromArgMatches as _};

    use super::*;

    fn args(words: &[&str]) -> WatchArgs {
        let command = WatchArgs::augment_args(Command::new("watch"));
        let matches = command.try_get_matches_from([&["watch"], words].concat());
        WatchArgs::from_arg_matches(&matches.expect("they can be read")).expect("arguments")
    }

    #[test]
    fn ten_requests_a_second_are_sent_half_of_them_on_new_connections() {
        assert!(args(&["web"]).probe().expect("no probe").is_none());
        let plan = args(&["web", "--url", "http://web/healthz?x=1"]).probe().expect("a probe");
        let plan = plan.expect("a probe");
        assert_eq!(
            plan.mix.to_string(),
            "5/s new GET /healthz?x=1, 5/s keep-alive GET /healthz?x=1"
        );
    }

    #[test]
    fn what_cannot_be_names_the_option() {
        for (words, option) in [
            (&["web", "--url", "https://web"][..], "--url"),
            (&["web", "--url", "http://web", "--rate", "0"], "--rate"),
            (&["web", "--url", "http://web/x", "--mix", "1/s new GET /"], "--url"),
        ] {
            let problem = args(words).probe().expect_err("it cannot be");
            assert_eq!(problem.option, option, "{problem}");
        }
        assert!(args(&["web", "-n", "Shop"]).checked(false).is_err());
    }

    #[test]
    fn a_gate_of_requests_needs_requests() {
        let fits = |condition: &str, asks| args(&["web", "--fail-on", condition]).checked(asks);
        assert!(fits("killed,hook-failed,web:restarted>2,replaced>60s", false).is_ok());
        for condition in ["loss", "lost>0", "p99>1s"] {
            assert!(fits(condition, false).is_err_and(|error| error.problem.contains("--url")));
            assert!(fits(condition, true).is_ok());
        }
        let other = fits("drain:killed", true).expect_err("it is not looked at");
        assert_eq!(other.to_string(), "--fail-on: drain is not looked at; it can be web");
    }
}
