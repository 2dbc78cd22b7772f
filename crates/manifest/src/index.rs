//! Who may select whom, found without asking everybody about everybody.
//!
//! A selector of equalities can only select what has each of its labels, so an object is filed under
//! the one of its labels that fewest others have. What is found is a candidate, and still asked.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
};

use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Service};

use super::{
    objects::{Autoscaler, Object, Objects, Origin, Workload},
    routes::Route,
    select::{self, Labels},
};

/// Positions of objects, in the order in which they were read.
type Places = Vec<usize>;

/// Things by a key and the namespace that they can be in: in a cluster with a namespace a tenant all
/// have the same names and labels.
#[derive(Debug)]
pub(super) struct BySpace<'a, K, V> {
    all: HashMap<K, Vec<V>>,
    spaces: HashMap<(K, Option<&'a str>), Vec<V>>,
}

impl<'a, K: Copy + Eq + Hash, V: Copy> BySpace<'a, K, V> {
    pub(super) fn new() -> Self {
        Self { all: HashMap::new(), spaces: HashMap::new() }
    }

    pub(super) fn file(&mut self, key: K, namespace: Option<&'a str>, value: V) {
        self.all.entry(key).or_default().push(value);
        self.spaces.entry((key, namespace)).or_default().push(value);
    }

    /// Those of a key that can be in this namespace, the certain ones first: what names none goes
    /// where it is applied.
    pub(super) fn get(
        &self,
        key: K,
        namespace: Option<&'a str>,
    ) -> impl Iterator<Item = V> + use<'_, 'a, K, V> {
        let (own, others) = match namespace {
            None => (self.all.get(&key), None),
            Some(_) => (self.spaces.get(&(key, namespace)), self.spaces.get(&(key, None))),
        };
        own.into_iter().chain(others).flatten().copied()
    }
}

/// The objects of one kind, by a label of their selectors.
#[derive(Debug)]
struct BySelector<'a> {
    by_label: BySpace<'a, (&'a str, &'a str), usize>,
    /// Those without an equality, which may select anything.
    others: BySpace<'a, (), usize>,
}

impl<'a> BySelector<'a> {
    fn new(selectors: impl Iterator<Item = (&'a Origin, Option<&'a Labels>)> + Clone) -> Self {
        let mut times: HashMap<(&str, &str), usize> = HashMap::new();
        for (key, value) in selectors.clone().filter_map(|(_, selector)| selector).flatten() {
            *times.entry((key, value)).or_default() += 1;
        }
        let mut index = Self { by_label: BySpace::new(), others: BySpace::new() };
        for (place, (origin, selector)) in selectors.enumerate() {
            let pairs = selector.into_iter().flatten();
            let pairs = pairs.map(|(key, value)| (key.as_str(), value.as_str()));
            let namespace = origin.namespace.as_deref();
            match pairs.min_by_key(|pair| times.get(pair).copied().unwrap_or(0)) {
                Some(pair) => index.by_label.file(pair, namespace, place),
                None => index.others.file((), namespace, place),
            }
        }
        index
    }

    fn candidates(&self, labels: Option<&'a Labels>, beside: &'a Origin) -> Places {
        let namespace = beside.namespace.as_deref();
        let mut places: Places = self.others.get((), namespace).collect();
        for (key, value) in labels.into_iter().flatten() {
            places.extend(self.by_label.get((key.as_str(), value.as_str()), namespace));
        }
        places.sort_unstable();
        places
    }
}

/// Objects by name: of several with one name, the first that shares the namespace counts.
#[derive(Debug)]
struct ByName<'a, T>(BySpace<'a, &'a str, &'a Object<T>>);

impl<'a, T> ByName<'a, T> {
    fn new(objects: &'a [Object<T>], name: impl Fn(&'a Object<T>) -> &'a str) -> Self {
        let mut by_name = BySpace::new();
        for object in objects {
            by_name.file(name(object), object.origin.namespace.as_deref(), object);
        }
        Self(by_name)
    }

    fn all(&self, name: &'a str, beside: &'a Origin) -> impl Iterator<Item = &'a Object<T>> {
        self.0.get(name, beside.namespace.as_deref())
    }
}

/// Everything that was read, by who may be meant.
#[derive(Debug)]
pub(super) struct Index<'a> {
    services: BySelector<'a>,
    budgets: BySelector<'a>,
    /// What sends to a Service of this name.
    routes: BySpace<'a, &'a str, &'a Object<Route>>,
    autoscalers: ByName<'a, Autoscaler>,
    services_named: ByName<'a, Service>,
    workloads_named: BySpace<'a, &'a str, &'a Workload>,
    /// Whatever the kind is of what makes pods, by its namespace.
    workloads: BySpace<'a, (), &'a Workload>,
    services_beside: BySpace<'a, (), &'a Object<Service>>,
    claims: ByName<'a, PersistentVolumeClaim>,
    config_maps: ByName<'a, ConfigMap>,
}

