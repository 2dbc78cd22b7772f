//! A server that is started, dropped, blocked, shared. None here has an admin listener.

use std::{
    net::{SocketAddr, TcpListener as StdListener},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix_web::{App, HttpRequest, HttpResponse, web};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::{PrivateKeyDer, ServerName},
        server::WebPkiClientVerifier,
    },
};
use websample_actix::{
    Server,
    lifecycle::{Delay, Drain, ExitReason, Lifecycle, Phase, Policy},
    with_connection_data,
};

const PATIENCE: Duration = Duration::from_secs(30);

/// Each of these is a worker that has an application.
#[derive(Clone)]
struct Alive(Arc<AtomicUsize>);

impl Alive {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn life() -> (Lifecycle, Drain) {
    let short = Duration::from_millis(100);
    let delay = Delay { min: short, quiet: Duration::ZERO, max: 3 * short };
    Lifecycle::new(Policy { delay, ..Policy::default() }).expect("a policy that adds up")
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, async {
        timeout(2 * PATIENCE, test).await.expect("it ends");
    });
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let waits = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(timeout(PATIENCE, waits).await.is_ok(), "{what} does not come");
}

async fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("it accepts");
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an end");
    answer
}

/// Whether nobody holds the port any more.
fn is_free(address: SocketAddr) -> bool {
    // Connections of the test may linger; a listener may not.
    std::net::TcpStream::connect(address).is_err()
}

/// Serves, and is dropped in a phase; nothing of it is left then.
async fn dropped_in(phase: Phase) {
    let (lifecycle, drain) = life();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let app = move || App::new().app_data(web::Data::new(Alive::new(&counted)));
    let server =
        Server::new(drain, app).without_signals().workers(3).bind("127.0.0.1:0").expect("bound");
    let running = server.run();
    let handle = running.handle();
    let address = handle.addresses()[0];
    if phase == Phase::Starting {
        assert_eq!(count.load(Ordering::SeqCst), 0, "nothing runs before it is polled");
        drop(running);
    } else {
        let _open = TcpStream::connect(address).await.expect("it is bound");
        let drain = async {
            lifecycle.reached(Phase::Serving).await;
            if phase > Phase::Serving {
                // Holds the drain where it is.
                let _request = lifecycle.request(Phase::Serving);
                handle.drain();
                lifecycle.reached(phase).await;
                assert_eq!(lifecycle.phase(), phase);
            }
        };
        tokio::select! {
            _ = running => panic!("it ended"),
            () = drain => {}
        }
    }
    until("the end of every worker", || count.load(Ordering::SeqCst) == 0).await;
    until("a free port", || is_free(address)).await;
}

#[test]
fn dropping_a_server_at_any_time_stops_its_threads_and_frees_its_ports() {
    run(async {
        for phase in [Phase::Starting, Phase::Serving, Phase::LameDuck, Phase::Draining] {
            dropped_in(phase).await;
        }
    });
}

#[test]
fn a_server_that_does_not_come_up_leaves_no_thread_behind() {
    run(async {
        let (_lifecycle, drain) = life();
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        let made = Arc::new(AtomicUsize::new(0));
        // The third worker's application cannot be made.
        let app = move || {
            let fails = made.fetch_add(1, Ordering::SeqCst) == 2;
            App::new()
                .app_data(web::Data::new(Alive::new(&counted)))
                .data_factory(move || async move { if fails { Err("no database") } else { Ok(1) } })
        };
        let server = Server::new(drain, app).without_signals().workers(3);
        let error = server.bind("127.0.0.1:0").expect("bound").run().await.expect_err("it fails");
        assert!(error.to_string().contains("could not be created"), "{error}");
        until("the end of every worker", || count.load(Ordering::SeqCst) == 0).await;
    });
}

#[test]
fn there_is_no_admin_thread_where_there_is_no_admin_listener() {
    run(async {
        let (lifecycle, drain) = life();
        let server = Server::new(drain, App::new).without_signals();
        let running = server.bind("127.0.0.1:0").expect("bound").run();
        let ended = tokio::task::spawn_local(running);
        lifecycle.reached(Phase::Serving).await;
        let names = std::fs::read_dir("/proc/self/task")
            .expect("Linux")
            .flatten()
            .filter_map(|thread| std::fs::read_to_string(thread.path().join("comm")).ok());
        let names: Vec<_> = names.collect();
        assert!(names.iter().any(|name| name.starts_with("websample-worke")), "{names:?}");
        assert!(!names.iter().any(|name| name.starts_with("websample-admin")), "{names:?}");
        ended.abort();
    });
}

#[test]
fn a_worker_that_something_of_the_application_blocks_does_not_hold_the_end() {
    run(async {
        let (lifecycle, drain) = life();
        let app = || App::new().route("/", web::get().to(blocks));
        let server = Server::new(drain, app).without_signals().workers(1);
        let running = server.bind("127.0.0.1:0").expect("bound").run();
        let address = running.handle().addresses()[0];
        let ended = tokio::task::spawn_local(running);
        assert!(get(address, "/").await.starts_with("HTTP/1.1 200"));
        lifecycle.signal(websample_actix::lifecycle::Signal::Sigterm);
        let report = timeout(PATIENCE, ended).await.expect("it ends").expect("no panic");
        // What blocks is nobody's request.
        assert_eq!(report.expect("it ran").outcome, ExitReason::Clean);
    });
}

/// Answers, and leaves something behind that does not let its thread go for a long time.
async fn blocks() -> HttpResponse {
    actix_web::rt::spawn(async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        std::thread::sleep(4 * PATIENCE);
    });
    HttpResponse::Ok().finish()
}

