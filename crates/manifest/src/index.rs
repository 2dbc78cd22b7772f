//! Who may select whom, found without asking everybody about everybody.
//!
//! A selector of equalities can only select what has each of its labels, so an object is filed under
//! the one of its labels that fewest others have. What is found is a candidate, and still asked.

use std::collections::HashMap;

use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim};

use super::{
    objects::{Autoscaler, Object, Objects, Origin, Workload},
    select::{self, Labels},
};

/// Positions of objects, in the order in which they were read.
type Places = Vec<usize>;

/// The objects of one kind, by a label of their selectors.
#[derive(Debug, Default)]
struct BySelector<'a> {
    by_label: HashMap<(&'a str, &'a str), Places>,
    /// Those without an equality, which may select anything.
    others: Places,
}

impl<'a> BySelector<'a> {
    fn new(selectors: impl Iterator<Item = Option<&'a Labels>> + Clone) -> Self {
        let mut times: HashMap<(&str, &str), usize> = HashMap::new();
        for (key, value) in selectors.clone().flatten().flatten() {
            *times.entry((key, value)).or_default() += 1;
        }
        let mut index = Self::default();
        for (place, selector) in selectors.enumerate() {
            let pairs = selector.into_iter().flatten();
            let pairs = pairs.map(|(key, value)| (key.as_str(), value.as_str()));
            match pairs.min_by_key(|pair| times.get(pair).copied().unwrap_or(0)) {
                Some(pair) => index.by_label.entry(pair).or_default().push(place),
                None => index.others.push(place),
            }
        }
        index
    }

    fn candidates(&self, labels: Option<&Labels>) -> Places {
        let mut places = self.others.clone();
        for (key, value) in labels.into_iter().flatten() {
            places.extend(self.by_label.get(&(key.as_str(), value.as_str())).into_iter().flatten());
        }
        places.sort_unstable();
        places
    }
}

/// Objects by name: of several with one name, the first that shares the namespace counts.
#[derive(Debug)]
struct ByName<'a, T>(HashMap<&'a str, Vec<&'a Object<T>>>);

impl<'a, T> ByName<'a, T> {
    fn new(objects: &'a [Object<T>], name: impl Fn(&'a Object<T>) -> &'a str) -> Self {
        let mut by_name: HashMap<_, Vec<_>> = HashMap::new();
        for object in objects {
            by_name.entry(name(object)).or_default().push(object);
        }
        Self(by_name)
    }

    fn all(&self, name: &str, beside: &Origin) -> impl Iterator<Item = &'a Object<T>> {
        let found = self.0.get(name).into_iter().flatten().copied();
        found.filter(move |object| beside.shares_namespace(&object.origin))
    }
}

/// Everything that was read, by who may be meant.
#[derive(Debug)]
pub(super) struct Index<'a> {
    services: BySelector<'a>,
    budgets: BySelector<'a>,
    /// The origins of the Ingresses that send to a Service of this name.
    ingresses: HashMap<&'a str, Vec<&'a Origin>>,
    autoscalers: ByName<'a, Autoscaler>,
    claims: ByName<'a, PersistentVolumeClaim>,
    config_maps: ByName<'a, ConfigMap>,
}

impl<'a> Index<'a> {
    pub(super) fn new(objects: &'a Objects) -> Self {
        let mut ingresses: HashMap<_, Vec<_>> = HashMap::new();
        for ingress in &objects.ingresses {
            for backend in select::backends(&ingress.object) {
                ingresses.entry(backend).or_default().push(&ingress.origin);
            }
        }
        Self {
            services: BySelector::new(
                objects.services.iter().map(|service| select::selector(&service.object)),
            ),
            budgets: BySelector::new(objects.budgets.iter().map(|budget| {
                let selector = budget.object.spec.as_ref()?.selector.as_ref()?;
                selector.match_labels.as_ref()
            })),
            ingresses,
            autoscalers: ByName::new(&objects.autoscalers, |scaler| &scaler.object.name),
            claims: ByName::new(&objects.claims, |claim| &claim.origin.name),
            config_maps: ByName::new(&objects.config_maps, |map| &map.origin.name),
        }
    }

    /// Services that may send to pods with these labels, by their places.
    pub(super) fn services(&self, labels: Option<&Labels>) -> Vec<usize> {
        self.services.candidates(labels)
    }

    /// Budgets that may select pods with these labels, by their places.
    pub(super) fn budgets(&self, labels: Option<&Labels>) -> Vec<usize> {
        self.budgets.candidates(labels)
    }

    /// Whether an Ingress beside this workload sends to a Service of this name.
    pub(super) fn has_ingress(&self, service: &str, beside: &Origin) -> bool {
        let ingresses = self.ingresses.get(service).into_iter().flatten();
        ingresses.into_iter().any(|origin| beside.shares_namespace(origin))
    }

    /// The autoscaler of a workload.
    pub(super) fn autoscaler(&self, workload: &Workload) -> Option<&'a Object<Autoscaler>> {
        let mut named = self.autoscalers.all(&workload.origin.name, &workload.origin);
        named.find(|scaler| scaler.object.kind == workload.origin.kind)
    }

    /// The claim of this name beside a workload.
    pub(super) fn claim(
        &self,
        name: &str,
        beside: &Origin,
    ) -> Option<&'a Object<PersistentVolumeClaim>> {
        self.claims.all(name, beside).next()
    }

    /// The ConfigMap of this name beside a workload.
    pub(super) fn config_map(&self, name: &str, beside: &Origin) -> Option<&'a Object<ConfigMap>> {
        self.config_maps.all(name, beside).next()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn candidates_are_all_that_could_select_and_few_that_do_not() {
        let shared = ("part", "shop");
        let selectors: Vec<BTreeMap<String, String>> = (0..100)
            .map(|n| labels(&[shared, ("app", format!("web-{n}").as_str())]))
            .chain([labels(&[shared]), labels(&[])])
            .collect();
        let index = BySelector::new(selectors.iter().map(Some));
        let pod = labels(&[shared, ("app", "web-7"), ("other", "x")]);
        assert_eq!(index.candidates(Some(&pod)), [7, 100, 101]);
        assert_eq!(index.candidates(None), [101]);
    }
}
