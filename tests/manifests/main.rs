//! The check of manifests: what it finds in bad ones, that it finds nothing in good ones, and the
//! command around it.

mod command;
mod docs;
mod field;
mod files;
mod fixes;
mod hands;
mod in_front;
mod mutations;
mod references;
mod refused;
mod workloads;