#[test]
fn two_listeners_at_the_limit_of_connections_share_what_becomes_free() {
    run(async {
        let (lifecycle, drain) = life();
        let server = Server::new(drain, App::new).without_signals().workers(1).connection_limit(1);
        let server = server.bind("127.0.0.1:0").expect("bound").bind("127.0.0.1:0").expect("bound");
        let addresses = server.addresses();
        let ended = tokio::task::spawn_local(server.run());
        lifecycle.reached(Phase::Serving).await;
        for _ in 0..20 {
            // The one place goes to the one, then to the other, whoever was woken first.
            for address in &addresses {
                let held = TcpStream::connect(addresses[0]).await.expect("connected");
                let asked = get(*address, "/");
                let freed = async {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    drop(held);
                };
                let (answer, ()) = timeout(PATIENCE, futures_util::future::join(asked, freed))
                    .await
                    .expect("both");
                assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
            }
        }
        ended.abort();
    });
}

#[derive(Clone)]
struct Peer(SocketAddr);

async fn whoami(request: HttpRequest) -> HttpResponse {
    match with_connection_data(&request, |peer: &Peer| peer.0.to_string()) {
        Some(peer) => HttpResponse::Ok().body(peer),
        None => HttpResponse::NotFound().finish(),
    }
}

#[test]
fn what_is_kept_of_a_connection_is_found_in_http1_and_http2() {
    run(async {
        let (lifecycle, drain) = life();
        let app = || App::new().route("/", web::get().to(whoami));
        let server =
            Server::new(drain, app).without_signals().workers(1).on_connect(|connection, data| {
                if let Ok(peer) = connection.tcp.peer_addr() {
                    data.insert(Peer(peer));
                }
            });
        let server = server.bind("127.0.0.1:0").expect("bound");
        let address = server.addresses()[0];
        let ended = tokio::task::spawn_local(server.run());
        lifecycle.reached(Phase::Serving).await;
        assert!(get(address, "/").await.contains("\r\n\r\n127.0.0.1:"));

        let stream = TcpStream::connect(address).await.expect("connected");
        let local = stream.local_addr().expect("an address").to_string();
        let (mut client, connection) = h2::client::handshake(stream).await.expect("h2");
        tokio::task::spawn_local(connection);
        for _ in 0..2 {
            let request = http::Request::get("http://x/").body(()).expect("a request");
            let (response, _) = client.send_request(request, true).expect("sent");
            let mut body = response.await.expect("answered").into_body();
            let data = body.data().await.expect("a body").expect("data");
            assert_eq!(data, local.as_bytes());
        }
        ended.abort();
    });
}

/// How many certificates the client of this connection has shown.
struct Shown(usize);

async fn shown(request: HttpRequest) -> HttpResponse {
    match with_connection_data(&request, |shown: &Shown| shown.0) {
        Some(count) => HttpResponse::Ok().body(count.to_string()),
        None => HttpResponse::NotFound().finish(),
    }
}

#[test]
fn a_tls_configuration_of_ones_own_may_ask_for_client_certificates() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("made");
    let cert = made.cert.der().clone();
    let key = || PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let mut roots = RootCertStore::empty();
    roots.add(cert.clone()).expect("added");
    let roots = Arc::new(roots);
    let provider = Arc::new(ring::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider));
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_client_cert_verifier(verifier.build().expect("a verifier"))
        .with_single_cert(vec![cert.clone()], key())
        .expect("a pair");
    let client = || {
        ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(Arc::clone(&roots))
    };
    let known = client().with_client_auth_cert(vec![cert.clone()], key()).expect("a pair");
    let unknown = client().with_no_client_auth();
    run(async {
        let (lifecycle, drain) = life();
        let app = || App::new().route("/", web::get().to(shown));
        let server = Server::new(drain, app)
            .without_signals()
            .workers(1)
            .tls_config(config)
            .on_connect(|connection, data| {
                let shown = connection.tls.and_then(|tls| tls.peer_certificates());
                data.insert(Shown(shown.map_or(0, <[_]>::len)));
            })
            .bind("127.0.0.1:0")
            .expect("bound");
        let address = server.addresses()[0];
        let ended = tokio::task::spawn_local(server.run());
        lifecycle.reached(Phase::Serving).await;
        assert!(ask_over_tls(address, known).await.expect("answered").ends_with("\r\n\r\n1"));
        // With TLS 1.3 the client hears of it only when it reads.
        ask_over_tls(address, unknown).await.expect_err("it has no certificate");
        ended.abort();
    });
}

async fn ask_over_tls(address: SocketAddr, config: ClientConfig) -> std::io::Result<String> {
    let name = ServerName::try_from("localhost").expect("a name");
    let stream = TcpStream::connect(address).await?;
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[test]
fn an_inherited_listener_is_served_and_an_application_has_families_of_its_own() {
    run(async {
        let (lifecycle, drain) = life();
        let listener = StdListener::bind("127.0.0.1:0").expect("bound");
        let address = listener.local_addr().expect("bound");
        let server = Server::new(drain, App::new).without_signals().listen(listener);
        let orders =
            prometheus::IntCounter::new("orders_total", "Orders taken.").expect("a family");
        server.registry().register(Box::new(orders.clone())).expect("registered");
        let registry = server.registry().clone();
        let ended = tokio::task::spawn_local(server.run());
        lifecycle.reached(Phase::Serving).await;
        orders.inc();
        assert!(get(address, "/").await.starts_with("HTTP/1.1 404"));
        let names: Vec<_> = registry.gather().iter().map(|f| f.name().to_owned()).collect();
        for name in ["orders_total", "websample_lifecycle_phase"] {
            assert!(names.iter().any(|known| known == name), "{names:?}");
        }
        ended.abort();
    });
}
