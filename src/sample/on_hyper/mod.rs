//! The same application on hyper: a service of its own, without a router.

mod answer;
mod ws;

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;
use websample_hyper::{Body, Running, Server, Settings as Told};
use websample_lifecycle::Lifecycle;

use self::answer::{Out, Sample};
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

/// The sample server on its way.
pub(super) fn run(told: Told, settings: Settings, lifecycle: Lifecycle) -> Running {
    let app = App(Arc::new(Sample::new(settings, lifecycle)));
    Server::with(told, app).run()
}
