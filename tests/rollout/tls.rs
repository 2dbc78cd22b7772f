//! With TLS between load and pods: by the lab's certificates, by others, and what is told where it cannot be.

use std::{fs, path::Path, process::Command};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    common::tls::Pair,
    harness::{Lab, Ran, rollout_with},
};

/// Answers GET with 200 over TLS, and ends at once with SIGTERM.
const PYTHON: &str = "
import http.server, ssl, sys
host, port, cert, key = sys.argv[1:]
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        self.send_response(200)
        self.send_header('content-length', '0')
        self.end_headers()
    def log_message(self, *arguments): pass
server = http.server.ThreadingHTTPServer((host, int(port)), Handler, bind_and_activate=False)
server.request_queue_size = 128
server.server_bind()
server.server_activate()
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(cert, key)
# The handshake belongs to the connection's thread, not to the one that accepts.
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
";

/// A run whose temporary files have a place of their own, where nothing is left of them.
fn tidy(arguments: &[&str]) -> Ran {
    let place = tempfile::tempdir().expect("a directory");
    let text = place.path().to_str().expect("text").to_owned();
    let ran = rollout_with(&[("TMPDIR", &text)], arguments);
    assert_eq!(left(&place), Vec::<String>::new(), "{ran:?}");
    ran
}

fn left(place: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(place.path()).expect("it is there").flatten();
    entries.map(|entry| entry.path().display().to_string()).collect()
}

fn run<'a>(report: &'a Value, mode: &str) -> &'a Value {
    let runs = report["runs"].as_array().expect("runs");
    runs.iter().find(|run| run["mode"] == mode).unwrap_or_else(|| panic!("{mode} in {report}"))
}

