//! The rules of `deploy/prometheus/rules` in the other forms that people take them in: a mixin's, and the
//! Prometheus Operator's.
//!
//! `UPDATE_EXPECT=1 cargo test --test dashboards mixin` writes these forms anew.

use std::{env, fs, process::Command};

use serde_json::Value;

use crate::{read, repository};

/// The documents that Prometheus reads, recording rules first: alerts build on them.
const RULES: [&str; 2] = ["recording", "alerts"];

const OPERATORS: &str = "deploy/kubernetes/monitoring/prometheusrule.yaml";

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).expect("YAML")
}

fn rules(name: &str) -> String {
    read(&format!("deploy/prometheus/rules/{name}.yml"))
}

fn updates() -> bool {
    env::var_os("UPDATE_EXPECT").is_some()
}

#[test]
fn a_mixin_has_the_rules_that_prometheus_reads() {
    for name in RULES {
        let (original, path) = (yaml(&rules(name)), format!("grafana/mixin/{name}.json"));
        if updates() {
            let text = serde_json::to_string_pretty(&original).expect("JSON") + "\n";
            fs::write(repository(&path), text).expect("written");
        }
        let copy: Value = serde_json::from_str(&read(&path)).expect("JSON");
        assert_eq!(copy, original, "{path}: UPDATE_EXPECT=1 writes it anew");
    }
    // And they are where a mixin has them.
    for (field, name) in [("prometheusRules", "recording"), ("prometheusAlerts", "alerts")] {
        let expression = format!("(import 'mixin.libsonnet').{field}");
        let jsonnet = Command::new("jsonnet")
            .args(["-e", &expression])
            .current_dir(repository("grafana/mixin"))
            .output();
        let Ok(output) = jsonnet else {
            println!("skipped: jsonnet not found (Debian package jsonnet)");
            return;
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let made: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(made, yaml(&rules(name)), "{field}");
    }
}

#[test]
fn the_operator_gets_the_rules_that_prometheus_reads() {
    if updates() {
        fs::write(repository(OPERATORS), operators_anew()).expect("written");
    }
    let object = yaml(&read(OPERATORS));
    let mut groups = Vec::new();
    for name in RULES {
        groups.extend(yaml(&rules(name))["groups"].as_array().expect("groups").clone());
    }
    assert_eq!(object["spec"]["groups"], Value::from(groups), "UPDATE_EXPECT=1 writes it anew");
    assert_eq!(object["apiVersion"], "monitoring.coreos.com/v1");
    assert_eq!(object["kind"], "PrometheusRule");
}

/// Its head as it is, and the rules as they are written, comments included, further in.
fn operators_anew() -> String {
    const BEGIN: &str = "groups:\n";
    let whole = read(OPERATORS);
    let (head, _) = whole.split_once(BEGIN).expect("groups");
    let mut anew = format!("{head}{BEGIN}");
    for (at, name) in RULES.iter().enumerate() {
        let rules = rules(name);
        let (_, groups) = rules.split_once(BEGIN).expect("groups");
        anew += if at == 0 { "" } else { "\n" };
        for line in groups.lines() {
            anew += if line.is_empty() { "" } else { "  " };
            anew += line;
            anew += "\n";
        }
    }
    anew
}
