//! What answers on the workers of a server: a tower service, on hyper.

use std::{io, rc::Rc};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;
use tower_service::Service;
use websample_connections::{
    Worker,
    open::Age,
    patterns::Fits,
    running::{Common, Framework, Start},
    server,
};
use websample_lifecycle::Lifecycle;

use super::{
    admin::Admin,
    body::Body,
    connection::{OnConnect, Settings},
    patterns::fits,
    respond::{BoxError, Front},
    tracking::Tracker,
    worker,
};

/// A service, of which every worker has a clone.
pub(super) struct Hyper<S> {
    app: S,
    settings: Settings,
}

impl<S> Hyper<S> {
    pub(super) fn new(
        told: &server::Settings,
        app: S,
        on_connect: Option<OnConnect>,
        max_age: Option<Age>,
    ) -> Self {
        let settings = Settings {
            keep_alive: told.keep_alive,
            close_spread: told.close_spread,
            max_age,
            timeouts: told.timeouts,
            http2_streams: told.http2_streams,
            http2_windows: told.http2_windows,
            on_connect,
        };
        Self { app, settings }
    }
}

impl<S, B> Framework for Hyper<S>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    B: HttpBody<Data = Bytes> + 'static,
    B::Error: Into<BoxError>,
{
    const FITS: Fits = fits;

    fn start_worker(&self, common: &Common, start: Start<'_>) -> io::Result<Worker> {
        let (app, settings) = (self.app.clone(), self.settings.clone());
        let Common { lifecycle, metrics, probes, patterns } = common.clone();
        let life = lifecycle.clone();
        let front = move || {
            let tracker = Tracker::new(lifecycle.clone(), metrics, patterns);
            Rc::new(Front { app, lifecycle, tracker, probes })
        };
        start.with(move |inbox, started| worker::run(settings, life, front, inbox, started))
    }

    fn start_admin(
        &self,
        common: &Common,
        life: Lifecycle,
        start: Start<'_>,
    ) -> io::Result<Worker> {
        let Common { lifecycle, metrics, probes, .. } = common.clone();
        let settings = Settings { on_connect: None, max_age: None, ..self.settings.clone() };
        let admin = move || Rc::new(Admin { lifecycle, metrics, probes });
        start.with(move |inbox, started| worker::run(settings, life, admin, inbox, started))
    }
}
