//! TLS between the load and the pods, where it was asked for.

use websample_load::{Tls, Trust};

use super::{PlanError, fail};
use crate::args::{GroundKind, RolloutArgs};

/// The pods speak TLS, and so does the load.
#[derive(Debug, Clone)]
pub struct Secure {
    /// Whose certificates are trusted; `None` for the lab's own, which it gives its pods.
    pub trust: Option<Trust>,
    /// What the server's certificate is for.
    pub server_name: String,
}

pub(super) fn secure(args: &RolloutArgs, foreign: bool) -> Result<Option<Secure>, PlanError> {
    if !args.tls {
        return Ok(None);
    }
    if args.target == GroundKind::Kubernetes {
        return fail(
            "--tls",
            "the local target's; a cluster's load is sent in plain: leave it out",
        );
    }
    if args.through.program().is_some() {
        return fail(
            "--tls",
            "a proxy speaks plain HTTP on both sides here: leave out one of the two",
        );
    }
    let trust = match &args.ca {
        None => None,
        Some(_) if !foreign => {
            return fail(
                "--ca",
                "this project's server gets its certificate from the lab: leave it out",
            );
        }
        Some(path) => {
            let pem = std::fs::read(path);
            let pem = pem.or_else(|error| fail("--ca", format!("{}: {error}", path.display())))?;
            let trust = Trust::only(&pem);
            Some(trust.or_else(|error| fail("--ca", format!("{}: {error}", path.display())))?)
        }
    };
    let server_name = args.server_name.clone().unwrap_or_else(|| "localhost".to_owned());
    // Nobody wants to learn after the start of the pods that it is no name.
    match Tls::new(&Trust::Anybody, &server_name) {
        Ok(_) => Ok(Some(Secure { trust, server_name })),
        Err(error) => fail("--server-name", error.to_string()),
    }
}
