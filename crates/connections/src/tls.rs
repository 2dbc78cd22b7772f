//! TLS: the certificate, and its replacement while connections stay.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
        sign::CertifiedKey,
    },
};

/// Files are looked at this often. Kubernetes replaces a mounted Secret within about a minute,
/// by swapping a symbolic link, which notifications of the file itself would not show.
const LOOK: Duration = Duration::from_secs(1);

/// Whether this certificate and key can be used, without using them.
///
/// # Errors
/// Which file cannot be used, and why.
pub fn check_certificate(cert: &Path, key: &Path) -> Result<(), TlsError> {
    load(cert, key).map(drop)
}

/// A certificate or key that cannot be used: which file, and what is wrong with it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file holds something else.
    #[error("{} holds no usable {expected}: {problem}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// Certificate and key are not a pair.
    #[error(
        "the key {} does not belong to the certificate {}: {problem}", key.display(), cert.display()
    )]
    Mismatch {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What rustls says.
        problem: String,
    },
}

/// The largest file that is taken for a certificate or a key, in bytes.
const LARGEST: u64 = 1024 * 1024;

/// The TLS side of a listener.
pub struct Tls {
    /// The certificate and its key, which are watched; `None` where somebody else made the
    /// configuration.
    files: Option<(PathBuf, PathBuf)>,
    current: RwLock<Arc<ServerConfig>>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Tls {
    /// Loads a PEM certificate chain and its key.
    pub fn load(cert: &Path, key: &Path) -> Result<Self, TlsError> {
        let config = load(cert, key)?;
        Ok(Self {
            files: Some((cert.to_owned(), key.to_owned())),
            current: RwLock::new(Arc::new(config)),
        })
    }

    /// With a configuration that somebody else made.
    pub fn fixed(config: ServerConfig) -> Self {
        Self { files: None, current: RwLock::new(Arc::new(config)) }
    }

    /// What the next connection is accepted with.
    pub fn acceptor(&self) -> TlsAcceptor {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(&current))
    }

    /// Watches the files, and uses what they hold for connections to come.
    ///
    /// Files that cannot be used are refused and logged; the last good ones stay in use.
    pub async fn watch(&self) {
        let Some((cert, key)) = &self.files else { return std::future::pending().await };
        let mut known = (stamp(cert), stamp(key));
        loop {
            tokio::time::sleep(LOOK).await;
            let now = (stamp(cert), stamp(key));
            if now == known {
                continue;
            }
            known = now;
            match load(cert, key) {
                Ok(config) => {
                    *self.current.write().unwrap_or_else(PoisonError::into_inner) =
                        Arc::new(config);
                    tracing::info!(cert = %cert.display(), "certificate reloaded");
                }
                Err(error) => {
                    tracing::error!(%error, "certificate not reloaded; the old one stays in use");
                }
            }
        }
    }
}

fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let data = std::fs::metadata(path).ok()?;
    Some((data.modified().ok()?, data.len()))
}

/// Reads a file that may have become anything since it was last looked at. A pipe would be waited
/// for, and every listener with it.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let invalid = |problem: &str| io::Error::new(io::ErrorKind::InvalidInput, problem);
    let data = std::fs::metadata(path)?;
    if !data.is_file() {
        return Err(invalid("it is not a regular file"));
    }
    if data.len() > LARGEST {
        return Err(invalid("it is larger than 1 MiB, which no certificate is"));
    }
    std::fs::read(path)
}

fn load(cert: &Path, key: &Path) -> Result<ServerConfig, TlsError> {
    let read = |path: &Path| {
        read(path).map_err(|source| TlsError::Unreadable { path: path.to_owned(), source })
    };
    let malformed = |path: &Path, expected, problem: String| TlsError::Malformed {
        path: path.to_owned(),
        expected,
        problem,
    };
    let (cert_pem, key_pem) = (read(cert)?, read(key)?);
    let chain = CertificateDer::pem_slice_iter(&cert_pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| malformed(cert, "certificate in PEM", e.to_string()))?;
    if chain.is_empty() {
        let problem = "there is no CERTIFICATE section in it".to_owned();
        return Err(malformed(cert, "certificate in PEM", problem));
    }
    let private = PrivateKeyDer::from_pem_slice(&key_pem)
        .map_err(|e| malformed(key, "private key in PEM", e.to_string()))?;
    let provider = ring::default_provider();
    let certified = CertifiedKey::from_der(chain, private, &provider).map_err(|e| match e {
        rustls::Error::InconsistentKeys(_) => TlsError::Mismatch {
            cert: cert.to_owned(),
            key: key.to_owned(),
            problem: e.to_string(),
        },
        rustls::Error::InvalidCertificate(_) => {
            malformed(cert, "certificate in PEM", e.to_string())
        }
        _ => malformed(key, "private key in PEM", e.to_string()),
    })?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .map_err(|e| malformed(key, "private key in PEM", e.to_string()))?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
