//! `websample attack --format lab`: the run as lines, by the real binary, ended as a kubelet ends it.

use std::{process::Stdio, time::Duration};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
    time::timeout,
};
use websample_load::{
    Outcome,
    lines::{Reader, Said},
};

use crate::harness::{hold, read_request, serve, write};

const HANG: Duration = Duration::from_secs(30);
const NAMED: &[u8] = b"HTTP/1.1 200 OK\r\nx-websample-instance: pod-a\r\ncontent-length: 0\r\n\r\n";

/// Runs it until this is said, then ends it with SIGTERM; everything that was said.
async fn until(url: &str, options: &[&str], enough: impl Fn(&Said) -> bool) -> Vec<Said> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_websample"))
        .args(["attack", url, "--format", "lab", "--duration", "0s"])
        .args(options)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the binary starts");
    let pid = Pid::from_raw(child.id().expect("it runs").cast_signed());
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let (mut said, mut reader, mut told) = (Vec::new(), Reader::default(), false);
    while let Some(line) =
        timeout(HANG, lines.next_line()).await.expect("it goes on").expect("text")
    {
        let entry = reader.read(&line).expect(&line).expect("a new line");
        if enough(&entry) && !told {
            kill(pid, Signal::SIGTERM).expect("it is there");
            told = true;
        }
        said.push(entry);
    }
    let status = timeout(HANG, child.wait()).await.expect("it ends").expect("it was there");
    assert!(status.success(), "{status}");
    said
}

#[tokio::test]
async fn a_request_is_a_line_and_sigterm_waits_for_outstanding_answers() {
    // The first connection is kept and answers; the slow stream's answer comes after the signal.
    let (release, held) = tokio::sync::watch::channel(false);
    let address = serve(move |mut socket, _| {
        let mut held = held.clone();
        async move {
            while read_request(&mut socket).await {
                let _ = held.wait_for(|released| *released).await;
                write(&mut socket, NAMED).await;
            }
        }
    })
    .await;
    let mix = "100/s keep-alive GET /a connections=1 stale-check=no, 1/m new GET /b";
    let url = format!("http://{address}");
    let said = until(&url, &["--mix", mix, "--wait", "20s"], |entry| {
        let ticked = matches!(entry, Said::Tick { .. });
        if matches!(entry, Said::Stopping { .. }) {
            release.send_replace(true);
        }
        ticked
    })
    .await;
    let Some(Said::Began { mix: sent, .. }) = said.first() else { panic!("{said:?}") };
    assert!(sent.contains("100/s keep-alive GET /a"), "{sent}");
    let attempts: Vec<_> = said
        .iter()
        .filter_map(|entry| match entry {
            Said::Attempt(attempt) => Some(attempt),
            _ => None,
        })
        .collect();
    assert!(attempts.iter().all(|attempt| attempt.outcome == Outcome::Ok), "{said:?}");
    assert!(attempts.iter().all(|attempt| attempt.instance.as_deref() == Some("pod-a")));
    assert!(attempts.iter().any(|attempt| attempt.stream == 1), "the slow stream answered");
    let Some(Said::Ended { requests, .. }) = said.last() else { panic!("{said:?}") };
    assert_eq!(*requests, attempts.len() as u64);
    assert!(said.iter().any(|entry| matches!(entry, Said::Stopping { .. })));
}

#[tokio::test]
async fn a_lost_request_names_who_answered_before_on_its_connection() {
    // Answers once on every connection, and closes under the second request.
    let address = serve(|mut socket, _| async move {
        read_request(&mut socket).await;
        write(&mut socket, NAMED).await;
        read_request(&mut socket).await;
    })
    .await;
    let mix = "50/s keep-alive GET / connections=1 stale-check=no";
    let lost = |entry: &Said| matches!(entry, Said::Attempt(a) if a.outcome.is_lost());
    let said = until(&format!("http://{address}"), &["--mix", mix], lost).await;
    let first = said.iter().find(|entry| lost(entry)).expect("one was lost");
    let Said::Attempt(attempt) = first else { unreachable!("it was one") };
    assert_eq!(attempt.outcome, Outcome::ResetReused);
    assert_eq!(attempt.instance.as_deref(), Some("pod-a"));
}

#[tokio::test]
async fn what_does_not_answer_is_given_up_after_the_wait() {
    let address = serve(|socket, _| hold(socket)).await;
    let ticked = |entry: &Said| matches!(entry, Said::Tick { .. });
    let options = ["--rate", "20", "--wait", "10ms"];
    let said = until(&format!("http://{address}/"), &options, ticked).await;
    let mut attempts = said.iter().filter_map(|entry| match entry {
        Said::Attempt(attempt) => Some(attempt),
        _ => None,
    });
    assert!(attempts.all(|attempt| attempt.outcome == Outcome::Abandoned), "{said:?}");
    assert!(matches!(said.last(), Some(Said::Ended { requests: 20.., .. })), "{said:?}");
}
