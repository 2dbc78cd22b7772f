//! From a text to a value of each kind, or why not and what would be right.

use std::{fs, net::SocketAddr, num::NonZeroUsize, path::PathBuf, time::Duration};

use tracing::level_filters::LevelFilter;
use websample_actix::{OnDrain, Token};
use websample_lifecycle::Mode;

use super::{
    choices::{Framework, LogFormat, Switch},
    similar,
};

/// Far beyond any grace period, and small enough for sums of durations and instants.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Names end up in headers, labels and log lines.
const LONGEST_LABEL: usize = 128;

/// Why a text is not a value, and what would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) problem: String,
    pub(super) remedy: String,
}

pub(super) type Parsed<T> = Result<T, Refusal>;

fn refuse<T>(problem: impl Into<String>, remedy: impl Into<String>) -> Parsed<T> {
    Err(Refusal { problem: problem.into(), remedy: remedy.into() })
}

/// A type of settings: what its values are, how they look, how they are read.
pub(super) trait Value {
    /// What a text becomes.
    type Is;
    /// How a value looks, for help.
    const PLACEHOLDER: &'static str;
    /// Whether it is a text, whatever it looks like.
    const IS_TEXT: bool = false;
    /// Whether it must not be shown.
    const IS_SECRET: bool = false;
    /// Whether it names a file that has to be there.
    const IS_FILE: bool = false;

    /// Reads a value, or says why not and what would be right.
    fn parse(text: &str) -> Parsed<Self::Is>;
}

macro_rules! values {
    ($($(#[$doc:meta])* $name:ident: $is:ty, $placeholder:expr, $parse:expr $(, $flag:ident)*;)*) => {
        $(
            $(#[$doc])*
            pub(super) enum $name {}

            impl Value for $name {
                type Is = $is;
                const PLACEHOLDER: &'static str = $placeholder;
                $(const $flag: bool = true;)*

                fn parse(text: &str) -> Parsed<$is> {
                    $parse(text)
                }
            }
        )*
    };
}

const FRAMEWORKS: &str = if cfg!(feature = "hyper") { "actix|hyper" } else { "actix" };

values! {
    /// A short name that fits into a header and a label.
    Label: String, "NAME", label, IS_TEXT;
    /// A header's value that is not repeated anywhere.
    Secret: Token, "TOKEN", token, IS_TEXT, IS_SECRET;
    FrameworkName: Framework, FRAMEWORKS, framework;
    ModeName: Mode, "ignore|immediate|graceful|drain", mode;
    /// An IP address and a port.
    Address: SocketAddr, "ADDRESS:PORT", address;
    /// The same, or `off`.
    AddressOrOff: Option<SocketAddr>, "ADDRESS:PORT|off", address_or_off;
    /// `500ms`, `5s`, `2m`.
    Time: Duration, "DURATION", duration;
    /// The same, but not zero.
    PositiveTime: Duration, "DURATION", positive_duration;
    /// `64KiB`, `1MiB`.
    Size: usize, "SIZE", size;
    /// A whole number from 1.
    Count: NonZeroUsize, "N", count;
    AutoBool: Switch, "auto|true|false", auto_boolean;
    /// A path that need not exist.
    Path: PathBuf, "FILE", path;
    /// The path of a file that can be read.
    File: PathBuf, "FILE", file, IS_FILE;
    OnDrainName: OnDrain, "fail|keep|auto", on_drain;
    Format: LogFormat, "auto|human|json", log_format;
    Level: LevelFilter, "off|error|warn|info|debug|trace", log_level;
    SwitchName: Switch, "auto|on|off", switch;
}

fn label(text: &str) -> Parsed<String> {
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return refuse(
            "it goes into a header and takes no spaces and only ASCII",
            "write letters, digits, `.`, `_` and `-`",
        );
    }
    if text.len() > LONGEST_LABEL {
        return refuse(
            format!("it has {} characters", text.len()),
            format!("use at most {LONGEST_LABEL}"),
        );
    }
    Ok(text.to_owned())
}

fn token(text: &str) -> Parsed<Token> {
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(Token::new(text.to_owned()))
    } else {
        refuse(
            "it goes into a header and takes no spaces and only ASCII",
            "generate one with `openssl rand -hex 16`",
        )
    }
}

fn address(text: &str) -> Parsed<SocketAddr> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    let port = port.parse::<u16>().unwrap_or(5000);
    let remedy = match host {
        "localhost" => format!("write 127.0.0.1:{port}"),
        _ => format!("write 0.0.0.0:{port} for every interface, or [::]:{port} for IPv6 too"),
    };
    refuse("it is not an IP address with a port (names are not resolved)", remedy)
}

