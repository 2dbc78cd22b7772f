//! What any input must not be able to break. The tests run the same for a moment: `tests/fuzz`.

mod configuration;
#[path = "../../tests/page/fixture.rs"]
mod fixture;
mod manifest;
mod nasty;
mod report;

pub use self::{configuration::configuration, manifest::manifest, report::report};
