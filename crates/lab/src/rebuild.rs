//! `websample report`: the page, or a summary, of runs that were saved.

use std::{io, path::PathBuf};

use clap::{Args, ValueEnum};

use super::{
    markdown::markdown,
    page,
    saved::{self, Saved, SavedError},
    summary,
};

/// The command line of `websample report`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  websample report websample-rollout/report.json
      The page of a saved run, beside it as report.html.
  websample report before/report.json after/report.json --out compared.html
      Two runs in one page, such as before and after a change of settings.
  websample report websample-rollout --summary markdown
      A comment for a pull request, on standard output.

Exit codes: 0 done; 64 a file is no report; 69 a file cannot be read or written.")]
pub struct ReportArgs {
    /// report.json of a rollout, or the directory it is in; several are compared
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// Where the page goes [default: report.html beside the first FILE; none with --summary]
    #[arg(long, value_name = "FILE.html")]
    pub out: Option<PathBuf>,

    /// Print the results instead of making the page (with --out: make it too)
    #[arg(long, value_name = "FORMAT")]
    pub summary: Option<Format>,
}

/// How a summary is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// The table and the sentences that `rollout` ends with.
    Text,
    /// For a comment on a pull request.
    Markdown,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A file could not be used.
    #[error(transparent)]
    Saved(#[from] SavedError),
    /// The page could not be written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Does what the command line asks; gives what is to be printed.
///
/// # Errors
/// Names the file, and what is wrong with it.
pub fn report(args: &ReportArgs) -> Result<String, ReportError> {
    let reports = saved::read(&args.files)?;
    let mut printed = match args.summary {
        Some(Format::Text) => text(&reports),
        Some(Format::Markdown) => markdown(&reports),
        None => String::new(),
    };
    let out = match (&args.out, args.summary) {
        (Some(out), _) => out.clone(),
        (None, None) => beside(&args.files),
        (None, Some(_)) => return Ok(printed),
    };
    page::write(&reports, &out)?;
    if args.summary.is_none() {
        printed = format!("{}\n", out.display());
    }
    Ok(printed)
}

fn beside(files: &[PathBuf]) -> PathBuf {
    match files.first() {
        Some(first) if first.is_dir() => first.join(page::FILE),
        Some(first) => first.with_file_name(page::FILE),
        None => PathBuf::from(page::FILE),
    }
}

fn text(reports: &[Saved]) -> String {
    let parts = reports.iter().map(|saved| {
        let title = if saved.label.is_empty() {
            String::new()
        } else {
            format!("{}:\n", summary::printable(&saved.label))
        };
        title + &summary::text(&saved.report.runs)
    });
    parts.collect::<Vec<_>>().join("\n")
}
