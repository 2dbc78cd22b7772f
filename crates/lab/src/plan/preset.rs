//! How servers that many people run are told where to listen.

use clap::ValueEnum;

use super::{PlanError, fail};
use crate::args::RolloutArgs;

/// A server whose command line is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// uvicorn: `-- app:app` (Python, ASGI).
    Uvicorn,
    /// gunicorn: `-- app:app` (Python, WSGI).
    Gunicorn,
    /// hypercorn: `-- app:app` (Python, ASGI).
    Hypercorn,
    /// granian: `-- --interface asgi app:app` (Python).
    Granian,
    /// Node: `-- server.js`, which reads HOST and PORT.
    Node,
    /// Spring Boot: `-- app.jar`.
    Spring,
    /// Puma: `-- config.ru` (Ruby).
    Puma,
}

impl Preset {
    /// The whole command: what comes before the given arguments, and what behind.
    const fn around(self) -> (&'static [&'static str], &'static [&'static str]) {
        match self {
            Self::Uvicorn => (&["uvicorn"], &["--host", "{host}", "--port", "{port}"]),
            Self::Gunicorn => (&["gunicorn"], &["--bind", "{host}:{port}"]),
            Self::Hypercorn => (&["hypercorn"], &["--bind", "{host}:{port}"]),
            Self::Granian => (&["granian"], &["--host", "{host}", "--port", "{port}"]),
            Self::Node => (&["node"], &[]),
            Self::Spring => {
                (&["java", "-jar"], &["--server.address={host}", "--server.port={port}"])
            }
            Self::Puma => (&["puma"], &["--bind", "tcp://{host}:{port}"]),
        }
    }
}

/// The arguments with the command that a preset makes of them.
pub(super) fn applied(args: &RolloutArgs) -> Result<RolloutArgs, PlanError> {
    let Some(preset) = args.preset else { return Ok(args.clone()) };
    if args.command.is_empty() {
        return fail("--preset", "say what it serves, after --: --preset uvicorn -- app:app");
    }
    let (before, behind) = preset.around();
    let given = args.command.iter().map(String::as_str);
    let command = before.iter().copied().chain(given).chain(behind.iter().copied());
    Ok(RolloutArgs { command: command.map(str::to_owned).collect(), ..args.clone() })
}
