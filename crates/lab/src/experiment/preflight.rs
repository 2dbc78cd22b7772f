//! What somebody else's server answers, before anything is measured: nobody shall read "100 % lost" of
//! a path that it does not have.

use std::{
    fmt, io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use websample_load::{Attempt, Bounds, Connect, Engine, Mix, Outcome, StreamSpec, Tls};

use super::Failure;

/// An answer that takes longer is slow, and no reason not to begin.
const PATIENCE: Duration = Duration::from_secs(3);

/// A server that was just started may fail for so long.
const WARM_UP: Duration = Duration::from_secs(5);

/// From one try to the next.
const PAUSE: Duration = Duration::from_millis(250);

/// What of a mix a server does not answer as it should.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub struct Refused {
    /// The streams, each with its outcome.
    streams: Vec<(StreamSpec, Outcome)>,
    /// What is left of the mix without them, if anything is.
    rest: Option<Mix>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said: Vec<_> = self
            .streams
            .iter()
            .map(|(stream, outcome)| match outcome {
                Outcome::Status(status) => format!("{} is answered with {status}", stream.name()),
                outcome => format!("{} fails ({outcome})", stream.name()),
            })
            .collect();
        write!(f, "{} here, so that all of it would count as lost: ", said.join(", "))?;
        let any = |wanted| self.streams.iter().any(|(_, outcome)| *outcome == wanted);
        if any(Outcome::TlsUntrusted) {
            return f.write_str(
                "have the command use {cert} and {key}, or say whose certificate it has (--ca FILE) and \
                 what for (--server-name NAME)",
            );
        }
        if any(Outcome::TlsFailed) {
            return f.write_str(
                "have the command speak TLS (with {cert} and {key}), and what the mix says, or leave --tls \
                 out",
            );
        }
        match &self.rest {
            Some(rest) => write!(f, "leave it out (--mix '{rest}')")?,
            None => f.write_str(
                "say what the server has (--mix '100/s new GET /path, 100/s keep-alive GET /path')",
            )?,
        }
        let status = self.streams.iter().find_map(|(stream, outcome)| match outcome {
            Outcome::Status(status) => Some((&stream.expect, status)),
            _ => None,
        });
        match status {
            Some((expect, status)) => {
                write!(f, ", or say that it is right (--expect '{expect}|{status}')")
            }
            None => Ok(()),
        }
    }
}

/// What became of the one request of a stream.
#[derive(Debug, Clone, Copy)]
struct Answer {
    outcome: Outcome,
    status: Option<u16>,
}

impl Answer {
    fn is_wrong(self) -> bool {
        self.outcome.is_lost() && self.outcome != Outcome::Timeout
    }

    /// 4xx does not get better by waiting, nor does a certificate.
    fn is_final(self) -> bool {
        matches!(
            self.outcome,
            Outcome::Status(400..500) | Outcome::TlsFailed | Outcome::TlsUntrusted
        )
    }
}

/// Sends one request of each stream. Tells what is odd about the answers, though they count as success.
///
/// # Errors
/// Where a stream is not answered as it should be, with what helps.
pub(super) async fn ask(
    mix: &Mix,
    target: &Arc<dyn Connect>,
    tls: Option<&Tls>,
) -> Result<Vec<String>, Failure> {
    let began = Instant::now();
    let answers = loop {
        let answers = once(mix, target, tls).await?;
        let mut wrong = answers.iter().filter(|answer| answer.is_wrong()).peekable();
        if wrong.peek().is_none() || wrong.any(|answer| answer.is_final()) {
            break answers;
        }
        if began.elapsed() >= WARM_UP {
            break answers;
        }
        sleep(PAUSE).await;
    };
    let both = || mix.streams().iter().zip(&answers);
    if answers.iter().any(|answer| answer.is_wrong()) {
        let wrong = both().filter(|(_, answer)| answer.is_wrong());
        let streams = wrong.map(|(stream, answer)| (stream.clone(), answer.outcome)).collect();
        let right = both().filter(|(_, answer)| !answer.is_wrong());
        let rest = Mix::new(right.map(|(stream, _)| stream.clone()).collect()).ok();
        return Err(Failure::Refused(Box::new(Refused { streams, rest })));
    }
    let redirected = both().filter_map(|(stream, answer)| match answer.status {
        Some(status @ 300..400) => Some(format!(
            "{} is answered with {status}, which counts as success: what it leads to is not tried",
            stream.name()
        )),
        _ => None,
    });
    Ok(redirected.collect())
}

