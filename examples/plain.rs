//! A server on plain actix-web, as most are written: what `adopt` is to be compared with.
//!
//! Its handlers leave a request's body unread, as handlers do that need none. Then actix-web
//! closes the connection after the answer; a keep-alive client of `POST` never gets to keep one.
//!
//! ```sh
//! cargo build --example plain
//! websample rollout --readiness http:/readiness -- target/debug/examples/plain {host}:{port}
//! ```

use std::{env, io, time::Duration};

use actix_web::{App, HttpResponse, HttpServer, rt, web};

const LONGEST_SLEEP: u64 = 60;

async fn hello() -> HttpResponse {
    HttpResponse::Ok().body("hello\n")
}

async fn sleep(seconds: web::Path<u64>) -> HttpResponse {
    if *seconds > LONGEST_SLEEP {
        return HttpResponse::BadRequest().body(format!("sleep at most {LONGEST_SLEEP} seconds\n"));
    }
    rt::time::sleep(Duration::from_secs(*seconds)).await;
    hello().await
}

#[actix_web::main]
async fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:5000".to_owned());
    // On SIGTERM it stops accepting, waits for what is in flight, and closes idle connections.
    HttpServer::new(|| {
        App::new()
            .route("/", web::get().to(hello))
            .route("/readiness", web::get().to(hello))
            .route("/echo", web::post().to(hello))
            .route("/sleep/{seconds}", web::get().to(sleep))
    })
    .bind(&address)?
    .run()
    .await
}
