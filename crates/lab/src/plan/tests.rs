use clap::Parser;

use super::*;
use crate::cluster::local::{Port, PreStop, Probe, Scheme};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    rollout: RolloutArgs,
}

fn plan(args: &[&str]) -> Result<Plan, PlanError> {
    let args = Cli::parse_from(["rollout"].iter().chain(args)).rollout;
    Plan::new(&args, "/bin/websample", 7)
}

fn labels(plan: &Plan) -> Vec<&str> {
    plan.variants.iter().map(|v| v.label.as_str()).collect()
}

#[test]
fn by_default_the_four_modes_are_compared_with_the_hook() {
    let plan = plan(&[]).expect("a plan");
    assert_eq!(labels(&plan), ["ignore", "immediate", "graceful", "drain"]);
    assert!(plan.variants.iter().all(|v| v.cluster.pre_stop.to_string() == "http"));
    assert_eq!(plan.seed, 7);
    assert_eq!(plan.mix.streams().len(), 4);
}

#[test]
fn a_preset_fills_in_the_command_and_nothing_else() {
    for (preset, expected) in [
        ("uvicorn", "uvicorn main:app --host {host} --port {port}"),
        ("gunicorn", "gunicorn main:app --bind {host}:{port}"),
        ("node", "node main:app"),
        ("spring", "java -jar main:app --server.address={host} --server.port={port}"),
        ("puma", "puma main:app --bind tcp://{host}:{port}"),
        ("go", "main:app"),
        ("axum", "main:app"),
    ] {
        let plan = plan(&["--preset", preset, "--", "main:app"]).expect("a plan");
        let [variant] = plan.variants.as_slice() else { panic!("one: {preset}") };
        assert_eq!(variant.cluster.command.to_string(), expected);
        assert!(plan.foreign && variant.mode.is_none(), "{preset}");
    }
    let plan = plan(&["--preset", "uvicorn", "--modes", "a,a+sleep:5s", "--", "x"]).expect("one");
    assert_eq!(labels(&plan), ["a", "a+sleep:5s"]);
}

#[test]
fn nginx_is_told_by_its_configuration() {
    let plan = plan(&["--preset", "nginx", "--", "nginx.conf"]).expect("a plan");
    let command = &plan.variants[0].cluster.command;
    assert!(command.names_host() && command.names_directory(), "{command}");
    assert_eq!((command.program.as_str(), command.args[0].as_str()), ("sh", "-c"));
    assert!(command.args[1].contains("exec nginx "), "{command}");
    assert_eq!(command.args[2], "nginx.conf");
    assert_eq!(labels(&plan), ["nginx"]);
}

#[test]
fn with_tls_the_pods_have_the_labs_certificate_and_probes_are_asked_over_it() {
    let plan = plan(&["--tls", "--modes", "drain"]).expect("a plan");
    let cluster = &plan.variants[0].cluster;
    let command = cluster.command.to_string();
    assert!(command.ends_with("--tls.cert {cert} --tls.key {key}"), "{command}");
    let https = Probe::http("/readiness").over(Scheme::Https).action;
    assert_eq!(cluster.probes.readiness.as_ref().map(|probe| &probe.action), Some(&https));
    // The hook is the admin listener's.
    let plain = PreStop::Http { path: "/prestop".into(), port: Port::Admin, scheme: Scheme::Http };
    assert_eq!(cluster.pre_stop, plain);
    let secure = plan.tls.expect("it was asked for");
    assert_eq!((secure.trust, secure.server_name.as_str()), (None, "localhost"));

    let args = ["--tls", "--readiness", "http:/a", "--pre-stop", "http:/b", "--", "./server"];
    let foreign = self::plan(&args).expect("a plan");
    let cluster = &foreign.variants[0].cluster;
    assert_eq!(cluster.command.to_string(), "./server");
    assert_eq!(cluster.pre_stop.to_string(), "https:/b");
    let https = Probe::http("/a").over(Scheme::Https).action;
    assert_eq!(cluster.probes.readiness.as_ref().map(|probe| &probe.action), Some(&https));
}

#[test]
fn tls_that_cannot_be_is_refused_before_anything_is_started() {
    let key = tempfile::NamedTempFile::new().expect("a file");
    let file = key.path().to_str().expect("text");
    for (args, option) in [
        (&["--tls", "--ca", "/nowhere/ca.pem", "--", "./server"][..], "--ca"),
        (&["--tls", "--ca", file, "--", "./server"], "--ca"),
        (&["--tls", "--ca", file], "--ca"),
        (&["--tls", "--server-name", "a b"], "--server-name"),
        (&["--tls", "--target", "kubernetes"], "--tls"),
        (&["--tls", "--through", "nginx"], "--tls"),
        (&["--readiness", "https:/a", "--", "./server"], "--readiness"),
        (&["--pre-stop", "https:/a", "--", "./server"], "--pre-stop"),
        (&["--tls", "--pre-stop", "https:/a"], "--pre-stop"),
        (&["--mix", "1/s new GET / alpn=yes"], "--mix"),
    ] {
        let refused = plan(args).map(|_| ()).map_err(|error| error.option);
        assert_eq!(refused, Err(option), "{args:?}");
    }
}

#[test]
fn a_mode_can_have_a_hook_of_its_own() {
    let plan = plan(&["--modes", "graceful+sleep:5s,drain"]).expect("a plan");
    assert_eq!(plan.variants[0].cluster.pre_stop.to_string(), "sleep:5s");
    assert_eq!(plan.variants[0].mode, Some(Mode::Graceful));
    assert!(plan.variants[0].cluster.command.args.contains(&"graceful".to_owned()));
    assert_eq!(plan.variants[1].cluster.pre_stop.to_string(), "http");
}

