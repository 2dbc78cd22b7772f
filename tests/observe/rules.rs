//! The queries of the recording and alerting rules.

use std::fs;

use serde::Deserialize;

use crate::{
    observer::repository,
    queries::{Kind, Query},
};

const DIRECTORY: &str = "deploy/prometheus/rules";

#[derive(Debug, Deserialize)]
struct Rules {
    groups: Vec<Group>,
}

#[derive(Debug, Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
struct Rule {
    alert: Option<String>,
    record: Option<String>,
    expr: String,
}

/// What an alert is called in the lists below.
pub(crate) const ALERT: &str = "alert ";

/// The queries of every rule; of a recording rule, what it has recorded, too.
pub(crate) fn queries() -> Vec<Query> {
    let files = fs::read_dir(repository(DIRECTORY)).expect("there are rules").flatten();
    let mut names: Vec<_> = files.map(|file| file.file_name().into_string().unwrap()).collect();
    names.sort();
    let mut queries = Vec::new();
    for name in names {
        let file = format!("{DIRECTORY}/{name}");
        let text = fs::read_to_string(repository(&file)).expect("it can be read");
        let rules: Rules = serde_saphyr::from_str(&text).expect("rules");
        for Rule { alert, record, expr } in rules.groups.into_iter().flat_map(|group| group.rules) {
            let of = |what: &str, expr: String| Query {
                at: format!("{file}: {what}"),
                expr,
                kind: Kind::Range,
            };
            match (alert, record) {
                (Some(alert), _) => queries.push(of(&format!("{ALERT}{alert}"), expr)),
                (None, Some(record)) => {
                    queries.push(of(&format!("rule {record}"), expr));
                    queries.push(of(&format!("recorded {record}"), record));
                }
                (None, None) => panic!("{file}: a rule that is neither"),
            }
        }
    }
    queries
}
