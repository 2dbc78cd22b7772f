//! The same application on hyper: a service of its own, without a router, and beside it gRPC, which
//! only hyper carries.

mod answer;
mod ws;

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body_util::Either;
use tower_service::Service;
use websample_hyper::{Body, Running, Server, Settings as Told, grpc};
use websample_lifecycle::Lifecycle;

use self::answer::{Out, Sample};
use crate::config::Settings;

/// The only gRPC service, beside the server as a whole, whose health is known.
const SERVICE: &str = "websample";

/// Where grpc.health.v1 is, and the pattern of its methods.
const HEALTH: &str = "/grpc.health.v1.Health/";
const HEALTH_ROUTE: &str = "/grpc.health.v1.Health/{method}";

/// The application, as the server has it; what is asked of grpc.health.v1 is answered by `health`.
#[derive(Clone)]
struct App<H> {
    sample: Arc<Sample>,
    health: H,
}

impl<H, B> Service<Request<Body>> for App<H>
where
    H: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
    H::Future: 'static,
{
    type Response = Response<Either<Out, B>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.health.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if request.uri().path().starts_with(HEALTH) {
            let answer = self.health.call(request);
            return Box::pin(async move { Ok(answer.await?.map(Either::Right)) });
        }
        let sample = Arc::clone(&self.sample);
        Box::pin(async move { Ok(sample.answer(request).await.map(Either::Left)) })
    }
}

/// The sample server on its way.
pub(super) fn run(told: Told, settings: Settings, lifecycle: Lifecycle) -> Running {
    let health = grpc::health(&lifecycle, [SERVICE]);
    let sample = Arc::new(Sample::new(settings, lifecycle));
    Server::with(told.known_route(HEALTH_ROUTE, 200), App { sample, health }).run()
}
