//! Manifests.
mod documents;
mod hook;
mod image;
mod node;
mod objects;
mod problem;
mod read;
mod rule;
mod select;
mod server;
mod subject;
mod unknown;

pub use self::{
    problem::{Problem, Unusable},
    read::Source,
    rule::{PAGE, Rule, Severity},
    server::Told,
};

/// Without control characters: what is repeated here must not drive a terminal or break a line.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
