//! grpc.health.v1, which follows the phases of a life.
//!
//! A client that watches, or a kubelet that probes by gRPC, learns of the lame duck as by
//! `/readiness`. A watch is a stream without an end, which would hold the drain until its deadline: it
//! ends when draining begins, with a status that clients retry elsewhere.

use std::{collections::BTreeSet, pin::Pin, sync::Arc};

use futures_util::{Stream, stream};
use tokio::sync::watch;
use tonic::{Request, Response, Status};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_check_response::ServingStatus,
    health_server::{Health, HealthServer},
};
use websample_lifecycle::{Entered, Lifecycle, Phase};

/// Answers for the server as a whole, and for these services, by the phase.
///
/// ```
/// # use websample_hyper::{Server, grpc, lifecycle::{Lifecycle, Policy}};
/// use tonic::service::Routes;
///
/// let (lifecycle, drain) = Lifecycle::new(Policy::default())?;
/// let health = grpc::health(&lifecycle, ["helloworld.Greeter"]);
/// let server = Server::new(drain, Routes::new(health));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub fn health<N: Into<String>>(
    lifecycle: &Lifecycle,
    services: impl IntoIterator<Item = N>,
) -> HealthServer<impl Health> {
    let services = services.into_iter().map(Into::into).collect();
    HealthServer::new(OfLife { lifecycle: lifecycle.clone(), services: Arc::new(services) })
}

#[derive(Debug)]
struct OfLife {
    lifecycle: Lifecycle,
    services: Arc<BTreeSet<String>>,
}

type Answer = Result<HealthCheckResponse, Status>;

fn of(phase: Phase) -> HealthCheckResponse {
    let status = if phase.is_ready() { ServingStatus::Serving } else { ServingStatus::NotServing };
    HealthCheckResponse { status: status.into() }
}

impl OfLife {
    fn knows(&self, service: &str) -> bool {
        service.is_empty() || self.services.contains(service)
    }
}

#[tonic::async_trait]
impl Health for OfLife {
    type WatchStream = Pin<Box<dyn Stream<Item = Answer> + Send>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        if !self.knows(&request.get_ref().service) {
            return Err(Status::not_found("there is no such service here"));
        }
        Ok(Response::new(of(self.lifecycle.phase())))
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        if !self.knows(&request.get_ref().service) {
            // Whoever watches may wait for one to appear; here none does.
            let unknown = HealthCheckResponse { status: ServingStatus::ServiceUnknown.into() };
            let leaving = self.lifecycle.draining();
            let answers = stream::unfold(Some(Some(unknown)), move |state| {
                let leaving = leaving.clone();
                async move {
                    if let Some(unknown) = state? {
                        return Some((Ok(unknown), Some(None)));
                    }
                    leaving.cancelled().await;
                    Some((Err(left()), None))
                }
            });
            return Ok(Response::new(Box::pin(answers)));
        }
        let phases = self.lifecycle.subscribe();
        let answers = stream::unfold(Some((phases, None)), |state| async move {
            let (phases, told) = state?;
            Some(next(phases, told).await)
        });
        Ok(Response::new(Box::pin(answers)))
    }
}

/// What a client that watches is told next, and what it then knows.
type Next = (Answer, Option<(watch::Receiver<Entered>, Option<i32>)>);

async fn next(mut phases: watch::Receiver<Entered>, told: Option<i32>) -> Next {
    let news = |entered: &Entered| {
        entered.phase >= Phase::Draining || Some(of(entered.phase).status) != told
    };
    let phase = match phases.wait_for(news).await {
        Ok(entered) => entered.phase,
        // The server is gone.
        Err(_) => return (Err(left()), None),
    };
    let answer = of(phase);
    if phase >= Phase::Draining && told == Some(answer.status) {
        return (Err(left()), None);
    }
    (Ok(answer), Some((phases, Some(answer.status))))
}

/// A status that clients retry, on another connection.
fn left() -> Status {
    Status::unavailable("this server is leaving")
}
