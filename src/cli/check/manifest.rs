//! `websample check FILE…`: what a rollout of these manifests will lose.

use std::{
    env,
    io::{self, IsTerminal},
    process::ExitCode,
    time::Duration,
};

use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command};
use websample::{
    config::KEYS,
    exit::{FOUND, UNAVAILABLE},
    known::SampleServer,
};
use websample_manifest::{
    self as manifest, CheckReport, Ignore, STANDARD_INPUT, Severity, Source, Told, Unusable, fix,
    output,
};

use super::{
    complain, files, format,
    mend::{self, To},
    print, settings, usage,
};

const MANIFEST: &str = "manifest";
const DELAY: &str = "delay";
const DRAIN: &str = "drain";
const STRICT: &str = "strict";
const FILES: &str = "files";
const GIVEN: &str = "given";
const IGNORE: &str = "ignore";
const FIX: &str = "fix";
const IN_PLACE: &str = "in-place";

const EXAMPLES: &str = "\
Examples:
  websample check
      The settings of the sample server, and the termination that they imply.
  WEBSAMPLE_GRACE_PERIOD=60s websample check --delay.max 40s --output json
  websample check deploy.yaml service.yaml
      What a rollout of these will lose, and why. Anybody's service.
  websample check deploy/
      Every .yaml, .yml and .json file below, or what a kustomization there names.
  kustomize build overlays/production | websample check -
  helm template CHART | websample check - --delay 10s --drain 20s
      Of a server that itself fails readiness and waits after SIGTERM.
  kubectl get deployment,service,pdb -o yaml | websample check -
  websample check deploy.yaml --output github
      Annotations in a pull request.
  websample check deploy.yaml --ignore 'single-replica: it is a demonstration'
  websample check deploy.yaml --fix deploy.patch

Exit codes: 0 the settings work, or no error was found; 1 an error was found (with --strict: or a
warning, or something was not judged); 64 settings that do not work, or input of which some cannot
be read or that holds nothing to check.";

const HEADING: &str = "Manifests";

/// Adds the flags of the check of manifests.
pub(super) fn with_flags(command: Command) -> Command {
    // A container's settings are those of its manifest.
    let others: Vec<_> = KEYS.iter().map(|key| key.name).chain([settings::CONFIG]).collect();
    let manifest = Arg::new(MANIFEST)
        .long(MANIFEST)
        .value_name("FILE")
        .action(ArgAction::Append)
        .conflicts_with_all(others.iter().copied())
        .help(
            "Say what a rollout of the Deployments in this YAML or JSON will lose, and why; - is \
             standard input; may be given several times, such as for a Service in another file",
        );
    let files = Arg::new(FILES).value_name("FILE").num_args(0..).conflicts_with_all(others).help(
        "Say what a rollout of the Deployments in these files or folders will lose, and why; - is \
             standard input",
    );
    let given = ArgGroup::new(GIVEN).args([FILES, MANIFEST]).multiple(true);
    let ignore = Arg::new(IGNORE)
        .long(IGNORE)
        .value_name("RULE: REASON")
        .action(ArgAction::Append)
        .value_parser(|text: &str| text.parse::<Ignore>())
        .requires(GIVEN)
        .help("Live with the findings of a rule, for a reason; they are listed at the end");
    let fix =
        Arg::new(FIX).long(FIX).value_name("FILE").conflicts_with(IN_PLACE).requires(GIVEN).help(
            "Write a patch of what can be mended without knowing the program; report what is left",
        );
    let in_place = Arg::new(IN_PLACE)
        .long(IN_PLACE)
        .action(ArgAction::SetTrue)
        .requires(GIVEN)
        .help("Mend that in the files themselves, which keep their layout and comments");
    let duration = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name("DURATION")
            .value_parser(humantime::parse_duration)
            .requires(GIVEN)
            .help(help)
    };
    let strict = Arg::new(STRICT)
        .long(STRICT)
        .action(ArgAction::SetTrue)
        .requires(GIVEN)
        .help("Exit with 1 for warnings too, and for what was not judged");
    command
        .about("Print the effective settings, or say what a rollout of manifests will lose")
        .after_help(EXAMPLES)
        .next_help_heading(HEADING)
        .args([
            files,
            manifest,
            duration(
                DELAY,
                "How long the servers themselves fail readiness and go on accepting after SIGTERM",
            ),
            duration(DRAIN, "How long they then take to finish what is in flight, at most"),
            strict,
            ignore,
            fix,
            in_place,
        ])
        .group(given)
        .next_help_heading(None)
}

