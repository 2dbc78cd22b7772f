//! A directory for a proxy's files, that is gone with the proxy.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

/// Deleted, with all that is in it, when dropped.
#[derive(Debug)]
pub(super) struct Directory(PathBuf);

impl Directory {
    /// A new directory in the system's temporary one, for this user alone.
    pub(super) fn new(name: &str) -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // An earlier lab with the same process id may have been killed and left its own.
        for _ in 0..100 {
            let n = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("websample-{name}-{}-{n}", std::process::id());
            let path = std::env::temp_dir().join(name);
            match fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::new(io::ErrorKind::AlreadyExists, "no free name for a directory"))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // A process that was just killed may have had its last file made meanwhile.
        let _ = fs::remove_dir_all(&self.0).or_else(|_| fs::remove_dir_all(&self.0));
    }
}

/// Puts a file in place whole: whoever watches or reads it never sees half of it.
pub(super) fn replace(path: &Path, content: impl AsRef<[u8]>) -> io::Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    fs::write(&partial, content)?;
    fs::rename(&partial, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_of_it() {
        let directory = Directory::new("test").expect("a directory");
        let path = directory.path().to_owned();
        assert_ne!(Directory::new("test").expect("another").path(), path);
        for content in ["one", "two"] {
            replace(&path.join("file"), content).expect("written");
            assert_eq!(fs::read_to_string(path.join("file")).expect("read"), content);
        }
        assert_eq!(fs::read_dir(&path).expect("listed").count(), 1);
        drop(directory);
        assert!(!path.exists());
    }
}
