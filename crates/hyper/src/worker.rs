//! What runs on a worker's thread.

use std::rc::Rc;

use hyper::server::conn::{http1, http2};
use hyper_util::rt::TokioTimer;
use websample_connections::{Inbox, Started, open::OpenConnections};
use websample_lifecycle::Lifecycle;

use super::{
    connection::{Local, Services, Settings, serve},
    respond::Respond,
};

/// Serves the connections of a worker, with what `respond` makes.
pub(super) async fn run<M, R>(
    settings: Settings,
    lifecycle: Lifecycle,
    respond: M,
    mut inbox: Inbox,
    started: Started,
) where
    M: FnOnce() -> Rc<R>,
    R: Respond,
{
    let mut http1 = http1::Builder::new();
    // Limits are this crate's: hyper's would also be those of idle connections.
    http1.header_read_timeout(None);
    // Else hyper reads on while a handler runs, to see whether its client has gone: into a buffer of 8 KiB,
    // a new one since the request still has the other. Here that is asked of the kernel.
    http1.half_close(true);
    let (stream_window, connection_window) = settings.http2_windows;
    let mut http2 = http2::Builder::new(Local);
    http2
        .timer(TokioTimer::new())
        .max_concurrent_streams(settings.http2_streams)
        .initial_stream_window_size(stream_window)
        .initial_connection_window_size(connection_window);
    if !settings.keep_alive.is_zero() {
        // A client that does not answer a PING within this is gone.
        http2.keep_alive_interval(settings.keep_alive).keep_alive_timeout(settings.keep_alive);
    }
    let open = OpenConnections::new();
    let follow = Rc::clone(&open).follow(lifecycle.clone(), settings.close_spread);
    tokio::task::spawn_local(follow);
    if let Some(age) = settings.max_age {
        tokio::task::spawn_local(Rc::clone(&open).age(age));
    }
    let services = Rc::new(Services { responder: respond(), http1, http2, settings });
    if started.send(Ok(())).is_err() {
        return;
    }
    while let Some((accepted, tls, loaded)) = inbox.next().await {
        tokio::task::spawn_local(serve(
            accepted,
            loaded,
            lifecycle.clone(),
            Rc::clone(&open),
            tls,
            Rc::clone(&services),
        ));
    }
}
