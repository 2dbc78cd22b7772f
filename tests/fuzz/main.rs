//! Random bytes for what reads bytes of others: manifests, settings, saved reports. The boundaries of
//! requests and frames are tried where they are private, in `websample-actix`.
//!
//! Nothing may panic, hang or drive a terminal, whatever it is given. `scripts/fuzz` runs these for as
//! long as somebody wants.

#[path = "../page/fixture.rs"]
#[allow(dead_code, reason = "the rest is for the page's own tests")]
mod fixture;
#[path = "../common/fuzz.rs"]
mod fuzz;

use std::{fs, path::Path, sync::LazyLock};

use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any, prop, prop_oneof},
    prop_assert,
    sample::{Index, select},
    test_runner::TestCaseError,
};
use websample::{
    config::{KEYS, Loaded, Sources},
    known::SampleServer,
};
use websample_lab::{markdown::markdown, page, saved, summary};
use websample_manifest::{Source, Told, check, output};

use self::fuzz::fuzz;

/// Something that is done to a text.
#[derive(Debug, Clone)]
enum Change {
    /// A line goes.
    Drop(Index),
    /// A line comes again, somewhere.
    Copy(Index, Index),
    /// A line is indented otherwise.
    Indent(Index, usize),
    /// A piece of a line becomes this.
    Replace(Index, Index, String),
    /// The text ends here.
    Cut(Index),
}

/// What breaks parsers.
fn odd() -> impl Strategy<Value = String> {
    let known = [
        "",
        "-1",
        "0",
        "1e999",
        "99999999999999999999",
        "null",
        "~",
        "true",
        "[]",
        "{}",
        "- ",
        "&a",
        "*a",
        "!!binary x",
        "|",
        ">",
        "'",
        "\"",
        "---",
        "...",
        "{{ .Values.x }}",
        "$(A)",
        "\u{1b}[31m",
        "\u{7}",
        "\u{0}",
        "\u{feff}",
        "100%",
        "-5%",
        "500ms",
        "1M",
        "ſ",
        "\u{202e}",
    ];
    prop_oneof![select(known.to_vec()).prop_map(str::to_owned), "\\PC{0,12}", ".{0,6}"]
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        any::<Index>().prop_map(Change::Drop),
        any::<(Index, Index)>().prop_map(|(from, to)| Change::Copy(from, to)),
        (any::<Index>(), 0..12_usize).prop_map(|(line, by)| Change::Indent(line, by)),
        (any::<Index>(), any::<Index>(), odd())
            .prop_map(|(line, at, text)| Change::Replace(line, at, text)),
        any::<Index>().prop_map(Change::Cut),
    ];
    vec(change, 1..6)
}

fn changed(text: &str, changes: &[Change]) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for change in changes {
        if lines.is_empty() {
            lines.push(String::new());
        }
        let count = lines.len();
        match change {
            Change::Drop(line) => {
                lines.remove(line.index(count));
            }
            Change::Copy(from, to) => {
                let line = lines[from.index(count)].clone();
                lines.insert(to.index(count), line);
            }
            Change::Indent(line, by) => {
                let line = &mut lines[line.index(count)];
                *line = format!("{}{}", " ".repeat(*by), line.trim_start());
            }
            Change::Replace(line, at, text) => {
                let line = &mut lines[line.index(count)];
                let chars: Vec<char> = line.chars().collect();
                let at = at.index(chars.len() + 1);
                *line = chars[..at].iter().collect::<String>() + text;
            }
            Change::Cut(line) => lines.truncate(line.index(count)),
        }
    }
    lines.join("\n")
}

/// Every manifest of the other tests.
static MANIFESTS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifests");
    let files = ["bad", "good"].into_iter().flat_map(|folder| {
        fs::read_dir(root.join(folder)).expect("a folder").flatten().map(|entry| entry.path())
    });
    let mut texts: Vec<_> = files.map(|file| fs::read_to_string(file).expect("text")).collect();
    texts.sort();
    texts
});

fn plain(text: &str) -> Result<(), TestCaseError> {
    let control = text.chars().find(|c| c.is_control() && *c != '\n');
    prop_assert!(control.is_none(), "{control:?} in {text:?}");
    Ok(())
}

