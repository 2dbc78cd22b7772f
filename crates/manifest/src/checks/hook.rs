//! Whether the preStop hook does anything at all. One that fails is an event that nobody reads:
//! the kubelet goes on with SIGTERM at once (facts 2.6).

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{super::rule::Rule, Findings, Subject};
use crate::{
    fix::Fix,
    hook::{Hook, base, programs},
    image,
    subject::Unit,
};

/// Programs that come with a shell's image, and not with one that has none.
const TOOLS: [&str; 10] =
    ["sh", "bash", "ash", "dash", "sleep", "kill", "curl", "wget", "pkill", "killall"];

const FIELD: &str = "lifecycle.preStop";

pub(super) fn check(subject: &Subject<'_>, found: &mut Findings) {
    for unit in &subject.units {
        match &unit.hook {
            Hook::None | Hook::Sleep(_) => {}
            Hook::Tcp => tcp(subject, unit, found),
            Hook::Exec { command, .. } => exec(subject, unit, command, found),
            Hook::Http { elsewhere: true, .. } => {}
            Hook::Http { path, port, headers, elsewhere: false } => {
                if reaches(subject, unit, port, found) {
                    answers(subject, unit, path, port, headers, found);
                }
            }
        }
    }
}

fn tcp(subject: &Subject<'_>, unit: &Unit<'_>, found: &mut Findings) {
    let message = format!(
        "the preStop hook of container {} is a tcpSocket, which a hook cannot be: it fails when it \
         is called, and SIGTERM follows without a delay",
        unit.container.name
    );
    let fix = Fix::within(unit.at("lifecycle"), "preStop:\n  sleep:\n    seconds: 5");
    found.unit(Rule::HookTcpSocket, &subject.workload.origin, unit, FIELD, message, fix);
}

fn exec(subject: &Subject<'_>, unit: &Unit<'_>, command: &[String], found: &mut Findings) {
    let image = unit.container.image.as_deref().unwrap_or_default();
    if !image::has_no_shell(image) {
        return;
    }
    let programs = programs(command);
    let Some(missing) = programs.iter().find(|program| TOOLS.contains(&base(program))) else {
        return;
    };
    let message = format!(
        "the preStop hook of container {} runs `{missing}`, and the image {image} has no shell and \
         no such programs: the hook fails, and SIGTERM follows without a delay",
        unit.container.name
    );
    let seconds = unit.hook.sleeps().map_or(5, super::whole_seconds);
    let fix = Fix::within(
        unit.at("lifecycle"),
        format!(
            "preStop:\n  sleep:  # the kubelet's own, since Kubernetes 1.30\n    seconds: {seconds}"
        ),
    );
    found.unit(Rule::HookWithoutProgram, &subject.workload.origin, unit, FIELD, message, fix);
}

/// Whether the call of an HTTP hook arrives, as far as can be seen.
fn reaches(
    subject: &Subject<'_>,
    unit: &Unit<'_>,
    port: &IntOrString,
    found: &mut Findings,
) -> bool {
    let name = &unit.container.name;
    let origin = &subject.workload.origin;
    let field = "lifecycle.preStop.httpGet.port";
    let Some(number) = unit.number(port) else {
        // Reported with the probes, which name ports in the same way.
        return false;
    };
    let known = match unit.listens(number) {
        Some(listens) => listens,
        // Ports need not be declared; who declares some is taken to declare all. A mesh's agent
        // listens on ports that nobody declares.
        None => {
            unit.ports().is_empty()
                || subject.declares(&IntOrString::Int(number))
                || subject.units.iter().any(Unit::is_proxy)
        }
    };
    if !known {
        let ports: Vec<_> =
            unit.ports().iter().map(|port| port.container_port.to_string()).collect();
        let message = format!(
            "the preStop hook of container {name} calls port {number}, and the container has {}: \
             the call fails, and SIGTERM follows without the delay that the hook is for",
            if ports.is_empty() { "none".to_owned() } else { ports.join(", ") }
        );
        let right = unit.ports().first().map_or(number, |port| port.container_port);
        let fix =
            format!("preStop:\n  httpGet:\n    port: {right}  # or declare {number} under ports");
        found.unit(Rule::HookPortNotExposed, origin, unit, field, message, fix);
    }
    known
}

/// Whether our server would answer: elsewhere, nobody knows.
fn answers(
    subject: &Subject<'_>,
    unit: &Unit<'_>,
    path: &str,
    port: &IntOrString,
    headers: &[String],
    found: &mut Findings,
) {
    let Some(server) = unit.server.termination() else { return };
    let own = &server.hook;
    let on_app = unit.number(port) == Some(i32::from(server.port));
    let why = if path != own.path {
        (format!("the path {path} is not its hook"), format!("path: {}", own.path))
    } else if on_app && !own.on_app_port {
        let port = server.admin_port.map_or_else(|| "9000".to_owned(), |port| port.to_string());
        ("the hook is confined to the admin listener".to_owned(), format!("port: {port}"))
    } else if let Some(token) = own.token_header
        && !headers.iter().any(|header| header.eq_ignore_ascii_case(token))
    {
        let fix = "httpHeaders:\n  - name: X-Prestop-Token\n    value: …  # that of WEBSAMPLE_HOOK__TOKEN";
        ("hook.token is set, and the call does not carry it".to_owned(), fix.to_owned())
    } else {
        return;
    };
    let message = format!(
        "container {} does not answer its preStop hook: {}. The status is never checked, so only \
         SIGTERM starts the drain, and the hook holds nothing back",
        unit.container.name, why.0
    );
    found.unit(Rule::HookRefused, &subject.workload.origin, unit, FIELD, message, why.1);
}
