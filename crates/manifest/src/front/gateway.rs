//! Who carries out a route of the Gateway API: the class of the Gateway that it is attached to.

use super::{
    super::{
        objects::{Object, Objects},
        routes::Route,
    },
    Sender,
};

/// Who carries it out; `None` where it is attached to no Gateway.
pub(super) fn sender(route: &Object<Route>, objects: &Objects) -> Option<Sender> {
    let parent = route.object.parents.first()?;
    let namespace = parent.namespace.as_deref().or(route.origin.namespace.as_deref());
    let gateway = objects.gateways.iter().find(|gateway| {
        let own = gateway.origin.namespace.as_deref();
        gateway.origin.name == parent.name
            && (own.is_none() || namespace.is_none() || own == namespace)
    });
    let Some(gateway) = gateway else { return Some(Sender::Gateway) };
    let class = gateway.object.as_str();
    let read = objects.gateway_classes.iter().find(|(name, _)| name == class);
    let sender = read.and_then(|(_, controller)| by_controller(controller));
    Some(sender.or_else(|| by_class(class)).unwrap_or(Sender::Gateway))
}

/// The `spec.controllerName` of a GatewayClass, as the makers of each have it
/// (gateway-api.sigs.k8s.io/implementations).
fn by_controller(controller: &str) -> Option<Sender> {
    Some(match controller {
        "gateway.k8s.aws/alb" => Sender::AlbToPods,
        "gateway.k8s.aws/nlb" => Sender::NlbToPods,
        "networking.gke.io/gateway" => Sender::GoogleToPods,
        "istio.io/gateway-controller" | "istio.io/unmanaged-gateway" => Sender::Istio,
        "traefik.io/gateway-controller" => Sender::Traefik,
        "projectcontour.io/gateway-controller" => Sender::Contour,
        "konghq.com/kic-gateway-controller" => Sender::Kong,
        "openshift.io/gateway-controller/v1" => Sender::Istio,
        _ => return None,
    })
}

/// Classes that have no other meaning.
fn by_class(class: &str) -> Option<Sender> {
    Some(match class {
        "istio" => Sender::Istio,
        "traefik" => Sender::Traefik,
        "contour" => Sender::Contour,
        "kong" => Sender::Kong,
        "openshift-default" => Sender::Istio,
        _ if class.starts_with("gke-l7-") => Sender::GoogleToPods,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_and_controllers() {
        assert_eq!(by_class("gke-l7-global-external-managed"), Some(Sender::GoogleToPods));
        assert_eq!(by_class("edge"), None);
        assert_eq!(by_controller("gateway.k8s.aws/alb"), Some(Sender::AlbToPods));
    }
}
