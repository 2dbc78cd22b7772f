//! axum's routers on the framework: what people move over with their services.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::{
        ConnectInfo, MatchedPath,
        ws::{Message, WebSocketUpgrade},
    },
    routing::{get, post},
};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    runtime::Handle as Runtime,
    sync::Notify,
    time::timeout,
};
use tokio_tungstenite::tungstenite::Message as Theirs;
use websample_hyper::{
    Handle, RouteNames, Running, Server,
    lifecycle::{Delay, Drain, ExitReason, Lifecycle, Phase, Policy},
};

const PATIENCE: Duration = Duration::from_secs(30);

fn life() -> (Lifecycle, Drain) {
    let short = Duration::from_millis(100);
    let delay = Delay { min: short, quiet: Duration::ZERO, max: 3 * short };
    Lifecycle::new(Policy { delay, ..Policy::default() }).expect("a policy that adds up")
}

fn server(drain: Drain, app: Router) -> Server<Router> {
    let names = RouteNames::new(|request| request.get::<MatchedPath>().map(MatchedPath::as_str));
    let server = Server::new(drain, app.route_layer(names)).workers(2).without_signals();
    server.bind("127.0.0.1:0").expect("a port")
}

fn serving(running: &Running) -> (Handle, SocketAddr) {
    let handle = running.handle();
    let address = handle.addresses()[0];
    (handle, address)
}

