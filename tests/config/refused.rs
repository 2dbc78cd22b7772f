//! Every way to get settings wrong, and what is said of it.

use websample::config::{ConfigError, KEYS, Key, Loaded, Settings, Sources};
use websample_lifecycle::Mode;

use super::{Files, Flags, problem};

#[test]
fn every_bad_value_is_named_with_key_value_source_and_remedy() {
    let cases = [
        ("version", "v 1", "takes no spaces", "letters, digits"),
        ("instance", "ü", "only ASCII", "letters, digits"),
        ("listen", ":8080", "not an IP address with a port", "0.0.0.0:8080"),
        ("admin.listen", "none", "not an IP address with a port", "`off` disables it"),
        ("workers", "0", "whole number from 1", "such as 4"),
        ("mode", "drian", "no such choice", "did you mean `drain`?"),
        ("grace_period", "0s", "must not be zero", "5s"),
        ("margin", "2", "a bare number", "2s is seconds"),
        ("delay.min", "soon", "not a duration", "500ms, 5s or 2m"),
        ("delay.quiet", "", "it is empty", "remove it, or set DURATION"),
        ("delay.max", "30d", "longer than 7 days", "use less"),
        ("close.spread", "1 fortnight", "not a duration", "500ms, 5s or 2m"),
        ("readiness.on_drain", "503", "no such choice", "fail, keep or auto"),
        ("hook.on_app_listener", "yes", "no such choice", "auto, true or false"),
        ("linger", "-1s", "not a duration", "500ms, 5s or 2m"),
        ("keep_alive", "75", "a bare number", "75s is seconds"),
        ("tls.cert", "/no/such.pem", "cannot be read: No such file", "that exists"),
        ("tls.key", "/", "not a regular file", "that exists"),
        ("limits.sleep", "300", "a bare number", "300s is seconds"),
        ("limits.body", "1M", "not a size", "such as 64KiB"),
        ("limits.header_timeout", "0ms", "must not be zero", "5s"),
        ("limits.body_timeout", "0s", "must not be zero", "500ms, 5s"),
        ("limits.write_timeout", "0s", "must not be zero", "500ms, 5s"),
        ("limits.connections", "many", "whole number from 1", "such as 4"),
        ("log.format", "text", "no such choice", "auto, human or json"),
        ("log.level", "websample=debug", "no such choice", "off, error, warn"),
        ("log.connections", "true", "no such choice", "auto, on or off"),
        ("termination_log", "", "it is empty", "FILE"),
    ];
    for (key, value, what, remedy) in cases {
        let variable =
            KEYS.iter().find(|known| known.name == key).map(Key::environment_name).unwrap();
        let layers = [
            (Sources::none().flag(key, value), format!("flag --{key}")),
            (
                Sources::none().variable(&variable, value),
                format!("environment variable {variable}"),
            ),
        ];
        for (sources, origin) in layers {
            let problem = problem(&sources);
            assert_eq!(problem.key.as_deref(), Some(key));
            assert_eq!(problem.value.as_deref(), Some(value));
            assert_eq!(problem.source, origin);
            assert!(problem.problem.contains(what), "{problem}");
            assert!(problem.remedy.contains(remedy), "{problem}");
            let shown = problem.to_string();
            assert!(shown.starts_with(&format!("{key} = `{value}` ({origin}): ")), "{shown}");
        }
    }
}

#[test]
fn budgets_that_do_not_add_up_name_the_key_and_where_everything_came_from() {
    let cases: [(Flags, &str, &str, &str); 5] = [
        (&[("margin", "30s")], "margin", "flag --margin", "whole grace period"),
        (&[("delay.min", "16s")], "delay.min", "flag --delay.min", "longer than delay.max"),
        (&[("delay.max", "28s")], "delay.max", "flag --delay.max", "leave nothing"),
        (
            &[("grace_period", "10s")],
            "delay.max",
            "default",
            "(grace_period is from flag --grace_period)",
        ),
        (&[("close.spread", "13s")], "close.spread", "flag --close.spread", "only 13s are left"),
    ];
    for (flags, key, origin, what) in cases {
        let sources =
            flags.iter().fold(Sources::none(), |sources, (key, value)| sources.flag(*key, *value));
        let problem = problem(&sources);
        assert_eq!(problem.key.as_deref(), Some(key));
        assert_eq!(problem.source, origin);
        assert!(problem.problem.contains(what), "{problem}");
    }
    // Only a drain budgets for a delay.
    let sources = Sources::none().flag("grace_period", "10s").flag("mode", "graceful");
    assert_eq!(Settings::load(&sources).unwrap().policy().mode, Mode::Graceful);
}

#[test]
fn what_does_not_work_together_is_refused() {
    let files = Files::new();
    let cert = files.path("cert.pem");
    let cases: [(Flags, &str, &str); 4] = [
        (&[("workers", "1025")], "workers", "a thread"),
        (&[("tls.cert", &cert)], "tls.cert", "tls.key is not"),
        (&[("tls.key", &cert)], "tls.key", "tls.cert is not"),
        (&[("listen", "127.0.0.1:9000")], "admin.listen", "same as listen"),
    ];
    for (flags, key, what) in cases {
        let sources =
            flags.iter().fold(Sources::none(), |sources, (key, value)| sources.flag(*key, *value));
        let problem = problem(&sources);
        assert_eq!(problem.key.as_deref(), Some(key));
        assert!(problem.problem.contains(what), "{problem}");
    }
}