fn address_or_off(text: &str) -> Parsed<Option<SocketAddr>> {
    if text == "off" {
        return Ok(None);
    }
    address(text).map(Some).map_err(|refusal| Refusal {
        remedy: format!("{}; `off` disables it", refusal.remedy),
        ..refusal
    })
}

fn duration(text: &str) -> Parsed<Duration> {
    if text.parse::<f64>().is_ok_and(|number| number >= 0.0) {
        return refuse(
            "a bare number could be anything",
            format!("add the unit: {text}s is seconds, {text}ms is milliseconds"),
        );
    }
    let Ok(duration) = humantime::parse_duration(text) else {
        return refuse("it is not a duration", "write it like 500ms, 5s or 2m");
    };
    if duration > LONGEST {
        return refuse(
            "it is longer than 7 days",
            "use less; m is minutes, M is months, and ms is milliseconds",
        );
    }
    Ok(duration)
}

fn positive_duration(text: &str) -> Parsed<Duration> {
    let duration = duration(text)?;
    if duration.is_zero() {
        return refuse("it must not be zero", "write it like 500ms, 5s or 2m");
    }
    Ok(duration)
}

fn size(text: &str) -> Parsed<usize> {
    const UNITS: [(&str, usize); 7] = [
        ("B", 1),
        ("kB", 1_000),
        ("KiB", 1 << 10),
        ("MB", 1_000_000),
        ("MiB", 1 << 20),
        ("GB", 1_000_000_000),
        ("GiB", 1 << 30),
    ];
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim_start();
    if unit.is_empty() && digits > 0 {
        return refuse(
            "a bare number could be anything",
            format!("add the unit: {number}KiB is times 1024 bytes, {number}B is bytes"),
        );
    }
    let factor = UNITS.into_iter().find(|(name, _)| *name == unit).map(|(_, factor)| factor);
    let (Ok(number), Some(factor)) = (number.parse::<u64>(), factor) else {
        return refuse(
            "it is not a size",
            "write a whole number and B, KiB, MiB, GiB, kB, MB or GB, such as 64KiB",
        );
    };
    match usize::try_from(number).ok().and_then(|number| number.checked_mul(factor)) {
        Some(bytes) => Ok(bytes),
        None => refuse("it is more than this machine can address", "use less, such as 1MiB"),
    }
}

fn count(text: &str) -> Parsed<NonZeroUsize> {
    match text.parse::<u32>().ok().and_then(|n| NonZeroUsize::new(n as usize)) {
        Some(count) => Ok(count),
        None => refuse(
            format!("it is not a whole number from 1 to {}", u32::MAX),
            "write one without a unit, such as 4",
        ),
    }
}

fn path(text: &str) -> Parsed<PathBuf> {
    if text.contains('\0') {
        return refuse("a path has no NUL", "write the path of a file");
    }
    Ok(PathBuf::from(text))
}

/// The file has to be readable now: better than to find out when the first client calls.
fn file(text: &str) -> Parsed<PathBuf> {
    let path = path(text)?;
    let fail = |error: &dyn std::fmt::Display| {
        refuse(
            format!("the file cannot be read: {error}"),
            "name a file that exists and that this user may read",
        )
    };
    match fs::metadata(&path) {
        // Opening a pipe would block.
        Ok(metadata) if !metadata.is_file() => fail(&"not a regular file"),
        Ok(_) => match fs::File::open(&path) {
            Ok(_) => Ok(path),
            Err(error) => fail(&error),
        },
        Err(error) => fail(&error),
    }
}

/// One of a few words.
fn choice<T: Copy>(words: &[(&str, T)], text: &str) -> Parsed<T> {
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Ok(*value);
    }
    let names: Vec<_> = words.iter().map(|(word, _)| *word).collect();
    let meant = similar::closest(text, &names)
        .map(|word| format!("did you mean `{word}`? "))
        .unwrap_or_default();
    refuse(
        "there is no such choice",
        format!(
            "{meant}{}it takes {}",
            if meant.is_empty() { "" } else { "otherwise " },
            list(&names)
        ),
    )
}

