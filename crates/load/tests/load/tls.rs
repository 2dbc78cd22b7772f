//! https: what is agreed on, whom it trusts, and the ways in which a handshake and a stream fail.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use hyper::Response;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{PrivateKeyDer, pem::PemObject},
    },
    server::TlsStream,
};
use websample_load::{Attempt, Bounds, Direct, Outcome, Tls, TlsError, Trust};

use crate::harness::{OK, Run, hold, nobody, outcomes, reset, serve};

/// A certificate for `localhost`, who made it, and its key.
struct Identity {
    authority: String,
    certificate: rcgen::Certificate,
    key: KeyPair,
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

fn of_authority(name: &str) -> Identity {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let (authority, own) = (key(), key());
    let certificate = params.self_signed(&authority).expect("a certificate");
    let issuer = Issuer::new(params, authority);
    let leaf = CertificateParams::new(["localhost".to_owned()]).expect("a name");
    let leaf = leaf.signed_by(&own, &issuer).expect("a certificate");
    Identity { authority: certificate.pem(), certificate: leaf, key: own }
}

/// As `openssl req -x509` makes it: a server's and an authority's in one.
fn of_itself() -> Identity {
    let mut params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = key();
    let certificate = params.self_signed(&key).expect("a certificate");
    Identity { authority: certificate.pem(), certificate, key }
}

impl Identity {
    fn acceptor(&self, alpn: &[&[u8]]) -> TlsAcceptor {
        let key =
            PrivateKeyDer::from_pem_slice(self.key.serialize_pem().as_bytes()).expect("a key");
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.der().clone()], key)
            .expect("a pair");
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }

    fn trusted(&self) -> Tls {
        let trust = Trust::only(self.authority.as_bytes()).expect("an authority");
        Tls::new(&trust, "localhost").expect("a name")
    }
}

type Socket = TlsStream<TcpStream>;

/// Serves every connection with `script` once TLS is agreed on.
async fn serve_tls<F: Future<Output = ()> + Send + 'static>(
    acceptor: TlsAcceptor,
    script: impl Fn(Socket) -> F + Clone + Send + Sync + 'static,
) -> SocketAddr {
    serve(move |socket, _| {
        let (acceptor, script) = (acceptor.clone(), script.clone());
        async move {
            if let Ok(socket) = acceptor.accept(socket).await {
                script(socket).await;
            }
        }
    })
    .await
}

/// HTTP/1.1 or HTTP/2, as it was agreed on: 200 with the protocol's name as the version.
async fn both(mut socket: Socket) {
    if socket.get_ref().1.alpn_protocol() == Some(b"h2") {
        let mut connection = h2::server::handshake(socket).await.expect("an HTTP/2 client");
        while let Some(Ok((request, mut stream))) = connection.accept().await {
            assert_eq!(request.uri().scheme_str(), Some("https"));
            let answer = Response::builder().header("x-websample-version", "h2").body(());
            stream.send_response(answer.expect("a head"), true).expect("an open stream");
        }
        return;
    }
    while read_request(&mut socket).await {
        write(
            &mut socket,
            b"HTTP/1.1 200 OK\r\nx-websample-version: h1\r\ncontent-length: 0\r\n\r\n",
        )
        .await;
    }
}

async fn read_request(socket: &mut Socket) -> bool {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match socket.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return false,
        }
    }
    true
}

async fn write(socket: &mut Socket, bytes: &[u8]) {
    let _ = socket.write_all(bytes).await;
    let _ = socket.flush().await;
}

/// Ends the connection in order, and TLS not at all.
async fn cut(socket: Socket) {
    let (mut tcp, _) = socket.into_inner();
    let _ = tcp.shutdown().await;
    hold(tcp).await;
}

async fn attempts_within(
    bounds: Bounds,
    address: SocketAddr,
    tls: Tls,
    stream: &str,
    count: u32,
) -> Vec<Attempt> {
    let apart = Duration::from_millis(150);
    let mix = format!("{}/s {stream}", 1.0 / apart.as_secs_f64());
    let run = Run::of(&mix, Direct(address), bounds).over(tls);
    let attempts = run.finish(apart.mul_f64(f64::from(count) - 0.5)).await.1;
    assert_eq!(attempts.len(), count as usize);
    attempts
}

async fn attempts(address: SocketAddr, tls: Tls, stream: &str, count: u32) -> Vec<Attempt> {
    attempts_within(Bounds::default(), address, tls, stream, count).await
}

async fn attempt(address: SocketAddr, tls: Tls, stream: &str) -> Attempt {
    attempts(address, tls, stream, 1).await.remove(0)
}

