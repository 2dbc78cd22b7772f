//! How a report is printed.

mod github;
mod json;
mod text;

pub use self::{
    github::{github, github_problems},
    json::{json, json_problems},
    text::text,
};

/// What a file is called in sentences.
fn file(name: &str) -> &str {
    if name == super::STANDARD_INPUT { "standard input" } else { name }
}
