use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    sync::mpsc,
};

use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring},
};

use super::*;

/// Answers every connection's requests with `reply(path)`; the request heads come out.
async fn server(
    reply: impl Fn(&str) -> String + Send + 'static,
) -> (SocketAddr, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (heads, received) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match stream.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => break,
                }
            }
            let head = String::from_utf8(head).unwrap();
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            stream.write_all(reply(&path).as_bytes()).await.unwrap();
            let _ = heads.send(head);
        }
    });
    (address, received)
}

fn status(line: &str) -> String {
    format!("HTTP/1.1 {line}\r\ncontent-length: 0\r\n\r\n")
}

const PLAIN: Scheme = Scheme::Http;
const LIMIT: Duration = Duration::from_secs(5);

#[tokio::test]
async fn rule_1_6_200_to_399_is_success() {
    let (address, _heads) = server(|path| status(&format!("{} x", &path[1..]))).await;
    for (code, good) in [(200, true), (204, true), (304, true), (399, true), (400, false)] {
        assert_eq!(probe(address, PLAIN, &format!("/{code}"), LIMIT).await.is_ok(), good, "{code}");
    }
    assert_eq!(probe(address, PLAIN, "/503", LIMIT).await, Err("status 503".to_owned()));
}

#[tokio::test]
async fn rules_1_7_and_1_8_what_a_probe_sends() {
    let (address, mut heads) = server(|_| status("200 OK")).await;
    probe(address, PLAIN, "/readiness?a=b", LIMIT).await.unwrap();
    let head = heads.recv().await.unwrap().to_lowercase();
    assert!(head.starts_with("get /readiness?a=b http/1.1\r\n"), "{head}");
    for line in ["user-agent: kube-probe/1.36", "accept: */*", "connection: close"] {
        assert!(head.contains(&format!("\r\n{line}\r\n")), "{line} in {head}");
    }
    assert!(head.contains(&format!("host: {address}")));
    assert!(!head.contains("gzip"));
}

#[tokio::test]
async fn rule_1_6_redirects_on_the_same_host_are_followed() {
    let (address, mut heads) = server(|path| match path {
        "/a/b" => "HTTP/1.1 302 x\r\nlocation: c\r\ncontent-length: 0\r\n\r\n".to_owned(),
        "/a/c" => status("503 x"),
        "/away" => {
            "HTTP/1.1 302 x\r\nlocation: http://192.0.2.1/\r\ncontent-length: 0\r\n\r\n".to_owned()
        }
        _ => format!("HTTP/1.1 301 x\r\nlocation: {path}x\r\ncontent-length: 0\r\n\r\n"),
    })
    .await;
    assert_eq!(probe(address, PLAIN, "/a/b", LIMIT).await, Err("status 503".to_owned()));
    assert!(heads.recv().await.unwrap().starts_with("GET /a/b "));
    assert!(heads.recv().await.unwrap().starts_with("GET /a/c "));
    assert_eq!(probe(address, PLAIN, "/away", LIMIT).await, Ok(()));
    let error = probe(address, PLAIN, "/loop", LIMIT).await.unwrap_err();
    assert_eq!(error, "stopped after 10 redirects");
}

#[tokio::test]
async fn rule_1_6_over_https_any_certificate_will_do() {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(["somebody".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.into())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (redirects, _heads) = server(move |_| {
        format!("HTTP/1.1 302 x\r\nlocation: https://{address}/\r\ncontent-length: 0\r\n\r\n")
    })
    .await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // Whoever speaks no TLS is not answered.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let _ = stream.read(&mut [0; 1024]).await.unwrap();
            stream.write_all(status("204 x").as_bytes()).await.unwrap();
        }
    });
    assert_eq!(probe(address, Scheme::Https, "/", LIMIT).await, Ok(()));
    assert_eq!(probe(redirects, PLAIN, "/", LIMIT).await, Ok(()), "by a redirect");
    assert!(pre_stop(address, Scheme::Https, "/bye").await.is_ok());
    assert!(probe(address, PLAIN, "/", LIMIT).await.is_err());
}

#[tokio::test]
async fn rule_1_7_refused_and_silent_are_failures() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let error = probe(address, PLAIN, "/", Duration::from_millis(50)).await.unwrap_err();
    assert_eq!(error, "no answer within 50ms");
    drop(listener);
    let error = probe(address, PLAIN, "/", LIMIT).await.unwrap_err();
    assert!(error.starts_with("connect: "), "{error}");
}

#[tokio::test]
async fn rules_2_6_and_2_7_the_hook_ignores_the_status_and_keeps_its_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let hook = tokio::spawn(async move { pre_stop(address, PLAIN, "/prestop").await });
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut head = vec![0; 4096];
    let length = stream.read(&mut head).await.unwrap();
    let head = String::from_utf8_lossy(&head[..length]).to_lowercase();
    assert!(head.contains("user-agent: kube-lifecycle/1.36"), "{head}");
    assert!(!head.contains("connection: close"), "{head}");
    stream.write_all(status("500 x").as_bytes()).await.unwrap();
    let connection = hook.await.unwrap().expect("a status is no failure");
    let mut byte = [0];
    let silence = timeout(Duration::from_millis(50), stream.read(&mut byte)).await;
    assert!(silence.is_err(), "the idle connection must stay open");
    drop(connection);
    assert_eq!(stream.read(&mut byte).await.unwrap(), 0, "and close when the pod is gone");
}
