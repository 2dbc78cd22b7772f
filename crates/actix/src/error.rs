//! Why there is no server.

use std::io;

use websample_connections::TlsError;

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// A listener, a thread or a signal handler could not be had.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}
