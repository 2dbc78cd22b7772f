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
    /// Go: `-- ./server`, which reads PORT (and HOST), as gin does.
    Go,
    /// nginx: `-- nginx.conf`, with `${HOST}`, `${PORT}` and `${DIR}` in it for the pod's address and
    /// a directory of its own, as in a template of nginx's image.
    Nginx,
    /// axum: `-- target/release/server`, which reads HOST and PORT (Rust).
    Axum,
    /// Puma: `-- config.ru` (Ruby).
    Puma,
}

/// nginx knows no environment: its image fills a template in before it starts, and so does this, with
/// `sed`, since `envsubst` is rarely there. Behind `exec`, so that SIGTERM finds nginx.
const NGINX: &str = "sed -e 's|${HOST}|{host}|g' -e 's|${PORT}|{port}|g' -e 's|${DIR}|{dir}|g' \
                     -e \"s|[$]{TLS_CERT}|$TLS_CERT|g\" -e \"s|[$]{TLS_KEY}|$TLS_KEY|g\" \
                     \"$0\" > {dir}/nginx.conf && \
                     exec nginx -e stderr -c {dir}/nginx.conf -g 'daemon off;'";

impl Preset {
    /// What it runs, where the command begins with something else.
    pub(super) const fn behind_shell(self) -> Option<&'static str> {
        match self {
            Self::Nginx => Some("nginx"),
            _ => None,
        }
    }

    /// The whole command: what comes before the given arguments, and what behind.
    const fn around(self) -> (&'static [&'static str], &'static [&'static str]) {
        match self {
            Self::Uvicorn => (&["uvicorn"], &["--host", "{host}", "--port", "{port}"]),
            Self::Gunicorn => (&["gunicorn"], &["--bind", "{host}:{port}"]),
            Self::Hypercorn => (&["hypercorn"], &["--bind", "{host}:{port}"]),
            Self::Granian => (&["granian"], &["--host", "{host}", "--port", "{port}"]),
            Self::Node => (&["node"], &[]),
            // Built by whoever writes it, with no flag that they have in common.
            Self::Go | Self::Axum => (&[], &[]),
            Self::Nginx => (&["sh", "-c", NGINX], &[]),
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
