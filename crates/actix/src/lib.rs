//! The drain framework on actix-web.
//!
//! [`Server`] takes the place of `actix_web::HttpServer`. The application needs no change: what
//! stands before it answers the probes and the hook, counts what is in flight, and tells clients
//! when to leave.
//!
//! | file | its subject |
//! |---|---|
//! | `server`, `running` | what it is told; its threads, listeners and end |
//! | `accept` | listening sockets, and closing them without dropping what they hold |
//! | `worker` | a thread with a runtime and an application |
//! | `front` | what stands before the application |
//! | `probes`, `hook` | `/liveness`, `/readiness`, `/prestop`, and who may call the last |
//! | `tracking`, `patterns` | requests in flight, to the last byte, and their names |
//! | `connections` | each kind of connection, and how it is closed |
//! | `admin` | `/metrics` and `/status` |
//! | `tls`, `token` | certificates and their replacement; the hook's secret |
//! | `connect`, `files` | what an application may know of a connection; how many there may be |

mod accept;
mod admin;
mod connect;
mod connections;
mod error;
mod files;
mod front;
mod hook;
mod patterns;
mod probes;
mod running;
mod server;
mod tls;
mod token;
mod tracking;
mod worker;

pub use self::{
    connect::{Connected, with_connection_data},
    error::ServerError,
    hook::TOKEN_HEADER,
    probes::{LIVENESS, OnDrain, PRESTOP, READINESS},
    running::{Handle, Running},
    server::Server,
    tls::{TlsError, check_certificate},
    token::Token,
};
/// The core: phases, tokens, what is in flight, the report.
pub use websample_lifecycle as lifecycle;
/// What `/metrics` has, and the registry behind it.
pub use websample_metrics as metrics;

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