impl<'a> Index<'a> {
    pub(super) fn new(objects: &'a Objects) -> Self {
        let mut routes = BySpace::new();
        for route in &objects.routes {
            let mut seen = HashSet::new();
            for backend in &route.object.backends {
                let own = route.origin.namespace.as_deref();
                let namespace = backend.namespace.as_deref().or(own);
                if seen.insert((backend.service.as_str(), namespace)) {
                    routes.file(backend.service.as_str(), namespace, route);
                }
            }
        }
        let mut workloads_named = BySpace::new();
        let mut workloads = BySpace::new();
        for workload in &objects.workloads {
            let namespace = workload.origin.namespace.as_deref();
            workloads_named.file(workload.origin.name.as_str(), namespace, workload);
            workloads.file((), namespace, workload);
        }
        let mut services_beside = BySpace::new();
        for service in &objects.services {
            services_beside.file((), service.origin.namespace.as_deref(), service);
        }
        Self {
            services: BySelector::new(
                objects
                    .services
                    .iter()
                    .map(|service| (&service.origin, select::selector(&service.object))),
            ),
            budgets: BySelector::new(objects.budgets.iter().map(|budget| {
                let spec = budget.object.spec.as_ref();
                let selector = spec.and_then(|spec| spec.selector.as_ref());
                (&budget.origin, selector.and_then(|selector| selector.match_labels.as_ref()))
            })),
            routes,
            services_named: ByName::new(&objects.services, |service| &service.origin.name),
            workloads_named,
            workloads,
            services_beside,
            autoscalers: ByName::new(&objects.autoscalers, |scaler| &scaler.object.name),
            claims: ByName::new(&objects.claims, |claim| &claim.origin.name),
            config_maps: ByName::new(&objects.config_maps, |map| &map.origin.name),
        }
    }

    /// Services that may send to the pods of a workload, by their places.
    pub(super) fn services(&self, workload: &'a Workload) -> Vec<usize> {
        self.services.candidates(workload.labels(), &workload.origin)
    }

    /// Budgets that may select the pods of a workload, by their places.
    pub(super) fn budgets(&self, workload: &'a Workload) -> Vec<usize> {
        self.budgets.candidates(workload.labels(), &workload.origin)
    }

    /// What sends to a Service of this name in this namespace.
    pub(super) fn routes(
        &self,
        service: &'a str,
        namespace: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Object<Route>> {
        self.routes.get(service, namespace)
    }

    /// The Services of this name that can be in this namespace.
    pub(super) fn services_named(
        &self,
        name: &'a str,
        namespace: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Object<Service>> {
        self.services_named.0.get(name, namespace)
    }

    /// All Services that can be in this namespace.
    pub(super) fn services_beside(
        &self,
        namespace: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Object<Service>> {
        self.services_beside.get((), namespace)
    }

    /// The workloads of this name that can be in this namespace.
    pub(super) fn workloads_named(
        &self,
        name: &'a str,
        namespace: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Workload> {
        self.workloads_named.get(name, namespace)
    }

    /// All workloads that can be in this namespace.
    pub(super) fn workloads_beside(
        &self,
        namespace: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Workload> {
        self.workloads.get((), namespace)
    }

    /// Services that may send to pods with these labels, by their places.
    pub(super) fn services_of(&self, labels: &'a Labels, beside: &'a Origin) -> Vec<usize> {
        self.services.candidates(Some(labels), beside)
    }

    /// The autoscaler of a workload.
    pub(super) fn autoscaler(&self, workload: &'a Workload) -> Option<&'a Object<Autoscaler>> {
        let mut named = self.autoscalers.all(&workload.origin.name, &workload.origin);
        named.find(|scaler| scaler.object.kind == workload.origin.kind)
    }

    /// The claim of this name beside a workload.
    pub(super) fn claim(
        &self,
        name: &'a str,
        beside: &'a Origin,
    ) -> Option<&'a Object<PersistentVolumeClaim>> {
        self.claims.all(name, beside).next()
    }

    /// The ConfigMap of this name beside a workload.
    pub(super) fn config_map(
        &self,
        name: &'a str,
        beside: &'a Origin,
    ) -> Option<&'a Object<ConfigMap>> {
        self.config_maps.all(name, beside).next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn origin(namespace: Option<&str>) -> Origin {
        Origin::bare("Service", namespace, "x")
    }

    #[test]
    fn candidates_are_all_that_could_select_and_few_that_do_not() {
        let shared = ("part", "shop");
        let here = origin(None);
        let selectors: Vec<Labels> = (0..100)
            .map(|n| labels(&[shared, ("app", format!("web-{n}").as_str())]))
            .chain([labels(&[shared]), labels(&[])])
            .collect();
        let index = BySelector::new(selectors.iter().map(|selector| (&here, Some(selector))));
        let pod = labels(&[shared, ("app", "web-7"), ("other", "x")]);
        assert_eq!(index.candidates(Some(&pod), &here), [7, 100, 101]);
        assert_eq!(index.candidates(None, &here), [101]);
    }

    #[test]
    fn who_is_in_another_namespace_is_not_asked() {
        let (one, other, none) = (origin(Some("one")), origin(Some("other")), origin(None));
        let selector = labels(&[("app", "web")]);
        let all = [&one, &other, &none].map(|origin| (origin, Some(&selector)));
        let index = BySelector::new(all.into_iter());
        assert_eq!(index.candidates(Some(&selector), &one), [0, 2]);
        assert_eq!(index.candidates(Some(&selector), &none), [0, 1, 2]);
    }

    /// How many are asked, for so many tenants that all have the same.
    fn asked(tenants: usize) -> usize {
        let selector = labels(&[("app", "web"), ("part", "shop")]);
        let origins: Vec<_> =
            (0..tenants).map(|n| origin(Some(format!("tenant-{n}").as_str()))).collect();
        let index = BySelector::new(origins.iter().map(|origin| (origin, Some(&selector))));
        let asked = |origin| index.candidates(Some(&selector), origin).len();
        origins.iter().map(asked).sum()
    }

    #[test]
    fn twice_the_objects_are_twice_the_work() {
        assert_eq!((asked(1_000), asked(2_000)), (1_000, 2_000));
    }
}
