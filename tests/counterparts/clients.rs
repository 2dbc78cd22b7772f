//! curl, nghttp and h2load across a drain.

use std::{
    net::SocketAddr,
    process::{Command, Stdio},
};

use crate::{
    common::{count, full, server::Server, tls::Pair},
    program::find,
};

/// A busy client may keep a server busy up to the end of the delay.
const DELAY: [&str; 6] = ["--delay.min", "500ms", "--delay.quiet", "100ms", "--delay.max", "1s"];

#[test]
fn curl_gets_the_whole_of_a_slow_answer_in_every_protocol() {
    let Some(curl) = find("curl") else { return };
    let pair = Pair::new("curl");
    let cleartext = [["--http1.1"].as_slice(), &["--http2-prior-knowledge"]];
    let encrypted = [["-k", "--http1.1"].as_slice(), &["-k", "--http2"]];
    for (scheme, flags, protocols) in
        [("http", DELAY.to_vec(), cleartext), ("https", pair.flags(&DELAY), encrypted)]
    {
        for protocol in protocols {
            let server = Server::start(&flags);
            let child = Command::new(&curl)
                .args(["-sS", "-w", " %{http_version}"])
                .args(protocol)
                .arg(format!("{scheme}://{}/stream/3", server.app))
                .stdout(Stdio::piped())
                .spawn()
                .expect("it starts");
            server.until_counts(1, 1);
            server.sigterm();
            let output = child.wait_with_output().expect("it ends");
            let text = String::from_utf8_lossy(&output.stdout);
            assert_eq!(output.status.code(), Some(0), "{protocol:?}: {text}");
            let version = if protocol.contains(&"--http1.1") { "1.1" } else { "2" };
            assert_eq!(text, format!("1 of 3\n2 of 3\n3 of 3\n {version}"));
            server.wait().clean();
        }
    }
}

#[test]
fn nghttp_sees_both_goaways_around_its_answer() {
    let Some(nghttp) = find("nghttp") else { return };
    let server = Server::start(&DELAY);
    let child = Command::new(nghttp)
        .args(["-v", "-n", &format!("http://{}/stream/3", server.app)])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    server.until_counts(1, 1);
    server.sigterm();
    let output = child.wait_with_output().expect("it ends");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}");
    let first = text.find("last_stream_id=2147483647").expect("the first GOAWAY");
    let end = text.rfind("; END_STREAM").expect("the end of the answer");
    assert!(first < end, "{text}");
    server.wait().clean();
}

/// The numbers of h2load's line "requests: …".
#[derive(Debug, PartialEq, Eq)]
struct Requests {
    started: u64,
    done: u64,
    succeeded: u64,
}

fn h2load(program: &std::path::Path, scheme: &str, address: SocketAddr) -> std::process::Child {
    Command::new(program)
        // More than any server answers within the second that it has.
        .args(["-n", "10000000", "-c", "10", "-m", "10", "-t", "1"])
        .arg(format!("{scheme}://{address}/"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts")
}

fn requests(text: &str) -> Requests {
    let line = text.lines().find(|line| line.starts_with("requests:")).expect("a line");
    let number = |what: &str| {
        let words: Vec<_> = line.split([' ', ',']).filter(|word| !word.is_empty()).collect();
        let at = words.iter().position(|word| *word == what).expect("a number");
        words[at - 1].parse().expect("a number")
    };
    Requests { started: number("started"), done: number("done"), succeeded: number("succeeded") }
}

fn h2load_loses_nothing(scheme: &str, flags: &[&str], runs: usize) {
    let Some(program) = find("h2load") else { return };
    let (mut all, mut equal) = (0, 0);
    for run in 1..=runs {
        let server = Server::start(flags);
        let child = h2load(&program, scheme, server.app);
        server.until("it is busy", |status| status["connections"].as_u64() >= Some(10));
        std::thread::sleep(std::time::Duration::from_millis(200));
        server.sigterm();
        let output = child.wait_with_output().expect("it ends");
        let text = String::from_utf8_lossy(&output.stdout);
        let Requests { started, done, succeeded } = requests(&text);
        let ended = server.wait().clean();
        let arrived = ended.arrived();
        // Every request that has left h2load was answered.
        assert_eq!((done, succeeded), (started, arrived), "run {run}: {text}");
        assert!(started > 100, "run {run}: {text}");
        // h2load counts a request as started when it is prepared. Where it did not run for
        // longer than the server waits for a quiet moment, it reads GOAWAY before it sends.
        equal += usize::from(started == succeeded);
        all += arrived;
    }
    println!(
        "h2load, {scheme}, {flags:?}: started = done = succeeded in {equal} of {runs} runs, {all} requests, 0 lost"
    );
    assert!(!full() || equal * 10 >= runs * 9, "in {equal} of {runs} runs");
}

#[test]
fn h2load_loses_nothing_when_all_is_closed_at_once() {
    h2load_loses_nothing("http", &DELAY, count(3, 50));
}

#[test]
fn h2load_loses_nothing_when_the_close_is_spread() {
    h2load_loses_nothing("http", &[&DELAY[..], &["--close.spread", "2s"]].concat(), count(2, 50));
}

#[test]
fn h2load_loses_nothing_over_tls() {
    let pair = Pair::new("h2load");
    h2load_loses_nothing("https", &pair.flags(&DELAY), count(2, 50));
}

#[test]
fn the_numbers_are_read_from_the_right_words() {
    let text = "\nrequests: 90 total, 80 started, 70 done, 60 succeeded, 5 failed, 4 errored\n";
    assert_eq!(requests(text), Requests { started: 80, done: 70, succeeded: 60 });
}
