//! The sample's handlers on a plain `actix_web::HttpServer`: what the benchmarks compare with.
//!
//! Routes, handlers and response headers have the shape of those in `src/sample`, so that what
//! differs is the server.
//!
//! usage: plain ADDRESS WORKERS

use std::{env, error::Error, process::ExitCode, time::Duration};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpResponseBuilder, HttpServer,
    dev::HttpServiceFactory,
    http::{
        KeepAlive, StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
    rt, web,
};
use futures_util::StreamExt as _;

const VERSION: HeaderName = HeaderName::from_static("x-websample-version");
const INSTANCE: HeaderName = HeaderName::from_static("x-websample-instance");
const PHASE: HeaderName = HeaderName::from_static("x-websample-phase");

/// The sample's `limits.body`.
const BODY_LIMIT: usize = 1 << 20;

/// The sample's `keep_alive`.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

struct Sample {
    status: StatusCode,
    version: HeaderValue,
    instance: HeaderValue,
}

impl Sample {
    fn respond(&self) -> HttpResponseBuilder {
        self.respond_with(self.status)
    }

    fn respond_with(&self, status: StatusCode) -> HttpResponseBuilder {
        let mut response = HttpResponse::build(status);
        response
            .insert_header((VERSION, self.version.clone()))
            .insert_header((INSTANCE, self.instance.clone()))
            .insert_header((PHASE, HeaderValue::from_static("serving")));
        response
    }

    fn refuse(&self, status: StatusCode) -> HttpResponse {
        self.respond_with(status).finish()
    }
}

async fn discard(sample: &Sample, body: web::Payload) -> Result<(), HttpResponse> {
    let mut body = body.into_inner();
    let mut length = 0;
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|_| sample.refuse(StatusCode::BAD_REQUEST))?;
        length += chunk.len();
        if length > BODY_LIMIT {
            return Err(sample.refuse(StatusCode::PAYLOAD_TOO_LARGE));
        }
    }
    Ok(())
}

async fn answer(sample: web::Data<Sample>, body: web::Payload) -> HttpResponse {
    if let Err(refusal) = discard(&sample, body).await {
        return refusal;
    }
    sample.respond().finish()
}

async fn sleep(
    sample: web::Data<Sample>,
    seconds: web::Path<String>,
    body: web::Payload,
) -> HttpResponse {
    let Some(duration) = seconds.parse().ok().and_then(|n| Duration::try_from_secs_f64(n).ok())
    else {
        return sample.refuse(StatusCode::BAD_REQUEST);
    };
    if let Err(refusal) = discard(&sample, body).await {
        return refusal;
    }
    rt::time::sleep(duration).await;
    sample.respond().finish()
}

async fn echo(sample: web::Data<Sample>, request: HttpRequest, body: web::Payload) -> HttpResponse {
    let mut body = body.into_inner();
    let mut whole = web::BytesMut::new();
    while let Some(chunk) = body.next().await {
        match chunk {
            Ok(chunk) if whole.len() + chunk.len() > BODY_LIMIT => {
                return sample.refuse(StatusCode::PAYLOAD_TOO_LARGE);
            }
            Ok(chunk) => whole.extend_from_slice(&chunk),
            Err(_) => return sample.refuse(StatusCode::BAD_REQUEST),
        }
    }
    let mut response = sample.respond();
    if let Some(kind) = request.headers().get(header::CONTENT_TYPE) {
        response.insert_header((header::CONTENT_TYPE, kind.clone()));
    }
    response.body(whole.freeze())
}

/// Stands for a route that is not measured, so that the router has as many to try.
async fn absent() -> HttpResponse {
    HttpResponse::NotImplemented().finish()
}

fn routes() -> impl HttpServiceFactory {
    (
        web::resource("/sleep/{seconds}").to(sleep),
        web::resource("/sleep{seconds:[0-9][^/]*}").to(sleep),
        web::resource("/stream/{seconds}").to(absent),
        web::resource("/events").route(web::get().to(absent)),
        web::resource("/ws").route(web::get().to(absent)),
        web::resource("/echo").route(web::post().to(echo)),
        web::resource("/{path:.*}").to(answer),
    )
}

async fn run(address: &str, workers: usize) -> std::io::Result<()> {
    HttpServer::new(|| {
        let sample = Sample {
            status: StatusCode::CREATED,
            version: HeaderValue::from_static("v1"),
            instance: HeaderValue::from_static("bench"),
        };
        App::new().app_data(web::Data::new(sample)).service(routes())
    })
    .workers(workers)
    .keep_alive(KeepAlive::Timeout(KEEP_ALIVE))
    .bind_auto_h2c(address)?
    .run()
    .await
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [address, workers] = arguments.as_slice() else {
        eprintln!("usage: plain ADDRESS WORKERS");
        return Ok(ExitCode::from(64));
    };
    rt::System::new().block_on(run(address, workers.parse()?))?;
    Ok(ExitCode::SUCCESS)
}
