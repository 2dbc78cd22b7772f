//! How long things took on a cluster, as requests and watches show it, in a file for a rollout elsewhere.

use serde_json::Value;
use websample_lab::timings::Timings;

use crate::{foreign::Foreign, looking::Looking, watch::real};

#[test]
fn a_rollout_of_somebodys_deployment_can_be_recorded() {
    for mode in ["drain", "graceful"] {
        let server = real(mode);
        let url = format!("http://{}/", server.api.service_address());
        let command = ["rollout", "--target", "kubernetes", "--out", "websample-watch"];
        let arguments = [
            "--deployment",
            "web",
            "--image",
            "websample:v2",
            "--yes",
            "--url",
            &url,
            "--mix",
            "100/s new GET /",
            "--record",
            "timings.json",
        ];
        let looked = Looking::command(&server, &command, &arguments).end();
        assert!(looked.out.contains("--record: the times of 2 pods that left"), "{looked:?}");
        let text = looked.beside("timings.json");
        let record: Value = serde_json::from_str(&text).expect("JSON");
        let times = |name: &str| -> Vec<f64> {
            let times = record["seconds"][name].as_array().expect(name);
            times.iter().map(|time| time.as_f64().expect("a number")).collect()
        };
        assert_eq!(record["recorded"]["through"]["url"], url.as_str());
        // kube-proxy's own: 0 to 1.2 s, and what a busy machine takes.
        let remove = times("propagation_remove");
        assert!(remove.len() == 2 && remove.iter().all(|time| *time < 2.0), "{mode} {text}");
        for name in ["propagation_add", "start", "readiness", "termination", "removal"] {
            assert_eq!(times(name).len(), 2, "{mode} {name} {text}");
        }
        // 100 a second over two pods or three.
        let apart = &record["recorded"]["connections_apart"];
        assert!(apart[0].as_f64() < Some(0.2), "{apart}");
        Timings::read(&looked.directory().join("timings.json")).expect("it is read again");
    }
}

#[test]
fn what_nobody_asked_of_cannot_be_recorded() {
    let foreign = Foreign::new("Deployment", 1);
    let mut looking = Looking::start(&foreign.server, &["web", "--record", "timings.json"]);
    looking.said("times are UTC");
    foreign.update();
    looking.saw(&["rollout_over"]);
    let looked = looking.end();
    assert_eq!(looked.code, Some(0), "{looked:?}");
    assert!(looked.out.contains("timings.json was not written"), "{looked:?}");
    assert!(!looked.directory().join("timings.json").exists());
}
