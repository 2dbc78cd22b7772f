//! The drain framework on actix-web.
//!
//! [`Server`] takes the place of `actix_web::HttpServer`. The application needs no change: what
//! stands before it answers the probes and the hook, counts what is in flight, and tells clients
//! when to leave.
//!
//! | file | its subject |
//! |---|---|
//! | `server` | putting it together: bind, run, report |
//! | `accept` | listening sockets, and closing them without dropping what they hold |
//! | `worker` | a thread with a runtime and an application |
//! | `front` | what stands before the application |
//! | `probes`, `hook` | `/liveness`, `/readiness`, `/prestop`, and who may call the last |
//! | `tracking`, `patterns` | requests in flight, to the last byte, and their names |
//! | `connections` | each kind of connection, and how it is closed |
//! | `admin` | `/metrics` and `/status` |
//! | `tls` | certificates and their replacement |

mod accept;
mod admin;
mod connections;
mod front;
mod hook;
mod patterns;
mod probes;
mod server;
mod tls;
mod token;
mod tracking;
mod worker;

pub use self::{
    hook::TOKEN_HEADER,
    probes::{LIVENESS, OnDrain, PRESTOP, READINESS},
    server::{Server, ServerError},
    tls::TlsError,
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
