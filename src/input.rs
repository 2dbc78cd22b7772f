//! Files that somebody names: read to a bound, since a name may be that of anything.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// The largest settings file, manifest or request body, in bytes: far beyond any that makes sense.
pub const LARGEST: u64 = 64 * 1024 * 1024;

/// Reads a file, or what comes through a pipe.
///
/// # Errors
/// When it cannot be read, or does not end within [`LARGEST`] bytes.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    read_from(File::open(path)?)
}

/// The same of what is open already, such as standard input.
///
/// # Errors
/// As [`read`].
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_end_is_refused() {
        let error = read(Path::new("/dev/zero")).expect_err("it has no end");
        assert!(error.to_string().contains("larger than 64 MiB"), "{error}");
        assert_eq!(read_from(&b"abc"[..]).expect("short"), b"abc");
    }
}
