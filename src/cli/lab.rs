//! The lab's commands: `websample rollout` and `websample report`.

mod progress;

use std::{env, process::ExitCode, sync::Arc};

use clap::ArgMatches;
use tokio::time::Instant;
use websample::exit::{FOUND, SAYS_NOTHING, UNAVAILABLE, USAGE};
use websample_lab::{
    args::RolloutArgs,
    audience::{Audience, Said},
    comparison::{self, Compared, RolloutError},
    experiment::Experiment,
    rebuild::{self, ReportError},
    saved::SavedError,
    summary,
};
use websample_lifecycle::Signals;
use websample_load::raise_file_limit;

use super::{
    Subcommand,
    asynchronous::{parsed, subcommand},
    complain, complain_plainly, print,
};

pub(super) fn subcommands() -> [Subcommand; 2] {
    [
        subcommand::<RolloutArgs>(
            "rollout",
            "Run a rolling update under load for each drain mode, and show what each lost",
            run_rollout,
        ),
        subcommand::<rebuild::ReportArgs>(
            "report",
            "Make the page or a summary of saved rollouts, and compare several",
            run_report,
        ),
    ]
}

/// Whoever sits before the terminal, or reads a log of it.
struct Person;

impl Audience for Person {
    fn tell(&self, said: Said) {
        complain_plainly(&said);
    }

    async fn show(&self, experiments: &[Arc<Experiment>], start: Instant) {
        progress::show(experiments, start).await;
    }
}

fn run_rollout(matches: &ArgMatches) -> ExitCode {
    parsed(matches, |args: RolloutArgs| async move {
        if args.kubernetes.existing.deployment.is_some() {
            return super::watch::roll_out(&args).await;
        }
        rollout(&args).await.unwrap_or_else(|error| {
            complain(&error);
            ExitCode::from(match error {
                RolloutError::Plan(_) => USAGE,
                RolloutError::Interrupted(signal) => signal.exit_code(),
                _ => UNAVAILABLE,
            })
        })
    })
}

/// Compares, and prints the table. What is printed does not decide how it ends: a reader that has
/// gone hides no loss.
async fn rollout(args: &RolloutArgs) -> Result<ExitCode, RolloutError> {
    let own = env::current_exe()?.to_string_lossy().into_owned();
    let mut signals = Signals::catch()?;
    raise_file_limit();
    let command = env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let compared = comparison::rollout(args, &own, command, &mut signals, &Person).await?;
    let table = summary::text(&compared.report.runs);
    let (report, page) = (compared.path.display(), compared.page.display());
    print(&format!("{table}\n{report}\n{page}\n"));
    let exit = judged(args, &compared);
    if let Some(endpoint) = compared.endpoint {
        Person.tell(Said::Panels(endpoint.panels(&args.grafana)));
        comparison::last_scrape(endpoint, &mut signals, &Person).await;
    }
    Ok(ExitCode::from(exit))
}

/// What the result is worth to whoever waits for the exit code.
fn judged(args: &RolloutArgs, compared: &Compared) -> u8 {
    if let Some(why) = &compared.invalid {
        complain(&format!("the load generator did not keep up, the result says little: {why}"));
        if !args.fail_on.is_empty() {
            return SAYS_NOTHING;
        }
    }
    let failed: Vec<_> =
        compared.failed.iter().map(|(mode, lost)| format!("{mode} lost {lost}")).collect();
    if !failed.is_empty() {
        complain(&format!("--fail-on-loss: {}", failed.join(", ")));
    }
    for broken in &compared.broken {
        complain(&format!("--fail-on {broken}"));
    }
    if failed.is_empty() && compared.broken.is_empty() { 0 } else { FOUND }
}

fn run_report(matches: &ArgMatches) -> ExitCode {
    parsed(matches, |args: rebuild::ReportArgs| async move {
        match rebuild::report(&args) {
            Ok(text) => {
                print(&text);
                ExitCode::SUCCESS
            }
            Err(error) => {
                complain(&error);
                ExitCode::from(match error {
                    ReportError::Saved(SavedError::Malformed { .. } | SavedError::Empty(_)) => {
                        USAGE
                    }
                    ReportError::Saved(SavedError::Unreadable { .. }) | ReportError::Io(_) => {
                        UNAVAILABLE
                    }
                })
            }
        }
    })
}
