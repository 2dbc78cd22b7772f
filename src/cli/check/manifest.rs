//! `websample check --manifest`: what a rollout of these manifests will lose.

use std::{
    env,
    io::{self, IsTerminal},
    path::Path,
    process::ExitCode,
    time::Duration,
};

use clap::{Arg, ArgAction, ArgMatches, Command};
use websample::{
    config::KEYS,
    exit::{FOUND, USAGE},
    input,
    known::SampleServer,
};
use websample_manifest::{
    self as manifest, Problem, STANDARD_INPUT, Severity, Source, Told, Unusable, output,
};

use super::{complain, format, print, settings, usage};

const MANIFEST: &str = "manifest";
const DELAY: &str = "delay";
const DRAIN: &str = "drain";
const STRICT: &str = "strict";

const EXAMPLES: &str = "\
Examples:
  websample check
      The settings of the sample server, and the termination that they imply.
  WEBSAMPLE_GRACE_PERIOD=60s websample check --delay.max 40s --output json
  websample check --manifest deploy.yaml --manifest service.yaml
      What a rollout of these will lose, and why. Anybody's service.
  kustomize build overlays/production | websample check --manifest -
  helm template CHART | websample check --manifest - --delay 10s --drain 20s
      Of a server that itself fails readiness and waits after SIGTERM.
  kubectl get deployment,service,pdb -o yaml | websample check --manifest -
  websample check --manifest deploy.yaml --output github
      Annotations in a pull request.

Exit codes: 0 the settings work, or no error was found; 1 an error was found (with --strict: or a
warning, or something was not judged); 64 settings that do not work, or input that cannot be read or holds nothing to check.";

const HEADING: &str = "Manifests";

/// Adds the flags of the check of manifests.
pub(super) fn with_flags(command: Command) -> Command {
    // A container's settings are those of its manifest.
    let others = KEYS.iter().map(|key| key.name).chain([settings::CONFIG]);
    let manifest = Arg::new(MANIFEST)
        .long(MANIFEST)
        .value_name("FILE")
        .action(ArgAction::Append)
        .conflicts_with_all(others)
        .help(
            "Say what a rollout of the Deployments in this YAML or JSON will lose, and why; - is \
             standard input; may be given several times, such as for a Service in another file",
        );
    let duration = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name("DURATION")
            .value_parser(humantime::parse_duration)
            .requires(MANIFEST)
            .help(help)
    };
    let strict = Arg::new(STRICT)
        .long(STRICT)
        .action(ArgAction::SetTrue)
        .requires(MANIFEST)
        .help("Exit with 1 for warnings too, and for what was not judged");
    command
        .about("Print the effective settings, or say what a rollout of manifests will lose")
        .after_help(EXAMPLES)
        .next_help_heading(HEADING)
        .args([
            manifest,
            duration(
                DELAY,
                "How long the servers themselves fail readiness and go on accepting after SIGTERM",
            ),
            duration(DRAIN, "How long they then take to finish what is in flight, at most"),
            strict,
        ])
        .next_help_heading(None)
}

/// Checks manifests, if that is what was asked.
pub(super) fn run(matches: &ArgMatches) -> Option<ExitCode> {
    let Some(files) = matches.get_many::<String>(MANIFEST) else {
        return (format(matches) == "github").then(|| {
            complain(&"--output github is for manifests; add --manifest FILE");
            usage()
        });
    };
    let files: Vec<_> = files.map(String::as_str).collect();
    let told = |name| matches.get_one::<Duration>(name).copied();
    let told = Told { delay: told(DELAY), drain: told(DRAIN) };
    let format = format(matches);
    let report =
        match sources(&files).and_then(|sources| manifest::check(&sources, told, &SampleServer)) {
            Ok(report) => report,
            Err(unusable) => {
                match format {
                    "json" => print(&format!("{:#}\n", output::json_problems(&unusable))),
                    "github" => print(&output::github_problems(&unusable)),
                    _ => {}
                }
                complain(&unusable);
                return Some(ExitCode::from(USAGE));
            }
        };
    match format {
        "json" => print(&format!("{:#}\n", output::json(&report))),
        "github" => print(&output::github(&report)),
        _ => print(&output::text(&report, colour())),
    }
    if !report.problems.is_empty() {
        complain(&Unusable { problems: report.problems });
        return Some(ExitCode::from(USAGE));
    }
    let strict = matches.get_flag(STRICT) && !report.findings.is_empty();
    let found = report.count(Severity::Error) > 0 || strict;
    Some(if found { ExitCode::from(FOUND) } else { ExitCode::SUCCESS })
}

/// Only for somebody who sees it and has not asked for none (no-color.org).
fn colour() -> bool {
    io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Reads the files, or tells of every one that cannot be read.
fn sources(files: &[&str]) -> Result<Vec<Source>, Unusable> {
    let (sources, problems): (Vec<_>, Vec<_>) = files
        .iter()
        .enumerate()
        .map(|(index, file)| {
            if *file == STANDARD_INPUT && files[..index].contains(file) {
                let text = "it was given twice, and can be read only once";
                return Err(problem(file, text.to_owned(), "give it once"));
            }
            source(file)
        })
        .partition(Result::is_ok);
    if problems.is_empty() {
        Ok(sources.into_iter().flatten().collect())
    } else {
        Err(Unusable { problems: problems.into_iter().filter_map(Result::err).collect() })
    }
}

fn source(file: &str) -> Result<Source, Problem> {
    let read = if file == STANDARD_INPUT {
        input::read_from(io::stdin().lock())
    } else {
        input::read(Path::new(file), None)
    };
    match read {
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => Err(problem(
            file,
            "it is a directory".to_owned(),
            "name its files, or build it: `kustomize build DIR | websample check --manifest -`",
        )),
        Err(error) => Err(problem(
            file,
            format!("it cannot be read: {error}"),
            "name a file that exists and that you may read, or - for standard input",
        )),
        Ok(bytes) => {
            let text = String::from_utf8(bytes)
                .map_err(|_| problem(file, "it is not UTF-8".to_owned(), "convert it"))?;
            Ok(Source { name: file.to_owned(), text })
        }
    }
}

fn problem(file: &str, problem: String, remedy: &str) -> Problem {
    let file = file.to_owned();
    Problem { file, document: None, line: None, problem, remedy: remedy.to_owned() }
}
