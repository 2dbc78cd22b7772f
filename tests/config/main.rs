//! Settings from every layer, and every way to get them wrong.

mod refused;

use std::{fs, path::Path, time::Duration};

use websample::config::{
    ConfigFile, KEYS, Key, Loaded, LogFormat, SettingProblem, Settings, Sources, Switch,
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
