//! What sends requests to Services from outside: Ingresses, and the routes of the Gateway API and of
//! OpenShift.

use k8s_openapi::{
    api::networking::v1::{Ingress, IngressBackend},
    apimachinery::pkg::util::intstr::IntOrString,
};
use serde::Deserialize;

/// Where requests go by one of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) backends: Vec<Backend>,
    /// The class of an Ingress, as its field says.
    pub(super) class: Option<String>,
    /// The Gateways that a route is attached to.
    pub(super) parents: Vec<Parent>,
}

/// A Service that is sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Backend {
    /// Where it stands in the object.
    pub(super) path: String,
    /// The namespace that is named, where it can be another.
    pub(super) namespace: Option<String>,
    pub(super) service: String,
    /// The Service's port, by number or name; `None` where none is to be judged.
    pub(super) port: Option<IntOrString>,
}

/// A Gateway that is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parent {
    pub(super) namespace: Option<String>,
    pub(super) name: String,
}

impl Route {
    pub(super) fn of_ingress(ingress: &Ingress) -> Self {
        let Some(spec) = &ingress.spec else { return Self::default() };
        let default = spec
            .default_backend
            .iter()
            .filter_map(|backend| of_backend("spec.defaultBackend".to_owned(), backend));
        let rules = spec.rules.iter().flatten().enumerate().flat_map(|(rule, value)| {
            let paths = value.http.iter().flat_map(|http| &http.paths).enumerate();
            paths.filter_map(move |(index, path)| {
                let at = format!("spec.rules[{rule}].http.paths[{index}].backend");
                of_backend(at, &path.backend)
            })
        });
        Self {
            backends: default.chain(rules).collect(),
            class: spec.ingress_class_name.clone(),
            parents: Vec::new(),
        }
    }

    pub(super) fn of_gateway(spec: GatewayRoute) -> Self {
        let rules = spec.rules.into_iter().enumerate();
        let backends = rules.flat_map(|(rule, value)| {
            let refs = value.backend_refs.into_iter().enumerate();
            // Without a weight it is 1; with 0 nothing is sent there.
            let refs = refs.filter(|(_, to)| to.is_service() && to.weight != Some(0));
            refs.map(move |(index, to)| Backend {
                path: format!("spec.rules[{rule}].backendRefs[{index}]"),
                namespace: to.namespace,
                service: to.name,
                port: to.port.map(IntOrString::Int),
            })
        });
        let gateways = spec.parent_refs.into_iter();
        // A mesh's routes are attached to Services.
        let gateways =
            gateways.filter(|parent| parent.kind.as_deref().is_none_or(|kind| kind == "Gateway"));
        let parents =
            gateways.map(|parent| Parent { namespace: parent.namespace, name: parent.name });
        Self { backends: backends.collect(), class: None, parents: parents.collect() }
    }

    pub(super) fn of_openshift(spec: OpenShiftRoute) -> Self {
        let others = spec.alternate_backends.into_iter().enumerate();
        let others = others.map(|(index, to)| (format!("spec.alternateBackends[{index}]"), to));
        let all = [("spec.to".to_owned(), spec.to)].into_iter().chain(others);
        let backends = all
            .filter(|(_, to)| to.is_service() && to.weight != Some(0) && !to.name.is_empty())
            // Its port is one of the pods, and may be left out.
            .map(|(path, to)| Backend { path, namespace: None, service: to.name, port: None });
        Self { backends: backends.collect(), class: None, parents: Vec::new() }
    }
}

fn of_backend(path: String, backend: &IngressBackend) -> Option<Backend> {
    let service = backend.service.as_ref()?;
    let port = service.port.as_ref().and_then(|port| {
        let number = port.number.map(IntOrString::Int);
        number.or_else(|| port.name.clone().map(IntOrString::String))
    });
    // The ALB controller's actions stand where a Service would, and are none.
    let is_action = port == Some(IntOrString::String("use-annotation".to_owned()));
    (!is_action).then(|| Backend { path, namespace: None, service: service.name.clone(), port })
}

/// What is read of an HTTPRoute, GRPCRoute, TCPRoute, TLSRoute or UDPRoute (gateway.networking.k8s.io).
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct GatewayRoute {
    parent_refs: Vec<Reference>,
    rules: Vec<RouteRule>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RouteRule {
    backend_refs: Vec<Reference>,
}

/// What is read of a Route (route.openshift.io/v1).
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct OpenShiftRoute {
    to: Reference,
    alternate_backends: Vec<Reference>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Reference {
    group: Option<String>,
    kind: Option<String>,
    namespace: Option<String>,
    name: String,
    port: Option<i32>,
    weight: Option<i64>,
}

impl Reference {
    fn is_service(&self) -> bool {
        self.group.as_deref().is_none_or(str::is_empty)
            && self.kind.as_deref().is_none_or(|kind| kind == "Service")
    }
}

#[cfg(test)]
mod tests {
    use super::{super::node::Node, *};

    fn read<T: serde::de::DeserializeOwned>(text: &str) -> T {
        serde_json::from_value(Node::parse(text).unwrap().to_value()).unwrap()
    }

    fn services(route: &Route) -> Vec<(&str, Option<IntOrString>)> {
        route.backends.iter().map(|to| (to.service.as_str(), to.port.clone())).collect()
    }

    #[test]
    fn an_ingress_names_services_by_number_and_name() {
        let ingress: Ingress = read(
            "{ apiVersion: networking.k8s.io/v1, kind: Ingress, spec: { ingressClassName: alb, \
             defaultBackend: { service: { name: d, port: { number: 80 } } }, rules: [{ http: { \
             paths: [{ pathType: Prefix, backend: { service: { name: a, port: { name: http } } } }, \
             { pathType: Prefix, backend: { service: { name: redirect, port: { name: \
             use-annotation } } } }] } }, { host: x }] } }",
        );
        let route = Route::of_ingress(&ingress);
        let http = IntOrString::String("http".to_owned());
        assert_eq!(services(&route), [("d", Some(IntOrString::Int(80))), ("a", Some(http))]);
        assert_eq!(route.backends[1].path, "spec.rules[0].http.paths[0].backend");
        assert_eq!(route.class.as_deref(), Some("alb"));
    }

    #[test]
    fn a_route_sends_to_services_and_not_to_what_gets_nothing() {
        let route = Route::of_gateway(read(
            "{ parentRefs: [{ name: edge, namespace: infra }, { kind: Service, name: mesh }], rules: [{ \
             backendRefs: [{ name: a, port: 80 }, { name: b, port: 80, weight: 0 }, { group: x.io, kind: \
             Bucket, name: c }] }, {}, { backendRefs: [{ name: d, namespace: other, port: 1 }] }] }",
        ));
        let port = |number| Some(IntOrString::Int(number));
        assert_eq!(services(&route), [("a", port(80)), ("d", port(1))]);
        assert_eq!(route.backends[1].namespace.as_deref(), Some("other"));
        let edge = Parent { namespace: Some("infra".to_owned()), name: "edge".to_owned() };
        assert_eq!(route.parents, [edge]);
    }

    #[test]
    fn a_route_of_openshift_has_several_ends() {
        let route = Route::of_openshift(read(
            "{ to: { kind: Service, name: a, weight: 9 }, alternateBackends: [{ kind: Service, name: b, \
             weight: 1 }], port: { targetPort: http } }",
        ));
        assert_eq!(services(&route), [("a", None), ("b", None)]);
    }
}
