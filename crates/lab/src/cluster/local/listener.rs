//! A real listening socket in front of a Service, for clients such as curl and vegeta.

use std::{io, net::SocketAddr, sync::Arc};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use websample_load::connect::Connect;

use super::error::ClusterError;

/// Accepts connections and carries each to the pod that was chosen for it.
///
/// One difference to a Service remains: the client's connection is established before a pod is
/// chosen, so a refusal reaches it as a reset, and packets that vanish as silence.
#[derive(Debug)]
pub struct Listener {
    address: SocketAddr,
    /// Ends with the listener, and its connections with it.
    _accepting: JoinSet<()>,
}

impl Listener {
    /// Listens on `address`; port 0 takes a free one.
    pub async fn bind(address: SocketAddr, to: Arc<dyn Connect>) -> Result<Self, ClusterError> {
        let failed = |source: io::Error| ClusterError::Address {
            address,
            remedy: "end what uses it, or choose another port",
            source: Arc::new(source),
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, to));
        Ok(Self { address, _accepting: accepting })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }
}

async fn accept(listener: TcpListener, to: Arc<dyn Connect>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => {
                    connections.spawn(carry(client, Arc::clone(&to)));
                }
                // Out of descriptors, mostly: others have to close first.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn carry(mut client: TcpStream, to: Arc<dyn Connect>) {
    // As with packets that are forwarded, nothing waits for more to come.
    let _ = client.set_nodelay(true);
    let connected = tokio::select! {
        connected = to.connect() => connected,
        // Otherwise a client that gave up would stay for as long as packets vanish.
        () = hung_up(&client) => return,
    };
    let carried = match connected {
        Ok(mut established) => {
            let _ = established.stream.set_nodelay(true);
            let carried = copy_bidirectional(&mut client, &mut established.stream).await;
            if carried.is_err() {
                // One side broke: the other sees a reset too, not an orderly end.
                let _ = established.stream.set_zero_linger();
            }
            carried.map(drop)
        }
        Err(failed) => Err(failed.error),
    };
    if carried.is_err() {
        let _ = client.set_zero_linger();
    }
}

/// Returns once the client has closed its side, or broken off, with nothing left to read.
async fn hung_up(client: &TcpStream) {
    let mut byte = [0];
    match client.peek(&mut byte).await {
        Ok(0) | Err(_) => {}
        // It has sent its request: only the choice of a pod can come next.
        Ok(_) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use websample_load::connect::Direct;

    const ANY: &str = "127.0.0.1:0";

    #[tokio::test]
    async fn bytes_go_both_ways_and_each_side_ends_by_itself() {
        let pod = TcpListener::bind(ANY).await.unwrap();
        let to = Arc::new(Direct(pod.local_addr().unwrap()));
        let listener = Listener::bind(ANY.parse().unwrap(), to).await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr()).await.unwrap();
        let (mut server, _) = pod.accept().await.unwrap();
        client.write_all(b"question").await.unwrap();
        client.shutdown().await.unwrap();
        let mut question = String::new();
        server.read_to_string(&mut question).await.unwrap();
        assert_eq!(question, "question");
        server.write_all(b"answer").await.unwrap();
        drop(server);
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "answer");
    }

    #[tokio::test]
    async fn a_refusal_is_a_reset() {
        let closed = TcpListener::bind(ANY).await.unwrap().local_addr().unwrap();
        let to = Arc::new(Direct(closed));
        let listener = Listener::bind(ANY.parse().unwrap(), to).await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr()).await.unwrap();
        let error = client.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn a_reset_of_the_pod_is_passed_on() {
        let pod = TcpListener::bind(ANY).await.unwrap();
        let to = Arc::new(Direct(pod.local_addr().unwrap()));
        let listener = Listener::bind(ANY.parse().unwrap(), to).await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr()).await.unwrap();
        let (server, _) = pod.accept().await.unwrap();
        server.set_zero_linger().unwrap();
        drop(server);
        let error = client.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn a_port_in_use_is_a_clear_error() {
        let holder = TcpListener::bind(ANY).await.unwrap();
        let address = holder.local_addr().unwrap();
        let error = Listener::bind(address, Arc::new(Direct(address))).await.unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with(&format!("cannot listen on {address}: ")), "{text}");
        assert!(text.contains("choose another port"), "{text}");
    }
}
