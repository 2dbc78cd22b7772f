//! The preStop hook: what it does, and how long that takes as far as it can be known.

use std::time::Duration;

use k8s_openapi::{
    api::core::v1::{Container, HTTPGetAction, LifecycleHandler},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::LONGEST;

/// A container's preStop hook.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Hook {
    /// There is none, or nothing in it.
    None,
    /// `sleep`, which the kubelet does by itself.
    Sleep(Duration),
    /// A program; `sleeps` where all it does, as far as can be seen, is to sleep first.
    Exec { command: Vec<String>, sleeps: Option<Duration> },
    /// A call that takes as long as the server likes, which may be somebody else's.
    Http { path: String, port: IntOrString, headers: Vec<String>, elsewhere: bool },
    /// Cannot work (core/v1: `LifecycleHandler`).
    Tcp,
}

impl Hook {
    pub(super) fn of(container: &Container) -> Self {
        let lifecycle = container.lifecycle.as_ref();
        lifecycle.and_then(|lifecycle| lifecycle.pre_stop.as_ref()).map_or(Self::None, Self::read)
    }

    fn read(handler: &LifecycleHandler) -> Self {
        if let Some(sleep) = &handler.sleep {
            Self::Sleep(super::seconds(sleep.seconds))
        } else if let Some(exec) = &handler.exec {
            let command = exec.command.clone().unwrap_or_default();
            let sleeps = slept(&command);
            Self::Exec { command, sleeps }
        } else if let Some(http) = &handler.http_get {
            Self::http(http)
        } else if handler.tcp_socket.is_some() {
            Self::Tcp
        } else {
            Self::None
        }
    }

    fn http(http: &HTTPGetAction) -> Self {
        let headers = http.http_headers.iter().flatten().map(|header| header.name.clone());
        Self::Http {
            path: http.path.clone().unwrap_or_else(|| "/".to_owned()),
            port: http.port.clone(),
            headers: headers.collect(),
            elsewhere: http.host.is_some(),
        }
    }

    /// How long it sleeps, if it does.
    pub(super) fn sleeps(&self) -> Option<Duration> {
        match self {
            Self::Sleep(duration) => Some(*duration),
            Self::Exec { sleeps, .. } => *sleeps,
            Self::None | Self::Http { .. } | Self::Tcp => None,
        }
    }
}

/// The programs that are looked for in the image, first the one that is run.
pub(super) fn programs(command: &[String]) -> Vec<&str> {
    let mut programs: Vec<_> = command.first().map(String::as_str).into_iter().collect();
    if command.iter().skip(1).any(|word| words(word).any(|word| base(word) == "sleep")) {
        programs.push("sleep");
    }
    programs
}

/// How long a command sleeps: the sum of its `sleep`s, and nothing where all it does is over at once.
/// `None` where there is none, or a loop or a
/// variable leaves it open.
fn slept(command: &[String]) -> Option<Duration> {
    let words: Vec<&str> = command.iter().flat_map(|word| words(word)).collect();
    if words.iter().any(|word| ["while", "until", "for"].contains(word)) {
        return None;
    }
    let mut total = is_instant(command).then_some(Duration::ZERO);
    for pair in words.windows(2) {
        if base(pair[0]) == "sleep" {
            let slept: Duration = total.unwrap_or_default();
            total = Some(slept.saturating_add(seconds(pair[1])?).min(LONGEST));
        }
    }
    total
}

/// Whether every command of a hook is one that is over at once.
fn is_instant(command: &[String]) -> bool {
    const INSTANT: [&str; 9] =
        [":", "true", "false", "exit", "echo", "kill", "pkill", "killall", "touch"];
    let script = match command {
        [shell, .., flag, script]
            if ["sh", "bash", "ash", "dash"].contains(&base(shell))
                && flag.starts_with('-')
                && flag.contains('c') =>
        {
            script.clone()
        }
        [] => return false,
        words => words.join(" "),
    };
    let parts = script.split([';', '&', '|', '\n']).map(str::trim).filter(|part| !part.is_empty());
    parts.into_iter().all(|part| {
        let mut words = words(part).filter(|word| *word != "exec");
        let program = words.next().map(base).unwrap_or_default();
        INSTANT.contains(&program)
            // Whatever it sleeps is counted apart.
            || (program == "sleep" && words.next().is_some())
            // It tells the master, and does not wait for it.
            || (program == "nginx" && words.next() == Some("-s"))
    })
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || ";&|(){}'\"".contains(c))
        .filter(|word| !word.is_empty())
}

/// The name of a program without its folder.
pub(super) fn base(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}

/// The argument of coreutils' `sleep`: a number of seconds, or with a unit.
fn seconds(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = match unit {
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    let number: f64 = number.parse().ok()?;
    Duration::try_from_secs_f64(number * factor).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn what_a_command_sleeps() {
        let table: [(&[&str], Option<u64>); 18] = [
            (&["sleep", "5"], Some(5)),
            (&["/bin/sleep", "5s"], Some(5)),
            (&["sh", "-c", "sleep 10"], Some(10)),
            (&["/bin/sh", "-c", "sleep 10 && nginx -s quit"], Some(10)),
            (&["sh", "-c", "sleep 5; kill -QUIT 1; sleep 2"], Some(7)),
            (&["bash", "-c", "(sleep 1m)"], Some(60)),
            (&["sh", "-c", "sleep $DELAY"], None),
            (&["sh", "-c", "sleep infinity"], None),
            (&["sh", "-c", "while busy; do sleep 1; done"], None),
            (&["/wait-shutdown"], None),
            (&["sh", "-c", "nginx -s quit"], Some(0)),
            (&["/usr/sbin/nginx", "-s", "quit"], Some(0)),
            (&["/bin/true"], Some(0)),
            (&["sh", "-c", "kill -TERM 1 && echo stopping"], Some(0)),
            (&["sh", "-c", "kill -QUIT 1; wait-for-end"], None),
            (&["nginx"], None),
            (&["sleep"], None),
            (&[], None),
        ];
        for (words, expected) in table {
            assert_eq!(slept(&command(words)), expected.map(Duration::from_secs), "{words:?}");
        }
    }

    #[test]
    fn the_programs_of_a_command() {
        assert_eq!(programs(&command(&["sleep", "5"])), ["sleep"]);
        assert_eq!(programs(&command(&["/bin/sh", "-c", "sleep 5"])), ["/bin/sh", "sleep"]);
        assert_eq!(programs(&command(&["/app", "stop"])), ["/app"]);
    }
}
