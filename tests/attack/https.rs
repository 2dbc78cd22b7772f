//! `websample attack https://…`, by the real binary, at servers of this project and of others.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use serde_json::{Value, json};

use crate::{
    common::{
        eventually,
        server::{Server, binary},
        tls::Pair,
    },
    program::find,
};

/// Twenty requests, as the options say.
fn attack(arguments: &[&str]) -> Output {
    let mut command = binary();
    command.args(["attack", "--duration", "500ms"]).args(arguments);
    if !arguments.contains(&"--mix") {
        command.args(["--rate", "40"]);
    }
    command.output().expect("it runs")
}

/// Its report, where it succeeds.
fn report(arguments: &[&str]) -> Value {
    let ran = attack(&[arguments, &["--format", "json"]].concat());
    let said = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(0), "{said}");
    serde_json::from_slice(&ran.stdout).expect("a report")
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn this_projects_server_answers_in_every_protocol() {
    let pair = Pair::new("websample");
    let server = Server::start(&pair.flags(&[]));
    let url = format!("https://localhost:{}/", server.app.port());
    let ca = text(&pair.cert());
    for options in [&[][..], &["--http1"], &["--keep-alive"], &["--http1", "-k"], &["--http2"]] {
        let report = report(&[&[url.as_str(), "--ca", &ca], options].concat());
        assert_eq!(report["outcomes"], json!({"ok": 20}), "{options:?}: {report:#}");
    }
    let mix = "40/s new GET /, 40/s keep-alive POST /echo body=64 alpn=yes, 40/s http2 GET /, \
               40/s websocket /ws";
    let report = report(&[&url, "--ca", &ca, "--mix", mix]);
    assert_eq!(report["outcomes"], json!({"ok": 80}), "{report:#}");
}

#[test]
fn a_certificate_that_is_not_trusted_is_counted_and_says_what_to_do() {
    let (pair, other) = (Pair::new("websample"), Pair::new("somebody else"));
    let server = Server::start(&pair.flags(&[]));
    let by_name = format!("https://localhost:{}/", server.app.port());
    let by_address = format!("https://{}/", server.app);
    let (ca, wrong) = (text(&pair.cert()), text(&other.cert()));
    for (options, error) in [
        (&[by_name.as_str(), "--ca", &wrong][..], "its issuer is unknown"),
        (&[&by_address, "--ca", &ca], "not valid for name"),
        (&[&by_name, "--ca", &ca, "--server-name", "www.example.org"], "not valid for name"),
    ] {
        let ran = attack(&[options, &["--format", "json"]].concat());
        assert_eq!(ran.status.code(), Some(0));
        let report: Value = serde_json::from_slice(&ran.stdout).expect("a report");
        assert_eq!(report["outcomes"], json!({"tls_untrusted": 20}), "{report:#}");
        assert_eq!(report["lost"], 20);
        assert!(report["errors"][0].as_str().is_some_and(|e| e.contains(error)), "{report:#}");
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(said.contains("20 requests met a certificate that is not trusted"), "{said}");
        assert!(said.contains("--ca FILE") && said.contains("--server-name NAME"), "{said}");
    }
    for options in [
        &[by_address.as_str(), "--ca", &ca, "--server-name", "localhost"][..],
        &[&by_address, "--insecure"],
    ] {
        assert_eq!(report(options)["outcomes"], json!({"ok": 20}), "{options:?}");
    }
}

#[test]
fn without_an_authority_of_its_own_it_trusts_the_systems() {
    let pair = Pair::new("websample");
    let server = Server::start(&pair.flags(&[]));
    let url = format!("https://localhost:{}/", server.app.port());
    // What the system trusts is what this variable names, where it is set.
    let attack = |trusted: &Path| {
        let mut command = binary();
        command.args(["attack", &url, "--rate", "40", "--duration", "500ms", "--format", "json"]);
        command.env("SSL_CERT_FILE", trusted).env_remove("SSL_CERT_DIR");
        command.output().expect("it runs")
    };
    let ran = attack(&pair.cert());
    let report: Value = serde_json::from_slice(&ran.stdout).expect("a report");
    assert_eq!(report["outcomes"], json!({"ok": 20}), "{report:#}");
    let ran = attack(Path::new("/nowhere.pem"));
    let said = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(64), "{said}");
    assert!(said.contains("no certificate authority that this system trusts"), "{said}");
    assert!(said.contains("name one with --ca FILE"), "{said}");
}

