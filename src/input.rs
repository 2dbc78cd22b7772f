//! Files that somebody names: read to a bound, since a name may be that of anything.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::OFlags,
};

/// The largest settings file, manifest or request body, in bytes: far beyond any that makes sense.
pub const LARGEST: u64 = 64 * 1024 * 1024;

/// Reads a file, or what comes through a pipe; nothing may come through that for at most `patience`,
/// or for as long as it likes.
///
/// # Errors
/// When it cannot be read, does not end within [`LARGEST`] bytes, or is a pipe that nobody writes to.
pub fn read(path: &Path, patience: Option<Duration>) -> io::Result<Vec<u8>> {
    // To open a pipe without this waits for somebody who writes, for ever if need be.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let is_file = file.metadata()?.is_file();
    let bytes = read_from(Waiting { file: &file, patience })?;
    if bytes.is_empty() && !is_file {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "it is no file, and nobody writes to it",
        ));
    }
    Ok(bytes)
}

/// The same of what is open already, such as standard input.
///
/// # Errors
/// When it cannot be read, or does not end within [`LARGEST`] bytes.
pub fn read_from(input: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("it is larger than {} MiB", LARGEST >> 20),
        ));
    }
    Ok(bytes)
}

/// Waits for a pipe that has nothing yet.
struct Waiting<'a> {
    file: &'a File,
    patience: Option<Duration>,
}

impl Read for Waiting<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let until = self.patience.map(|patience| Instant::now() + patience);
        loop {
            match self.file.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "nothing comes through it"));
            }
            let timeout = left.and_then(|left| Timespec::try_from(left).ok());
            poll(&mut [PollFd::new(self.file, PollFlags::IN)], timeout.as_ref())?;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn what_does_not_end_is_refused() {
        let error = read(Path::new("/dev/zero"), None).expect_err("it has no end");
        assert!(error.to_string().contains("larger than 64 MiB"), "{error}");
        assert_eq!(read_from(&b"abc"[..]).expect("short"), b"abc");
    }

    #[test]
    fn a_pipe_is_waited_for_where_somebody_writes_to_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status().expect("coreutils");
        assert!(made.success());
        let error = read(&path, None).expect_err("nobody writes");
        assert!(error.to_string().contains("nobody writes"), "{error}");
        // Somebody who holds it open, and says something later.
        let both = OpenOptions::new().read(true).write(true).open(&path).expect("a pipe");
        let error = read(&path, Some(Duration::from_millis(20))).expect_err("nothing comes");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let writer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            (&both).write_all(b"late").expect("written");
        });
        assert_eq!(read(&path, None).expect("it comes"), b"late");
        writer.join().expect("no panic");
    }
}
