//! How long programs that many people run have been told to take to finish, as their own settings
//! have it: in command, arguments, environment, and in ConfigMaps that were read and are mounted.

use std::time::Duration;

use super::LONGEST;

/// What a program was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OwnDrain {
    /// The program and its setting, as it is written.
    pub(super) setting: String,
    /// How long it takes to finish at most, from SIGTERM on.
    pub(super) drain: Duration,
}

/// How a setting's number is read.
#[derive(Debug, Clone, Copy)]
enum Unit {
    Seconds,
    Milliseconds,
    /// `30s`, `1m`, `PT30S`; a number alone is of this unit.
    Written(u32),
}

/// A setting, and how it is written where.
struct Setting {
    program: &'static str,
    /// Words that show which program it is, where the setting's name alone does not; any will do.
    marks: &'static [&'static str],
    flags: &'static [&'static str],
    variables: &'static [&'static str],
    /// A directive of a file: its name, and its value behind it.
    directives: &'static [&'static str],
    unit: Unit,
}

const SECOND: u32 = 1_000;

/// Each with where it is documented. What a program does by default is not judged, only what is written.
const SETTINGS: [Setting; 13] = [
    // docs.gunicorn.org/en/stable/settings.html#graceful-timeout: seconds, 30 by default.
    Setting {
        program: "gunicorn",
        marks: &["gunicorn"],
        flags: &["--graceful-timeout"],
        variables: &[],
        directives: &[],
        unit: Unit::Seconds,
    },
    // hypercorn.readthedocs.io/en/latest/how_to_guides/configuring.html: seconds, 3 by default.
    Setting {
        program: "hypercorn",
        marks: &["hypercorn"],
        flags: &["--graceful-timeout"],
        variables: &[],
        directives: &[],
        unit: Unit::Seconds,
    },
    // uvicorn.dev/settings: seconds; without it uvicorn waits for ever. Every option can be given as a
    // variable that begins with UVICORN_.
    Setting {
        program: "uvicorn",
        marks: &[],
        flags: &["--timeout-graceful-shutdown"],
        variables: &["UVICORN_TIMEOUT_GRACEFUL_SHUTDOWN"],
        directives: &[],
        unit: Unit::Seconds,
    },
    // llm-d.ai/docs/dev/operations/lifecycle/graceful-shutdown, github.com/kserve/kserve/pull/5496:
    // seconds that requests in flight may take after SIGTERM.
    Setting {
        program: "vLLM",
        marks: &["vllm"],
        flags: &["--shutdown-timeout"],
        variables: &[],
        directives: &[],
        unit: Unit::Seconds,
    },
    // docs.spring.io/spring-boot/reference/web/graceful-shutdown.html: a duration, 30 s by default, a number
    // alone is of milliseconds. Before Spring Boot 3.4 it holds only with server.shutdown=graceful.
    Setting {
        program: "Spring",
        marks: &[],
        flags: &[
            "--spring.lifecycle.timeout-per-shutdown-phase",
            "-Dspring.lifecycle.timeout-per-shutdown-phase",
        ],
        variables: &["SPRING_LIFECYCLE_TIMEOUT_PER_SHUTDOWN_PHASE"],
        directives: &["spring.lifecycle.timeout-per-shutdown-phase", "timeout-per-shutdown-phase"],
        unit: Unit::Written(1),
    },
    // quarkus.io/guides/lifecycle#graceful-shutdown: a duration, a number alone is of seconds; off by default.
    Setting {
        program: "Quarkus",
        marks: &[],
        flags: &["-Dquarkus.shutdown.timeout"],
        variables: &["QUARKUS_SHUTDOWN_TIMEOUT"],
        directives: &["quarkus.shutdown.timeout"],
        unit: Unit::Written(SECOND),
    },
    // learn.microsoft.com/aspnet/core/fundamentals/host/web-host#shutdown-timeout: seconds, 30 by default
    // since .NET 6, 5 before.
    Setting {
        program: ".NET",
        marks: &[],
        flags: &["--shutdownTimeoutSeconds"],
        variables: &["ASPNETCORE_SHUTDOWNTIMEOUTSECONDS", "DOTNET_SHUTDOWNTIMEOUTSECONDS"],
        directives: &[],
        unit: Unit::Seconds,
    },
    // puma.io/puma/Puma/DSL.html#force_shutdown_after-instance_method: seconds, :forever by default.
    Setting {
        program: "Puma",
        marks: &["puma"],
        flags: &[],
        variables: &[],
        directives: &["force_shutdown_after"],
        unit: Unit::Seconds,
    },
    // nginx.org/en/docs/ngx_core_module.html#worker_shutdown_timeout: a number alone is of seconds. It holds
    // for SIGQUIT, which the official image makes the stop signal; SIGTERM is nginx' fast shutdown.
    Setting {
        program: "nginx",
        marks: &["nginx"],
        flags: &[],
        variables: &[],
        directives: &["worker_shutdown_timeout", "worker-shutdown-timeout"],
        unit: Unit::Written(SECOND),
    },
    // docs.haproxy.org: hard-stop-after: a number alone is of milliseconds. It holds for SIGUSR1, which the
    // official image makes the stop signal; SIGTERM ends HAProxy at once.
    Setting {
        program: "HAProxy",
        marks: &["haproxy"],
        flags: &[],
        variables: &[],
        directives: &["hard-stop-after"],
        unit: Unit::Written(1),
    },
    // Envoy's own --drain-time-s is not among them: it is for hot restarts and for listeners that are taken
    // away, and SIGTERM ends Envoy without a drain (envoyproxy.io: Draining; envoyproxy/envoy#1990).
    //
    // github.com/istio/istio: pilot/cmd/pilot-agent: a whole number of seconds, 5 by default.
    Setting {
        program: "Istio's proxy",
        marks: &["proxyv2", "pilot-agent"],
        flags: &[],
        variables: &["TERMINATION_DRAIN_DURATION_SECONDS"],
        directives: &[],
        unit: Unit::Seconds,
    },
    // caddyserver.com/docs/caddyfile/options#grace-period: a duration with its unit; for ever by default.
    Setting {
        program: "Caddy",
        marks: &["caddy"],
        flags: &[],
        variables: &[],
        directives: &["grace_period"],
        unit: Unit::Written(1),
    },
    // pm2.keymetrics.io/docs/usage/signals-clean-restart: milliseconds, 1,600 by default.
    Setting {
        program: "pm2",
        marks: &["pm2", "pm2-runtime"],
        flags: &["--kill-timeout"],
        variables: &[],
        directives: &[],
        unit: Unit::Milliseconds,
    },
];

