//! Closing without loss: the real binary, real signals, and clients that see every byte.
//!
//! | module | its subject |
//! |---|---|
//! | `http1` | keep-alive connections, races with the close, uploads |
//! | `queue` | connections that nobody has accepted yet |
//! | `http2` | GOAWAY, frame by frame |
//! | `tls` | handshakes, records, certificates |
//! | `upgraded` | WebSockets, server-sent events, streams |
//! | `deadline` | what is cut, and how |
//! | `hostile`, `hostile_http2` | clients that are slow on purpose, or want more than anybody gives |
//! | `corners` | upgrades that are none, heads and bodies in one segment, empty lines |
//! | `faults` | messages that cannot be written, clocks that step, names that nobody resolves |
//! | `outside` | the log, files, descriptors, signals and what can be wrong with them |
//! | `handoff` | restarts that close no port |
//! | `service` | sockets of an activator, and what a service manager is told |
//! | `logged` | the log of a server that ends, whichever way |
//! | `busy` | many drains under many clients that move |
//! | `idle` | thousands of idle connections |

#[path = "../common/mod.rs"]
mod common;

mod busy;
mod corners;
mod deadline;
mod faults;
mod handoff;
mod hostile;
mod hostile_http2;
mod http1;
mod http2;
mod idle;
mod logged;
mod outside;
mod queue;
mod service;
mod tls;
mod upgraded;
