//! `/sleep/N`: a slow request.

use actix_web::{HttpResponse, http::StatusCode, web};

use super::{
    Sample,
    answer::{Unwanted, discard},
    seconds,
};

/// Answers after N seconds.
pub(super) async fn sleep(
    sample: web::Data<Sample>,
    seconds: web::Path<String>,
    body: Unwanted,
) -> HttpResponse {
    let duration = match seconds::parse(&seconds, sample.settings.limits.sleep) {
        Ok(duration) => duration,
        Err(why) => return sample.refuse(StatusCode::BAD_REQUEST, why),
    };
    if let Err(refusal) = discard(&sample, body).await {
        return refusal;
    }
    tokio::time::sleep(duration).await;
    sample.respond().finish()
}