/// What is known of a container: its image's name, its words, its environment as far as it is known,
/// and the texts of the ConfigMaps that are mounted into it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) image: &'a str,
    pub(super) words: &'a [String],
    pub(super) variables: &'a [(String, String)],
    pub(super) files: &'a [&'a str],
}

/// What the program of this container was given, the longest of it.
pub(super) fn given(seen: Seen<'_>) -> Option<OwnDrain> {
    // A shell's script and a variable of arguments are words too.
    let arguments = |name: &str| {
        name.ends_with("_ARGS") || name.ends_with("_OPTS") || name.ends_with("_OPTIONS")
    };
    let in_variables =
        seen.variables.iter().filter(|(name, _)| arguments(name)).map(|(_, value)| value);
    let words: Vec<&str> = seen
        .words
        .iter()
        .chain(in_variables)
        .flat_map(|word| word.split(|c: char| c.is_whitespace() || ";&|'\"".contains(c)))
        .filter(|word| !word.is_empty())
        .collect();
    let known = SETTINGS.iter().filter(|setting| setting.is_marked(&seen, &words));
    known.filter_map(|setting| setting.read(&seen, &words)).max_by_key(|own| own.drain)
}

impl Setting {
    fn is_marked(&self, seen: &Seen<'_>, words: &[&str]) -> bool {
        let base = |word: &str| word.rsplit('/').next().unwrap_or(word).to_owned();
        self.marks.is_empty()
            || self.marks.iter().any(|mark| {
                seen.image.contains(mark)
                    || words.iter().any(|word| base(word) == *mark)
                    || seen
                        .variables
                        .iter()
                        .any(|(name, _)| name.to_ascii_lowercase().starts_with(&format!("{mark}_")))
            })
    }

    fn read(&self, seen: &Seen<'_>, words: &[&str]) -> Option<OwnDrain> {
        let flag = self.flags.iter().find_map(|flag| Some((*flag, value_of(flag, words)?)));
        let variable = || {
            self.variables.iter().find_map(|wanted| {
                let (_, value) = seen.variables.iter().rev().find(|(name, _)| name == wanted)?;
                Some((*wanted, value.as_str()))
            })
        };
        let texts = || seen.files.iter().copied().chain(seen.words.iter().map(String::as_str));
        let directive = || {
            self.directives.iter().find_map(|wanted| {
                texts().find_map(|text| Some((*wanted, directive(wanted, text)?)))
            })
        };
        let (name, value) = flag.or_else(variable).or_else(directive)?;
        let drain = self.unit.duration(value)?.min(LONGEST);
        Some(OwnDrain { setting: format!("{}'s {name} {value}", self.program), drain })
    }
}

/// `--flag value` or `--flag=value`.
fn value_of<'a>(flag: &str, words: &[&'a str]) -> Option<&'a str> {
    words.iter().enumerate().rev().find_map(|(place, word)| {
        let rest = word.strip_prefix(flag)?;
        match rest.strip_prefix('=') {
            Some(value) => Some(value),
            None if rest.is_empty() => words.get(place + 1).copied(),
            None => None,
        }
    })
}

