//! Who selects whom.

use std::collections::BTreeMap;

use k8s_openapi::{api::core::v1::Service, apimachinery::pkg::apis::meta::v1::LabelSelector};

pub(super) type Labels = BTreeMap<String, String>;

/// Whether a selector selects what has these labels. An empty one selects everything.
pub fn labels(selector: &LabelSelector, labels: Option<&BTreeMap<String, String>>) -> bool {
    let value = |key: &str| labels.and_then(|labels| labels.get(key));
    let equal =
        selector.match_labels.iter().flatten().all(|(key, wanted)| value(key) == Some(wanted));
    let express = selector.match_expressions.iter().flatten().all(|expression| {
        let value = value(&expression.key);
        let listed = || {
            let values = expression.values.as_deref().unwrap_or_default();
            value.is_some_and(|value| values.contains(value))
        };
        match expression.operator.as_str() {
            "In" => listed(),
            "NotIn" => !listed(),
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            _ => false,
        }
    });
    equal && express
}

/// Whether a selector says nothing at all.
pub(super) fn is_empty(selector: &LabelSelector) -> bool {
    let labels = selector.match_labels.as_ref().is_none_or(BTreeMap::is_empty);
    labels && selector.match_expressions.as_ref().is_none_or(Vec::is_empty)
}

/// Whether a Service sends to pods with these labels. Without a selector it sends to nobody that
/// could be seen here.
pub(super) fn service(service: &Service, labels: Option<&Labels>) -> bool {
    let Some(selector) = selector(service) else { return false };
    selector.iter().all(|(key, wanted)| labels.and_then(|labels| labels.get(key)) == Some(wanted))
}

/// A Service's selector, if it has one and uses it.
pub(super) fn selector(service: &Service) -> Option<&Labels> {
    let spec = service.spec.as_ref()?;
    let external = spec.type_.as_deref() == Some("ExternalName");
    spec.selector.as_ref().filter(|selector| !selector.is_empty() && !external)
}

#[cfg(test)]
mod tests {
    use super::{super::node::Node, *};

    fn read<T: serde::de::DeserializeOwned>(text: &str) -> T {
        serde_json::from_value(Node::parse(text).unwrap().to_value()).unwrap()
    }

    #[test]
    fn selectors_select() {
        let pod: Labels = read("{ app: web, tier: front }");
        let table = [
            ("{}", true),
            ("{ matchLabels: { app: web } }", true),
            ("{ matchLabels: { app: web, tier: back } }", false),
            ("{ matchLabels: { other: x } }", false),
            ("{ matchExpressions: [{ key: app, operator: In, values: [web, api] }] }", true),
            ("{ matchExpressions: [{ key: app, operator: NotIn, values: [web] }] }", false),
            ("{ matchExpressions: [{ key: other, operator: NotIn, values: [x] }] }", true),
            ("{ matchExpressions: [{ key: app, operator: Exists }] }", true),
            ("{ matchExpressions: [{ key: app, operator: DoesNotExist }] }", false),
        ];
        for (selector, expected) in table {
            assert_eq!(labels(&read(selector), Some(&pod)), expected, "{selector}");
        }
        assert!(!labels(&read("{ matchLabels: { app: web } }"), None));
    }

    #[test]
    fn services_send() {
        let pod: Labels = read("{ app: web, tier: front }");
        let table = [
            ("{ selector: { app: web } }", true),
            ("{ selector: { app: api } }", false),
            ("{ selector: {} }", false),
            ("{}", false),
            ("{ type: ExternalName, selector: { app: web } }", false),
        ];
        for (spec, expected) in table {
            let sends = service(
                &read(&format!("{{ apiVersion: v1, kind: Service, spec: {spec} }}")),
                Some(&pod),
            );
            assert_eq!(sends, expected, "{spec}");
        }
    }
}
