//! What answers on the workers of a server: an application of actix-web.

use std::{fmt, io, marker::PhantomData};

use actix_http::{Request, body::MessageBody};
use actix_service::{IntoServiceFactory, ServiceFactory};
use actix_web::{
    Error,
    dev::{AppConfig, ServiceResponse},
};
use websample_connections::{
    Worker,
    patterns::Fits,
    running::{Common, Framework, Start},
    server::Settings,
};
use websample_lifecycle::Lifecycle;

use super::{
    admin::Admin,
    connect::OnConnect,
    connections::Http2,
    front::FrontFactory,
    patterns::fits,
    probes::Probes,
    worker::{self, WorkerSettings},
};

/// The application that `app` makes, once for every worker.
pub(super) struct Actix<F, I, S> {
    app: F,
    settings: WorkerSettings,
    makes: PhantomData<fn() -> (I, S)>,
}

impl<F, I, S> Actix<F, I, S> {
    pub(super) fn new(told: &Settings, app: F, on_connect: Option<OnConnect>) -> Self {
        let (stream_window, connection_window) = told.http2_windows;
        let settings = WorkerSettings {
            keep_alive: told.keep_alive,
            close_spread: told.close_spread,
            timeouts: told.timeouts,
            http2: Http2 {
                streams: told.http2_streams,
                stream_window,
                connection_window,
                handshake_timeout: told.timeouts.header_timeout,
                write_timeout: told.timeouts.write_timeout,
                keep_alive: told.keep_alive,
            },
            on_connect,
        };
        Self { app, settings, makes: PhantomData }
    }
}

impl<F, I, S, B> Framework for Actix<F, I, S>
where
    F: Fn() -> I + Clone + Send + 'static,
    I: IntoServiceFactory<S, Request> + 'static,
    S: ServiceFactory<Request, Config = AppConfig, Response = ServiceResponse<B>, Error = Error>
        + 'static,
    S::Future: 'static,
    S::Service: 'static,
    S::InitError: fmt::Debug,
    B: MessageBody + 'static,
{
    const FITS: Fits = fits;

    fn start_worker(&self, common: &Common, start: Start<'_>) -> io::Result<Worker> {
        let (app, settings) = (self.app.clone(), self.settings.clone());
        let Common { lifecycle, metrics, probes, patterns } = common.clone();
        let life = lifecycle.clone();
        let service = move || FrontFactory {
            app: app().into_factory(),
            lifecycle,
            metrics,
            probes: Probes(probes),
            patterns,
        };
        start.with(move |inbox, started| worker::run(settings, life, service, inbox, started))
    }

    fn start_admin(
        &self,
        common: &Common,
        life: Lifecycle,
        start: Start<'_>,
    ) -> io::Result<Worker> {
        let Common { lifecycle, metrics, probes, .. } = common.clone();
        let service = Admin { lifecycle, metrics, probes: Probes(probes) };
        let settings = WorkerSettings { on_connect: None, ..self.settings.clone() };
        start.with(move |inbox, started| {
            worker::run(settings, life, move || service, inbox, started)
        })
    }
}