#[test]
fn events_and_modes_make_a_table() {
    let plan = plan(&[
        "--event",
        "delete-all,crash",
        "--modes",
        "graceful,drain",
        "--fail-on-loss",
        "drain",
    ]);
    let plan = plan.expect("a plan");
    let expected =
        ["graceful (delete-all)", "drain (delete-all)", "graceful (crash)", "drain (crash)"];
    assert_eq!(labels(&plan), expected);
    let rounds: Vec<_> = plan.rounds().map(<[Variant]>::len).collect();
    assert_eq!(rounds, [2, 2], "an event after the other");
    assert_eq!(plan.fail_on_loss, ["drain (delete-all)", "drain (crash)"]);
}

#[test]
fn a_single_event_needs_no_name() {
    let plan = plan(&["--event", "evict", "--modes", "drain"]).expect("a plan");
    assert_eq!(labels(&plan), ["drain"]);
    assert_eq!(plan.variants[0].event, Disruption::Evict);
}

#[test]
fn a_foreign_server_is_asked_no_more_than_any_server_can_answer() {
    let plan = plan(&["--", "/srv/app", "--port", "{port}"]).expect("a plan");
    assert_eq!(labels(&plan), ["app"]);
    let cluster = &plan.variants[0].cluster;
    assert_eq!(cluster.pre_stop, PreStop::None);
    assert_eq!(cluster.probes.liveness, None);
    assert_eq!(cluster.probes.readiness.as_ref().map(|p| &p.action), Some(&Probe::tcp().action));
    assert!(plan.mix.streams().iter().all(|s| s.method == "GET" && s.path == "/"));
}

#[test]
fn a_foreign_server_that_takes_a_mode_is_compared_in_each() {
    let plan = plan(&["--", "app", "--mode={mode}"]).expect("a plan");
    assert_eq!(plan.variants.len(), 4);
    assert_eq!(plan.variants[3].cluster.command.args, ["--mode=drain"]);
}

#[test]
fn what_cannot_be_done_names_the_option() {
    for (args, option) in [
        (&["--modes", "gracefull"][..], "--modes"),
        (&["--modes", "drain,drain"], "--modes"),
        (&["--modes", "drain+nap:5s"], "--modes"),
        (&["--fail-on-loss", "drian"], "--fail-on-loss"),
        (&["--event", "evict,evict"], "--event"),
        (&["--rate", "0"], "--rate"),
        (&["--readiness", "readiness"], "--readiness"),
    ] {
        assert_eq!(plan(args).map(|_| ()).map_err(|e| e.option), Err(option), "{args:?}");
    }
}

#[test]
fn a_proxy_is_asked_only_what_it_can() {
    let options = |args: &[&str]| plan(args).map(|plan| plan.proxy).map_err(|e| e.option);
    assert_eq!(options(&[]), Ok(None));
    let proxy = options(&["--through", "haproxy", "--proxy-retries", "off"]);
    let proxy = proxy.expect("a plan").expect("a proxy");
    assert_eq!(proxy.program, through::Program::Haproxy);
    assert_eq!(proxy.retries, through::Retries::Off);
    let looks = |args: &[&str]| {
        plan(args).is_ok_and(|plan| plan.mix.streams().iter().all(|s| s.stale_check))
    };
    assert!(looks(&["--through", "nginx"]) && !looks(&[]));
    for (args, option) in [
        (&["--proxy-retries", "off"][..], "--proxy-retries"),
        (&["--proxy-upstream", "http2"], "--proxy-upstream"),
        (&["--through", "nginx", "--proxy-upstream", "http2"], "--proxy-upstream"),
        (&["--through", "nginx", "--mix", "1/s http2 GET /"], "--mix"),
    ] {
        assert_eq!(options(args), Err(option), "{args:?}");
    }
}

#[test]
fn what_one_target_has_is_refused_for_the_other() {
    let option = |args: &[&str]| plan(args).map(|p| p.kubernetes.is_some()).map_err(|e| e.option);
    assert_eq!(option(&[]), Ok(false));
    assert_eq!(option(&["--target", "kubernetes", "--keep"]), Ok(true));
    for (args, refused) in [
        (&["--keep"][..], "--keep"),
        (&["--namespace", "x"], "--namespace"),
        (&["--target", "local", "--url", "http://x"], "--url"),
    ] {
        assert_eq!(option(args), Err(refused), "{args:?}");
    }
    for (args, refused) in [
        (&["--event", "crash"][..], "--event"),
        (&["--propagation", "ingress"], "--propagation"),
        (&["--through", "nginx"], "--through"),
        (&["--seed", "7"], "--seed"),
        (&["--listen", "127.0.0.1:1"], "--listen"),
        (&["--logs"], "--logs"),
        (&["--readiness", "tcp"], "--readiness"),
        (&["--grace", "1500ms"], "--grace"),
        (&["--pre-stop", "sleep:1500ms"], "--pre-stop"),
        (&["--modes", "drain+sleep:500ms"], "--pre-stop"),
        (&["--namespace", "No"], "--namespace"),
        (&["--", "./server"], "COMMAND"),
    ] {
        let args: Vec<_> = ["--target", "kubernetes"].iter().chain(args).copied().collect();
        assert_eq!(option(&args), Err(refused), "{args:?}");
    }
}

#[test]
fn what_counts_as_success_can_be_said_for_all_streams() {
    let plan = plan(&["--expect", "200-299|404"]).expect("a plan");
    assert!(plan.mix.streams().iter().all(|s| s.expect.contains(404) && !s.expect.contains(302)));
}
