//! What a draining server needs of its connections, whatever framework answers their requests.
//!
//! A framework knows how to serve a connection, not how to leave it. It is therefore given a
//! wrapped socket, through which this crate sees the boundaries of requests, frames and records,
//! and can end a connection between two of them with nothing lost.
//!
//! ```text
//! kernel ── accept ── worker ──┬─ records ── transport ── socket ── the framework's dispatcher
//!         queue, limit,  TLS   │             heads, frames, goaway, websocket
//!         close                └─ state: what is in flight, how far it has been left
//! ```
//!
//! | module | its subject |
//! |---|---|
//! | [`server`], [`running`] | what a server is told; its threads and listeners from the first to its report |
//! | [`requests`], [`patterns`] | what is in flight on a worker, and what it is counted under |
//! | [`ports`], [`accept`] | listening sockets, and closing them without dropping what they hold |
//! | `inherited` | sockets that systemd, or a predecessor, has given to this process |
//! | `handoff`, `successor` | a restart that closes no port (feature `restart`, as the two around it) |
//! | `stand_in` | what these are without that feature |
//! | `notify` | what a service manager is told |
//! | [`worker`], [`threads`] | threads with a runtime, which are given connections; their end |
//! | [`open`] | the connections of one worker, and telling them all to go |
//! | [`opening`], [`dispatch`] | one from its first byte to its close |
//! | [`state`] | what is known of one connection |
//! | [`unsent`] | requests whose responses are complete, until they have left |
//! | [`transport`], [`socket`] | the bytes of one, and what its dispatcher is given |
//! | [`heads`] | where requests begin and end on an HTTP/1.1 connection |
//! | [`frames`], [`goaway`] | HTTP/2's frames, and a GOAWAY between two of them |
//! | [`records`], [`tls`] | TLS: whether a record has come in part; certificates and their replacement |
//! | [`websocket`] | a close frame between two others |
//! | `limit` | how long a client may take |
//! | [`files`] | how many connections there may be |
//! | [`probes`], [`readiness`] | what the kubelet asks, and what readiness answers in a termination |
//! | [`hook`], [`token`] | who may call the hook, and its secret |
//! | [`handle`] | talking to a server that runs, and its last words |

pub mod accept;
pub mod accepted;
pub mod connected;
pub mod dispatch;
pub mod files;
pub mod frames;
pub mod goaway;
pub mod handle;
#[cfg(feature = "restart")]
pub mod handoff;
pub mod heads;
pub mod hook;
#[cfg(feature = "restart")]
pub mod inherited;
mod limit;
#[cfg(feature = "restart")]
mod notify;
pub mod open;
pub mod opening;
pub mod patterns;
pub mod ports;
pub mod probes;
pub mod readiness;
pub mod records;
pub mod requests;
pub mod running;
pub mod server;
pub mod socket;
#[cfg(not(feature = "restart"))]
mod stand_in;
pub mod state;
pub mod status;
#[cfg(feature = "restart")]
mod successor;
pub mod threads;
pub mod tls;
pub mod token;
pub mod transport;
pub mod unsent;
pub mod websocket;
pub mod worker;

pub use self::{
    accept::{Acceptor, BACKLOG, bind},
    accepted::{Accepted, Dispatched, Timeouts},
    connected::Connected,
    files::Places,
    handle::{Handle, publish},
    ports::{Ports, Serving},
    running::{Running, ServerError},
    status::status,
    threads::Threads,
    tls::{Tls, TlsError, check_certificate},
    token::Token,
    worker::{Inbox, Started, Worker},
};

#[cfg(feature = "restart")]
pub use self::{handoff::Handoff, inherited::Inherited};

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
