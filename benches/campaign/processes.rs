//! Whose processes there are. A trial's are known by a variable that all of them inherit.

use std::{fs, net::SocketAddr, path::PathBuf};

/// The variable.
pub(super) const TOKEN: &str = "CAMPAIGN_TRIAL";

/// A pod's process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pod {
    pub(super) pid: i32,
    /// The pod's name.
    pub(super) name: String,
    pub(super) app: SocketAddr,
    pub(super) admin: SocketAddr,
}

/// The pods among the children of a lab.
pub(super) fn pods_of(lab: u32) -> Vec<Pod> {
    let tasks = fs::read_dir(format!("/proc/{lab}/task")).into_iter().flatten().flatten();
    let children = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let pids: Vec<i32> = children
        .flat_map(|list| {
            list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()
        })
        .collect();
    pids.into_iter().filter_map(pod).collect()
}

fn pod(pid: i32) -> Option<Pod> {
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let arguments: Vec<_> =
        arguments.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word)).collect();
    // A shell that is still to become the server has the same words.
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)
    };
    Some(Pod {
        pid,
        name: value("--instance")?.to_string(),
        app: value("--listen")?.parse().ok()?,
        admin: value("--admin.listen")?.parse().ok()?,
    })
}

/// What lives and has this token: process ids and command lines.
pub(super) fn left_of(token: &str) -> Vec<String> {
    let wanted = format!("{TOKEN}={token}");
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let has = |path: &PathBuf| {
        let environ = fs::read(path.join("environ")).unwrap_or_default();
        environ.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
    };
    let shown = |path: PathBuf| {
        let words = fs::read(path.join("cmdline")).ok()?;
        let words = String::from_utf8_lossy(&words).replace('\0', " ");
        Some(format!("{} {words}", path.file_name()?.to_string_lossy()))
    };
    all.map(|entry| entry.path()).filter(has).filter_map(shown).collect()
}