#[test]
fn what_is_no_authority_is_an_error_before_anything_is_done() {
    let dir = tempfile::tempdir().expect("a directory");
    let pair = Pair::new("websample");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("it can be asked");
    let url = format!("https://{}/", listener.local_addr().expect("it is bound"));
    let results = text(&dir.path().join("results.csv"));
    let (key, missing) = (text(&pair.key()), text(&dir.path().join("missing.pem")));
    for (ca, problem) in
        [(&key, "there is no CERTIFICATE section in it"), (&missing, "No such file or directory")]
    {
        let ran = attack(&[&url, "--ca", ca, "--output", &results]);
        let said = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(64), "{said}");
        assert!(said.contains(&format!("--ca {ca}")) && said.contains(problem), "{said}");
    }
    assert!(!Path::new(&results).exists());
    assert!(listener.accept().is_err(), "nobody has connected");
}

/// Somebody else's server, ended with the test.
struct Foreign(Child);

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("it is bound")
}

#[test]
fn openssl_answers_and_its_end_is_seen() {
    let Some(openssl) = find("openssl") else { return };
    let pair = Pair::new("openssl");
    let mut command = Command::new(openssl);
    // It answers each GET, and closes: HTTP/1.0, complete by the end of the connection.
    command.args(["s_server", "-www", "-accept", "127.0.0.1:0", "-cert"]).arg(pair.cert());
    command.arg("-key").arg(pair.key()).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut server = Foreign(command.stderr(Stdio::null()).spawn().expect("it starts"));
    let lines = BufReader::new(server.0.stdout.take().expect("a pipe")).lines();
    let port = lines
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("ACCEPT 127.0.0.1:").map(|port| port.trim().to_owned()));
    let url = format!("https://localhost:{}/", port.expect("it says where it listens"));
    let report = report(&[&url, "--ca", &text(&pair.cert())]);
    assert_eq!(report["outcomes"], json!({"ok": 20}), "{report:#}");
    assert!(report["bytes_in"]["total"].as_u64() > Some(20 * 500), "{report:#}");
}

#[test]
fn nginx_chooses_among_what_is_offered() {
    let Some(nginx) = find("nginx") else { return };
    let (dir, pair) = (tempfile::tempdir().expect("a directory"), Pair::new("nginx"));
    let (address, prefix) = (free(), dir.path().display());
    let config = format!(
        "daemon off; master_process off; pid {prefix}/pid; error_log stderr;
         events {{}}
         http {{
             access_log off;
             server {{
                 listen {address} ssl http2; server_name localhost;
                 ssl_certificate {cert}; ssl_certificate_key {key};
                 location / {{
                     add_header x-websample-version $server_protocol; return 200 hello;
                 }}
             }}
         }}",
        cert = pair.cert().display(),
        key = pair.key().display(),
    );
    let file = dir.path().join("nginx.conf");
    fs::write(&file, config).expect("written");
    let mut command = Command::new(nginx);
    command.arg("-p").arg(dir.path()).arg("-c").arg(&file);
    let _server = Foreign(command.stderr(Stdio::null()).spawn().expect("it starts"));
    eventually("nginx listens", || TcpStream::connect(address).is_ok());
    let (url, ca) = (format!("https://localhost:{}/", address.port()), text(&pair.cert()));
    for (options, spoken) in [
        (&[][..], "HTTP/2.0"),
        (&["--http1"], "HTTP/1.1"),
        (&["--keep-alive"], "HTTP/2.0"),
        (&["--keep-alive", "--http1"], "HTTP/1.1"),
        (&["--http2"], "HTTP/2.0"),
    ] {
        let report = report(&[&[url.as_str(), "--ca", &ca], options].concat());
        assert_eq!(report["outcomes"], json!({"ok": 20}), "{options:?}: {report:#}");
        assert_eq!(report["versions"], json!({spoken: 20}), "{options:?}: {report:#}");
    }
}
