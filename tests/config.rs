//! Settings from every layer, and every way to get them wrong.

use std::{fs, path::Path, time::Duration};

use websample::config::{
    ConfigError, ConfigFile, KEYS, Key, Loaded, LogFormat, SettingProblem, Settings, Sources,
    Switch,
};
use websample_lifecycle::{Mode, Policy};

/// Flags, by the names of their keys.
type Flags<'a> = &'a [(&'a str, &'a str)];

/// A directory with a configuration file, and whatever else a setting may name.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        // A certificate and its key in one file, which is both.
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let both = made.cert.pem() + &made.signing_key.serialize_pem();
        fs::write(files.path("cert.pem"), both).unwrap();
        files
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn toml(&self, text: &str) -> ConfigFile {
        let path = self.path("websample.toml");
        fs::write(&path, text).unwrap();
        ConfigFile::Required(path.into())
    }

    /// A value of this key that is not its default.
    fn other_value(&self, key: &Key) -> String {
        match (key.name, key.placeholder) {
            ("version", _) => "v2".to_owned(),
            ("grace_period", _) => "40s".to_owned(),
            ("linger" | "keep_alive" | "limits.sleep", _) => "70s".to_owned(),
            ("delay.max", _) => "14s".to_owned(),
            ("listen" | "admin.listen", _) => "127.0.0.1:5555".to_owned(),
            (_, "NAME" | "TOKEN") => "something".to_owned(),
            ("framework", _) => "hyper".to_owned(),
            ("mode", _) => "graceful".to_owned(),
            (_, "DURATION") => "4s".to_owned(),
            (_, "SIZE") => "64KiB".to_owned(),
            (_, "N") => "77".to_owned(),
            (_, "auto|true|false") => "false".to_owned(),
            ("tls.cert" | "tls.key", _) => self.path("cert.pem"),
            (_, "FILE") => self.path("termination.log"),
            (_, "fail|keep|auto") => "keep".to_owned(),
            (_, "auto|human|json") => "json".to_owned(),
            ("log.level", _) => "debug".to_owned(),
            (_, "auto|on|off") => "on".to_owned(),
            (name, kind) => panic!("no example for {name}, a {kind:?}"),
        }
    }
}

fn problems(sources: &Sources) -> Vec<SettingProblem> {
    Loaded::load(sources).map(|_| ()).unwrap_err().problems().to_vec()
}

/// The only problem there is.
fn problem(sources: &Sources) -> SettingProblem {
    let mut problems = problems(sources);
    assert_eq!(problems.len(), 1, "{problems:#?}");
    problems.remove(0)
}

fn source(sources: &Sources, key: &str) -> String {
    let loaded = Loaded::load(sources).unwrap();
    loaded.effective.into_iter().find(|row| row.key == key).unwrap().source
}

#[test]
fn the_defaults_are_the_documented_ones() {
    let settings = Settings::default();
    assert_eq!(settings.policy(), Policy::default());
    assert_eq!(settings.version, "v1");
    assert_eq!(settings.listen.to_string(), "0.0.0.0:5000");
    assert_eq!(settings.admin_listen.unwrap().to_string(), "0.0.0.0:9000");
    assert_eq!(settings.keep_alive, Duration::from_secs(75));
    assert_eq!(settings.limits.body, 1 << 20);
    assert_eq!(settings.limits.connections.get(), 25_600);
    assert_eq!(settings.limits.sleep, Duration::from_secs(300));
    assert_eq!(settings.termination_log, Path::new("/dev/termination-log"));
    assert!(!settings.has_hook_on_app_listener() && settings.hook.token.is_none());
    assert!(settings.tls.is_none());
    assert!(!settings.instance.is_empty());
}

#[test]
fn every_key_changes_the_settings_from_every_layer() {
    let files = Files::new();
    for key in KEYS {
        let value = files.other_value(key);
        // One half of a pair is refused by itself.
        let base = match key.name {
            "tls.cert" => Sources::none().flag("tls.key", files.path("cert.pem")),
            "tls.key" => Sources::none().flag("tls.cert", files.path("cert.pem")),
            _ => Sources::none(),
        };
        let toml = format!("{} = {value:?}", key.name);
        let layers = [
            (base.clone().file(files.toml(&toml)), files.path("websample.toml")),
            (
                base.clone().variable(key.environment_name(), &value),
                format!("environment variable {}", key.environment_name()),
            ),
            (base.clone().flag(key.name, &value), format!("flag --{}", key.name)),
        ];
        for (sources, origin) in layers {
            let loaded = Loaded::load(&sources).unwrap_or_else(|error| panic!("{error}"));
            assert_ne!(loaded.settings, Settings::default(), "{} from {origin}", key.name);
            let row = loaded.effective.iter().find(|row| row.key == key.name).unwrap();
            assert_eq!(row.source, origin);
            let shown = if key.name == "hook.token" { "(hidden)" } else { &value };
            assert_eq!(row.value.as_deref(), Some(shown));
        }
    }
}