/// `a, b or c`.
fn list(names: &[&str]) -> String {
    match names {
        [init @ .., last] if !init.is_empty() => format!("{} or {last}", init.join(", ")),
        _ => names.concat(),
    }
}

fn framework(text: &str) -> Parsed<Framework> {
    if text == "hyper" && !cfg!(feature = "hyper") {
        return refuse(
            "this build has no server on hyper",
            "build it with `--features hyper`, or use actix",
        );
    }
    let words = [
        ("actix", Framework::Actix),
        #[cfg(feature = "hyper")]
        ("hyper", Framework::Hyper),
    ];
    choice(&words, text)
}

fn mode(text: &str) -> Parsed<Mode> {
    choice(&Mode::ALL.map(|mode| (mode.name(), mode)), text)
}

fn auto_boolean(text: &str) -> Parsed<Switch> {
    choice(&[("auto", Switch::Auto), ("true", Switch::On), ("false", Switch::Off)], text)
}

fn on_drain(text: &str) -> Parsed<OnDrain> {
    choice(&[("fail", OnDrain::Fail), ("keep", OnDrain::Keep), ("auto", OnDrain::Auto)], text)
}

fn log_format(text: &str) -> Parsed<LogFormat> {
    let words = [("auto", LogFormat::Auto), ("human", LogFormat::Human), ("json", LogFormat::Json)];
    choice(&words, text)
}

fn log_level(text: &str) -> Parsed<LevelFilter> {
    let words = [
        ("off", LevelFilter::OFF),
        ("error", LevelFilter::ERROR),
        ("warn", LevelFilter::WARN),
        ("info", LevelFilter::INFO),
        ("debug", LevelFilter::DEBUG),
        ("trace", LevelFilter::TRACE),
    ];
    choice(&words, text)
}

