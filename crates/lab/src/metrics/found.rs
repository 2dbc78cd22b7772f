//! Whether the pods have been scraped, as they themselves say.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, StatusCode, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::Metrics;

/// Between two looks at a pod. It says how often it was scraped, not when it is.
const LOOK: Duration = Duration::from_millis(200);

/// Returns once each pod of this moment has been scraped, or cannot tell.
pub(super) async fn scraped(metrics: &Metrics) {
    for target in metrics.targets() {
        while scrapes(target.address()).await == Some(0) {
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// How many scrapes a pod has answered; `None` where it does not say.
async fn scrapes(admin: SocketAddr) -> Option<u64> {
    let stream = TcpStream::connect(admin).await.ok()?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    let request = Request::get("/status")
        .header(header::HOST, admin.to_string())
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .ok()?;
    let answer = async {
        let response = sender.send_request(request).await.ok()?;
        let fine = response.status() == StatusCode::OK;
        let body = response.into_body().collect().await.ok()?.to_bytes();
        let status: serde_json::Value = serde_json::from_slice(&body).ok()?;
        status["scrapes"].as_u64().filter(|_| fine)
    };
    let ((), answer) = tokio::join!(
        async {
            // How it ends shows in the answer.
            let _ = connection.await;
        },
        answer
    );
    answer
}
