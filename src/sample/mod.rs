//! The sample application: the classic zero-downtime test server, on the drain framework.
//!
//! | path | what it does |
//! |---|---|
//! | `/sleep/N`, `/sleepN` | answers after N seconds |
//! | `/stream/N` | a chunk a second, N times |
//! | `/events` | server-sent events, one a second |
//! | `/ws` | a WebSocket that echoes |
//! | `POST /echo` | sends the body back |
//! | everything else | answers at once |
//!
//! As in the original, the status tells the version: v1 answers 201, v2 answers 202. Others
//! answer 200.

mod answer;
mod dropped;
mod echo;
mod events;
mod leaving;
#[cfg(feature = "hyper")]
mod on_hyper;
mod seconds;
mod sleep;
mod stream;
mod ws;

use std::{io, net::SocketAddr, rc::Rc, time::Duration};

use actix_web::{App, dev::HttpServiceFactory, web};
use websample_actix::{Handoff, Inherited, Server, ServerError, Settings as Told};
use websample_lifecycle::{Drain, DrainReport, Lifecycle, Signals};
use websample_metrics::BuildInfo;

use self::answer::{Identity, status_of};
pub use self::dropped::DroppedLines;
use crate::config::{Framework, Settings};

/// The source revision, where the build says it.
const REVISION: Option<&str> = option_env!("WEBSAMPLE_REVISION");

/// Everything the routes share, a copy for each worker.
pub(crate) struct Sample {
    identity: Identity,
    settings: Rc<Settings>,
    lifecycle: Lifecycle,
}

impl Sample {
    fn new(settings: Rc<Settings>, lifecycle: Lifecycle) -> Self {
        Self { identity: Identity::new(&settings), settings, lifecycle }
    }
}

/// The sample application's routes.
pub(crate) fn routes() -> impl HttpServiceFactory {
    (
        web::resource("/sleep/{seconds}").to(sleep::sleep),
        // The original documents the path above and understands only this one.
        web::resource("/sleep{seconds:[0-9][^/]*}").to(sleep::sleep),
        web::resource("/stream/{seconds}").to(stream::stream),
        web::resource("/events").route(web::get().to(events::events)),
        web::resource("/ws").route(web::get().to(ws::ws)),
        web::resource("/echo").route(web::post().to(echo::echo)),
        web::resource("/{path:.*}").to(answer::answer),
    )
}

/// The patterns of the routes and what they usually answer.
fn known_routes(status: u16) -> [(&'static str, u16); 6] {
    [
        ("/sleep/{seconds}", status),
        ("/stream/{seconds}", status),
        ("/events", 200),
        ("/ws", 101),
        ("/echo", status),
        ("/{path:.*}", status),
    ]
}

/// Runs the sample server until it has drained; `signals` were caught when the process began.
///
/// # Errors
/// When a listener, a thread or the certificate could not be had.
pub async fn run(settings: Settings, signals: Signals) -> Result<DrainReport, ServerError> {
    // The settings have been checked; an error would be a bug of theirs.
    let (lifecycle, mut drain) = Lifecycle::new(settings.policy()).map_err(io::Error::other)?;
    drain.obey(signals);
    let told = told(&settings, drain)?;
    announce(&settings, &told.addresses(), &told.admin_addresses());
    let logs_connections = settings.logs_connections();
    let running = match settings.framework {
        Framework::Actix => {
            let handle = lifecycle.clone();
            let app = move || {
                // One copy a worker: none of it is shared between threads.
                let sample = Sample::new(Rc::new(settings.clone()), handle.clone());
                App::new().app_data(web::Data::new(sample)).service(routes())
            };
            Server::with(told, app).run()
        }
        #[cfg(feature = "hyper")]
        Framework::Hyper => on_hyper::run(told, settings, lifecycle.clone()),
    };
    if !logs_connections {
        return running.await;
    }
    tokio::select! {
        ended = running => ended,
        () = log_connections(lifecycle) => unreachable!("it logs for ever"),
    }
}

/// What the server is told, whichever framework it is on.
fn told(settings: &Settings, drain: Drain) -> Result<Told, ServerError> {
    let mut told = Told::new(drain)
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
        told = told.known_route(route, status);
    }
    if let Some(token) = &settings.hook.token {
        told = told.hook_token(token.clone());
    }
    if let Some(tls) = &settings.tls {
        told = told.tls(&tls.cert, &tls.key)?;
    }
    told.registry().register(Box::new(DroppedLines::new())).map_err(io::Error::other)?;
    told = told.inherit(Inherited::take()?).handoff(handoff(settings)?).bind(settings.listen)?;
    if let Some(admin) = settings.admin_listen {
        told = told.admin(admin)?;
    }
    Ok(told)
}

/// What takes over when SIGUSR2 comes, which is caught from here on.
fn handoff(settings: &Settings) -> io::Result<Handoff> {
    let mut handoff = Handoff::on_sigusr2()?.longest_start(settings.handoff.timeout);
    if let Some(program) = &settings.handoff.program {
        handoff = handoff.program(program);
    }
    Ok(handoff)
}

fn announce(settings: &Settings, listen: &[SocketAddr], admin: &[SocketAddr]) {
    tracing::info!(
        version = settings.version,
        mode = %settings.mode,
        instance = settings.instance,
        ?listen,
        ?admin,
        "websample starts"
    );
}

/// The original's line: once a second, the number of requests in flight.
async fn log_connections(lifecycle: Lifecycle) {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    loop {
        seconds.tick().await;
        let in_flight = lifecycle.in_flight().requests.get();
        tracing::info!(target: "websample::connections", in_flight, "connection");
    }
}
