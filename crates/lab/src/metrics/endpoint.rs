//! The listener behind `--metrics`: `/metrics`, `/targets`, and an index for people.
//!
//! It is this project's own server, on a thread of its own: a scrape takes no time from the
//! threads that send the load, and the server's end waits for the last byte of an answer.

use std::{
    fmt, io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use actix_web::{App, HttpRequest, HttpResponse, http::header, web};
use tokio::{
    sync::{Notify, oneshot},
    time::{Instant, timeout},
};
use websample_actix::Server;
use websample_lifecycle::{Lifecycle, Mode, Policy, Scrapes, Signal};

use super::{Metrics, found};

/// The longest wait for the last scrape.
const LAST_SCRAPE: Duration = Duration::from_secs(20);

/// For somebody to ask for the targets at all, from when the endpoint is there: Prometheus asks
/// as often as its `refresh_interval` says, which is 1 s in the configuration that this project
/// ships.
const FIRST_DISCOVERY: Duration = Duration::from_secs(3);

/// For the pods that were listed to be scraped. Prometheus hands newly discovered targets on every
/// 5 s, and takes them up every 5 s; then comes the scrape interval.
const FIRST_SCRAPES: Duration = Duration::from_secs(20);

/// What is shown of the time after the last scrape.
const AFTER: Duration = Duration::from_secs(2);

/// For the answers under way to be sent when the endpoint ends.
const LAST_ANSWERS: Duration = Duration::from_secs(3);

/// Why there is no endpoint.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The address cannot be listened on; the error names it.
    #[error("--metrics: {0}; end what uses it, or choose another address")]
    Address(#[source] io::Error),
    /// The system gives no thread for it.
    #[error("--metrics: no thread can be had: {0}")]
    Thread(#[source] io::Error),
}

/// The endpoint, listening. Dropped without [`Self::finish`], it serves on until the process ends.
pub struct Endpoint {
    address: SocketAddr,
    metrics: Metrics,
    began: Instant,
    visits: Arc<Visits>,
    lifecycle: Lifecycle,
    ended: oneshot::Receiver<Option<String>>,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Who has come by.
#[derive(Debug, Default)]
struct Visits {
    scrapes: Mutex<Scrapes>,
    scraped: Notify,
    discovered: Notify,
}

impl Visits {
    fn scrapes(&self) -> MutexGuard<'_, Scrapes> {
        self.scrapes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Endpoint {
    /// Listens on `address` and serves these metrics; port 0 takes a free one.
    ///
    /// # Errors
    /// Names the address that cannot be had.
    pub fn bind(address: SocketAddr, metrics: &Metrics) -> Result<Self, EndpointError> {
        let policy = Policy {
            mode: Mode::Graceful,
            grace_period: LAST_ANSWERS,
            margin: LAST_ANSWERS / 10,
            ..Policy::default()
        };
        let (lifecycle, drain) = Lifecycle::new(policy)
            .unwrap_or_else(|error| unreachable!("a policy that adds up: {error}"));
        let visits = Arc::new(Visits::default());
        let app = {
            let (metrics, visits) = (metrics.clone(), Arc::clone(&visits));
            move || {
                App::new()
                    .app_data(web::Data::new(metrics.clone()))
                    .app_data(web::Data::from(Arc::clone(&visits)))
                    .route("/metrics", web::get().to(scrape))
                    .route("/targets", web::get().to(targets))
                    .route("/", web::get().to(index))
                    .default_service(web::to(unknown))
            }
        };
        let server = Server::new(drain, app)
            .bind(address)
            .map_err(EndpointError::Address)?
            .workers(1)
            .without_signals()
            .hook_on_app_listener(false)
            // The container's termination message is for servers.
            .termination_log("");
        let address = server.addresses().first().copied().unwrap_or(address);
        let (end, ended) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(EndpointError::Thread)?;
        thread::Builder::new()
            .name("metrics".to_owned())
            .spawn(move || {
                let ran = runtime.block_on(server.run());
                // Nobody waits any more: then nobody needs to know.
                let _ = end.send(ran.err().map(|error| error.to_string()));
            })
            .map_err(EndpointError::Thread)?;
        let (metrics, began) = (metrics.clone(), Instant::now());
        Ok(Self { address, metrics, began, visits, lifecycle, ended })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until whoever reads the targets has scraped every pod that exists now, so that none
    /// of them goes unseen; returns at once where nobody reads them.
    pub async fn found(&self) {
        let asked = tokio::time::timeout_at(
            self.began + FIRST_DISCOVERY,
            self.visits.discovered.notified(),
        );
        if asked.await.is_ok() {
            // Those that are not found in time would not have been found without the wait either.
            let _ = timeout(FIRST_SCRAPES, found::scraped(&self.metrics)).await;
        }
    }

    /// How long the scrape that will show the values of now is worth waiting for; `None` where
    /// nobody scrapes.
    pub fn last_scrape_due(&self) -> Option<Duration> {
        self.visits.scrapes().linger(Instant::now(), LAST_SCRAPE)
    }

    /// The panels of this run in the Grafana at `grafana`, with the range of the run.
    pub fn panels(&self, grafana: &str) -> String {
        self.metrics.panels(grafana, Some(self.last_scrape_due().unwrap_or_default() + AFTER))
    }

    /// Waits for a scrape of the values of now, for `limit` at the longest.
    pub async fn last_scrape(&self, limit: Duration) {
        let now = Instant::now();
        let landed = async {
            while self.visits.scrapes().linger(now, limit).is_some() {
                self.visits.scraped.notified().await;
            }
        };
        // Whoever was expected does not come: there is nobody to wait for.
        let _ = timeout(limit, landed).await;
    }

    /// Ends it, when the answers under way have been sent; says why, if it has failed before.
    pub async fn finish(self) -> Option<String> {
        self.lifecycle.signal(Signal::Sigterm);
        self.ended.await.unwrap_or_else(|error| Some(error.to_string()))
    }
}

async fn scrape(
    request: HttpRequest,
    metrics: web::Data<Metrics>,
    visits: web::Data<Visits>,
) -> HttpResponse {
    // Before the values are read: what they show is no older than this.
    let now = Instant::now();
    let mut text = Vec::new();
    if let Err(error) = metrics.write(&mut text) {
        return HttpResponse::InternalServerError().body(format!("{error}\n"));
    }
    visits.scrapes().landed(request.peer_addr().map(|peer| peer.ip()), now);
    visits.scraped.notify_one();
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"))
        .body(text)
}

async fn targets(metrics: web::Data<Metrics>, visits: web::Data<Visits>) -> HttpResponse {
    visits.discovered.notify_one();
    HttpResponse::Ok().json(metrics.targets())
}

async fn index() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(
        "websample rollout\n\n\
         /metrics  what the clients saw, for Prometheus\n\
         /targets  the pods, as Prometheus' HTTP service discovery reads them\n",
    )
}

async fn unknown() -> HttpResponse {
    HttpResponse::NotFound()
        .content_type("text/plain; charset=utf-8")
        .body("the lab has /metrics and /targets\n")
}
