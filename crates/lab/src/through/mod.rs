//! A real proxy between the load and the pods: nginx, HAProxy or Envoy, the program itself.
//!
//! ```text
//! load ─► proxy's port ─► nginx | haproxy | envoy ─ keep-alive ─► pods
//!                            ▲ reload | runtime API | watched files
//!          consumer's table ─┘ (its delay: --propagation)
//! ```
//!
//! Each is configured and fed as its ingress controller does it; `docs/proxies.md` says from
//! which controller every setting comes. The proxy lives and dies with its cluster.

mod directory;
mod driver;
mod envoy;
mod error;
mod haproxy;
mod installed;
mod nginx;
mod options;
mod proxy;
mod site;

pub use self::{
    error::ProxyError,
    installed::Installed,
    options::{Options, Program, Retries, Through, Upstream},
    proxy::Proxy,
};
