//! The pods keep to the strictest of the Pod Security Standards, `restricted`, and more.

use crate::{
    in_repository,
    objects::{container, deployment, pods},
    read,
    rendered::file,
};

#[test]
fn pods_can_do_nothing_but_serve() {
    let objects = file("base/deployment.yaml");
    let pod = pods(deployment(&objects)).spec.as_ref().unwrap();
    let context = pod.security_context.as_ref().expect("a security context");
    assert_eq!(context.run_as_non_root, Some(true));
    assert_eq!(context.seccomp_profile.as_ref().unwrap().type_, "RuntimeDefault");
    assert_eq!((pod.host_network, pod.host_pid, pod.host_ipc), (None, None, None));
    assert_eq!(pod.volumes, None);
    assert_eq!(pod.enable_service_links, Some(false));

    let container = container(deployment(&objects));
    let context = container.security_context.as_ref().expect("a security context");
    assert_eq!(context.allow_privilege_escalation, Some(false));
    assert_eq!(context.read_only_root_filesystem, Some(true));
    assert_eq!(context.privileged, None);
    let capabilities = context.capabilities.as_ref().unwrap();
    assert_eq!(capabilities.drop.as_deref().unwrap(), ["ALL"]);
    assert_eq!(capabilities.add, None);
    assert!(container.ports.iter().flatten().all(|port| port.host_port.is_none()));
}

#[test]
fn pods_say_what_they_need() {
    let objects = file("base/deployment.yaml");
    let resources = container(deployment(&objects)).resources.as_ref().expect("resources");
    let requests = resources.requests.as_ref().expect("requests");
    let limits = resources.limits.as_ref().expect("limits");
    assert!(requests.contains_key("cpu") && requests.contains_key("memory"));
    assert!(limits.contains_key("memory"));
    assert!(!limits.contains_key("cpu"), "throttled, it would miss its deadline");
}

#[test]
fn the_user_is_the_images() {
    let objects = file("base/deployment.yaml");
    let pod = pods(deployment(&objects)).spec.as_ref().unwrap();
    let context = pod.security_context.as_ref().unwrap();
    let (user, group) = (context.run_as_user.unwrap(), context.run_as_group.unwrap());
    assert!(user > 0);
    let dockerfile = read(&in_repository("deploy/Dockerfile"));
    assert!(dockerfile.contains(&format!("\nUSER {user}:{group}\n")));
}
