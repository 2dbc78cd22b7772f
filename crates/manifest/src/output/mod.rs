//! How a report is printed.

mod github;
mod json;
mod junit;
mod log;
mod sarif;
mod text;
mod xml;

pub use self::{
    github::{github, github_problems},
    json::{json, json_problems, printed},
    junit::{junit, junit_problems},
    log::{sarif_log, sarif_place},
    sarif::{sarif, sarif_problems},
    text::text,
    xml::xml_escaped,
};

/// What a file is called in sentences.
fn file(name: &str) -> &str {
    if name == super::STANDARD_INPUT { "standard input" } else { name }
}

/// Where a rule is explained.
fn link(rule: super::Rule) -> String {
    format!("{}#{rule}", super::PAGE)
}
