//! `/events`: server-sent events, which end well.

use std::{convert::Infallible, time::Duration};

use actix_web::{HttpResponse, http::StatusCode, web};
use futures_util::stream;
use rand::RngExt as _;
use tokio::time::{Instant, sleep, sleep_until};

use super::Sample;
use crate::lifecycle::Lifecycle;

/// A browser comes back after this; it said "reconnecting" before it lost anything.
const LAST_WORDS: &str = "retry: 1000\n\n";

/// An event a second, until the server leaves; then a hint when to come back, and the end.
pub(super) async fn events(sample: web::Data<Sample>) -> HttpResponse {
    let lame_duck = sample.lifecycle.lame_duck();
    let spread = spread(sample.settings.close_spread);
    let lifecycle = sample.lifecycle.clone();
    let start = Instant::now();
    let events = stream::unfold(State::Open(0), move |state| {
        let lame_duck = lame_duck.clone();
        let lifecycle = lifecycle.clone();
        async move {
            let State::Open(sent) = state else { return None };
            tokio::select! {
                biased;
                () = async { lame_duck.cancelled().await; sleep(spread).await } => {
                    let last = web::Bytes::from_static(LAST_WORDS.as_bytes());
                    Some((Ok::<_, Infallible>(last), State::Ended))
                }
                () = sleep_until(start + Duration::from_secs(sent)) => {
                    let event = web::Bytes::from(event(sent, &lifecycle));
                    Some((Ok(event), State::Open(sent + 1)))
                }
            }
        }
    });
    sample
        .respond_with(StatusCode::OK)
        .content_type("text/event-stream")
        .insert_header(("cache-control", "no-store"))
        .streaming(events)
}

enum State {
    Open(u64),
    Ended,
}

fn event(id: u64, lifecycle: &Lifecycle) -> String {
    format!("id: {id}\nevent: tick\ndata: {{\"phase\":\"{}\"}}\n\n", lifecycle.phase())
}

/// A moment within `close.spread`, so that not all clients come back at once.
pub(super) fn spread(over: Duration) -> Duration {
    over.mul_f64(rand::rng().random_range(0.0..=1.0))
}
