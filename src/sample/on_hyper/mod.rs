//! The same application on hyper: a service of its own, without a router.

mod answer;
mod ws;

use std::{
    convert::Infallible,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;
use websample_actix::ServerError;
use websample_hyper::{Body, Inherited, Server};
use websample_lifecycle::{Drain, DrainReport, Lifecycle};
use websample_metrics::BuildInfo;

use self::answer::{Out, Sample};
use super::{
    DroppedLines, REVISION, announce, answer::status_of, handoff, known_routes, log_connections,
};
use crate::config::Settings;

/// The application, as the server has it.
#[derive(Clone)]
struct App(Arc<Sample>);

impl Service<Request<Body>> for App {
    type Response = Response<Out>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Out>, Infallible>>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let sample = Arc::clone(&self.0);
        Box::pin(async move { Ok(sample.answer(request).await) })
    }
}

/// Runs the sample server until it has drained.
///
/// # Errors
/// When a listener, a thread or the certificate could not be had.
pub(super) async fn run(
    settings: Settings,
    lifecycle: Lifecycle,
    drain: Drain,
) -> Result<DrainReport, ServerError> {
    let app = App(Arc::new(Sample::new(settings.clone(), lifecycle.clone())));
    let mut server = Server::new(drain, app)
        .workers(settings.workers.get())
        .connection_limit(settings.limits.connections.get())
        .keep_alive(settings.keep_alive)
        .close_spread(settings.close_spread)
        .header_timeout(settings.limits.header_timeout)
        .body_timeout(settings.limits.body_timeout)
        .write_timeout(settings.limits.write_timeout)
        .readiness_on_drain(settings.readiness_on_drain)
        .hook_on_app_listener(settings.has_hook_on_app_listener())
        .http2_streams(settings.limits.streams)
        .termination_log(&settings.termination_log)
        .build_info(BuildInfo {
            version: settings.version.clone(),
            revision: REVISION.unwrap_or("unknown").to_owned(),
        });
    for (route, status) in known_routes(status_of(&settings.version).as_u16()) {
        server = server.known_route(route, status);
    }
    if let Some(token) = &settings.hook.token {
        server = server.hook_token(token.clone());
    }
    if let Some(tls) = &settings.tls {
        server = server.tls(&tls.cert, &tls.key)?;
    }
    server.registry().register(Box::new(DroppedLines::new())).map_err(io::Error::other)?;
    server =
        server.inherit(Inherited::take()?).handoff(handoff(&settings)?).bind(settings.listen)?;
    if let Some(admin) = settings.admin_listen {
        server = server.admin(admin)?;
    }
    announce(&settings, &server.addresses(), &server.admin_addresses());
    let running = server.run();
    let ended = if settings.logs_connections() {
        tokio::select! {
            ended = running => ended,
            () = log_connections(lifecycle) => unreachable!("it logs for ever"),
        }
    } else {
        running.await
    };
    ended.map_err(|error| match error {
        websample_hyper::ServerError::Io(error) => ServerError::Io(error),
        websample_hyper::ServerError::Tls(error) => ServerError::Tls(error),
        other => ServerError::Io(io::Error::other(other)),
    })
}
