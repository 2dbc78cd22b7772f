//! The command line.
use std::process::ExitCode;
use websample::{
    config::{Settings, Sources},
    sample,
    telemetry::logs,
};
fn main() -> ExitCode {
    let settings = match Settings::load(&Sources::process()) {
        Ok(s) => s,
        Err(e) => {
            eprintln!("{e}");
            return ExitCode::from(64);
        }
    };
    logs::init(settings.log.format, settings.log.level);
    let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    match rt.block_on(sample::run(settings)) {
        Ok(report) => report.into(),
        Err(e) => {
            eprintln!("{e}");
            ExitCode::from(1)
        }
    }
}
