//! What is sent, where the arguments leave it open.

use websample_load::{Mix, MixError, Protocol, StreamSpec};

use super::{PlanError, fail};
use crate::args::RolloutArgs;

pub(super) fn mix(args: &RolloutArgs, foreign: bool) -> Result<Mix, PlanError> {
    let mix = match &args.mix {
        Some(mix) => mix.clone(),
        None if foreign => {
            // Nothing is known of a foreign server but that it answers GET /.
            let get =
                |protocol| StreamSpec::new(args.rate() / 2.0, protocol, hyper::Method::GET, "/");
            let streams = vec![get(Protocol::New), get(Protocol::KeepAlive)];
            return checked(Mix::new(streams), args);
        }
        None if args.through.program().is_some() => {
            // It is the pods' connections that are tried. A proxy closes its clients' for reasons
            // of its own: a client that does not look would count every reload of nginx.
            let mix = Mix::default_at(args.rate());
            let looks = |stream: &StreamSpec| StreamSpec { stale_check: true, ..stream.clone() };
            return checked(Mix::new(mix.streams().iter().map(looks).collect()), args);
        }
        None => Mix::default_at(args.rate()),
    };
    checked(Ok(mix), args)
}

fn checked(mix: Result<Mix, MixError>, args: &RolloutArgs) -> Result<Mix, PlanError> {
    let mix = match mix {
        Ok(mix) => mix,
        Err(error) => return fail("--mix", error.to_string()),
    };
    if !args.tls && mix.streams().iter().any(|stream| stream.alpn) {
        return fail("--mix", "alpn=yes is for pods that speak TLS: add --tls, or leave it out");
    }
    let Some(expect) = &args.expect else { return Ok(mix) };
    let streams =
        mix.streams().iter().map(|stream| StreamSpec { expect: expect.clone(), ..stream.clone() });
    Mix::new(streams.collect()).or_else(|error| fail("--expect", error.to_string()))
}
