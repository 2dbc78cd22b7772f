//! What ends what was lost: the patch of somebody's manifest, made, applied and tried again; and what the
//! check says of the manifest beside what was seen of it.

use serde_json::{Value, json};

use crate::{
    api::Server,
    foreign::{Foreign, new, old},
    looking::{Looked, Looking},
    pods::collection,
    requests::strategic,
    watch::{real, real_with},
};

/// A rollout under requests that no end of a process leaves alone.
fn roll_out(server: &Server, arguments: &[&str]) -> Looked {
    let url = format!("http://{}/", server.api.service_address());
    let command = ["rollout", "--target", "kubernetes", "--out", "websample-watch"];
    let mix = "60/s new GET /, 30/s new GET /sleep/1";
    let rolled =
        ["--deployment", "web", "--image", "websample:v2", "--yes", "--url", &url, "--mix", mix];
    Looking::command(server, &command, &[&rolled, arguments].concat()).end()
}

fn finding<'a>(report: &'a Value, rule: &str) -> &'a Value {
    let findings = report["advice"]["findings"].as_array().expect("findings");
    let found = findings.iter().find(|finding| finding["rule"] == rule);
    found.unwrap_or_else(|| panic!("no {rule} in {findings:#?}"))
}

#[test]
fn the_patch_that_a_rollout_ends_in_ends_its_losses() {
    for (mode, rule) in [("immediate", "exits-at-once"), ("graceful", "endpoint-race")] {
        let server = real(mode);
        let looked = roll_out(&server, &["--fix", "fix.yaml"]);
        let report = looked.report();
        assert!(report["runs"][0]["lost"].as_u64() > Some(0), "{mode}: {looked:?}");
        let finding = finding(&report, rule);
        assert_eq!(finding["seen"], true, "{finding}");
        assert!(looked.out.contains("Against "), "{looked:?}");
        assert!(looked.out.contains(&format!("{rule} (websample): ")), "{looked:?}");
        let page = looked.file("report.html");
        assert!(page.contains("What ends it") && page.contains("WEBSAMPLE_MODE"), "{page:.200}");

        let text = looked.beside("fix.yaml");
        assert!(text.contains("# kubectl patch deployment web -n websample"), "{text}");
        let patch: Value = serde_saphyr::from_str(&text).expect("the patch is YAML");
        assert_eq!(patch, report["advice"]["patches"][0]);
        let remedies = report["advice"]["remedies"].as_array().expect("remedies");
        assert!(remedies.iter().any(|remedy| remedy["patches"][0] == patch), "{remedies:#?}");
        let again = real_with(mode, |deployment| strategic(deployment, &patch));
        let looked = roll_out(&again, &["--fix", "fix.yaml"]);
        let report = looked.report();
        assert_eq!(report["runs"][0]["lost"], 0, "{mode}: {looked:?}");
        assert_eq!(report["advice"]["patches"], json!([]), "{looked:?}");
        assert!(looked.out.contains("fix.yaml was not written"), "{looked:?}");
    }
}

#[test]
fn findings_are_joined_with_what_was_seen() {
    let foreign = Foreign::new("Deployment", 2);
    foreign.hook(&json!({"exec": {"command": ["sleep", "60"]}}));
    for index in 0..2 {
        foreign.remove(&old(index));
        foreign.create(&format!("web-aaaa-{}", index + 5), "aaaa");
        foreign.ready(&format!("web-aaaa-{}", index + 5));
    }
    let mut looking = Looking::start(&foreign.server, &["web", "--fix", "fix.yaml"]);
    looking.said("times are UTC");
    foreign.set_image("shop:v2");
    looking.saw(&["rollout_began"]);
    for index in 0..2 {
        let pod = format!("web-aaaa-{}", index + 5);
        foreign.create(&new(index), "bbbb");
        foreign.ready(&new(index));
        foreign.delete(&pod);
        foreign.event(&pod, "Normal", "Killing", "Stopping container app");
        looking.saw(&[&pod, "hook_called"]);
        foreign.exit(&pod, 137, "Error");
        looking.saw(&[&pod, "exited"]);
        foreign.remove(&pod);
    }
    foreign.complete();
    looking.saw(&["rollout_over"]);
    let looked = looking.end();
    assert_eq!(looked.code, Some(0), "{looked:?}");
    let report = looked.report();
    let outlasts = finding(&report, "hook-outlasts-grace");
    assert_eq!(outlasts["seen"], true);
    assert_eq!(outlasts["evidence"], "2 of 2 pods that ended were killed");
    assert_eq!(report["advice"]["findings"][0], *outlasts, "what was seen comes first");
    // What a rollout does not show, and what it would have shown.
    assert_eq!(finding(&report, "no-disruption-budget")["seen"], Value::Null);
    assert_eq!(finding(&report, "no-readiness-probe")["seen"], Value::Null);
    let patch = &report["advice"]["patches"];
    assert_eq!(patch[0]["spec"]["template"]["spec"], json!({"terminationGracePeriodSeconds": 85}));
    assert_eq!(patch.as_array().map(Vec::len), Some(1));
    let yaml: Value = serde_saphyr::from_str(&looked.beside("fix.yaml")).expect("YAML");
    assert_eq!(yaml, patch[0]);
}

#[test]
fn a_budget_is_judged_where_it_may_be_read() {
    for permitted in [true, false] {
        let foreign = Foreign::new("Deployment", 1);
        let budget = json!({
            "metadata": {"name": "web", "namespace": crate::api::NAMESPACE},
            "spec": {"maxUnavailable": 0, "selector": {"matchLabels": {"app": "web"}}},
        });
        let budgets = collection("policy", "poddisruptionbudgets");
        foreign.server.api.store.put(&budgets, "web", budget);
        if !permitted {
            foreign.server.api.forbid("list", "poddisruptionbudgets");
        }
        let mut looking = Looking::start(&foreign.server, &["web"]);
        looking.said("times are UTC");
        foreign.update();
        looking.saw(&["rollout_over"]);
        let looked = looking.end();
        assert_eq!(looked.code, Some(0), "{looked:?}");
        let blocks = looked.out.contains("disruption-budget-blocks");
        assert_eq!(blocks, permitted, "{looked:?}");
        assert_eq!(looked.out.contains("may not be listed"), !permitted, "{looked:?}");
        assert!(!looked.out.contains("no-disruption-budget"), "{looked:?}");
    }
}
