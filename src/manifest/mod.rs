//! Manifests.
mod documents;
mod node;
mod objects;
mod problem;
mod read;
mod unknown;

pub use self::{
    problem::{Problem, Unusable},
    read::Source,
};

/// Without control characters: what is repeated here must not drive a terminal or break a line.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
