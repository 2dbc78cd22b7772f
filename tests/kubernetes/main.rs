//! `websample rollout --target kubernetes` and `websample watch`: the real binary against an API server on loopback.
//!
//! The API server keeps objects as the real one does as far as the rollout can tell: versions,
//! watches that can break off and that forget, server-side apply with its conflicts, access reviews,
//! logs. Behind it are either real processes, run by the lab's own emulation of a cluster, or pods
//! of which is only said how they are. No real cluster has a part in it.

mod api;
mod behaviour;
mod cleanup;
mod deployment;
mod errors;
mod events;
mod foreign;
#[path = "../rollout/harness.rs"]
#[allow(dead_code)] // The rollout tests need more of it.
mod lab;
mod load;
mod looking;
mod pods;
mod real;
mod requests;
mod role;
mod rollout;
mod room;
mod store;
mod watch;
mod watches;