/// One request of each stream, and what became of it.
async fn once(
    mix: &Mix,
    target: &Arc<dyn Connect>,
    tls: Option<&Tls>,
) -> Result<Vec<Answer>, Failure> {
    let failed = |error| Failure::Load(Arc::new(error));
    // One a second, for half a second.
    let one = |stream: &StreamSpec| StreamSpec { rate: 1.0, timeout: None, ..stream.clone() };
    let streams: Vec<_> = mix.streams().iter().map(one).collect();
    let none = Answer { outcome: Outcome::Unsent, status: None };
    let answers = Arc::new(Mutex::new(vec![none; streams.len()]));
    let single = Mix::new(streams).map_err(|error| failed(io::Error::other(error)))?;
    let bounds = Bounds { connect_timeout: PATIENCE, timeout: PATIENCE, ..Bounds::default() };
    let seen = Arc::clone(&answers);
    let note = move |Attempt { stream, outcome, status, .. }: Attempt| {
        seen.lock().unwrap_or_else(PoisonError::into_inner)[stream] = Answer { outcome, status };
    };
    let engine = Engine::new(single, Arc::clone(target), bounds).on_attempt(note).tls(tls.cloned());
    let half = Duration::from_millis(500);
    engine.run(Some(half), CancellationToken::new()).await.map_err(failed)?;
    let answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(answers.clone())
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };
    use websample_load::Direct;

    use super::*;

    /// A server that answers each connection's first request by its path.
    async fn server(answer: impl Fn(&str) -> u16 + Send + 'static) -> Arc<dyn Connect> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it is bound");
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut head = [0; 1024];
                let length = client.read(&mut head).await.unwrap_or(0);
                let head = String::from_utf8_lossy(&head[..length]).into_owned();
                let status = answer(head.split(' ').nth(1).unwrap_or("/"));
                let text = format!("HTTP/1.1 {status} x\r\nconnection: close\r\n\r\n");
                drop(client.write_all(text.as_bytes()).await);
            }
        });
        Arc::new(Direct(address))
    }

    fn mix(text: &str) -> Mix {
        text.parse().expect("a mix")
    }

    #[tokio::test]
    async fn what_a_server_does_not_have_is_told_with_what_would_be_right() {
        let target = server(|path| if path == "/" { 200 } else { 404 }).await;
        let asked =
            mix("100/s new GET /, 50/s keep-alive GET /items, 4/s new GET /slow timeout=30s");
        let refused = ask(&asked, &target, None).await.expect_err("two are missing").to_string();
        assert_eq!(
            refused,
            "keep-alive GET /items is answered with 404, new GET /slow is answered with 404 here, so \
             that all of it would count as lost: leave it out (--mix '100/s new GET /'), or say that it \
             is right (--expect '200-399|404')"
        );
        let nothing =
            ask(&mix("1/s new GET /x"), &target, None).await.expect_err("missing").to_string();
        assert!(nothing.contains("say what the server has (--mix "), "{nothing}");
        assert_eq!(
            ask(&mix("9/s new GET /x expect=404"), &target, None).await.expect("as expected"),
            [""; 0]
        );
    }

    #[tokio::test]
    async fn a_redirect_counts_and_is_told_of() {
        let target = server(|_| 302).await;
        let notes = ask(&mix("1/s new GET /"), &target, None).await.expect("it counts as success");
        assert!(notes[0].starts_with("new GET / is answered with 302, which counts"), "{notes:?}");
    }

    #[tokio::test]
    async fn a_server_that_warms_up_is_waited_for() {
        let asked = std::sync::atomic::AtomicU16::new(0);
        let answer = move |_: &str| {
            if asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < 2 { 503 } else { 200 }
        };
        let target = server(answer).await;
        assert_eq!(ask(&mix("1/s new GET /"), &target, None).await.expect("in the end"), [""; 0]);
    }
}
