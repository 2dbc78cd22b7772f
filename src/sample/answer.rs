//! The answer of every path, and what all answers have in common.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    io,
};

use actix_web::{
    FromRequest, HttpRequest, HttpResponse, HttpResponseBuilder,
    dev::Payload,
    error::PayloadError,
    http::{
        ConnectionType, StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
    web,
};
use futures_util::StreamExt as _;
use websample_lifecycle::Phase;

use super::Sample;
use crate::config::Settings;

const VERSION: HeaderName = HeaderName::from_static("x-websample-version");
const INSTANCE: HeaderName = HeaderName::from_static("x-websample-instance");
const PHASE: HeaderName = HeaderName::from_static("x-websample-phase");

/// Who answers.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    status: StatusCode,
    version: HeaderValue,
    instance: HeaderValue,
    /// The name of each phase; made here, since a value is checked when it is made.
    phases: [HeaderValue; Phase::ALL.len()],
}

impl Identity {
    pub(super) fn new(settings: &Settings) -> Self {
        let value = |text: &str| {
            HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("?"))
        };
        Self {
            status: status_of(&settings.version),
            version: value(&settings.version),
            instance: value(&settings.instance),
            phases: Phase::ALL.map(|phase| HeaderValue::from_static(phase.name())),
        }
    }
}

/// As in the original; it knows no other versions.
pub(super) fn status_of(version: &str) -> StatusCode {
    match version {
        "v1" => StatusCode::CREATED,
        "v2" => StatusCode::ACCEPTED,
        _ => StatusCode::OK,
    }
}

impl Sample {
    /// A response with this version's status and the headers that say who answers.
    pub(super) fn respond(&self) -> HttpResponseBuilder {
        self.respond_with(self.identity.status)
    }

    pub(super) fn respond_with(&self, status: StatusCode) -> HttpResponseBuilder {
        let Identity { version, instance, phases, .. } = &self.identity;
        let phase = self.lifecycle.phase() as usize;
        let mut response = HttpResponse::build(status);
        response
            .insert_header((VERSION, version.clone()))
            .insert_header((INSTANCE, instance.clone()))
            .insert_header((PHASE, phases[phase].clone()));
        response
    }

    /// A refusal that says what was wrong.
    pub(super) fn refuse(&self, status: StatusCode, why: String) -> HttpResponse {
        self.respond_with(status)
            .insert_header((header::CONTENT_TYPE, "text/plain; charset=utf-8"))
            .body(why)
    }
}

/// Every path without a meaning of its own: the version's status and no body.
pub(super) async fn answer(sample: web::Data<Sample>, body: Unwanted) -> HttpResponse {
    if let Err(refusal) = discard(&sample, body).await {
        return refusal;
    }
    sample.respond().finish()
}

/// A body that nobody wants.
///
/// Where a request asks for a WebSocket, whatever comes behind its head is its payload. Here it gets
/// none, and without a length it has no body.
pub(super) struct Unwanted(Payload);

impl FromRequest for Unwanted {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let head = request.head();
        let is_none = head.connection_type() == ConnectionType::Upgrade
            && !head.headers.contains_key(header::CONTENT_LENGTH)
            && !head.headers.contains_key(header::TRANSFER_ENCODING);
        ready(Ok(Self(if is_none { Payload::None } else { payload.take() })))
    }
}

/// Reads a body to its end, so that its connection can carry another request.
pub(super) async fn discard(
    sample: &Sample,
    Unwanted(mut body): Unwanted,
) -> Result<(), HttpResponse> {
    let mut length = 0;
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| sample.unreadable(&error))?;
        length += chunk.len();
        if length > sample.settings.limits.body {
            return Err(sample.too_large());
        }
    }
    Ok(())
}

impl Sample {
    /// A body that stopped arriving, or that is not what it says.
    pub(super) fn unreadable(&self, error: &PayloadError) -> HttpResponse {
        let status = match error {
            PayloadError::Incomplete(Some(why)) if why.kind() == io::ErrorKind::TimedOut => {
                StatusCode::REQUEST_TIMEOUT
            }
            _ => StatusCode::BAD_REQUEST,
        };
        self.refuse(status, format!("the body cannot be read: {error}\n"))
    }

    pub(super) fn too_large(&self) -> HttpResponse {
        let limit = self.settings.limits.body;
        self.refuse(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body is larger than limits.body, {limit} bytes\n"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_tells_the_version() {
        for (version, status) in [("v1", 201), ("v2", 202), ("v3", 200), ("", 200), ("V1", 200)] {
            assert_eq!(status_of(version).as_u16(), status, "{version}");
        }
    }
}