#[test]
fn over_tls_drain_loses_nothing_and_the_others_do() {
    // Two protocols; the handshake is where most of what is lost is lost.
    let mix = "40/s new GET /, 20/s keep-alive GET /, 20/s http2 GET /, 20/s new GET / alpn=yes";
    let modes = ["--modes", "immediate,graceful,drain", "--pre-stop", "none"];
    let ran = tidy(&[&["--tls", "--replicas", "2", "--mix", mix][..], &modes].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let report = ran.report();
    assert_eq!(run(&report, "drain")["lost"], 0, "{}", run(&report, "drain")["outcomes"]);
    for mode in ["immediate", "graceful"] {
        let run = run(&report, mode);
        assert!(run["lost"].as_u64() > Some(0), "{mode}: {}", run["outcomes"]);
        let ok = run["outcomes"]["ok"].as_u64().expect("answers");
        assert!(ok * 10 > run["requests"].as_u64().expect("a number") * 7, "{}", run["outcomes"]);
        let unexplained = run["causes"].as_array().expect("causes").iter();
        let unexplained = unexplained.filter(|cause| cause["cause"] == "unexplained");
        assert_eq!(unexplained.count(), 0, "{}", run["causes"]);
    }
    // Probed over TLS: without that, no pod would have become ready.
    assert!(ran.err.contains("proxy; TLS; "), "{}", ran.err);
}

#[test]
fn somebody_elses_server_gets_the_labs_certificate_or_has_its_own() {
    let own = Pair::new("somebody else");
    let (cert, key) = (own.cert().display().to_string(), own.key().display().to_string());
    let options = ["--tls", "--replicas", "1", "--rate", "20", "--readiness", "http:/"];
    for (trust, cert, key) in
        [(&[][..], "{cert}", "{key}"), (&["--ca", cert.as_str()], cert.as_str(), key.as_str())]
    {
        let server = ["--", "python3", "-c", PYTHON, "{host}", "{port}", cert, key];
        let ran = tidy(&[&options, trust, &server].concat());
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let report = ran.report();
        let outcomes = &run(&report, "python3")["outcomes"];
        assert!(outcomes["ok"].as_u64() > Some(50), "{outcomes}");
        assert_eq!(outcomes["tls_untrusted"], Value::Null, "{outcomes}");
    }
}

#[test]
fn a_certificate_that_clients_would_not_trust_is_told_before_anything_is_measured() {
    let own = Pair::new("somebody else");
    let (cert, key) = (own.cert().display().to_string(), own.key().display().to_string());
    let server = ["--", "python3", "-c", PYTHON, "{host}", "{port}", &cert, &key];
    let few = ["--tls", "--replicas", "1", "--rate", "20"];
    for (options, said) in [
        (&[][..], "new GET / fails (tls_untrusted)"),
        (&["--ca", &cert, "--server-name", "www.example.org"], "fails (tls_untrusted)"),
    ] {
        let ran = tidy(&[&few, options, &server].concat());
        assert_eq!(ran.code, Some(69), "{ran:?}");
        assert!(ran.err.contains(said) && ran.err.contains("(--ca FILE)"), "{ran:?}");
        assert!(!ran.report_file().exists(), "{ran:?}");
    }
    let plain = ["--", "python3", "-m", "http.server", "{port}", "--bind", "{host}"];
    let ran = tidy(&[&few[..], &plain].concat());
    assert_eq!(ran.code, Some(69), "{ran:?}");
    assert!(ran.err.contains("leave --tls out"), "{ran:?}");
}

#[test]
fn what_is_no_authority_is_64_before_anything_is_started() {
    let own = Pair::new("somebody else");
    let key = own.key().display().to_string();
    for (file, problem) in
        [(key.as_str(), "there is no CERTIFICATE section in it"), ("/nowhere.pem", "No such file")]
    {
        let ran = tidy(&["--tls", "--ca", file, "--", "touch", "started"]);
        assert_eq!(ran.code, Some(64), "{ran:?}");
        let error = format!("websample: --ca: {file}: ");
        assert!(ran.err.contains(&error) && ran.err.contains(problem), "{ran:?}");
        assert!(!ran.report_file().parent().is_some_and(Path::exists), "{ran:?}");
    }
}

#[test]
fn an_interrupt_leaves_no_key_behind() {
    let place = tempfile::tempdir().expect("a directory");
    let text = place.path().to_str().expect("text").to_owned();
    let arguments = ["--tls", "--modes", "drain", "--replicas", "2"];
    let mut lab = Lab::start(&[("TMPDIR", &text)], &arguments);
    lab.is_rolling_out();
    assert_eq!(left(&place).len(), 1, "the certificate's directory");
    lab.send(Signal::SIGTERM);
    let ran = lab.end();
    assert_eq!(ran.code, Some(143), "{ran:?}");
    assert_eq!(left(&place), Vec::<String>::new());
}

#[test]
fn nginx_by_its_preset_with_and_without_tls() {
    if !Command::new("nginx").arg("-v").output().is_ok_and(|ran| ran.status.success()) {
        eprintln!("skipped: there is no nginx on the PATH");
        return;
    }
    let files = tempfile::tempdir().expect("a directory");
    for (options, listen) in [
        (&[][..], "listen ${HOST}:${PORT};"),
        (
            &["--tls"],
            "listen ${HOST}:${PORT} ssl; ssl_certificate ${TLS_CERT}; ssl_certificate_key ${TLS_KEY};",
        ),
    ] {
        let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let paths = paths.map(|name| format!("{name}_temp_path ${{DIR}}/{name};")).join(" ");
        let template = format!(
            "pid ${{DIR}}/pid; error_log stderr; events {{}}\n\
             http {{ access_log off; {paths} server {{ {listen} location / {{ return 200 hi; }} }} }}\n"
        );
        let file = files.path().join("nginx.conf");
        fs::write(&file, template).expect("written");
        let few = ["--preset", "nginx", "--replicas", "1", "--rate", "20", "--readiness", "http:/"];
        let ran = tidy(&[&few, options, &["--", file.to_str().expect("text")]].concat());
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let report = ran.report();
        let run = run(&report, "nginx");
        assert!(run["outcomes"]["ok"].as_u64() > Some(50), "{}", run["outcomes"]);
        assert_eq!(run["killed"], json!(0), "SIGTERM reaches nginx: {run}");
        assert!(ran.err.contains("exec nginx -e stderr"), "it says what it runs: {}", ran.err);
    }
}
