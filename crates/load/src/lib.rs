//! The load generator: open loop, no retries, every failure classified.
//!
//! [`Engine`] sends a [`Mix`] of streams, each at a constant rate: a request's time is fixed
//! before the run begins, and neither a slow answer nor a failure moves the next one. Latency
//! counts from that intended time, so a stall shows in every request that it delayed. Each
//! request ends in exactly one [`Attempt`] with an [`Outcome`].
//!
//! | file | is about |
//! |---|---|
//! | `mix`, `syntax`, `invalid` | what is sent: streams, their text form, and what they must not be |
//! | `schedule`, `pacer` | when: due times, and the thread that wakes the engine at them |
//! | `engine` | the open loop and its bounds |
//! | `client`, `http1`, `connection`, `http2`, `websocket` | how a request travels |
//! | `tls` | whom it trusts on the way |
//! | `exchange`, `wire` | what the protocols share |
//! | `attempt`, `failure` | what became of it |
//! | `report` | counts and distributions |
//! | `vegeta`, `results` | reports and result files in vegeta's formats |
//! | `lines` | a run as it goes on, for who follows it from another machine |
//! | `target`, `files` | where it goes; how many connections there may be |

pub mod attempt;
pub mod connect;
pub mod engine;
pub mod lines;
pub mod mix;
pub mod report;
pub mod results;
pub mod syntax;
pub mod target;
pub mod tls;
pub mod vegeta;

mod client;
mod connection;
mod exchange;
mod failure;
mod files;
mod http1;
mod http2;
mod invalid;
mod pacer;
mod proxied;
mod schedule;
mod websocket;
mod wire;

pub use self::{
    attempt::{Attempt, Outcome, Version},
    connect::{Connect, ConnectError, Connecting, Direct, Established},
    engine::{Bounds, Engine},
    files::raise_file_limit,
    invalid::{MixError, parse_rate},
    mix::{Accepted, Mix, Payload, Protocol, StreamSpec},
    proxied::{FAILURE_HEADER, Proxied, ProxyFailure, UPSTREAM_HEADER},
    report::{Distribution, LoadReport, Tally},
    tls::{Tls, TlsError, Trust},
};

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
