//! What somebody waits for who has just cloned this: the build, and the lab's first word.

use std::{
    fs,
    io::Read as _,
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};

use super::{
    cargo::{cargo, printed, root},
    table::{Row, Table},
};

/// The ratio to reach.
const TARGET: f64 = 0.5;

/// Of one clean build.
struct Took {
    wall: f64,
    /// User and system time of everything that it ran.
    cpu: f64,
    /// From the call of the built program to the first byte that it prints.
    first_word: f64,
}

pub(crate) fn measure(baseline: Option<&str>, table: &mut Table) -> Result<()> {
    let before = baseline.map(of).transpose()?;
    let now = of("HEAD")?;
    let mut push = |what: &str, value: fn(&Took) -> f64, is_judged: bool| {
        let ratio = before.as_ref().map(|before| value(&now) / value(before));
        table.push(Row {
            what: what.to_owned(),
            websample: format!("{:.1}", value(&now)),
            plain: before
                .as_ref()
                .map(|before| format!("{:.1}", value(before)))
                .unwrap_or_default(),
            ratio: ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
            target: if is_judged { format!("≤ {TARGET}") } else { String::new() },
            met: ratio.filter(|_| is_judged).map(|ratio| ratio <= TARGET),
        });
    };
    push("clean release build: CPU s", |took| took.cpu, true);
    push("clean clone to the lab's first word: s", |took| took.wall + took.first_word, true);
    push("of that, the lab's: s", |took| took.first_word, false);
    Ok(())
}

/// Builds a commit in a directory of its own, as `cargo run --release` does.
fn of(commit: &str) -> Result<Took> {
    let directory = tempfile::tempdir()?;
    let clone = directory.path().join("websample");
    let run = |command: &mut Command| -> Result<()> {
        ensure!(command.status().context("git")?.success(), "{command:?} failed");
        Ok(())
    };
    run(Command::new("git").args(["clone", "--quiet"]).arg(root()).arg(&clone))?;
    run(Command::new("git").current_dir(&clone).args(["checkout", "--quiet", commit]))?;
    // What is fetched depends on the network, and is not measured.
    let mut fetch = cargo(&clone);
    printed({
        fetch.args(["fetch", "--locked", "--quiet"]);
        fetch
    })?;
    let target = directory.path().join("target");
    let mut build = Command::new("bash");
    build
        .current_dir(&clone)
        .env("TIMEFORMAT", "%R %U %S")
        .args(["-c", "time cargo build --locked --release --quiet --bin websample 2>/dev/null"])
        .env("CARGO_TARGET_DIR", &target)
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    for name in ["CARGO", "CARGO_MANIFEST_DIR", "RUSTFLAGS"] {
        build.env_remove(name);
    }
    let output = build.output().context("bash")?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the build of {commit} failed");
    let times: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [wall, user, system] = times[..] else { anyhow::bail!("bash's times: {text}") };
    let first_word = first_word(&target.join("release/websample"), directory.path())?;
    Ok(Took { wall, cpu: user + system, first_word })
}

fn first_word(program: &Path, directory: &Path) -> Result<f64> {
    let out = directory.join("out");
    fs::create_dir_all(&out)?;
    let began = Instant::now();
    let mut lab = Command::new(program)
        .arg("rollout")
        .arg("--out")
        .arg(&out)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut first = [0];
    let read = lab.stderr.take().context("it is piped")?.read(&mut first);
    let took = began.elapsed().as_secs_f64();
    lab.kill()?;
    lab.wait()?;
    ensure!(read? == 1, "the lab has said nothing");
    Ok(took)
}