#[test]
fn all_errors_are_shown_together_and_a_hidden_one_is_one_too() {
    let files = Files::new();
    let sources = Sources::none()
        .file(files.toml("colour = true\nmargin = \"2\"\n"))
        .variable("WEBSAMPLE_MODE", "drian")
        .variable("WEBSAMPLE_MARGIN", "2s")
        .flag("listen", "localhost:80")
        .flag("close.spread", "20s");
    let error: ConfigError = Settings::load(&sources).unwrap_err();
    let keys: Vec<_> =
        error.problems().iter().filter_map(|problem| problem.key.as_deref()).collect();
    // close.spread is not judged: the margin it depends on was refused.
    assert_eq!(keys, ["colour", "margin", "mode", "listen"]);
    let shown = error.to_string();
    assert!(shown.starts_with("bad configuration, 4 errors:\n  colour = `true` "), "{shown}");
    assert_eq!(shown.lines().count(), 5, "{shown}");
}

#[test]
fn files_are_refused_for_what_they_hold() {
    let files = Files::new();
    let cases = [
        (
            "[delay]\nmni = \"2s\"",
            Some("delay.mni"),
            "no such setting",
            "did you mean `delay.min`?",
        ),
        ("xyzzy = 1", Some("xyzzy"), "no such setting", "websample check"),
        ("delay = \"5s\"", Some("delay"), "it is a section", "delay.min or delay.quiet"),
        ("[mode]\nx = 1", Some("mode.x"), "no such setting", "did you mean `mode = "),
        ("[xyzzy]", Some("xyzzy"), "no such setting", "remove it"),
        ("mode = [\"drain\"]", Some("mode"), "it takes one value", "write mode = "),
        ("version = 1.10", Some("version"), "a number may lose digits", "quotes"),
        ("margin = 2", Some("margin"), "a bare number", "2s is seconds"),
        (
            "\"delay.min\" = \"5s\"\n[delay]\nmin = \"4s\"",
            Some("delay.min"),
            "set twice",
            "remove one",
        ),
        ("mode = ", None, "not TOML: TOML parse error at line 1, column 8", "correct it"),
        ("mode = \"drain\"\nmode = \"ignore\"", None, "duplicate key", "correct it"),
    ];
    for (toml, key, what, remedy) in cases {
        let problem = problem(&Sources::none().file(files.toml(toml)));
        assert_eq!(problem.key.as_deref(), key, "{problem}");
        assert_eq!(problem.source, files.path("websample.toml"));
        assert!(problem.problem.contains(what), "{problem}");
        assert!(problem.remedy.contains(remedy), "{problem}");
    }
}

#[test]
fn unknown_variables_are_refused_with_the_one_that_was_meant() {
    let cases = [
        ("WEBSAMPLE_DELAY_MIN", "2s", "did you mean WEBSAMPLE_DELAY__MIN?"),
        ("WEBSAMPLE_Delay__Min", "2s", "did you mean WEBSAMPLE_DELAY__MIN?"),
        ("WEBSAMPLE_GRACE", "2s", "did you mean WEBSAMPLE_GRACE_PERIOD?"),
        ("WEBSAMPLE_PORT", "5000", "did you mean WEBSAMPLE_LISTEN?"),
        ("WEBSAMPLE_XYZZY", "1", "`websample check` lists every setting"),
    ];
    for (name, value, remedy) in cases {
        let problem = problem(&Sources::none().variable(name, value));
        assert_eq!(problem.key.as_deref(), Some(name));
        assert_eq!(problem.value.as_deref(), Some(value));
        assert!(problem.remedy.contains(remedy), "{problem}");
    }
    // Without the prefix it is somebody else's.
    let sources = Sources::none().variable("DELAY__MIN", "x").variable("MYWEBSAMPLE_MODE", "x");
    assert_eq!(Settings::load(&sources).unwrap(), Settings::default());
}

#[test]
fn a_variable_that_is_not_text_is_refused() {
    use std::{ffi::OsString, os::unix::ffi::OsStringExt};
    let value = OsString::from_vec(vec![b'v', 0xff]);
    let problem = problem(&Sources::none().variable("WEBSAMPLE_VERSION", value));
    assert_eq!(problem.key.as_deref(), Some("version"));
    assert!(problem.problem.contains("not UTF-8"), "{problem}");
}

#[test]
fn unknown_flags_are_refused_with_the_one_that_was_meant() {
    let problem = problem(&Sources::none().flag("delay.mim", "2s"));
    assert_eq!(problem.source, "flag --delay.mim");
    assert_eq!(problem.remedy, "did you mean --delay.min?");
}

#[test]
fn what_is_repeated_cannot_drive_a_terminal() {
    let problem = problem(&Sources::none().flag("mode", "\x1b[31m\nred"));
    assert!(
        problem.to_string().starts_with(r"mode = `\u{1b}[31m\nred` (flag --mode): "),
        "{problem}"
    );
}

#[test]
fn the_token_never_shows() {
    let files = Files::new();
    let good = Sources::none().flag("hook.token", "s3cret");
    let loaded = Loaded::load(&good).unwrap();
    assert!(loaded.settings.hook.token.as_ref().unwrap().matches(b"s3cret"));
    assert!(!format!("{loaded:?}").contains("s3cret"));
    let bad = [
        Sources::none().flag("hook.token", "s3cret and spaces"),
        Sources::none().variable("WEBSAMPLE_HOOK_TOKEN", "s3cret"),
        Sources::none().variable("WEBSAMPLE_HOOK__TOKN", "s3cret"),
        Sources::none().file(files.toml("[hook]\ntoken = s3cret")),
        Sources::none().file(files.toml("[hook]\ntoken = [\"s3cret\"]")),
    ];
    for sources in bad {
        let shown = Settings::load(&sources).unwrap_err().to_string();
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}
