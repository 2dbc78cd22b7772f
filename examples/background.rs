//! Background work that the drain waits for.
//!
//! actix does not wait for spawned tasks: they end with their worker, in the middle of whatever
//! they do. A [`Work`](websample_actix::lifecycle::Work) guard makes the drain wait; its name shows up
//! in the logs while it is waited for, and in the report if the deadline comes first.
//!
//! ```sh
//! cargo run --example background
//! curl -X POST localhost:8080/orders      # 202; the order is written within a second
//! kill -TERM "$(pgrep -x background)"     # exits when every order is written
//! ```

use std::{process::ExitCode, time::Duration};

use actix_web::{App, HttpResponse, web};
use tokio::sync::mpsc;
use websample_actix::Server;
use websample_actix::lifecycle::{Lifecycle, Policy, Work};

/// An order that was accepted, and the promise to write it before the process ends.
struct Order {
    number: u64,
    _work: Work,
}

struct Orders {
    queue: mpsc::UnboundedSender<Order>,
    next: std::sync::atomic::AtomicU64,
    lifecycle: Lifecycle,
}

/// Accepts an order at once. Its work is registered before the answer is sent, so there is no
/// moment at which an accepted order is nobody's.
async fn accept(orders: web::Data<Orders>) -> HttpResponse {
    let number = orders.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let work = orders.lifecycle.work(format!("write order {number}"));
    match orders.queue.send(Order { number, _work: work }) {
        Ok(()) => HttpResponse::Accepted().body(format!("order {number}\n")),
        Err(_) => HttpResponse::ServiceUnavailable().finish(),
    }
}

/// Writes orders in the background, slowly.
async fn write(mut orders: mpsc::UnboundedReceiver<Order>) {
    while let Some(order) = orders.recv().await {
        tokio::time::sleep(Duration::from_millis(500)).await;
        println!("order {} is written", order.number);
        // Dropping the order ends its work; the drain may go on.
    }
}

/// Tidies up now and then, and stops when the server leaves: nothing is lost by that, so it is
/// not registered.
async fn tidy(lifecycle: Lifecycle) {
    let leaving = lifecycle.lame_duck();
    let mut minutes = tokio::time::interval(Duration::from_secs(60));
    loop {
        tokio::select! {
            () = leaving.cancelled() => return println!("no more tidying"),
            _ = minutes.tick() => println!("tidying"),
        }
    }
}

#[actix_web::main]
async fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let (lifecycle, drain) = Lifecycle::with_signals(Policy::default())?;
    let (queue, received) = mpsc::unbounded_channel();
    actix_web::rt::spawn(write(received));
    actix_web::rt::spawn(tidy(lifecycle.clone()));

    let orders = web::Data::new(Orders { queue, next: 1.into(), lifecycle });
    let app = move || App::new().app_data(orders.clone()).route("/orders", web::post().to(accept));
    let report = Server::new(drain, app).bind("0.0.0.0:8080")?.admin("0.0.0.0:9000")?.run().await?;
    println!("{}", report.to_json());
    Ok(report.into())
}