fn switch(text: &str) -> Parsed<Switch> {
    choice(&[("auto", Switch::Auto), ("on", Switch::On), ("off", Switch::Off)], text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        let good = [
            ("500ms", 500),
            ("5s", 5_000),
            ("0s", 0),
            ("1.5s", 1_500),
            ("2m", 120_000),
            ("1m 30s", 90_000),
            ("1h", 3_600_000),
        ];
        for (text, millis) in good {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        let bad = [
            ("5", "add the unit: 5s"),
            ("0", "add the unit: 0s"),
            ("2.5", "add the unit: 2.5s"),
            ("-5s", "write it like"),
            ("-5", "write it like"),
            ("five seconds", "write it like"),
            ("s", "write it like"),
            ("5 parsecs", "write it like"),
            ("99999999999999999999999s", "write it like"),
            ("3M", "M is months"),
            ("8d", "use less"),
        ];
        for (text, remedy) in bad {
            let refusal = duration(text).unwrap_err();
            assert!(refusal.remedy.contains(remedy), "{text}: {refusal:?}");
        }
        assert_eq!(positive_duration("0ms").unwrap_err().problem, "it must not be zero");
    }

    #[test]
    fn sizes_have_a_unit() {
        let good = [
            ("0B", 0),
            ("64KiB", 65_536),
            ("1MiB", 1_048_576),
            ("2 MB", 2_000_000),
            ("1kB", 1_000),
        ];
        for (text, bytes) in good {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        let bad = [
            ("1048576", "add the unit: 1048576KiB"),
            ("1M", "B, KiB, MiB"),
            ("MiB", "B, KiB, MiB"),
            ("-1B", "B, KiB, MiB"),
            ("1.5MiB", "B, KiB, MiB"),
            ("99999999999999999999B", "B, KiB, MiB"),
            ("18446744073709551615GiB", "use less"),
        ];
        for (text, remedy) in bad {
            let refusal = size(text).unwrap_err();
            assert!(refusal.remedy.contains(remedy), "{text}: {refusal:?}");
        }
    }

    #[test]
    fn addresses_are_an_ip_and_a_port() {
        for text in ["0.0.0.0:5000", "127.0.0.1:0", "[::]:5000", "[::1]:65535"] {
            assert_eq!(address(text).map(|address| address.to_string()), Ok(text.to_owned()));
        }
        let bad = [
            ("5000", "write 0.0.0.0:5000 "),
            (":8080", "write 0.0.0.0:8080 "),
            ("localhost:80", "write 127.0.0.1:80"),
            ("web:80", "write 0.0.0.0:80 "),
            ("0.0.0.0", "write 0.0.0.0:5000 "),
            ("0.0.0.0:99999", "write 0.0.0.0:5000 "),
            ("off", "write 0.0.0.0:5000 "),
        ];
        for (text, remedy) in bad {
            let refusal = address(text).unwrap_err();
            assert!(refusal.remedy.contains(remedy), "{text}: {refusal:?}");
        }
        assert_eq!(address_or_off("off"), Ok(None));
        assert!(address_or_off("no").unwrap_err().remedy.ends_with("`off` disables it"));
    }

    #[test]
    fn words_are_exact_and_a_near_miss_is_named() {
        assert_eq!(mode("drain"), Ok(Mode::Drain));
        assert_eq!(framework("actix"), Ok(Framework::Actix));
        assert_eq!(framework("hyper").is_ok(), cfg!(feature = "hyper"));
        if let Err(refusal) = framework("hyper") {
            assert!(refusal.remedy.contains("--features hyper"), "{refusal:?}");
        }
        assert_eq!(auto_boolean("false"), Ok(Switch::Off));
        assert_eq!(on_drain("keep"), Ok(OnDrain::Keep));
        assert_eq!(on_drain("auto"), Ok(OnDrain::Auto));
        assert_eq!(log_format("json"), Ok(LogFormat::Json));
        assert_eq!(log_level("trace"), Ok(LevelFilter::TRACE));
        assert_eq!(switch("auto"), Ok(Switch::Auto));
        let cases = [
            (
                mode("Drain").unwrap_err(),
                "did you mean `drain`? otherwise it takes ignore, immediate, graceful or drain",
            ),
            (mode("gracefull").unwrap_err(), "did you mean `graceful`?"),
            (mode("xyzzy").unwrap_err(), "it takes ignore, immediate, graceful or drain"),
            (
                framework("axum").unwrap_err(),
                if cfg!(feature = "hyper") { "it takes actix or hyper" } else { "it takes actix" },
            ),
            (auto_boolean("yes").unwrap_err(), "it takes auto, true or false"),
            (on_drain("503").unwrap_err(), "it takes fail, keep or auto"),
            (log_format("jsno").unwrap_err(), "did you mean `json`?"),
            (log_level("warning").unwrap_err(), "did you mean `warn`?"),
            (switch("true").unwrap_err(), "it takes auto, on or off"),
        ];
        for (refusal, remedy) in cases {
            assert!(refusal.remedy.starts_with(remedy), "{refusal:?}");
        }
    }

    #[test]
    fn names_and_tokens_fit_into_a_header() {
        assert_eq!(label("web-7d4b9c-x2x"), Ok("web-7d4b9c-x2x".to_owned()));
        for text in ["v 1", "v1\r\nX-Evil: 1", "vé"] {
            assert!(label(text).unwrap_err().problem.contains("header"), "{text:?}");
            assert!(token(text).unwrap_err().remedy.contains("openssl"), "{text:?}");
        }
        assert!(label(&"x".repeat(129)).unwrap_err().remedy.contains("at most 128"));
    }

    #[test]
    fn counts_start_at_one() {
        assert_eq!(count("25600").map(NonZeroUsize::get), Ok(25_600));
        for text in ["0", "-1", "4.0", "many", "99999999999"] {
            assert!(count(text).unwrap_err().problem.contains("from 1"), "{text}");
        }
    }

    #[test]
    fn files_have_to_be_readable() {
        let directory = tempfile::tempdir().unwrap();
        let there = directory.path().join("cert.pem");
        fs::write(&there, "-").unwrap();
        assert_eq!(file(there.to_str().unwrap()), Ok(there));
        let missing = directory.path().join("missing");
        assert!(file(missing.to_str().unwrap()).unwrap_err().problem.contains("No such file"));
        let refusal = file(directory.path().to_str().unwrap()).unwrap_err();
        assert!(refusal.problem.contains("not a regular file"), "{refusal:?}");
        assert!(path("a\0b").is_err());
    }

    #[test]
    fn a_token_matches_only_itself_and_stays_secret() {
        let token = token("s3cret").unwrap();
        assert!(token.matches(b"s3cret"));
        for other in [&b""[..], b"s3cre", b"s3cret ", b"S3cret"] {
            assert!(!token.matches(other), "{other:?}");
        }
        assert_eq!(format!("{token:?}"), "Token(hidden)");
    }
}
