//! `POST /echo`: sends the body back.

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use futures_util::StreamExt as _;

use super::Sample;

/// Answers with the request's body and its content type.
pub(super) async fn echo(
    sample: web::Data<Sample>,
    request: HttpRequest,
    body: web::Payload,
) -> HttpResponse {
    let mut body = body.into_inner();
    let mut whole = web::BytesMut::new();
    while let Some(chunk) = body.next().await {
        match chunk {
            Ok(chunk) if whole.len() + chunk.len() > sample.settings.limits.body => {
                return sample.too_large();
            }
            Ok(chunk) => whole.extend_from_slice(&chunk),
            Err(error) => return sample.unreadable(&error),
        }
    }
    let mut response = sample.respond();
    if let Some(kind) = request.headers().get(header::CONTENT_TYPE) {
        response.insert_header((header::CONTENT_TYPE, kind.clone()));
    }
    response.body(whole.freeze())
}