#[test]
fn later_layers_win() {
    let files = Files::new();
    let file = Sources::none().file(files.toml("version = \"file\"\n[delay]\nmin = \"1s\"\n"));
    let original = file.clone().variable("version", "original");
    let environment = original.clone().variable("WEBSAMPLE_VERSION", "environment");
    let flag = environment.clone().flag("version", "flag");
    let cases = [
        (Sources::none(), "v1", "default"),
        (file, "file", files.path("websample.toml").leak()),
        (original, "original", "environment variable version"),
        (environment, "environment", "environment variable WEBSAMPLE_VERSION"),
        (flag, "flag", "flag --version"),
    ];
    for (sources, version, origin) in cases {
        assert_eq!(Settings::load(&sources).unwrap().version, version);
        assert_eq!(source(&sources, "version"), origin);
    }
}

#[test]
fn layers_mix_within_a_section() {
    let files = Files::new();
    let sources = Sources::none()
        .file(files.toml("[delay]\nmin = \"1s\"\nquiet = \"2s\"\n"))
        .variable("WEBSAMPLE_DELAY__QUIET", "3s")
        .flag("delay.max", "4s");
    let delay = Settings::load(&sources).unwrap().delay;
    assert_eq!([delay.min, delay.quiet, delay.max].map(|part| part.as_secs()), [1, 3, 4]);
}

#[test]
fn the_default_file_may_be_missing_and_a_named_one_may_not() {
    let files = Files::new();
    let missing = files.path("missing.toml");
    let optional = Sources::none().file(ConfigFile::Optional(missing.clone().into()));
    assert_eq!(Settings::load(&optional).unwrap(), Settings::default());
    let required = Sources::none().file(ConfigFile::Required(missing.clone().into()));
    let problem = problem(&required);
    assert_eq!((problem.key, problem.source), (None, missing));
    assert!(problem.problem.contains("No such file"), "{}", problem.problem);
}

#[test]
fn an_empty_original_version_is_unset() {
    let sources = Sources::none().variable("version", "");
    assert_eq!(Settings::load(&sources).unwrap().version, "v1");
}

#[test]
fn the_instance_is_the_pods_name() {
    let sources = Sources::none().variable("HOSTNAME", "web-7d4b9c-x2x");
    assert_eq!(Settings::load(&sources).unwrap().instance, "web-7d4b9c-x2x");
    // Not ours to refuse.
    let sources = Sources::none().variable("HOSTNAME", "über host");
    assert_ne!(Settings::load(&sources).unwrap().instance, "über host");
}

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
fn files_take_toml_types_where_nothing_is_lost() {
    let files = Files::new();
    let toml =
        "workers = 3\n[hook]\non_app_listener = false\n[limits]\nconnections = 100\n[delay]\n";
    let settings = Settings::load(&Sources::none().file(files.toml(toml))).unwrap();
    assert_eq!((settings.workers.get(), settings.limits.connections.get()), (3, 100));
    assert!(!settings.has_hook_on_app_listener());
}

#[test]
fn variables_that_kubernetes_injects_are_ignored() {
    let sources = [
        ("WEBSAMPLE_SERVICE_HOST", "10.96.0.7"),
        ("WEBSAMPLE_SERVICE_PORT", "80"),
        ("WEBSAMPLE_SERVICE_PORT_HTTP", "80"),
        ("WEBSAMPLE_PORT", "tcp://10.96.0.7:80"),
        ("WEBSAMPLE_PORT_5000_TCP", "tcp://10.96.0.7:5000"),
        ("WEBSAMPLE_PORT_5000_TCP_PROTO", "tcp"),
        ("WEBSAMPLE_PORT_5000_TCP_PORT", "5000"),
        ("WEBSAMPLE_PORT_5000_TCP_ADDR", "10.96.0.7"),
        ("WEBSAMPLE_CANARY_SERVICE_HOST", "10.96.0.8"),
        ("WEBSAMPLE_CANARY_PORT", "tcp://10.96.0.8:80"),
    ]
    .into_iter()
    .fold(Sources::none(), |sources, (name, value)| sources.variable(name, value));
    assert_eq!(Settings::load(&sources).unwrap(), Settings::default());
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

#[test]
fn auto_settles_by_terminal_and_mode() {
    assert!(LogFormat::Auto.is_json(false) && !LogFormat::Auto.is_json(true));
    assert!(LogFormat::Json.is_json(true) && !LogFormat::Human.is_json(false));
    let cases = [
        (Mode::Ignore, Switch::Auto, true),
        (Mode::Drain, Switch::Auto, false),
        (Mode::Drain, Switch::On, true),
        (Mode::Ignore, Switch::Off, false),
    ];
    for (mode, connections, expected) in cases {
        let mut settings = Settings { mode, ..Settings::default() };
        settings.log.connections = connections;
        assert_eq!(settings.logs_connections(), expected, "{mode} {connections:?}");
    }
}

proptest::proptest! {
    #[test]
    fn no_input_panics(index in 0..KEYS.len(), value in r"[0-9a-z.:/ µ-]{0,24}|\PC{0,24}", toml in r#"[a-z."=\[\]{}0-9 \n]{0,60}"#) {
        let key = &KEYS[index];
        let files = Files::new();
        let sources = Sources::none()
            .file(files.toml(&toml))
            .variable(key.environment_name(), &value)
            .flag(key.name, &value);
        match Loaded::load(&sources) {
            Ok(loaded) => assert!(!websample::config::timeline(&loaded.settings).is_empty()),
            Err(error) => assert!(!error.problems().is_empty()),
        }
    }
}
