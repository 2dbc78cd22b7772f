//! Who carries out an Ingress: its class says it, or the annotations that only one understands.

use k8s_openapi::api::core::v1::Service;

use super::{
    super::{
        objects::{Object, Objects, Origin},
        routes::Route,
    },
    Sender,
};

/// Who carries it out, of those that a class or a controller may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Controller {
    /// AWS'; whether it sends to pods is said by annotations. EKS' own does so unless told otherwise.
    Alb {
        to_pods: bool,
    },
    Google,
    Other(Sender),
}

pub(super) fn sender(
    route: &Object<Route>,
    service: &Object<Service>,
    objects: &Objects,
) -> Sender {
    let origin = &route.origin;
    match controller(route, objects) {
        Some(Controller::Alb { to_pods }) => {
            let name = "alb.ingress.kubernetes.io/target-type";
            let said = service.origin.annotation(name).or_else(|| origin.annotation(name));
            if said.map_or(to_pods, |said| said == "ip") {
                Sender::AlbToPods
            } else {
                Sender::Nodes
            }
        }
        Some(Controller::Google) => {
            // Without the annotation a cluster that is native to its network has groups of pods all the
            // same, for Services that have no port of the nodes.
            let groups = service.origin.annotation("cloud.google.com/neg");
            let spec = service.object.spec.as_ref();
            let of_nodes = spec.is_some_and(|spec| spec.type_.as_deref() == Some("NodePort"));
            if groups.map_or(!of_nodes, |groups| groups.contains("true")) {
                Sender::GoogleToPods
            } else {
                Sender::Nodes
            }
        }
        Some(Controller::Other(sender)) => sender,
        None => Sender::Ingress,
    }
}

fn controller(route: &Object<Route>, objects: &Objects) -> Option<Controller> {
    let origin = &route.origin;
    let class = route.object.class.as_deref();
    let class = class.or_else(|| origin.annotation("kubernetes.io/ingress.class"));
    let Some(class) = class else {
        let default = objects.ingress_classes.iter().find(|class| class.is_default);
        let default = default.and_then(|class| by_controller(&class.controller));
        return default.or_else(|| by_annotations(origin));
    };
    let read = objects.ingress_classes.iter().find(|read| read.name == class);
    read.and_then(|read| by_controller(&read.controller))
        .or_else(|| by_class(class))
        .or_else(|| by_annotations(origin))
}

/// The `spec.controller` of an IngressClass, as the makers of each have it.
fn by_controller(controller: &str) -> Option<Controller> {
    Some(match controller {
        "ingress.k8s.aws/alb" => Controller::Alb { to_pods: false },
        "eks.amazonaws.com/alb" => Controller::Alb { to_pods: true },
        "k8s.io/ingress-nginx" => Controller::Other(Sender::IngressNginx),
        "traefik.io/ingress-controller" => Controller::Other(Sender::Traefik),
        "azure/application-gateway" => Controller::Other(Sender::AzureGateway),
        "ingress-controllers.konghq.com/kong" => Controller::Other(Sender::Kong),
        "haproxy-ingress.github.io/controller" => Controller::Other(Sender::HaproxyIngress),
        "istio.io/ingress-controller" => Controller::Other(Sender::Istio),
        "openshift.io/ingress-to-route" => Controller::Other(Sender::OpenShiftRouter),
        _ if controller.starts_with("haproxy.org/ingress-controller") => {
            Controller::Other(Sender::HaproxyTechnologies)
        }
        _ if controller.starts_with("projectcontour.io/") => Controller::Other(Sender::Contour),
        _ => return None,
    })
}

/// Classes that have no other meaning.
fn by_class(class: &str) -> Option<Controller> {
    Some(match class {
        "alb" => Controller::Alb { to_pods: false },
        "gce" | "gce-internal" => Controller::Google,
        "azure-application-gateway" | "azure/application-gateway" => {
            Controller::Other(Sender::AzureGateway)
        }
        "traefik" => Controller::Other(Sender::Traefik),
        "kong" => Controller::Other(Sender::Kong),
        "contour" => Controller::Other(Sender::Contour),
        "istio" => Controller::Other(Sender::Istio),
        "openshift-default" => Controller::Other(Sender::OpenShiftRouter),
        // Two products call themselves so; the slower counts.
        "haproxy" => Controller::Other(Sender::HaproxyTechnologies),
        _ if class == "nginx" || class.starts_with("nginx-") || class.ends_with("-nginx") => {
            Controller::Other(Sender::IngressNginx)
        }
        _ => return None,
    })
}

/// Annotations that one of them alone understands.
fn by_annotations(origin: &Origin) -> Option<Controller> {
    const PREFIXES: [(&str, Controller); 10] = [
        ("alb.ingress.kubernetes.io/", Controller::Alb { to_pods: false }),
        ("nginx.ingress.kubernetes.io/", Controller::Other(Sender::IngressNginx)),
        ("traefik.ingress.kubernetes.io/", Controller::Other(Sender::Traefik)),
        ("appgw.ingress.kubernetes.io/", Controller::Other(Sender::AzureGateway)),
        ("haproxy.org/", Controller::Other(Sender::HaproxyTechnologies)),
        ("haproxy-ingress.github.io/", Controller::Other(Sender::HaproxyIngress)),
        ("konghq.com/", Controller::Other(Sender::Kong)),
        ("projectcontour.io/", Controller::Other(Sender::Contour)),
        ("networking.gke.io/", Controller::Google),
        ("kubernetes.io/ingress.global-static-ip-name", Controller::Google),
    ];
    let annotations = origin.node.get("metadata")?.get("annotations")?;
    PREFIXES.iter().find_map(|(prefix, controller)| {
        annotations.keys().any(|key| key.starts_with(prefix)).then_some(*controller)
    })
}
