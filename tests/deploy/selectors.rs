//! Who selects whom: every selector finds its pods, and nobody else's.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::Service,
        networking::v1::{IngressBackend, NetworkPolicyIngressRule},
    },
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};

use crate::{
    objects::{Object, all, container, deployment, pods},
    rendered::{file, modes, render},
};

type Labels = BTreeMap<String, String>;

/// Whether a selector of labels alone finds pods with these.
fn finds(selector: &Labels, labels: &Labels) -> bool {
    assert!(!selector.is_empty(), "an empty selector finds everything");
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

fn plain(selector: &LabelSelector) -> &Labels {
    assert_eq!(selector.match_expressions, None);
    selector.match_labels.as_ref().expect("labels")
}

fn pod_labels(deployment: &Deployment) -> &Labels {
    pods(deployment).metadata.as_ref().and_then(|m| m.labels.as_ref()).expect("labels")
}

/// Every selector that is meant for the pods of a Deployment.
fn selectors(objects: &[Object]) -> Vec<(String, Labels)> {
    let mut found = Vec::new();
    for object in objects {
        let name = object.name();
        let mut add = |kind: &str, selector: &Labels| {
            found.push((format!("{kind} {name}"), selector.clone()));
        };
        match object {
            Object::Deployment(deployment) => {
                let spec = &deployment.spec;
                add("Deployment", plain(&spec.selector));
                let pod = spec.template.spec.as_ref().unwrap();
                for spread in pod.topology_spread_constraints.iter().flatten() {
                    add("spread of", plain(spread.label_selector.as_ref().unwrap()));
                }
            }
            Object::Service(service) => {
                add("Service", service.spec.as_ref().and_then(|s| s.selector.as_ref()).unwrap());
            }
            Object::PodDisruptionBudget(budget) => {
                let selector = budget.spec.as_ref().and_then(|s| s.selector.as_ref());
                add("PodDisruptionBudget", plain(selector.unwrap()));
            }
            Object::NetworkPolicy(policy) => {
                let spec = policy.spec.as_ref().unwrap();
                add("NetworkPolicy", plain(spec.pod_selector.as_ref().unwrap()));
            }
            Object::PodMonitor(monitor) => add("PodMonitor", plain(&monitor.spec.selector)),
            _ => {}
        }
    }
    found
}

#[test]
fn a_modes_selectors_find_its_own_pods_and_no_others() {
    let Some(rendered) = modes()
        .map(|(mode, directory)| Some((mode, render(&directory)?)))
        .collect::<Option<Vec<_>>>()
    else {
        return;
    };
    for (mode, objects) in &rendered {
        let selectors = selectors(objects);
        assert_eq!(selectors.len(), 6, "Deployment, two spreads, Service, budget, policy");
        for (other, others) in &rendered {
            let labels = pod_labels(deployment(others));
            for (what, selector) in &selectors {
                assert_eq!(
                    finds(selector, labels),
                    mode == other,
                    "{what} and the pods of {other}"
                );
            }
        }
    }
}

#[test]
fn the_originals_selectors_find_its_pods() {
    let Some(objects) = render("original") else { return };
    let labels = pod_labels(deployment(&objects));
    let selectors = selectors(&objects);
    assert_eq!(selectors.len(), 2);
    for (what, selector) in selectors {
        assert!(finds(&selector, labels), "{what}");
    }
}

/// The names and numbers of a Service's ports, each checked to lead to a port of the container.
fn ports(service: &Service, deployment: &Deployment) -> Vec<(String, i32)> {
    let exposed = container(deployment).ports.clone().unwrap_or_default();
    let ports = service.spec.as_ref().and_then(|s| s.ports.clone()).expect("ports");
    ports
        .into_iter()
        .map(|port| {
            let target = port.target_port.expect("a target");
            let known = exposed.iter().any(|exposed| match &target {
                IntOrString::Int(number) => exposed.container_port == *number,
                IntOrString::String(name) => exposed.name.as_ref() == Some(name),
            });
            assert!(known, "the container does not expose {target:?}");
            (port.name.expect("a name"), port.port)
        })
        .collect()
}

fn backend(backend: &IngressBackend) -> (String, String) {
    let service = backend.service.as_ref().expect("a Service");
    let port = service.port.as_ref().and_then(|port| port.name.clone()).expect("a named port");
    (service.name.clone(), port)
}

#[test]
fn services_lead_to_the_application_and_to_nothing_else() {
    for directory in ["base", "original"] {
        let Some(objects) = render(directory) else { return };
        let service = all!(objects, Service).next().expect("a Service");
        assert_eq!(ports(service, deployment(&objects)), [("http".to_owned(), 80)], "{directory}");
    }
}

#[test]
fn ingress_and_route_lead_to_the_service() {
    let (Some(base), Some(original)) = (render("base"), render("original")) else { return };
    let ingress = render("ingress").expect("kubectl is there");
    for (service, objects) in [(&base, &ingress), (&original, &original)] {
        let service = all!(service, Service).next().unwrap();
        let name = service.metadata.name.clone().unwrap();
        let ingress = all!(objects, Ingress).next().expect("an Ingress");
        let rules = ingress.spec.as_ref().and_then(|s| s.rules.clone()).expect("rules");
        let backends: Vec<_> = rules
            .iter()
            .flat_map(|rule| &rule.http.as_ref().expect("http").paths)
            .map(|path| (path.path.as_deref(), path.path_type.as_str(), backend(&path.backend)))
            .collect();
        assert_eq!(backends, [(Some("/"), "Prefix", (name, "http".to_owned()))]);
    }

    let gateway = render("gateway").expect("kubectl is there");
    let route = all!(gateway, HttpRoute).next().expect("a route");
    let service = all!(base, Service).next().unwrap();
    let [rule] = route.spec.rules.as_slice() else { panic!("one rule") };
    let [to] = rule.backend_refs.as_slice() else { panic!("one backend") };
    assert_eq!(to.kind, "Service");
    assert_eq!(Some(&to.name), service.metadata.name.as_ref());
    assert!(ports(service, deployment(&base)).iter().any(|(_, port)| *port == to.port));
    assert_eq!(rule.matches[0].path["type"], "PathPrefix");
    assert_eq!(rule.matches[0].path["value"], "/");
    assert!(route.spec.parent_refs.iter().all(|parent| parent["kind"] == "Gateway"));
}

fn allowed_ports(rule: &NetworkPolicyIngressRule) -> Vec<&str> {
    rule.ports
        .iter()
        .flatten()
        .map(|port| match &port.port {
            Some(IntOrString::String(name)) => name.as_str(),
            other => panic!("a named port, not {other:?}"),
        })
        .collect()
}

/// The world reaches the application; hook, probes and metrics are for the scraper, and for the
/// node, which no policy can shut out.
#[test]
fn the_world_reaches_the_application_and_only_the_scraper_the_rest() {
    let mut policies = vec![file("base/networkpolicy.yaml")];
    for (_, directory) in modes() {
        let Some(objects) = render(&directory) else { return };
        policies.push(objects);
    }
    for objects in policies {
        let policy = all!(objects, NetworkPolicy).next().expect("a policy").spec.as_ref().unwrap();
        assert_eq!(policy.policy_types.as_deref().unwrap(), ["Ingress", "Egress"]);
        assert_eq!(policy.egress.as_deref(), Some(&[][..]));
        let [world, scraper] = policy.ingress.as_deref().unwrap() else { panic!("two rules") };
        assert_eq!((allowed_ports(world), &world.from), (vec!["http"], &None));
        assert_eq!(allowed_ports(scraper), ["admin"]);
        let [peer] = scraper.from.as_deref().unwrap() else { panic!("one peer") };
        let namespace = plain(peer.namespace_selector.as_ref().unwrap());
        assert_eq!(namespace["kubernetes.io/metadata.name"], "monitoring");
        let pods = peer.pod_selector.as_ref().unwrap();
        assert_eq!(pods.match_labels, None, "a mode's label got into the scraper's selector");
        let [name] = pods.match_expressions.as_deref().unwrap() else { panic!("one expression") };
        assert_eq!((name.key.as_str(), name.operator.as_str()), ("app.kubernetes.io/name", "In"));
        assert_eq!(name.values.as_deref().unwrap(), ["prometheus"]);
    }
}

#[test]
fn pods_have_the_service_account_that_is_there_and_no_token() {
    let Some(objects) = render("modes/drain") else { return };
    let account = all!(objects, ServiceAccount).next().expect("an account");
    let pod = pods(deployment(&objects)).spec.as_ref().unwrap();
    assert_eq!(pod.service_account_name, account.metadata.name);
    assert_eq!(account.automount_service_account_token, Some(false));
    assert_eq!(pod.automount_service_account_token, Some(false));
}
