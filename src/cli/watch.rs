//! `websample watch`: looks on while somebody else rolls out.

use std::{
    env,
    io::{self, Write as _},
    process::ExitCode,
};

use clap::ArgMatches;
use websample::exit::{FOUND, UNAVAILABLE, USAGE};
use websample_lab::watch::{
    Ended, Line, Looked, Onlooker, Output, ProbeError, WatchArgs, WatchError, watch,
};
use websample_lifecycle::Signals;

use super::{
    Subcommand,
    asynchronous::{parsed, subcommand},
    complain, complain_plainly, print,
};

pub(super) fn command() -> Subcommand {
    subcommand::<WatchArgs>(
        "watch",
        "Look on while somebody else rolls out a Deployment, and say what it did and lost",
        run,
    )
}

fn run(matches: &ArgMatches) -> ExitCode {
    parsed(matches, |args: WatchArgs| async move {
        looked(&args).await.unwrap_or_else(|error| {
            complain(&error);
            ExitCode::from(match error {
                WatchError::Plan(_) | WatchError::Probe(ProbeError::Status { .. }) => USAGE,
                WatchError::Interrupted(signal) => signal.exit_code(),
                _ => UNAVAILABLE,
            })
        })
    })
}

async fn looked(args: &WatchArgs) -> Result<ExitCode, WatchError> {
    let mut signals = Signals::catch()?;
    let command = env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let mut reader = Reader { output: args.output };
    let looked = watch(args, command, &mut signals, &mut reader).await?;
    let Looked { path, page, summary, ended, found, .. } = looked;
    let (path, page) = (path.display(), page.display());
    match args.output {
        Output::Text => print(&format!("\n{summary}\n{path}\n{page}\n")),
        // Objects only, for who reads them.
        Output::Json => complain_plainly(&format_args!("{summary}\n{path}\n{page}")),
    }
    for (failing, what) in &found {
        complain(&format_args!("{}: {what}", failing.name()));
    }
    if !found.is_empty() {
        return Ok(ExitCode::from(FOUND));
    }
    Ok(match ended {
        Ended::Over | Ended::Unread => ExitCode::SUCCESS,
        Ended::Interrupted(_) if args.follow => ExitCode::SUCCESS,
        Ended::Interrupted(signal) => ExitCode::from(signal.exit_code()),
        Ended::NotBegun(_) | Ended::Stuck(_) | Ended::Gone | Ended::Blind(_) => {
            ExitCode::from(UNAVAILABLE)
        }
    })
}

/// Whoever reads standard output: a person, a file, or a program.
struct Reader {
    output: Output,
}

impl Onlooker for Reader {
    fn line(&mut self, line: &Line) -> bool {
        let mut out = io::stdout().lock();
        let written = match self.output {
            Output::Text => writeln!(out, "{line}"),
            Output::Json => serde_json::to_writer(&mut out, line)
                .map_err(io::Error::from)
                .and_then(|()| out.write_all(b"\n")),
        };
        written.and_then(|()| out.flush()).is_ok()
    }

    fn say(&self, text: &str) {
        complain_plainly(&text);
    }
}
