//! Under which route a request is counted: the one whose pattern actix gives for it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use actix_web::{App, HttpResponse, dev::Service as _, web};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use websample_actix::Server;
use websample_lifecycle::{Delay, ExitReason, Lifecycle, Phase, Policy, Signal};

/// How often each route was asked for.
type Counts = BTreeMap<String, u64>;

async fn ok() -> HttpResponse {
    HttpResponse::Ok().finish()
}

/// Sends requests on one connection, each after the answer to the one before it.
async fn ask(address: std::net::SocketAddr, requests: &[(&str, &str)]) {
    let mut stream = TcpStream::connect(address).await.expect("it accepts");
    let mut answer = [0; 1024];
    for (method, path) in requests {
        let request = format!("{method} {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let read = stream.read(&mut answer).await.expect("an answer");
        assert!(answer[..read].ends_with(b"\r\n\r\n"), "{method} {path}: a head without a body");
    }
}

#[test]
fn a_request_is_counted_under_the_pattern_that_actix_gives_for_it() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    tokio::task::LocalSet::new().block_on(&runtime.expect("a runtime"), async {
        let given = Arc::new(Mutex::new(Counts::new()));
        let noted = Arc::clone(&given);
        let app = move || {
            let noted = Arc::clone(&noted);
            App::new()
                .wrap_fn(move |request, next| {
                    let (answer, noted) = (next.call(request), Arc::clone(&noted));
                    async move {
                        let answer = answer.await?;
                        let pattern = answer.request().match_pattern();
                        let pattern = pattern.unwrap_or_else(|| "unmatched".to_owned());
                        *noted.lock().expect("no panic").entry(pattern).or_default() += 1;
                        Ok(answer)
                    }
                })
                // A path that one method has for itself, and that is a parameter's value for another.
                .service(web::resource("/item").guard(actix_web::guard::Get()).to(ok))
                .service(web::resource("/{name}").guard(actix_web::guard::Post()).to(ok))
                .service(
                    web::scope("/shop/{id}")
                        .service(web::resource("/item").to(ok))
                        .service(web::resource("/{name:.*}").to(ok)),
                )
                .service(web::resource(["/one", "/two"]).to(ok))
        };
        let delay = Delay {
            min: Duration::from_millis(100),
            quiet: Duration::from_millis(20),
            max: Duration::from_secs(1),
        };
        let policy = Policy { delay, ..Policy::default() };
        let (lifecycle, drain) = Lifecycle::new(policy).expect("it adds up");
        let server = Server::new(drain, app)
            .without_signals()
            .workers(1)
            .termination_log("/nonexistent")
            .bind("127.0.0.1:0")
            .expect("a free port");
        let (address, registry) = (server.addresses()[0], server.registry().clone());
        let ended = tokio::task::spawn_local(server.run());
        lifecycle.reached(Phase::Serving).await;

        let requests = [
            ("POST", "/item"),
            ("GET", "/item"),
            ("POST", "/item"),
            ("GET", "/item?page=2"),
            // Neither's, and named after the path that would fit.
            ("PUT", "/item"),
            ("POST", "/{name}"),
            ("GET", "/shop/1/item"),
            ("GET", "/shop/2/item"),
            ("GET", "/shop/2/"),
            ("GET", "/one"),
            ("GET", "/two"),
            ("GET", "/nothing/here"),
            ("GET", "/one"),
        ];
        ask(address, &requests).await;
        lifecycle.signal(Signal::Sigterm);
        let report = ended.await.expect("no panic").expect("it ran");
        assert_eq!(report.outcome, ExitReason::Clean);

        let families = registry.gather();
        let family = families.iter().find(|f| f.name() == "websample_http_requests_total");
        let mut counted = Counts::new();
        for metric in family.expect("the family").get_metric() {
            let mut labels = metric.get_label().iter();
            let route = labels.find(|label| label.name() == "route").expect("a route").value();
            *counted.entry(route.to_owned()).or_default() +=
                metric.get_counter().get_value() as u64;
        }
        let given = given.lock().expect("no panic");
        assert_eq!(counted, *given);
        assert_eq!(given["/{name}"], 3, "{given:?}");
        assert_eq!(given["/item"], 3, "{given:?}");
        assert_eq!(given.values().sum::<u64>(), requests.len() as u64);
    });
}