/// `name value`, `name: value` or `name=value`, at the beginning of a line or behind a semicolon.
fn directive<'a>(name: &str, text: &'a str) -> Option<&'a str> {
    text.split(['\n', ';', '{']).find_map(|line| {
        let rest = line.trim_start().strip_prefix(name)?;
        let value = rest.trim_start_matches([' ', '\t', ':', '=', '(', '"', '\'']);
        if value.len() == rest.len() {
            return None;
        }
        let end = value.find(|c: char| !c.is_ascii_alphanumeric() && c != '.');
        Some(&value[..end.unwrap_or(value.len())])
    })
}

impl Unit {
    fn duration(self, text: &str) -> Option<Duration> {
        let factor = match self {
            Self::Seconds => SECOND,
            Self::Milliseconds => 1,
            Self::Written(alone) => {
                // ISO 8601's, as Java writes it.
                let text =
                    text.strip_prefix("PT").or_else(|| text.strip_prefix("pt")).unwrap_or(text);
                return match text.parse::<u32>() {
                    Ok(number) => Some(Duration::from_millis(u64::from(number) * u64::from(alone))),
                    Err(_) => humantime::parse_duration(&text.to_ascii_lowercase()).ok(),
                };
            }
        };
        let seconds = text.parse::<f64>().ok()? * f64::from(factor) / f64::from(SECOND);
        Duration::try_from_secs_f64(seconds).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn settings_of_many_programs() {
        // (image, words, a variable, a mounted file, seconds)
        type Row<'a> = (&'a str, &'a [&'a str], (&'a str, &'a str), &'a str, Option<f64>);
        let none = ("", "");
        let table: [Row<'_>; 22] = [
            ("app", &["gunicorn", "--graceful-timeout", "60", "app:app"], none, "", Some(60.0)),
            ("app", &["sh", "-c", "exec gunicorn app --graceful-timeout=45"], none, "", Some(45.0)),
            ("app", &["gunicorn"], ("GUNICORN_CMD_ARGS", "--graceful-timeout 90"), "", Some(90.0)),
            ("app", &["/venv/bin/hypercorn", "--graceful-timeout=7"], none, "", Some(7.0)),
            ("app", &["other", "--graceful-timeout", "60"], none, "", None),
            ("app", &["uvicorn", "a:b", "--timeout-graceful-shutdown", "40"], none, "", Some(40.0)),
            ("app", &[], ("UVICORN_TIMEOUT_GRACEFUL_SHUTDOWN", "41"), "", Some(41.0)),
            ("vllm-openai", &["--shutdown-timeout", "120"], none, "", Some(120.0)),
            ("app", &[], ("SPRING_LIFECYCLE_TIMEOUT_PER_SHUTDOWN_PHASE", "1m"), "", Some(60.0)),
            (
                "app",
                &[],
                ("JAVA_TOOL_OPTIONS", "-Dspring.lifecycle.timeout-per-shutdown-phase=PT35S"),
                "",
                Some(35.0),
            ),
            (
                "app",
                &[],
                none,
                "spring:\n  lifecycle:\n    timeout-per-shutdown-phase: 25s\n",
                Some(25.0),
            ),
            ("app", &[], ("QUARKUS_SHUTDOWN_TIMEOUT", "20"), "", Some(20.0)),
            ("app", &[], ("ASPNETCORE_SHUTDOWNTIMEOUTSECONDS", "50"), "", Some(50.0)),
            (
                "nginx",
                &["nginx", "-g", "daemon off; worker_shutdown_timeout 2m;"],
                none,
                "",
                Some(120.0),
            ),
            ("nginx", &[], none, "worker_shutdown_timeout 10s;\nevents {}\n", Some(10.0)),
            ("haproxy", &[], none, "global\n  hard-stop-after 30s\n", Some(30.0)),
            ("app", &["bundle", "exec", "puma"], none, "force_shutdown_after 15\n", Some(15.0)),
            // What is for hot restarts is not for SIGTERM.
            ("envoy", &["envoy", "--drain-time-s", "33"], none, "", None),
            (
                "proxyv2",
                &["proxy", "router"],
                ("TERMINATION_DRAIN_DURATION_SECONDS", "33"),
                "",
                Some(33.0),
            ),
            ("caddy", &["caddy", "run"], none, "{\n  grace_period 20s\n}\n", Some(20.0)),
            ("app", &["pm2-runtime", "start", "--kill-timeout", "8000"], none, "", Some(8.0)),
            ("app", &["gunicorn", "--graceful-timeout", "$(T)"], none, "", None),
        ];
        for (image, command, (name, value), file, expected) in table {
            let command = words(command);
            let variables = vec![(name.to_owned(), value.to_owned())];
            let seen = Seen { image, words: &command, variables: &variables, files: &[file] };
            let found = given(seen).map(|own| own.drain.as_secs_f64());
            assert_eq!(found, expected, "{seen:?}");
        }
    }
}