/// Sends bytes, and reads to the end of the connection.
async fn send(address: SocketAddr, bytes: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("it accepts");
    stream.write_all(bytes.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.expect("in time").expect("an end");
    answer
}

async fn fetch(address: SocketAddr, path: &str) -> String {
    send(address, &format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await
}

#[tokio::test]
async fn routes_are_named_bodies_are_read_and_the_peer_is_known() {
    let (lifecycle, drain) = life();
    let app = Router::new()
        .route("/users/{id}", get(async || "a user"))
        .route("/echo", post(async |body: Bytes| body))
        .route("/peer", get(async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.to_string()));
    let server = server(drain, app).on_connect(|connected, extensions| {
        extensions.insert(ConnectInfo(connected.tcp.peer_addr().expect("an address")));
    });
    let registry = server.registry().clone();
    let running = server.run();
    let (handle, address) = serving(&running);
    let running = tokio::spawn(running);
    lifecycle.reached(Phase::Serving).await;

    for id in ["1", "2", "3"] {
        assert!(fetch(address, &format!("/users/{id}")).await.ends_with("\r\n\r\na user"));
    }
    assert!(fetch(address, "/nothing/here").await.starts_with("HTTP/1.1 404"));
    assert!(fetch(address, "/peer").await.contains("127.0.0.1:"));
    let chunked = "POST /echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
                   transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    assert!(send(address, chunked).await.ends_with("\r\n\r\nabcde"));

    let families = registry.gather();
    let requests = families.iter().find(|f| f.name() == "websample_http_requests_total");
    let mut seen: Vec<_> = requests
        .expect("the family")
        .get_metric()
        .iter()
        .map(|metric| {
            let label = |name: &str| {
                let labels = metric.get_label();
                labels.iter().find(|l| l.name() == name).expect("a label").value().to_owned()
            };
            (label("route"), label("code"), metric.get_counter().get_value() as u64)
        })
        .collect();
    seen.sort();
    let row = |route: &str, code: &str, count| (route.to_owned(), code.to_owned(), count);
    assert_eq!(
        seen,
        [
            row("/echo", "200", 1),
            row("/peer", "200", 1),
            row("/users/{id}", "200", 3),
            row("unmatched", "404", 1),
        ]
    );
    handle.drain();
    let report = running.await.expect("no panic").expect("a report");
    assert_eq!(report.outcome, ExitReason::Clean);
}

#[tokio::test]
async fn an_upgraded_connection_may_be_served_on_another_runtime() {
    let (lifecycle, drain) = life();
    // The runtime of this test, not that of the worker whose connection it is.
    let elsewhere = Runtime::current();
    let told = Arc::new(Notify::new());
    let (leaving, elsewhere_told) = (lifecycle.lame_duck(), Arc::clone(&told));
    let app = Router::new().route(
        "/ws",
        get(async move |upgrade: WebSocketUpgrade| {
            let (sent, received) = tokio::sync::oneshot::channel();
            elsewhere.spawn(async move {
                let mut socket: axum::extract::ws::WebSocket = received.await.expect("a socket");
                loop {
                    tokio::select! {
                        () = leaving.cancelled() => {
                            elsewhere_told.notify_one();
                            let _ = socket.send(Message::Close(None)).await;
                            return;
                        }
                        message = socket.recv() => match message {
                            Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
                                socket.send(message).await.expect("sent");
                            }
                            _ => return,
                        },
                    }
                }
            });
            upgrade.on_upgrade(async move |socket| drop(sent.send(socket)))
        }),
    );
    let running = server(drain, app).run();
    let (handle, address) = serving(&running);
    let running = tokio::spawn(running);
    lifecycle.reached(Phase::Serving).await;

    let stream = TcpStream::connect(address).await.expect("it accepts");
    let request = format!("ws://{address}/ws");
    let (mut client, _) = tokio_tungstenite::client_async(request, stream).await.expect("101");
    // Larger than the pipe between the two.
    let large = "x".repeat(200_000);
    for text in ["hello", &large] {
        client.send(Theirs::text(text)).await.expect("sent");
        let echoed = timeout(PATIENCE, client.next()).await.expect("in time");
        assert_eq!(echoed.expect("a message").expect("no error"), Theirs::text(text));
    }
    assert_eq!(lifecycle.in_flight().requests.get(), 1, "it is in flight while it is open");
    handle.drain();
    timeout(PATIENCE, told.notified()).await.expect("in time");
    let close = timeout(PATIENCE, client.next()).await.expect("in time");
    assert!(matches!(close, Some(Ok(Theirs::Close(_)))), "{close:?}");
    drop(client);
    let report = timeout(PATIENCE, running).await.expect("in time").expect("no panic");
    assert_eq!(report.expect("a report").outcome, ExitReason::Clean);
}

#[tokio::test]
async fn what_is_left_at_the_deadline_is_cut_and_named_by_its_route() {
    let policy = Policy {
        grace_period: Duration::from_secs(2),
        margin: Duration::from_secs(1),
        delay: Delay {
            min: Duration::ZERO,
            quiet: Duration::ZERO,
            max: Duration::from_millis(200),
        },
        ..Policy::default()
    };
    let (lifecycle, drain) = Lifecycle::new(policy).expect("a policy that adds up");
    let app = Router::new().route("/users/{id}", get(async || std::future::pending::<()>().await));
    let running = server(drain, app).known_route("/users/{id}", 200).run();
    let (handle, address) = serving(&running);
    let running = tokio::spawn(running);
    lifecycle.reached(Phase::Serving).await;
    let asks = tokio::spawn(async move { fetch(address, "/users/1").await });
    let began = async {
        while lifecycle.in_flight().requests.get() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, began).await.expect("in time");
    handle.drain();
    let report = timeout(PATIENCE, running).await.expect("in time").expect("no panic");
    let report = report.expect("a report");
    assert_eq!((report.outcome, report.exit_code), (ExitReason::Cut, 3));
    assert_eq!(report.cut.iter().map(|cut| cut.what.as_str()).collect::<Vec<_>>(), ["/users/{id}"]);
    assert_eq!(asks.await.expect("no panic"), "", "nothing that could look like an answer");
}

/// A worker that ends drops its application.
#[derive(Clone)]
struct Counted(Arc<Mutex<usize>>);

impl Counted {
    fn new(count: &Arc<Mutex<usize>>) -> Self {
        *count.lock().expect("not poisoned") += 1;
        Self(Arc::clone(count))
    }
}

#[tokio::test]
async fn a_server_that_is_dropped_stops_its_threads_and_releases_its_port() {
    let (lifecycle, drain) = life();
    let count = Arc::new(Mutex::new(0));
    let kept = Counted::new(&count);
    let app =
        Router::new().route("/", get(async move || format!("{}", Arc::strong_count(&kept.0))));
    let running = server(drain, app).run();
    let (_, address) = serving(&running);
    let serves = tokio::spawn(running);
    lifecycle.reached(Phase::Serving).await;
    assert!(fetch(address, "/").await.starts_with("HTTP/1.1 200"));
    serves.abort();
    assert!(serves.await.expect_err("it was dropped").is_cancelled());
    let gone = async {
        // One here; the others were the application's.
        while Arc::strong_count(&count) > 1 || TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, gone).await.expect("in time");
}

#[tokio::test]
async fn a_handler_that_panics_takes_its_connection_and_nothing_else() {
    let (lifecycle, drain) = life();
    let app = Router::new()
        .route("/", get(async || "well"))
        .route("/bug", get(async || -> &str { panic!("a bug") }));
    let running = server(drain, app).workers(1).run();
    let (handle, address) = serving(&running);
    let running = tokio::spawn(running);
    lifecycle.reached(Phase::Serving).await;
    assert_eq!(fetch(address, "/bug").await, "");
    assert!(fetch(address, "/").await.ends_with("well"));
    assert_eq!(lifecycle.in_flight().requests.get(), 0);
    handle.drain();
    let report = timeout(PATIENCE, running).await.expect("in time").expect("no panic");
    assert_eq!(report.expect("a report").outcome, ExitReason::Clean);
}

/// Answers, and leaves something behind that does not let its thread go for a long time.
async fn blocks() -> &'static str {
    tokio::spawn(async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        std::thread::sleep(4 * PATIENCE);
    });
    "done"
}

#[tokio::test]
async fn a_worker_that_something_of_the_application_blocks_does_not_hold_the_end() {
    let (lifecycle, drain) = life();
    let running = server(drain, Router::new().route("/", get(blocks))).workers(1).run();
    let (handle, address) = serving(&running);
    let running = tokio::spawn(running);
    lifecycle.reached(Phase::Serving).await;
    assert!(fetch(address, "/").await.ends_with("done"));
    handle.drain();
    let report = timeout(PATIENCE, running).await.expect("it ends").expect("no panic");
    // What blocks is nobody's request.
    assert_eq!(report.expect("a report").outcome, ExitReason::Clean);
}
