//! Zero-downtime deployment for services on Kubernetes, without a sidecar: the program.
//!
//! Three things, each built only on the one before it, each a crate of its own:
//! 1. a **drain framework**: [`websample_lifecycle`] decides, [`websample_actix`] does;
//! 2. the **sample server** ([`sample`], with its settings in [`config`]), the classic v1/v2
//!    zero-downtime test server, with a switch that reproduces the naive behaviours;
//! 3. a **rollout lab** (`websample_lab`, feature `lab`): a real rolling update of real processes
//!    under load, for every mode, and what each lost. The load is `websample_load`'s (feature
//!    `attack`), the rules are `websample_kubernetes`', and neither knows anything of the rest.
//!    `websample_manifest` judges by the same rules what a rollout of somebody's Deployment will lose.
//!
//! ```text
//! program ─┬─► sample ─► actix ─► metrics ─► lifecycle
//!          ├─► lab ────► actix, load, kubernetes
//!          └─► manifest ─► kubernetes
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
//! Adopting it takes a few lines over plain actix-web; see [`websample_actix::Server`] and
//! `examples/adopt.rs`.

#[cfg(feature = "attack")]
pub mod attack;
pub mod config;
pub mod exit;
pub mod input;
#[cfg(feature = "lab")]
pub mod known;
pub mod logs;
pub mod sample;

/// The README's program compiles.
#[cfg(all(doctest, feature = "lab"))]
#[doc = include_str!("../README.md")]
struct Readme;