/// Checks manifests, if that is what was asked.
pub(super) fn run(matches: &ArgMatches) -> Option<ExitCode> {
    let format = format(matches);
    let files: Vec<_> = [FILES, MANIFEST]
        .into_iter()
        .filter_map(|name| matches.get_many::<String>(name))
        .flatten()
        .map(String::as_str)
        .collect();
    if files.is_empty() {
        return (!["text", "json"].contains(&format)).then(|| {
            complain(&format_args!("--output {format} is for manifests; name a FILE"));
            usage()
        });
    }
    let to = match matches.get_one::<String>(FIX) {
        Some(file) => Some(To::Patch(file)),
        None => matches.get_flag(IN_PLACE).then_some(To::Place),
    };
    if to.is_some() && files.contains(&STANDARD_INPUT) {
        complain(&"what comes through a pipe cannot be mended; name the files");
        return Some(usage());
    }
    let told = |name| matches.get_one::<Duration>(name).copied();
    let told = Told { delay: told(DELAY), drain: told(DRAIN), sending: None };
    let strict = matches.get_flag(STRICT);
    let report = files::sources(&files).and_then(|sources| judged(&sources, told, to));
    let mut report = match report {
        Ok(Ok(report)) => report,
        Ok(Err(exit)) => return Some(exit),
        Err(unusable) => {
            match format {
                "json" => print(&output::printed(&output::json_problems(&unusable))),
                "github" => print(&output::github_problems(&unusable)),
                "sarif" => print(&output::printed(&output::sarif_problems(&unusable))),
                "junit" => print(&output::junit_problems(&unusable)),
                _ => {}
            }
            complain(&unusable);
            return Some(usage());
        }
    };
    for ignore in matches.get_many::<Ignore>(IGNORE).into_iter().flatten() {
        report.ignore(ignore);
    }
    match format {
        // The patch is what was asked for there.
        _ if matches!(to, Some(To::Patch("-"))) => {}
        "json" => print(&output::printed(&output::json(&report))),
        "github" => print(&output::github(&report)),
        "sarif" => print(&output::printed(&output::sarif(&report))),
        "junit" => print(&output::junit(&report, strict)),
        _ => print(&output::text(&report, colour())),
    }
    let found = report.count(Severity::Error) > 0 || (strict && !report.findings.is_empty());
    if !report.problems.is_empty() {
        complain(&Unusable { problems: report.problems });
        return Some(usage());
    }
    Some(if found { ExitCode::from(FOUND) } else { ExitCode::SUCCESS })
}

/// Checks the files, or mends them and checks what is left; a file that cannot be written ends it.
fn judged(
    sources: &[Source],
    told: Told,
    to: Option<To<'_>>,
) -> Result<Result<CheckReport, ExitCode>, Unusable> {
    let Some(to) = to else { return manifest::check(sources, told, &SampleServer).map(Ok) };
    let fixed = fix::fixed(sources, told, &SampleServer)?;
    if let Err((file, error)) = mend::write(&fixed, to) {
        complain(&format_args!("{file} cannot be written: {error}"));
        return Ok(Err(ExitCode::from(UNAVAILABLE)));
    }
    complain(&mend::told(&fixed));
    Ok(Ok(fixed.report))
}

/// Only for somebody who sees it and has not asked for none (no-color.org).
fn colour() -> bool {
    io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
