//! `/stream/N`: a response that takes its time.

use std::{convert::Infallible, time::Duration};

use actix_web::{HttpResponse, http::StatusCode, web};
use futures_util::stream;

use super::{Sample, seconds};

/// Sends a chunk at once and then one a second, N in all.
pub(super) async fn stream(sample: web::Data<Sample>, count: web::Path<String>) -> HttpResponse {
    let count = match seconds::parse(&count, sample.settings.limits.sleep) {
        Ok(duration) => duration.as_secs(),
        Err(why) => return sample.refuse(StatusCode::BAD_REQUEST, why),
    };
    let chunks = stream::unfold(0, move |sent| async move {
        if sent == count {
            return None;
        }
        if sent > 0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let chunk = web::Bytes::from(format!("{} of {count}\n", sent + 1));
        Some((Ok::<_, Infallible>(chunk), sent + 1))
    });
    sample.respond().content_type("text/plain").streaming(chunks)
}
