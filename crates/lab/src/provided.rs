//! What the lab gives its pods on this disk: a certificate, and a directory each. It goes with the lab.

use std::{
    io,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use tempfile::TempDir;
use websample_load::{Tls, Trust};

use super::{
    cluster::local::Identity,
    plan::{Plan, Secure, file_name},
};

/// Everything that is given, in a directory that nobody else may enter; removed when it is dropped.
#[derive(Debug, Default)]
pub struct Provided {
    directory: Option<TempDir>,
    identity: Option<Identity>,
    tls: Option<Tls>,
}

impl Provided {
    /// Makes what a plan needs; nothing where it needs nothing.
    ///
    /// # Errors
    /// Where a file cannot be written, or TLS not be spoken as it is planned.
    pub(crate) fn new(plan: &Plan) -> io::Result<Self> {
        let own = plan.tls.as_ref().is_some_and(|secure| secure.trust.is_none());
        let wanted = |v: &super::plan::Variant| v.cluster.command.names_directory();
        if !own && !plan.variants.iter().any(wanted) {
            let tls = plan.tls.as_ref().map(|secure| secure.client(None)).transpose()?;
            return Ok(Self { tls, ..Self::default() });
        }
        let directory = tempfile::Builder::new().prefix("websample-").tempdir()?;
        let (identity, tls) = match &plan.tls {
            Some(secure) if own => {
                let (identity, authority) = made(directory.path(), &secure.server_name)?;
                (Some(identity), Some(secure.client(Some(&authority))?))
            }
            Some(secure) => (None, Some(secure.client(None)?)),
            None => (None, None),
        };
        Ok(Self { directory: Some(directory), identity, tls })
    }

    /// The certificate and key of the pods, where they are the lab's.
    pub(crate) fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// Where the pods of a variant have their directories.
    pub(crate) fn directory(&self, label: &str) -> Option<PathBuf> {
        // Pods of two variants may have the same name: the seed is the same.
        self.directory.as_ref().map(|all| all.path().join(file_name(label)))
    }

    /// How the load speaks TLS, where it does.
    pub(crate) fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }
}

impl Secure {
    /// The client's side, which trusts `authority` (PEM) where nobody else was named.
    fn client(&self, authority: Option<&str>) -> io::Result<Tls> {
        let trust = match (&self.trust, authority) {
            (Some(trust), _) => trust.clone(),
            (None, Some(authority)) => {
                Trust::only(authority.as_bytes()).map_err(io::Error::other)?
            }
            (None, None) => Trust::System,
        };
        Tls::new(&trust, &self.server_name).map_err(io::Error::other)
    }
}

/// An authority of this run alone, whose key nobody keeps, and a server's certificate by it.
fn made(directory: &Path, server_name: &str) -> io::Result<(Identity, String)> {
    let failed = |error: rcgen::Error| {
        io::Error::other(format!("the lab's certificate for {server_name}: {error}"))
    };
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "websample rollout");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let key = KeyPair::generate().map_err(failed)?;
    let authority = params.self_signed(&key).map_err(failed)?.pem();
    let issuer = Issuer::new(params, key);

    let mut params = CertificateParams::new([server_name.to_owned()]).map_err(failed)?;
    params.distinguished_name.push(DnType::CommonName, server_name);
    params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = params.signed_by(&key, &issuer).map_err(failed)?;
    let identity =
        Identity { certificate: directory.join("tls.crt"), key: directory.join("tls.key") };
    std::fs::write(&identity.certificate, certificate.pem())?;
    std::fs::write(&identity.key, key.serialize_pem())?;
    Ok((identity, authority))
}
