//! `websample watch`: looks on while somebody else rolls out.

use std::{
    env,
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
};

use clap::ArgMatches;
use tokio::sync::oneshot;
use websample::{
    exit::{FOUND, SAYS_NOTHING, UNAVAILABLE, USAGE},
    known::SampleServer,
};
use websample_lab::{
    args::RolloutArgs,
    watch::{
        self, Called, Ended, Line, Looked, Onlooker, Output, ProbeError, WatchArgs, WatchError,
        watch,
    },
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
        looked(&args).await.unwrap_or_else(|error| failed(&error))
    })
}

async fn looked(args: &WatchArgs) -> Result<ExitCode, WatchError> {
    let mut signals = Signals::catch()?;
    let mut reader = Reader { output: args.output };
    let looked = watch(args, called(), &mut signals, &mut reader).await?;
    Ok(told(looked, args.output, args.follow))
}

/// Rolls somebody's own Deployment out, and looks on.
pub(super) async fn roll_out(args: &RolloutArgs) -> ExitCode {
    let rolled = async {
        let mut signals = Signals::catch()?;
        let mut reader = Reader { output: Output::Text };
        watch::roll_out(args, called(), &mut signals, &mut reader).await
    };
    match rolled.await {
        Ok(Some(looked)) => told(looked, Output::Text, false),
        Ok(None) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn called() -> Called<'static> {
    let command = env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    Called { command, known: &SampleServer }
}

fn failed(error: &WatchError) -> ExitCode {
    complain(error);
    ExitCode::from(match error {
        WatchError::Plan(_) | WatchError::Probe(ProbeError::Status { .. }) => USAGE,
        WatchError::Interrupted(signal) => signal.exit_code(),
        _ => UNAVAILABLE,
    })
}

/// Prints what was seen, and says how that ends.
fn told(looked: Looked, output: Output, follow: bool) -> ExitCode {
    let Looked { path, page, summary, ended, found, invalid, .. } = looked;
    let (path, page) = (path.display(), page.display());
    match output {
        Output::Text => print(&format!("\n{summary}\n{path}\n{page}\n")),
        // Objects only, for who reads them.
        Output::Json => complain_plainly(&format_args!("{summary}\n{path}\n{page}")),
    }
    if let Some(why) = &invalid {
        complain(&format_args!(
            "the load generator did not keep up, the result says little: {why}"
        ));
        return ExitCode::from(SAYS_NOTHING);
    }
    for (condition, what) in &found {
        complain(&format_args!("{condition}: {what}"));
    }
    if !found.is_empty() {
        return ExitCode::from(FOUND);
    }
    match ended {
        Ended::Over | Ended::Unread => ExitCode::SUCCESS,
        Ended::Interrupted(_) if follow => ExitCode::SUCCESS,
        Ended::Interrupted(signal) => ExitCode::from(signal.exit_code()),
        Ended::NotBegun(_) | Ended::Stuck(_) | Ended::Gone | Ended::Blind(_) => {
            ExitCode::from(UNAVAILABLE)
        }
    }
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

    async fn ask(&mut self, question: &str) -> io::Result<bool> {
        if !io::stdin().is_terminal() {
            return Err(io::Error::other("standard input is no terminal"));
        }
        let _ = write!(io::stderr().lock(), "{question} [y/N] ");
        let (sender, answer) = oneshot::channel();
        // On a thread that nobody waits for: a signal may come before the answer.
        std::thread::spawn(move || {
            let mut line = String::new();
            let read = io::stdin().read_line(&mut line);
            let _ = sender.send(read.map(|_| line));
        });
        let line = answer.await.map_err(io::Error::other)??;
        Ok(matches!(line.trim(), "y" | "Y" | "yes"))
    }
}