#[test]
fn manifests() {
    let strategy = (any::<Index>(), changes(), any::<bool>());
    fuzz("manifests", &strategy, |(which, changes, strip)| {
        let mut text = changed(&MANIFESTS[which.index(MANIFESTS.len())], &changes);
        if strip {
            text = text.replace('\n', "\r\n");
        }
        let source = Source { name: "fuzz\u{7}.yaml".to_owned(), text };
        match check(&[source], Told::default(), &SampleServer) {
            Ok(report) => {
                plain(&output::text(&report, false))?;
                plain(&output::github(&report))?;
                plain(&output::printed(&output::json(&report)))?;
                plain(&output::printed(&output::sarif(&report)))
            }
            Err(unusable) => {
                prop_assert!(!unusable.problems.is_empty());
                plain(&output::github_problems(&unusable))
            }
        }
    });
}

#[test]
fn settings() {
    let names: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
    let value = || {
        prop_oneof![
            odd(),
            select(vec![
                "5s",
                "0s",
                "1h",
                "64KiB",
                "127.0.0.1:0",
                "off",
                "drain",
                "graceful",
                "keep",
                "json",
                "auto",
                "true",
                "7",
                "v2",
            ])
            .prop_map(str::to_owned),
        ]
    };
    let name = prop_oneof![select(names).prop_map(str::to_owned), "[a-z_.]{0,12}"];
    let pairs = vec((name, value(), 0..3_u8), 0..6);
    let toml = vec("[a-z_.\\[\\]= \"0-9]{0,24}", 0..4).prop_map(|lines| lines.join("\n"));
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("websample.toml");
    fuzz("settings", &(pairs, toml), |(pairs, toml)| {
        fs::write(&file, &toml).expect("written");
        let mut sources =
            Sources::none().file(websample::config::ConfigFile::Required(file.clone()));
        for (name, value, layer) in pairs {
            // Files of this machine are no business of a random word.
            if name.contains("tls") || name.contains("log") && layer == 2 {
                continue;
            }
            sources = match layer {
                0 => sources.flag(name, value),
                1 => sources.variable(
                    format!("WEBSAMPLE_{}", name.replace('.', "__").to_uppercase()),
                    value,
                ),
                _ => sources.variable("version", value),
            };
        }
        match Loaded::load(&sources) {
            Ok(loaded) => {
                let moments = websample::config::timeline(&loaded.settings);
                prop_assert!(!moments.is_empty());
                prop_assert!(websample_lifecycle::Lifecycle::new(loaded.settings.policy()).is_ok());
            }
            Err(error) => plain(&error.to_string())?,
        }
        Ok(())
    });
}

/// Values of a report that become something else.
fn reports_with() -> impl Strategy<Value = String> {
    let text = serde_json::to_string_pretty(&fixture::report(1_000, 30)).expect("JSON");
    (
        Just(text),
        changes(),
        vec(
            (
                any::<Index>(),
                prop_oneof![
                    any::<f64>().prop_map(|n| serde_json::json!(n)),
                    any::<i64>().prop_map(|n| serde_json::json!(n)),
                    any::<u64>().prop_map(|n| serde_json::json!(n)),
                    odd().prop_map(|text| serde_json::json!(text)),
                    Just(serde_json::Value::Null),
                    Just(serde_json::json!([])),
                ],
            ),
            0..4,
        ),
        prop::bool::weighted(0.2),
    )
        .prop_map(|(text, changes, values, raw)| {
            if raw {
                return changed(&text, &changes);
            }
            let mut report: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            for (at, value) in values {
                let mut leaves = Vec::new();
                paths(&report, String::new(), &mut leaves);
                let path = &leaves[at.index(leaves.len())];
                if let Some(place) = report.pointer_mut(path) {
                    *place = value;
                }
            }
            report.to_string()
        })
}

/// The paths of everything in a value that holds nothing.
fn paths(value: &serde_json::Value, path: String, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(members) if !members.is_empty() => {
            for (name, member) in members {
                let name = name.replace('~', "~0").replace('/', "~1");
                paths(member, format!("{path}/{name}"), found);
            }
        }
        serde_json::Value::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                paths(item, format!("{path}/{index}"), found);
            }
        }
        _ => found.push(path),
    }
}

#[test]
fn reports() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("report.json");
    let out = directory.path().join("report.html");
    fuzz("reports", &reports_with(), |text| {
        fs::write(&file, &text).expect("written");
        if let Ok(reports) = saved::read(std::slice::from_ref(&file)) {
            plain(&markdown(&reports))?;
            for saved in &reports {
                plain(&summary::text(&saved.report.runs))?;
            }
            page::write(&reports, &out).expect("written");
        }
        Ok(())
    });
}
