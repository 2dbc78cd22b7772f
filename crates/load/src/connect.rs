//! How the generator reaches its target.

use std::{future::Future, io, net::SocketAddr, pin::Pin};

use tokio::net::TcpStream;

/// An established connection and the address it really led to.
#[derive(Debug)]
pub struct Established {
    /// The socket.
    pub stream: TcpStream,
    /// The endpoint behind it: for a Service, the pod that was chosen.
    pub peer: SocketAddr,
}

/// Why no connection came about, with the endpoint that had been chosen, if any.
#[derive(Debug)]
pub struct ConnectError {
    /// The endpoint that had been chosen before it failed.
    pub peer: Option<SocketAddr>,
    /// What went wrong; `TimedOut` stands for packets that vanish.
    pub error: io::Error,
}

/// A connection on its way.
pub type Connecting<'a> =
    Pin<Box<dyn Future<Output = Result<Established, ConnectError>> + Send + 'a>>;

/// Chooses an endpoint and connects to it, once for each connection.
///
/// A plain address always leads to the same place; the local cluster's Service chooses
/// a pod at random for every connection, as kube-proxy does.
pub trait Connect: Send + Sync + 'static {
    /// Connects, without a time limit of its own.
    fn connect(&self) -> Connecting<'_>;
}

/// Connects to one fixed address.
#[derive(Debug, Clone, Copy)]
pub struct Direct(pub SocketAddr);

impl Connect for Direct {
    fn connect(&self) -> Connecting<'_> {
        Box::pin(async move {
            match TcpStream::connect(self.0).await {
                Ok(stream) => Ok(Established { stream, peer: self.0 }),
                Err(error) => Err(ConnectError { peer: Some(self.0), error }),
            }
        })
    }
}
