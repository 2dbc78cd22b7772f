//! The name of a route, under which its requests are counted.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Extensions, Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

/// The pattern of the route that has answered: an extension of its response.
///
/// A pattern, never a path: whoever asks for paths that do not exist must not make new series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route(Arc<str>);

impl Route {
    /// A route of this pattern.
    pub fn new(pattern: impl Into<Arc<str>>) -> Self {
        Self(pattern.into())
    }

    /// The pattern.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Names routes after what a router has left in a request's extensions.
///
/// For axum, which leaves the pattern there for whatever stands behind its router:
///
/// ```
/// use axum::{Router, extract::MatchedPath, routing::get};
/// use websample_hyper::RouteNames;
///
/// let app: Router = Router::new()
///     .route("/users/{id}", get(async || "a user\n"))
///     .route_layer(RouteNames::new(|request| {
///         request.get::<MatchedPath>().map(MatchedPath::as_str)
///     }));
/// ```
#[derive(Debug, Clone, Copy)]
pub struct RouteNames<F>(F);

impl<F: Fn(&Extensions) -> Option<&str> + Clone> RouteNames<F> {
    /// `name` finds the pattern in a request's extensions.
    pub fn new(name: F) -> Self {
        Self(name)
    }
}

impl<S, F: Clone> tower_layer::Layer<S> for RouteNames<F> {
    type Service = Named<S, F>;

    fn layer(&self, inner: S) -> Named<S, F> {
        Named { inner, name: self.0.clone() }
    }
}

/// A service whose responses carry the name of their route.
#[derive(Debug, Clone)]
pub struct Named<S, F> {
    inner: S,
    name: F,
}

impl<S, F, A, B> Service<Request<A>> for Named<S, F>
where
    S: Service<Request<A>, Response = Response<B>>,
    F: Fn(&Extensions) -> Option<&str>,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = NamedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let route = (self.name)(request.extensions()).map(Route::new);
        NamedFuture { response: self.inner.call(request), route }
    }
}

pin_project! {
    /// A response that will carry the name of its route.
    #[derive(Debug)]
    pub struct NamedFuture<F> {
        #[pin]
        response: F,
        route: Option<Route>,
    }
}

impl<F, B, E> Future for NamedFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.response.poll(cx))?;
        if let Some(route) = this.route.take() {
            response.extensions_mut().insert(route);
        }
        Poll::Ready(Ok(response))
    }
}