#[tokio::test]
async fn the_stream_says_what_is_spoken_or_leaves_it_to_the_server() {
    let identity = of_authority("an authority");
    let table: [(&[&[u8]], &str, &str); 8] = [
        (&[b"h2", b"http/1.1"], "new GET /", "h1"),
        (&[b"h2", b"http/1.1"], "new GET / alpn=yes", "h2"),
        (&[b"h2", b"http/1.1"], "keep-alive GET / connections=1", "h1"),
        (&[b"h2", b"http/1.1"], "keep-alive GET / connections=1 alpn=yes", "h2"),
        (&[b"h2", b"http/1.1"], "http2 GET / connections=1", "h2"),
        (&[b"http/1.1"], "keep-alive GET / connections=1 alpn=yes", "h1"),
        // A server that knows nothing of ALPN.
        (&[], "new GET / alpn=yes", "h1"),
        (&[b"h2"], "new GET / alpn=yes", "h2"),
    ];
    for (alpn, stream, spoken) in table {
        let address = serve_tls(identity.acceptor(alpn), both).await;
        let attempts = attempts(address, identity.trusted(), stream, 3).await;
        assert_eq!(outcomes(&attempts), [Outcome::Ok; 3], "{stream}: {attempts:?}");
        for attempt in &attempts {
            let version = attempt.version.as_ref().expect("an answer").to_string();
            assert_eq!(version, spoken, "{stream}");
        }
        let kept = !stream.starts_with("new");
        assert_eq!(attempts.iter().map(|a| a.reused).collect::<Vec<_>>(), [false, kept, kept]);
    }
}

#[tokio::test]
async fn nothing_in_common_is_a_handshake_that_failed() {
    let identity = of_authority("an authority");
    for (alpn, stream, said) in [
        (&[&b"h2"[..]][..], "new GET /", "no protocol that was offered"),
        (&[b"http/1.1"], "http2 GET /", "no protocol that was offered"),
        (&[], "http2 GET /", "did not choose HTTP/2"),
    ] {
        let address = serve_tls(identity.acceptor(alpn), both).await;
        let attempt = attempt(address, identity.trusted(), stream).await;
        assert_eq!(attempt.outcome, Outcome::TlsFailed, "{stream}");
        assert!(attempt.error.as_ref().is_some_and(|e| e.contains(said)), "{attempt:?}");
        assert_eq!((attempt.peer, attempt.retryable), (Some(address), false));
    }
}

#[tokio::test]
async fn only_who_was_named_is_trusted() {
    let (identity, itself) = (of_authority("an authority"), of_itself());
    let stranger = of_authority("a stranger");
    let known = Trust::only(identity.authority.as_bytes()).expect("an authority");
    let elsewhere = |trust: &Trust| Tls::new(trust, "www.example.org").expect("a name");
    let pinned = Trust::only(itself.authority.as_bytes()).expect("a certificate");
    for (server, tls, outcome, said) in [
        (&identity, identity.trusted(), Outcome::Ok, ""),
        (&identity, stranger.trusted(), Outcome::TlsUntrusted, "its issuer is unknown"),
        (&identity, elsewhere(&known), Outcome::TlsUntrusted, "not valid for name"),
        (&identity, elsewhere(&Trust::Anybody), Outcome::Ok, ""),
        (&itself, itself.trusted(), Outcome::Ok, ""),
        (&itself, elsewhere(&pinned), Outcome::TlsUntrusted, "not valid for name"),
        (&itself, identity.trusted(), Outcome::TlsUntrusted, "not trusted: "),
    ] {
        let address = serve_tls(server.acceptor(&[b"http/1.1"]), both).await;
        let attempt = attempt(address, tls, "new GET /").await;
        assert_eq!(attempt.outcome, outcome, "{attempt:?}");
        assert!(attempt.error.as_deref().unwrap_or_default().contains(said), "{attempt:?}");
        assert!(attempt.outcome.is_lost() != said.is_empty());
    }
}

#[tokio::test]
async fn a_handshake_that_does_not_end_has_names_of_its_own() {
    let tls = of_authority("an authority").trusted();
    let closes = serve(|mut socket, _| async move {
        let _ = socket.read(&mut [0; 64]).await;
    })
    .await;
    let resets = serve(|mut socket, _| async move {
        let _ = socket.read(&mut [0; 64]).await;
        reset(&socket);
    })
    .await;
    let plain = serve(|mut socket, _| async move {
        let _ = socket.read(&mut [0; 64]).await;
        let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        hold(socket).await;
    })
    .await;
    let silent = serve(|socket, _| hold(socket)).await;
    for stream in ["new GET /", "keep-alive GET /", "http2 GET /", "websocket /ws"] {
        for (address, outcome) in [
            (closes, Outcome::TlsReset),
            (resets, Outcome::TlsReset),
            (plain, Outcome::TlsFailed),
            (nobody().await, Outcome::Refused),
        ] {
            let attempt = attempt(address, tls.clone(), stream).await;
            assert_eq!(attempt.outcome, outcome, "{stream}: {attempt:?}");
            assert!(attempt.outcome.is_lost() && !attempt.retryable);
        }
    }
    let short = Duration::from_millis(100);
    let connect = Bounds { connect_timeout: short, ..Bounds::default() };
    let request = Bounds { timeout: short, ..Bounds::default() };
    for bounds in [connect, request] {
        let attempt = &attempts_within(bounds, silent, tls.clone(), "new GET /", 1).await[0];
        assert_eq!((attempt.outcome, attempt.peer), (Outcome::TlsTimeout, Some(silent)));
    }
}

