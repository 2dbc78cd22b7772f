//! What `websample watch` is asked.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};
use websample_load::{Accepted, Mix, Protocol, StreamSpec, target::Target};

use super::{failing::Failing, probe::ProbePlan};
use crate::{
    args::accepted,
    cluster::kubernetes::{
        Location, Reference,
        args::{is_label, no_namespace},
    },
    plan::PlanError,
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
  websample watch web --output json | jq -r 'select(.what == \"exited\") | .subject'
      An object a line, for programs.

It reads and never writes: deploy/kubernetes/watch-role.yaml is all that it needs.
Exit codes: 0 done; 1 --fail-on-loss or --fail-on found something; 64 usage; 69 there was nothing to
look at, no rollout within --wait, or one that makes no progress; 130 interrupted, except with
--follow. Whatever the end: what was seen so far is written.")]
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

    /// Exit with 1 if one of these was seen
    #[arg(long, value_enum, value_delimiter = ',', value_name = "WHAT,…")]
    pub fail_on: Vec<Failing>,

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

    /// Refuses what cannot be, before anybody is asked.
    pub(super) fn checked(&self) -> Result<(), PlanError> {
        match &self.namespace {
            Some(namespace) if !is_label(namespace) => fail("--namespace", no_namespace(namespace)),
            _ if self.fail_on.contains(&Failing::Loss) && self.url.is_none() => {
                fail("--fail-on", "a loss is only seen with --url")
            }
            _ => Ok(()),
        }
    }

    /// What is sent, if anything is.
    pub(super) fn probe(&self) -> Result<Option<ProbePlan>, PlanError> {
        let Some(url) = &self.url else { return Ok(None) };
        let target: Target = match url.parse() {
            Ok(target) => target,
            Err(error) => return fail("--url", format!("{error}")),
        };
        let rate = self.rate.unwrap_or(GENTLE);
        if !(rate.is_finite() && rate > 0.0 && rate <= 100_000.0) {
            return fail("--rate", format!("{rate} is not a rate from 0 to 100000"));
        }
        let mix = match &self.mix {
            Some(_) if target.path != "/" => {
                let problem = "every stream of --mix has a path of its own";
                return fail("--url", format!("{problem}: leave `{}` out", target.path));
            }
            Some(mix) => Ok(mix.clone()),
            None => {
                let get = |protocol| {
                    StreamSpec::new(rate / 2.0, protocol, hyper::Method::GET, target.path.clone())
                };
                Mix::new(vec![get(Protocol::New), get(Protocol::KeepAlive)])
            }
        };
        let mix = match mix {
            Ok(mix) => mix,
            Err(error) => return fail("--url", error.to_string()),
        };
        let mix = match &self.expect {
            None => mix,
            Some(expect) => {
                let streams = mix.streams().iter();
                let streams =
                    streams.map(|stream| StreamSpec { expect: expect.clone(), ..stream.clone() });
                match Mix::new(streams.collect()) {
                    Ok(mix) => mix,
                    Err(error) => return fail("--expect", error.to_string()),
                }
            }
        };
        Ok(Some(ProbePlan { url: url.clone(), target, mix }))
    }
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
        assert!(args(&["web", "-n", "Shop"]).checked().is_err());
    }
}
