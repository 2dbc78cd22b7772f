//! `/events`: server-sent events, which end well.

use std::{convert::Infallible, time::Duration};

use actix_web::{HttpResponse, http::StatusCode, web};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use rand::RngExt as _;
use tokio::time::{Instant, sleep, sleep_until};
use websample_lifecycle::Lifecycle;

use super::Sample;

/// A browser comes back after this; it said "reconnecting" before it lost anything.
const LAST_WORDS: &str = "retry: 1000\n\n";

/// An event a second, until the server leaves; then a hint when to come back, and the end.
pub(super) async fn events(sample: web::Data<Sample>) -> HttpResponse {
    let ticks = ticks(&sample.lifecycle, sample.settings.close_spread);
    sample
        .respond_with(StatusCode::OK)
        .content_type("text/event-stream")
        .insert_header(("cache-control", "no-store"))
        .streaming(ticks.map(Ok::<_, Infallible>))
}

/// The events, whoever sends them.
pub(super) fn ticks(
    lifecycle: &Lifecycle,
    close_spread: Duration,
) -> impl Stream<Item = Bytes> + use<> {
    let lame_duck = lifecycle.lame_duck();
    let spread = spread(close_spread);
    let lifecycle = lifecycle.clone();
    let start = Instant::now();
    // One wait for the whole stream: begun anew with every event, a spread of more than the
    // second between two of them would never be over.
    let leaving = Box::pin(async move {
        lame_duck.cancelled().await;
        sleep(spread).await;
    });
    stream::unfold(Some((0, leaving)), move |state| {
        let lifecycle = lifecycle.clone();
        async move {
            let (sent, mut leaving) = state?;
            tokio::select! {
                biased;
                () = &mut leaving => Some((Bytes::from_static(LAST_WORDS.as_bytes()), None)),
                () = sleep_until(start + Duration::from_secs(sent)) => {
                    let event = Bytes::from(event(sent, &lifecycle));
                    Some((event, Some((sent + 1, leaving))))
                }
            }
        }
    })
}

fn event(id: u64, lifecycle: &Lifecycle) -> String {
    format!("id: {id}\nevent: tick\ndata: {{\"phase\":\"{}\"}}\n\n", lifecycle.phase())
}

/// A moment within `close.spread`, so that not all clients come back at once.
pub(super) fn spread(over: Duration) -> Duration {
    over.mul_f64(rand::rng().random_range(0.0..=1.0))
}