#[tokio::test]
async fn an_end_that_nobody_announced_completes_nothing() {
    let identity = of_authority("an authority");
    let answering = |head: &'static str, announced: bool| {
        let acceptor = identity.acceptor(&[b"http/1.1"]);
        serve_tls(acceptor, move |mut socket| async move {
            read_request(&mut socket).await;
            write(&mut socket, head.as_bytes()).await;
            if announced {
                let _ = socket.shutdown().await;
            } else {
                cut(socket).await;
            }
        })
    };
    for (head, announced, outcome) in [
        // Complete by its length: how the connection ends is another matter.
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi", false, Outcome::Ok),
        ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nhi", false, Outcome::Truncated),
        // Complete by the end of the connection: only if it was meant.
        ("HTTP/1.1 200 OK\r\n\r\nhi", true, Outcome::Ok),
        ("HTTP/1.1 200 OK\r\n\r\nhi", false, Outcome::Truncated),
        ("HTTP/1.1 200 OK\r\nconte", true, Outcome::Truncated),
        ("", true, Outcome::Reset),
        ("", false, Outcome::Reset),
    ] {
        let address = answering(head, announced).await;
        let attempt = attempt(address, identity.trusted(), "new GET /").await;
        assert_eq!(attempt.outcome, outcome, "{head:?} {announced}: {attempt:?}");
        if outcome != Outcome::Ok && !announced {
            let error = attempt.error.expect("an error");
            assert!(error.contains("closed without close_notify"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_kept_connection_that_ends_idle_is_not_used_again_however_it_ends() {
    let identity = of_authority("an authority");
    for announced in [true, false] {
        let acceptor = identity.acceptor(&[b"http/1.1"]);
        let address = serve_tls(acceptor, move |mut socket| async move {
            read_request(&mut socket).await;
            write(&mut socket, OK).await;
            if announced {
                let _ = socket.shutdown().await;
            } else {
                cut(socket).await;
            }
        })
        .await;
        let stream = "keep-alive GET / connections=1";
        let attempts = attempts(address, identity.trusted(), stream, 3).await;
        assert_eq!(outcomes(&attempts), [Outcome::Ok; 3]);
        assert!(attempts.iter().all(|attempt| !attempt.reused));
    }
}

#[tokio::test]
async fn a_kept_connection_that_ends_under_a_request_is_reset_reused() {
    let identity = of_authority("an authority");
    let acceptor = identity.acceptor(&[b"http/1.1"]);
    let address = serve_tls(acceptor, |mut socket| async move {
        read_request(&mut socket).await;
        write(&mut socket, OK).await;
        read_request(&mut socket).await;
        cut(socket).await;
    })
    .await;
    let attempts = attempts(address, identity.trusted(), "keep-alive GET / connections=1", 2).await;
    assert_eq!(outcomes(&attempts), [Outcome::Ok, Outcome::ResetReused]);
    assert!(attempts[1].retryable, "as without TLS: tickets are no part of an answer");
}

#[tokio::test]
async fn a_kept_http2_connection_that_says_goaway_is_not_used_again() {
    let identity = of_authority("an authority");
    let address = serve_tls(identity.acceptor(&[b"h2"]), |socket| async move {
        let mut connection = h2::server::handshake(socket).await.expect("an HTTP/2 client");
        while let Some(Ok((_, mut stream))) = connection.accept().await {
            let mut body = stream.send_response(Response::new(()), false).expect("an open stream");
            body.send_data(Bytes::from_static(b"hello"), true).expect("an open stream");
            connection.graceful_shutdown();
        }
    })
    .await;
    let stream = "keep-alive GET / connections=1 alpn=yes";
    let attempts = attempts(address, identity.trusted(), stream, 3).await;
    assert_eq!(outcomes(&attempts), [Outcome::Ok; 3]);
    assert!(attempts.iter().all(|attempt| !attempt.reused && attempt.bytes_in == 5));
}

#[test]
fn what_is_no_authority_is_refused() {
    let key = key().serialize_pem();
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for pem in ["", "hello", &key, broken, "-----BEGIN CERTIFICATE-----\n!\n"] {
        let error = Trust::only(pem.as_bytes()).expect_err(pem);
        assert!(matches!(error, TlsError::Certificate(_)), "{error}");
    }
    let error = Tls::new(&Trust::Anybody, "not a name").expect_err("spaces").to_string();
    assert!(error.contains("`not a name` is not a server's name"), "{error}");
}
