//! `websample completions` and `websample man`: what a packager installs beside the program.

use std::{fs, io, path::PathBuf, process::ExitCode};

use clap::{ArgMatches, Args, Command, FromArgMatches as _};
use clap_complete::Shell;
use clap_mangen::Man;
use websample::exit::UNAVAILABLE;

use super::{Run, Subcommand, complain, explain, print, program, subcommands};

/// Arguments of `websample completions`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  websample completions bash > ~/.local/share/bash-completion/completions/websample
  websample completions zsh > ~/.zfunc/_websample
  websample completions fish > ~/.config/fish/completions/websample.fish")]
struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Arguments of `websample man`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  websample man ~/.local/share/man/man1
      websample.1, and one page for each subcommand, such as websample-rollout.1.
  websample man /tmp/man && man /tmp/man/websample-check.1")]
struct ManArgs {
    /// Where the pages go; made if it is not there
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

pub(super) fn subcommands_of_packagers() -> [Subcommand; 2] {
    let completions = Command::new("completions").about("Print what completes commands in a shell");
    let man = Command::new("man").about("Write the manual's pages");
    [
        Subcommand {
            command: CompletionsArgs::augment_args(completions),
            run: Run::Plain(print_completions),
        },
        Subcommand { command: ManArgs::augment_args(man), run: Run::Plain(write_manual) },
    ]
}

fn print_completions(matches: &ArgMatches) -> ExitCode {
    let CompletionsArgs { shell } = match CompletionsArgs::from_arg_matches(matches) {
        Ok(arguments) => arguments,
        Err(error) => return explain(&error),
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut program(&subcommands()), "websample", &mut script);
    print(&String::from_utf8_lossy(&script));
    ExitCode::SUCCESS
}

fn write_manual(matches: &ArgMatches) -> ExitCode {
    let ManArgs { directory } = match ManArgs::from_arg_matches(matches) {
        Ok(arguments) => arguments,
        Err(error) => return explain(&error),
    };
    match write_pages(&directory) {
        Ok(pages) => {
            let pages: Vec<_> = pages.iter().map(|page| page.display().to_string()).collect();
            print(&format!("{}\n", pages.join("\n")));
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(&format!("cannot write to {}: {error}", directory.display()));
            ExitCode::from(UNAVAILABLE)
        }
    }
}

fn write_pages(directory: &PathBuf) -> io::Result<Vec<PathBuf>> {
    fs::create_dir_all(directory)?;
    let mut all = program(&subcommands()).disable_help_subcommand(true);
    all.build();
    let mut pages = Vec::new();
    for command in std::iter::once(&all).chain(all.get_subcommands()) {
        // clap's name of a subcommand, once built, is `websample-rollout`.
        let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
        let page = directory.join(format!("{name}.1"));
        let mut text = Vec::new();
        Man::new(command.clone().name(name)).render(&mut text)?;
        fs::write(&page, text)?;
        pages.push(page);
    }
    Ok(pages)
}
