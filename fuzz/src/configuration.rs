//! Settings: files, variables and flags that hold anything.

use std::{ffi::OsString, io::Write as _, os::unix::ffi::OsStringExt as _};

use websample::config::{ConfigFile, KEYS, Loaded, Sources, timeline};

use super::nasty;

/// Values that mean something to one key or another.
const VALUES: [&str; 24] = [
    "0s",
    "1ns",
    "1s",
    "30s",
    "1h",
    "18446744073709551615s",
    "off",
    "on",
    "drain",
    "ignore",
    "0",
    "1",
    "65536",
    "18446744073709551615",
    "127.0.0.1:0",
    "[::1]:80",
    "localhost:0",
    "v1",
    "json",
    "auto",
    "1KiB",
    "16EiB",
    "-1s",
    "1e9s",
];

/// Loads settings.
///
/// # Panics
/// When that fails, when a complaint says nothing, or when settings that work cannot be given again.
pub fn configuration(data: &[u8]) {
    let mut sources = Sources::none();
    // A line each: where it goes, and what.
    let mut file = Vec::new();
    for line in data.split(|byte| *byte == b'\n') {
        let Some((place, rest)) = line.split_first() else { continue };
        let (key, value) = pair(rest);
        let name = |flag: bool| match KEYS.get(usize::from(key)) {
            Some(key) if flag => key.name.to_owned(),
            Some(key) => key.environment_name(),
            None if flag => String::from_utf8_lossy(value.as_encoded_bytes()).into_owned(),
            None => format!("WEBSAMPLE_{}", value.to_string_lossy()),
        };
        sources = match place % 4 {
            0 => sources.flag(name(true), value.to_string_lossy()),
            1 => sources.variable(name(false), value),
            2 => {
                let value = format!("{:?}", value.to_string_lossy());
                file.extend_from_slice(format!("{} = {value}\n", name(true)).as_bytes());
                sources
            }
            _ => {
                file.extend_from_slice(rest);
                file.push(b'\n');
                sources
            }
        };
    }
    // Dropped last.
    let written = (!file.is_empty()).then(|| {
        let mut written = tempfile::NamedTempFile::new().expect("a file");
        written.write_all(&file).expect("written");
        written
    });
    if let Some(written) = &written {
        sources = sources.file(ConfigFile::Required(written.path().to_owned()));
    }
    match Loaded::load(&sources) {
        Ok(loaded) => works(&loaded),
        Err(error) => {
            assert!(!error.problems().is_empty());
            for problem in error.problems() {
                assert!(!problem.problem.is_empty() && !problem.remedy.is_empty(), "{problem:?}");
                let text = problem.to_string();
                assert_eq!(nasty::control(&text), None, "{text:?}");
            }
        }
    }
}

/// A key, and a value: one that is known, or the bytes themselves.
fn pair(bytes: &[u8]) -> (u8, OsString) {
    match bytes {
        [key, known] => (*key % 64, VALUES[usize::from(*known) % VALUES.len()].to_owned().into()),
        [key, value @ ..] => (*key % 64, OsString::from_vec(value.to_vec())),
        [] => (0, OsString::new()),
    }
}

/// What is in effect can be given as flags, and comes to the same.
fn works(loaded: &Loaded) {
    timeline(&loaded.settings);
    let secret = |key: &str| key.contains("token");
    let mut again = Sources::none();
    let mut has_secret = false;
    for effective in &loaded.effective {
        match &effective.value {
            Some(_) if secret(effective.key) => has_secret = true,
            Some(value) => again = again.flag(effective.key, value.clone()),
            None => {}
        }
    }
    if !has_secret {
        let again = Loaded::load(&again).expect("what works, works");
        assert_eq!(again.settings, loaded.settings);
    }
}
