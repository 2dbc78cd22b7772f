//! `/stream/N`: a response that takes its time.

use std::{convert::Infallible, time::Duration};

use actix_web::{HttpResponse, http::StatusCode, web};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};

use super::{Sample, seconds};

/// Sends a chunk at once and then one a second, N in all.
pub(super) async fn stream(sample: web::Data<Sample>, count: web::Path<String>) -> HttpResponse {
    let count = match seconds::parse(&count, sample.settings.limits.sleep) {
        Ok(duration) => duration.as_secs(),
        Err(why) => return sample.refuse(StatusCode::BAD_REQUEST, why),
    };
    sample.respond().content_type("text/plain").streaming(chunks(count).map(Ok::<_, Infallible>))
}

/// The chunks, whoever sends them.
pub(super) fn chunks(count: u64) -> impl Stream<Item = Bytes> {
    stream::unfold(0, move |sent| async move {
        if sent == count {
            return None;
        }
        if sent > 0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Some((Bytes::from(format!("{} of {count}\n", sent + 1)), sent + 1))
    })
}
