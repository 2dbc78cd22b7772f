//! A rollout with these settings, and what it lost.

use std::process::Command;

use serde_json::Value;

use crate::settings::Settings;

/// New connections, requests of three seconds, and the same on connections that are kept.
const MIX: &str = "60/s new GET /, 3/s new GET /sleep/3, 6/s keep-alive GET /sleep/3";

/// Takes a while to start, then becomes the server.
const SLOWLY: &str = "sleep \"$START\"; exec \"$0\" \"$@\"";

#[derive(Debug)]
#[expect(dead_code, reason = "they are for whoever reads a failure")]
pub(crate) struct Rollout {
    pub(crate) requests: u64,
    pub(crate) lost: u64,
    /// Of those, idle connections that were closed under a request: no hook saves them (docs/check.md).
    pub(crate) idle: u64,
    /// Pods that ended by SIGKILL.
    pub(crate) killed: u64,
    settings: Settings,
    outcomes: Value,
    err: String,
}

impl Rollout {
    pub(crate) fn of(settings: &Settings, start: u32) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let own = env!("CARGO_BIN_EXE_websample");
        let time = |time: std::time::Duration| format!("{}ms", time.as_millis());
        let hook = match settings.sleep.as_millis() {
            0 => "none".to_owned(),
            millis => format!("sleep:{millis}ms"),
        };
        let grace = time(settings.grace);
        // What a server believes to have; this one is told of it where the manifest is ours.
        let believes = ["--grace_period", &grace];
        let output = Command::new(own)
            .args(["rollout", "--mix", MIX, "--out"])
            .arg(directory.path())
            .args(["--replicas", &settings.replicas.to_string()])
            .args(["--max-surge", &settings.surge.to_string()])
            .args(["--max-unavailable", &settings.unavailable.to_string()])
            .args(["--grace", &grace, "--pre-stop", &hook])
            .args(["--readiness", if settings.readiness { "http:/readiness" } else { "none" }])
            .args(["--event", if settings.recreate { "recreate" } else { "update" }])
            .args(["--", "sh", "-c", SLOWLY, own, "serve", "--mode", settings.mode])
            .args(["--version", "{version}", "--listen", "{host}:{port}", "--admin.listen", "off"])
            .args(["--workers", "1", "--log.level", "warn"])
            .args(if settings.mode == "graceful" { &[][..] } else { &believes[..] })
            .env("START", start.to_string())
            .output()
            .unwrap();
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{settings:?}: {err}");
        let report = std::fs::read(directory.path().join("report.json")).unwrap();
        let report: Value = serde_json::from_slice(&report).unwrap();
        let run = &report["runs"][0];
        Self {
            requests: run["requests"].as_u64().unwrap(),
            lost: run["lost"].as_u64().unwrap(),
            idle: run["outcomes"]["reset_reused"].as_u64().unwrap_or(0),
            killed: run["killed"].as_u64().unwrap(),
            settings: settings.clone(),
            outcomes: run["outcomes"].clone(),
            err,
        }
    }
}
