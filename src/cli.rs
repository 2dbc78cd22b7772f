//! The command line: one table of subcommands, one rule for exit codes.

#[cfg(feature = "attack")]
mod asynchronous;
#[cfg(feature = "attack")]
mod attack;
mod check;
#[cfg(all(test, feature = "lab"))]
mod documented;
#[cfg(feature = "lab")]
mod lab;
mod serve;
mod settings;
#[cfg(feature = "lab")]
mod shell;
#[cfg(feature = "lab")]
mod watch;

use std::{
    ffi::OsString,
    io::{self, Write},
    process::ExitCode,
};

use clap::{ArgMatches, Command};
use tokio::runtime::{Builder, Runtime};
use websample::exit::{UNAVAILABLE, USAGE};
use websample_lifecycle::Signals;

/// A subcommand: how it is called, and what it does.
struct Subcommand {
    command: Command,
    run: Run,
}

/// How a subcommand is carried out.
#[derive(Clone, Copy)]
enum Run {
    /// By itself.
    Plain(fn(&ArgMatches) -> ExitCode),
    /// With what was begun before the command line was read.
    Early(fn(&ArgMatches, Early) -> ExitCode),
}

/// Every subcommand, in the order of `--help`.
fn subcommands() -> Vec<Subcommand> {
    let mut all = Vec::new();
    #[cfg(feature = "lab")]
    all.extend(lab::subcommands());
    #[cfg(feature = "lab")]
    all.push(watch::command());
    #[cfg(feature = "attack")]
    all.push(attack::command());
    all.extend([serve::subcommand(), check::subcommand()]);
    #[cfg(feature = "lab")]
    all.extend(shell::subcommands_of_packagers());
    all
}

fn program(subcommands: &[Subcommand]) -> Command {
    Command::new("websample")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Zero-downtime deployment: a server that drains, and the check that it can")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(subcommands.iter().map(|subcommand| subcommand.command.clone()))
        .after_help(EXAMPLES)
}

const EXAMPLES: &str = "\
Examples:
  websample rollout                        what each drain mode loses, in about a minute
  websample watch web -n shop              look on while somebody rolls a Deployment out
  websample serve                          serve as v1 on port 5000, admin on 9000
  WEBSAMPLE_VERSION=v2 websample serve     the same as v2
  websample check --grace_period 60s       what a termination would look like
  websample check --manifest deploy.yaml   what a rollout of somebody's manifests will lose
  websample help serve                     every setting

Exit codes: 0 clean, 1 losses or findings where that was asked for, 3 something was cut at the
deadline, 64 usage or bad configuration, 69 the command could not be carried out.";

/// A runtime, and the signals of this process, which are caught from here on.
pub(crate) struct Early {
    runtime: Runtime,
    signals: Signals,
}

impl Early {
    /// Begins where the command is one that serves; the others are ended by signals as anything is.
    pub(crate) fn begin(
        mut arguments: impl Iterator<Item = OsString>,
    ) -> Result<Option<Self>, ExitCode> {
        if arguments.nth(1).is_some_and(|command| command == serve::NAME) {
            return Self::new().map(Some);
        }
        Ok(None)
    }

    fn new() -> Result<Self, ExitCode> {
        let unavailable = |what: String| {
            complain(&what);
            ExitCode::from(UNAVAILABLE)
        };
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| unavailable(format!("no runtime could be had: {error}")))?;
        let signals = {
            let _entered = runtime.enter();
            Signals::catch()
        };
        let signals = signals.map_err(|error| {
            unavailable(format!("SIGTERM and SIGINT cannot be caught: {error}"))
        })?;
        Ok(Self { runtime, signals })
    }
}

/// A command line that was understood.
pub(crate) struct Invocation {
    run: Run,
    matches: ArgMatches,
}

impl Invocation {
    /// Does what was asked.
    pub(crate) fn run(self, early: Option<Early>) -> ExitCode {
        match (self.run, early) {
            (Run::Plain(run), _) => run(&self.matches),
            (Run::Early(run), Some(early)) => run(&self.matches, early),
            // Not called by its first argument: nothing has been begun yet.
            (Run::Early(run), None) => match Early::new() {
                Ok(early) => run(&self.matches, early),
                Err(exit) => exit,
            },
        }
    }
}

/// Understands the command line, or has printed why not, or the help that was asked for.
pub(crate) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Invocation, ExitCode> {
    let subcommands = subcommands();
    let mut matches =
        program(&subcommands).try_get_matches_from(arguments).map_err(|error| explain(&error))?;
    let called = matches.remove_subcommand().and_then(|(name, matches)| {
        let found = subcommands.iter().find(|known| known.command.get_name() == name)?;
        Some(Invocation { run: found.run, matches })
    });
    // clap refuses a missing or unknown subcommand before this.
    called.ok_or_else(usage)
}

/// Prints what clap has to say: to standard output what was asked for, with 0; else to standard
/// error, with 64 where clap itself would exit with 2.
fn explain(error: &clap::Error) -> ExitCode {
    // Nobody is left to tell where printing fails.
    let _ = error.print();
    if error.use_stderr() { usage() } else { ExitCode::SUCCESS }
}

/// The exit code for a command line or configuration that cannot work.
fn usage() -> ExitCode {
    ExitCode::from(USAGE)
}

/// Prints to standard output; a reader that has gone, such as `head`, is no error.
fn print(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Prints what is seen meanwhile to standard error, which may be closed.
#[cfg(feature = "lab")]
fn complain_plainly(text: &impl std::fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Prints an error, or warnings.
fn complain(text: &impl std::fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "websample: {text}");
}
