//! The drain framework on actix-web.
//!
//! [`Server`] takes the place of `actix_web::HttpServer`. The application needs no change: what
//! stands before it answers the probes and the hook, counts what is in flight, and tells clients
//! when to leave.
//!
//! | file | its subject |
//! |---|---|
//! | `server`, `running` | what it is told; its threads, listeners and end |
//! | `worker` | what runs on a worker's thread: an application of its own |
//! | `front` | what stands before the application |
//! | `probes` | `/liveness`, `/readiness`, `/prestop` |
//! | `tracking`, `patterns` | requests in flight, to the last byte, and their names |
//! | `connections` | each kind of connection, and how it is closed |
//! | `admin` | `/metrics` and `/status` |
//! | `connect` | what an application may know of a connection |
//!
//! What is of no framework is in [`websample_connections`]: listening sockets, workers, the boundaries
//! of requests and frames, certificates.

mod admin;
mod connect;
mod connections;
mod framework;
mod front;
mod patterns;
mod probes;
mod server;
mod tracking;
mod worker;

pub use self::{
    connect::{Connected, with_connection_data},
    server::Server,
};
pub use websample_connections::{
    Handle, Running, ServerError, TlsError, Token, check_certificate,
    hook::TOKEN_HEADER,
    probes::{LIVENESS, PRESTOP, READINESS},
    readiness::OnDrain,
    server::Settings,
};
#[cfg(feature = "restart")]
pub use websample_connections::{Handoff, Inherited};
/// The core: phases, tokens, what is in flight, the report.
pub use websample_lifecycle as lifecycle;
/// What `/metrics` has, and the registry behind it.
pub use websample_metrics as metrics;

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
