//! Ends the pods where the lab itself is killed and cannot.
//!
//! A shell reads from a pipe which process groups live; when the lab dies, by SIGKILL too, the
//! kernel closes the pipe and the shell kills them. Linux' parent-death signal would not do: it
//! follows the thread that forked, and setting it needs `unsafe`. What remains is a pod started
//! in the very moment before its group could be written to the pipe: some microseconds.

use std::{
    fs::File,
    io::{self, Write as _},
    os::unix::process::CommandExt as _,
    process::{Command, Stdio},
};

/// Lines are `+ GROUP` and `- GROUP`.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
groups=
while read -r change group; do
  case $change in
    +) groups="$groups $group" ;;
    -) left=
       for one in $groups; do [ "$one" = "$group" ] || left="$left $one"; done
       groups=$left ;;
  esac
done
for one in $groups; do kill -s KILL -- "-$one"; done
"#;

#[derive(Debug)]
pub(super) struct Watchdog {
    pipe: File,
    /// Kept to be reaped; not killed when dropped, for it ends with the pipe.
    _shell: tokio::process::Child,
}

impl Watchdog {
    pub(super) fn start() -> io::Result<Self> {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", SCRIPT, "websample-lab-watchdog"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Out of reach of the terminal's Ctrl-C.
            .process_group(0);
        let mut shell = tokio::process::Command::from(command).spawn()?;
        let pipe = shell.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let pipe = File::from(pipe.into_owned_fd()?);
        Ok(Self { pipe, _shell: shell })
    }

    pub(super) fn watch(&mut self, group: i32) -> io::Result<()> {
        self.tell('+', group)
    }

    /// An error means that the shell is gone, which the next `watch` reports.
    pub(super) fn forget(&mut self, group: i32) {
        let _ = self.tell('-', group);
    }

    fn tell(&mut self, change: char, group: i32) -> io::Result<()> {
        self.pipe.write_all(format!("{change} {group}\n").as_bytes())
    }
}
