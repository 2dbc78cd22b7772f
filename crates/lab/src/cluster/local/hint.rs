//! What most likely keeps a server from running here, and what to do.

use std::{
    collections::BTreeSet,
    env, fmt, fs,
    io::ErrorKind,
    net::{IpAddr, SocketAddr},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use crate::timeline::Exit;

/// From here on two words look like one misspelt.
const ALIKE: f64 = 0.85;

/// A likely reason with its remedy; empty where nothing is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hint(String);

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, "; {}", self.0) }
    }
}

const USE_PLACEHOLDERS: &str =
    "have the command use {host} and {port}, or HOST and PORT of its environment";

impl Hint {
    /// A program could not be started.
    pub(super) fn not_started(program: &str, why: ErrorKind) -> Self {
        Self(match why {
            ErrorKind::NotFound if program.contains('/') => {
                "there is no such file; paths are relative to where the lab is called".to_owned()
            }
            ErrorKind::NotFound => match closest(program, &on_path()) {
                Some(meant) => format!("it is not on the PATH; did you mean {meant}?"),
                None => "it is not on the PATH; install it, or write where it is".to_owned(),
            },
            ErrorKind::PermissionDenied => {
                format!("make it executable (chmod +x {program}), or name what runs it")
            }
            _ => String::new(),
        })
    }

    /// A server ended before it was ready. `others` are addresses of other pods' servers, where those
    /// are none that they were given.
    pub(super) fn ended(exit: Exit, others: &BTreeSet<SocketAddr>) -> Self {
        if let Some(address) = others.first() {
            return Self(format!(
                "another pod listens on {address}, which every pod would want: {USE_PLACEHOLDERS}"
            ));
        }
        Self(match exit {
            Exit::Code(0) => {
                "a server that goes into the background ends its pod: have it stay in \
                              the foreground"
                    .to_owned()
            }
            _ => String::new(),
        })
    }

    /// A server did not get ready at its address, and listens at these.
    pub(super) fn not_ready(wanted: SocketAddr, listens: &BTreeSet<SocketAddr>) -> Self {
        if listens.iter().any(|address| reaches(*address, wanted)) {
            return Self::default();
        }
        let Some(_) = listens.first() else {
            return Self(format!("it listens nowhere, and should on {wanted}"));
        };
        let listens: Vec<_> = listens.iter().map(ToString::to_string).collect();
        let listens = listens.join(" and ");
        Self(format!("it listens on {listens}, and not on {wanted}: {USE_PLACEHOLDERS}"))
    }
}

/// Whether a listener takes what is sent to an address.
pub(super) fn reaches(listener: SocketAddr, address: SocketAddr) -> bool {
    let (ip, wanted) = (listener.ip(), address.ip());
    let same = match ip {
        IpAddr::V6(six) => six.to_ipv4_mapped().is_some_and(|four| wanted == IpAddr::V4(four)),
        IpAddr::V4(_) => false,
    };
    listener.port() == address.port() && (ip.is_unspecified() || ip == wanted || same)
}

/// The programs on the PATH.
fn on_path() -> Vec<String> {
    let is_program = |path: &Path| {
        fs::metadata(path)
            .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    };
    let directories = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&directories)
        .filter_map(|directory| fs::read_dir(directory).ok())
        .flat_map(Iterator::flatten)
        .filter(|entry| is_program(&entry.path()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

/// The program that was most likely meant.
fn closest<'a>(word: &str, programs: &'a [String]) -> Option<&'a str> {
    programs
        .iter()
        .map(|program| (strsim::normalized_damerau_levenshtein(word, program), program.as_str()))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, program)| program)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(addresses: &[&str]) -> BTreeSet<SocketAddr> {
        addresses.iter().map(|address| address.parse().expect("an address")).collect()
    }

    #[test]
    fn a_listener_elsewhere_is_named() {
        let wanted = "127.0.0.2:5000".parse().expect("an address");
        for here in ["127.0.0.2:5000", "0.0.0.0:5000", "[::]:5000", "[::ffff:127.0.0.2]:5000"] {
            assert_eq!(Hint::not_ready(wanted, &set(&[here])), Hint::default(), "{here}");
        }
        let hint = Hint::not_ready(wanted, &set(&["127.0.0.1:8000", "0.0.0.0:9000"])).to_string();
        assert!(
            hint.contains("on 0.0.0.0:9000 and 127.0.0.1:8000, and not on 127.0.0.2:5000"),
            "{hint}"
        );
        assert!(hint.contains("{port}"), "{hint}");
        let hint = Hint::not_ready(wanted, &set(&[])).to_string();
        assert_eq!(hint, "; it listens nowhere, and should on 127.0.0.2:5000");
    }

    #[test]
    fn an_end_is_explained_where_it_can_be() {
        let hint = Hint::ended(Exit::Code(1), &set(&["0.0.0.0:8000"])).to_string();
        assert!(hint.starts_with("; another pod listens on 0.0.0.0:8000"), "{hint}");
        assert!(Hint::ended(Exit::Code(0), &set(&[])).to_string().contains("foreground"));
        assert_eq!(Hint::ended(Exit::Code(1), &set(&[])), Hint::default());
    }

    #[test]
    fn what_was_meant() {
        let programs = ["uvicorn", "gunicorn", "node"].map(str::to_owned);
        for (word, expected) in [
            ("uvicron", Some("uvicorn")),
            ("gunicorm", Some("gunicorn")),
            ("nginx", None),
            ("nod", None),
        ] {
            assert_eq!(closest(word, &programs), expected, "{word}");
        }
    }
}
