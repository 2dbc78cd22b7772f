//! Zero-downtime deployment for actix-web, without a sidecar.
//!
//! Three things, each built only on the one before it:
//! 1. a **drain framework** for actix-web services: [`lifecycle`] decides, [`http`] does;
//! 2. a **sample server** ([`sample`]), the classic v1/v2 zero-downtime test server, with a switch
//!    that reproduces the naive behaviours;
//! 3. a **rollout lab** (`rollout`, feature `lab`): a real rolling update of real processes under
//!    load, for every mode, and what each lost; the load is `load`'s (feature `attack`), the rules
//!    are `kubernetes`', and neither knows anything of the rest. `manifest` judges by the same rules
//!    what a rollout of somebody's Deployment will lose.
//!
//! ```text
//! rollout ──► sample ──► http ──► telemetry ──► config ──► lifecycle
//!    ├──────► load
//!    └──────► kubernetes ◄── manifest ──► http, config
//! ```
//!
//! The phases of a server's life:
//!
//! ```text
//!            listeners       SIGTERM or        quiet, or        nothing         last scrape
//!            are bound       /prestop          delay.max        in flight       or linger
//! starting ───────────► serving ───► lame_duck ───────► draining ───────► drained ───────► exit
//!                          ▲             │                 │
//!                          └─────────────┘                 └── at the deadline: cut what is left
//!                    no SIGTERM followed the hook
//! ```
//!
//! Adopting it takes a few lines over plain actix-web; see [`http::Server`] and
//! `examples/adopt.rs`.

pub mod config;
pub mod http;
#[cfg(feature = "lab")]
pub mod kubernetes;
pub mod lifecycle;
#[cfg(feature = "attack")]
pub mod load;
#[cfg(feature = "lab")]
pub mod manifest;
#[cfg(feature = "lab")]
pub mod rollout;
pub mod sample;
pub mod telemetry;
