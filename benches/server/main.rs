//! What the drain framework costs, side by side with a plain actix-web server in one run.
//!
//! `scripts/bench --help` says how to call it; docs/benchmarks.md says what the numbers mean.

mod building;
mod cargo;
mod client;
mod document;
mod elsewhere;
mod hyper;
mod instructions;
mod load;
mod log;
mod plan;
mod requests;
mod scrapes;
mod server;
mod soak;
mod stops;
mod table;

use std::{env, process::ExitCode};

use anyhow::{Context as _, Result, ensure};

use self::{
    document::Beside,
    plan::{Plan, Section, USAGE},
    server::Programs,
    table::Table,
};

fn main() -> ExitCode {
    // `cargo test --all-targets` runs this too, and measures nothing.
    if !env::args().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    match Plan::parse(env::args().skip(1)) {
        Ok(Some(plan)) => match measure(&plan) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("bench: {error:#}");
                ExitCode::FAILURE
            }
        },
        Ok(None) => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::from(64)
        }
    }
}

fn measure(plan: &Plan) -> Result<()> {
    if plan.sections.iter().any(|section| section.is_loaded()) {
        require("h2load", "nghttp2-client")?;
    }
    let mut servers = None;
    let mut failed = Vec::new();
    let mut measured = Vec::new();
    for (name, section) in Section::ALL {
        if !plan.sections.contains(&section) {
            continue;
        }
        eprintln!("bench: {name}");
        let mut table = Table::default();
        // Before it builds anything: what a build leaves behind is no load.
        let beside = Beside::begin();
        let result = measure_section(plan, section, &mut servers, &mut table);
        let text = match &result {
            Ok(Some(text)) => text.clone(),
            // Also where it has failed half way.
            _ => table.to_string(),
        };
        let text = format!("{}\n\n{}", text.trim(), beside.told());
        println!("{text}");
        match result {
            Ok(_) => measured.push((name, text)),
            Err(error) => {
                eprintln!("bench: {name}: {error:#}");
                failed.push(name);
            }
        }
    }
    if plan.write {
        document::write(&measured)?;
    }
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

/// Fills the table in, or gives a text that stands for it.
fn measure_section(
    plan: &Plan,
    section: Section,
    servers: &mut Option<Programs>,
    table: &mut Table,
) -> Result<Option<String>> {
    if section.is_of_servers() && servers.is_none() {
        *servers = Some(cargo::servers()?);
    }
    let servers = || servers.as_ref().context("the servers were not built");
    match section {
        Section::Instructions => instructions::measure(servers()?, table)?,
        Section::Requests => requests::measure(servers()?, plan.rounds, table)?,
        Section::Log => log::measure(servers()?, plan.rounds, table)?,
        Section::Scrapes => scrapes::measure(servers()?, table)?,
        Section::Stops => stops::measure(servers()?, table)?,
        Section::Soak => soak::measure(servers()?, plan.soaks, table)?,
        Section::Hyper => hyper::measure(&cargo::axum()?, table)?,
        Section::Load => return elsewhere::load().map(Some),
        Section::Manifests => elsewhere::manifests(table)?,
        Section::Page => elsewhere::page(table)?,
        Section::Build => building::measure(plan.baseline.as_deref(), table)?,
    }
    Ok(None)
}

/// Whether a program is on the PATH.
fn is_installed(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

fn require(program: &str, package: &str) -> Result<()> {
    ensure!(
        is_installed(program),
        "{program} is not on the PATH; on Debian and Ubuntu: apt-get install {package}"
    );
    Ok(())
}
