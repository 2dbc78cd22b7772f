//! The proxy's program as this machine has it.

use std::{
    env,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{process::Command, time::timeout};

use super::{error::ProxyError, options::Program};

/// Where Debian and others put servers; not on every user's PATH.
const SYSTEM: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];

/// How long it may take to say its version.
const PATIENCE: Duration = Duration::from_secs(10);

/// A program that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// Which.
    pub program: Program,
    /// Where it is.
    pub path: PathBuf,
    /// What it says of its version, such as `1.22.1`.
    pub version: String,
}

impl Installed {
    /// Looks for the program on the PATH, then where servers usually are.
    ///
    /// # Errors
    /// It is not there, or does not say its version.
    pub async fn find(program: Program) -> Result<Self, ProxyError> {
        let directories: Vec<PathBuf> = env::var_os("PATH")
            .map(|path| env::split_paths(&path).collect::<Vec<_>>())
            .unwrap_or_default()
            .into_iter()
            .chain(SYSTEM.map(PathBuf::from))
            .collect();
        let Some(path) = search(program.name(), &directories) else {
            let searched = directories.iter().map(|one| one.display().to_string());
            let searched = searched.collect::<Vec<_>>().join(":");
            return Err(ProxyError::Missing { program, searched });
        };
        // A PATH may be relative, and the proxy will run elsewhere.
        let path = std::path::absolute(&path).unwrap_or(path);
        let unusable = |reason| ProxyError::Unusable { program, path: path.clone(), reason };
        let version = version(program, &path).await.map_err(unusable)?;
        Ok(Self { program, path, version })
    }
}

fn search(name: &str, directories: &[PathBuf]) -> Option<PathBuf> {
    let executable = |path: &PathBuf| {
        path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    directories.iter().map(|directory| directory.join(name)).find(executable)
}

async fn version(program: Program, path: &Path) -> Result<String, String> {
    let flag = match program {
        Program::Nginx | Program::Haproxy => "-v",
        Program::Envoy => "--version",
    };
    let said = Command::new(path).arg(flag).stdin(Stdio::null()).kill_on_drop(true).output();
    let output = match timeout(PATIENCE, said).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(error.to_string()),
        Err(_) => return Err(format!("no answer within {} s", PATIENCE.as_secs())),
    };
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    understand(program, &text).ok_or_else(|| {
        let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("nothing");
        format!("{flag} said '{line}' ({})", output.status)
    })
}

/// Finds the version in what the program prints.
fn understand(program: Program, text: &str) -> Option<String> {
    let version = match program {
        // nginx version: nginx/1.22.1
        Program::Nginx => text.split_once("nginx/")?.1.split_whitespace().next()?,
        // HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/
        Program::Haproxy => text.split_once("version ")?.1.split_whitespace().next()?,
        // envoy  version: 9e55…/1.40.0/Clean/RELEASE/BoringSSL
        Program::Envoy => text.split_once("version: ")?.1.trim().split('/').nth(1)?,
    };
    (!version.is_empty()).then(|| version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_as_the_programs_say_them() {
        for (program, text, expected) in [
            (Program::Nginx, "nginx version: nginx/1.22.1\n", "1.22.1"),
            (
                Program::Haproxy,
                "HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https",
                "2.6.12-1+deb12u4",
            ),
            (Program::Haproxy, "HA-Proxy version 2.2.9 2021/02/06", "2.2.9"),
            (Program::Envoy, "\nenvoy  version: 9e55/1.40.0/Clean/RELEASE/BoringSSL\n", "1.40.0"),
        ] {
            assert_eq!(understand(program, text).as_deref(), Some(expected));
            assert_eq!(understand(program, "error: no such file"), None);
        }
    }

    #[test]
    fn only_what_can_be_executed_is_a_program() {
        let here = tempfile::tempdir().expect("a directory");
        let directories = [here.path().to_owned()];
        std::fs::write(here.path().join("envoy"), "").expect("written");
        assert_eq!(search("envoy", &directories), None);
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(here.path().join("envoy"), mode).expect("set");
        assert_eq!(search("envoy", &directories), Some(here.path().join("envoy")));
    }
}
