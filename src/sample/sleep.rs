//! `/sleep/N`: a slow request.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};

use super::{Sample, answer::discard, seconds};

/// Answers after N seconds.
pub(super) async fn sleep(
    sample: web::Data<Sample>,
    request: HttpRequest,
    seconds: web::Path<String>,
    body: web::Payload,
) -> HttpResponse {
    let duration = match seconds::parse(&seconds, sample.settings.limits.sleep) {
        Ok(duration) => duration,
        Err(why) => return sample.refuse(StatusCode::BAD_REQUEST, why),
    };
    if let Err(refusal) = discard(&sample, &request, body).await {
        return refusal;
    }
    tokio::time::sleep(duration).await;
    sample.respond().finish()
}
