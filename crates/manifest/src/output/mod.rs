//! How a report is printed.

mod github;
mod json;
mod junit;
mod sarif;
mod text;

pub use self::{
    github::{github, github_problems},
    json::{json, json_problems, printed},
    junit::{junit, junit_problems},
    sarif::{sarif, sarif_problems},
    text::text,
};

/// What a file is called in sentences.
fn file(name: &str) -> &str {
    if name == super::STANDARD_INPUT { "standard input" } else { name }
}

/// Where a rule is explained.
fn link(rule: super::Rule) -> String {
    format!("{}#{rule}", super::PAGE)
}
