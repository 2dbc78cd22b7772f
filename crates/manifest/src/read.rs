//! From files to objects, or every reason why not.

mod autoscalers;
mod workloads;

use std::{collections::BTreeSet, mem, rc::Rc};

use k8s_openapi::{
    api::batch::v1::{CronJobSpec, JobSpec},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    documents::{Document, documents},
    kinds, kustomization,
    node::{Content, Node},
    objects::{IngressClass, Job, Object, Objects, Origin, Unjudged, Unserved},
    problem::{Problem, Unusable},
    routes::Route,
    select::Labels,
    template,
    unknown::unknown_fields,
};

/// A file's name and content.
#[derive(Debug, Clone)]
pub struct Source {
    /// What it is called in messages.
    pub name: String,
    /// What is in it.
    pub text: String,
}

const RENDER: &str = "give the rendered objects: `kustomize build DIR | websample check -`, \
                      or `helm template CHART | websample check -`";

const BUILD: &str = "build it: `kustomize build DIR | websample check -`";

/// Reads all objects that can be read.
///
/// # Errors
/// Input without anything to check, with every reason why: a pipe whose first half has failed must
/// not look like a clean bill.
pub(super) fn read(sources: &[Source]) -> Result<Objects, Unusable> {
    let mut objects = Objects::default();
    let puts = kustomization::Puts::of(sources);
    for source in sources {
        let file: Rc<str> = source.name.as_str().into();
        for (index, document) in documents(&source.text).into_iter().enumerate() {
            let (file, puts) = (Rc::clone(&file), puts.on(&source.name));
            let place = Place { file, document: index + 1, text: document.text, puts };
            read_document(document, &place, &mut objects);
        }
    }
    if objects.workloads.is_empty() && objects.unserved.is_empty() {
        let mut problems = mem::take(&mut objects.problems);
        problems.append(&mut objects.foreign);
        problems.extend(objects.unbuilt.drain(..).map(|(problem, _)| problem));
        if problems.is_empty() {
            problems.push(nothing(sources, &objects));
        }
        return Err(Unusable { problems });
    }
    Ok(objects)
}

fn nothing(sources: &[Source], objects: &Objects) -> Problem {
    let names: Vec<_> = sources.iter().map(|source| source.name.as_str()).collect();
    let read = [
        ("Service", objects.services.len()),
        ("Ingress or route", objects.routes.len()),
        ("PodDisruptionBudget", objects.budgets.len()),
        ("HorizontalPodAutoscaler", objects.autoscalers.len()),
        ("PersistentVolumeClaim", objects.claims.len()),
        ("ConfigMap", objects.config_maps.len()),
    ];
    let skipped = objects.skipped.iter().map(|(kind, count)| (kind.as_str(), *count));
    let others: Vec<_> = read
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .chain(skipped)
        .map(|(kind, count)| format!("{count} {kind}"))
        .collect();
    let instead = match (others.as_slice(), sources.iter().all(|file| file.text.trim().is_empty()))
    {
        (_, true) => " (it is empty)".to_owned(),
        ([], false) => String::new(),
        (others, false) => format!(" (other kinds: {})", others.join(", ")),
    };
    Problem {
        file: names.join(", "),
        document: None,
        line: None,
        problem: format!("there is no Deployment, StatefulSet or DaemonSet in it{instead}"),
        remedy: RENDER.to_owned(),
    }
}

/// Which document it is about.
struct Place<'a> {
    file: Rc<str>,
    document: usize,
    text: &'a str,
    /// What kustomizations put on its objects.
    puts: &'a [kustomization::Put],
}

impl Place<'_> {
    fn problem(
        &self,
        line: Option<usize>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Problem {
        Problem {
            file: self.file.to_string(),
            document: Some(self.document),
            line,
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }
}

fn read_document(document: Document<'_>, place: &Place<'_>, objects: &mut Objects) {
    let above = document.line - 1;
    match Node::parse(document.text) {
        Ok(mut node) => {
            node.shift(above);
            read_object(node, None, "", place, objects);
        }
        Err(error) => objects.problems.push(no_yaml(error.without_snippet(), above, place)),
    }
}

fn no_yaml(error: &serde_saphyr::Error, above: usize, place: &Place<'_>) -> Problem {
    let at = error.location().map(|at| at.line() as usize);
    // An action of a template is half a mapping, which fails there or a line behind it, with words
    // that help nobody.
    if let Some((line, action)) = template::actions(place.text)
        .find(|(line, _)| at.is_none_or(|at| (at.saturating_sub(2)..=at).contains(line)))
    {
        return place.problem(Some(line + above), unrendered(action), RENDER);
    }
    let line = at.map(|at| at + above);
    // The place is said in front, in lines of the file.
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or(&message);
    // What a program could do about a key that is there twice is none of the user's business.
    let message = message.split(", set DuplicateKeyPolicy").next().unwrap_or(message);
    place.problem(line, format!("it is not YAML: {message}"), "correct it there")
}

fn unrendered(placeholder: &str) -> String {
    format!("it is a template that nobody has rendered yet: {placeholder}")
}

/// The list that an object came in, whose items may leave out what they are.
#[derive(Debug, Clone, Copy)]
struct List<'a> {
    version: &'a str,
    kind: &'a str,
}

/// Reads an object, or a list of them; `within` is where it is in its document.
fn read_object(
    node: Node,
    list: Option<List<'_>>,
    within: &str,
    place: &Place<'_>,
    objects: &mut Objects,
) {
    let line = Some(node.line);
    match node.content {
        Content::Null => return,
        Content::Map(_) => {}
        _ => {
            objects.foreign.push(place.problem(line, "it is not an object", RENDER));
            return;
        }
    }
    if kustomization::is_one(&node, &place.file) {
        if let Some(what) = kustomization::unbuilt(&node) {
            objects.unbuilt.push((place.problem(line, "it is a kustomization", BUILD), what));
        }
        *objects.skipped.entry("Kustomization".to_owned()).or_default() += 1;
        return;
    }
    let text = |key: &str| node.get(key).and_then(Node::text);
    let version = text("apiVersion").or(list.map(|list| list.version));
    let kind = text("kind").or_else(|| list?.kind.strip_suffix("List"));
    let (Some(version), Some(kind)) = (version, kind) else {
        let missing = if kind.is_none() { "kind" } else { "apiVersion" };
        let problem = format!("it has no {missing}, so it is no object of Kubernetes");
        objects.foreign.push(place.problem(line, problem, RENDER));
        return;
    };
    let (version, kind) = (version.to_owned(), kind.to_owned());
    if kind.ends_with("List")
        && matches!(node.get("items"), Some(Node { content: Content::List(_), .. }))
    {
        let list = List { version: &version, kind: &kind };
        // Each is moved: a list may hold a whole cluster.
        for (index, item) in node.into_items("items").into_iter().enumerate() {
            let within = match within {
                "" => format!("items[{index}]"),
                within => format!("{within}.items[{index}]"),
            };
            read_object(item, Some(list), &within, place, objects);
        }
        return;
    }
    let node = Rc::new(node);
    let mut built = Rc::clone(&node);
    for put in place.puts {
        put.on(Rc::make_mut(&mut built), &kind);
    }
    let reader = Reader { node, built, version, kind, within, place };
    if let Err(problem) = reader.take(objects) {
        objects.problems.push(problem);
    }
}

/// An object that is being read.
struct Reader<'a> {
    /// As it is written: what lines and fixes are about.
    node: Rc<Node>,
    /// With what a kustomization puts on it.
    built: Rc<Node>,
    version: String,
    kind: String,
    within: &'a str,
    place: &'a Place<'a>,
}

impl Reader<'_> {
    fn take(self, objects: &mut Objects) -> Result<(), Problem> {
        if self.is_patch() {
            let why = match self.built.get("$patch") {
                Some(_) => "$patch says so",
                None => "no selector, and no labels of its pods or no image",
            };
            let problem = format!("it is a part of a {}, as a patch has it ({why})", self.kind);
            objects.foreign.push(self.place.problem(Some(self.node.line), problem, BUILD));
            return Ok(());
        }
        match (self.version.as_str(), self.kind.as_str()) {
            ("apps/v1", "Deployment") => objects.workloads.push(self.deployment()?),
            ("apps/v1", "StatefulSet") => objects.workloads.push(self.stateful_set()?),
            ("apps/v1", "DaemonSet") => objects.workloads.push(self.daemon_set()?),
            ("argoproj.io/v1alpha1", "Rollout") if self.has("spec.template") => {
                let workload = self.rollout()?;
                objects.others.extend(self.labels_of_parts(&workload.origin));
                objects.workloads.push(workload);
            }
            ("apps.openshift.io/v1", "DeploymentConfig") if self.has("spec.template") => {
                objects.workloads.push(self.deployment_config()?);
            }
            ("v1", "Pod") if self.is_kept()? => objects.workloads.push(self.pod()?),
            ("keda.sh/v1alpha1", "ScaledObject") => {
                objects.autoscalers.push(self.scaled_object()?);
            }
            ("v1", "Service") => objects.services.push(self.typed()?),
            ("v1", "PersistentVolumeClaim") => objects.claims.push(self.typed()?),
            ("v1", "ConfigMap") => objects.config_maps.push(self.typed()?),
            ("policy/v1", "PodDisruptionBudget") => objects.budgets.push(self.typed()?),
            ("networking.k8s.io/v1", "Ingress") => {
                let Object { origin, object } = self.typed()?;
                objects.routes.push(Object { origin, object: Route::of_ingress(&object) });
            }
            (version, kind)
                if version.starts_with("gateway.networking.k8s.io/") && kind.ends_with("Route") =>
            {
                let object = Route::of_gateway(self.part("spec")?);
                objects.routes.push(Object { origin: self.bare()?, object });
            }
            ("route.openshift.io/v1", "Route") => {
                let object = Route::of_openshift(self.part("spec")?);
                objects.routes.push(Object { origin: self.bare()?, object });
            }
            ("autoscaling/v1" | "autoscaling/v2", "HorizontalPodAutoscaler") => {
                objects.autoscalers.push(self.autoscaler()?);
            }
            (version, kind) => {
                let metadata: ObjectMeta = self.part("metadata")?;
                let origin = self.origin(&metadata, Vec::new());
                let version = version.to_owned();
                if let Some((since, instead)) = kinds::unserved(&version, kind) {
                    let object = Unserved { version, since, instead };
                    objects.unserved.push(Object { origin, object });
                    return Ok(());
                }
                *objects.skipped.entry(kind.to_owned()).or_default() += 1;
                self.surroundings(&version, &origin, objects);
                objects.jobs.extend(self.job(&origin));
                let labels = self.labels_of_pods();
                objects
                    .others
                    .extend(labels.map(|object| Object { origin: origin.clone(), object }));
                // What somebody else made and keeps is judged with whoever that is.
                let made = metadata.owner_references.iter().flatten();
                if made.into_iter().any(|owner| owner.controller == Some(true)) {
                    return Ok(());
                }
                if let Some(bearing) = kinds::bearing(&version, kind) {
                    let namespace = origin.namespace.clone();
                    let unjudged =
                        objects.unjudged.entry(format!("{kind} {version}")).or_insert_with(|| {
                            let namespaces = BTreeSet::new();
                            Unjudged { first: origin, version, bearing, count: 0, namespaces }
                        });
                    unjudged.count += 1;
                    unjudged.namespaces.insert(namespace);
                }
            }
        }
        Ok(())
    }

    /// Whether it is what a kustomization puts over an object that stands elsewhere.
    fn is_patch(&self) -> bool {
        let makes_pods = ["Deployment", "StatefulSet", "DaemonSet", "Rollout"];
        let has =
            |path: &str| self.built.at(path).is_some_and(|node| node.content != Content::Null);
        // A container that says what to run belongs to somebody who meant it to be whole.
        let is_whole = || {
            has("spec.template.metadata.labels") && has("spec.template.spec.containers[0].image")
        };
        has("$patch")
            || (makes_pods.contains(&self.kind.as_str())
                && has("spec")
                // Of a version that is gone neither a patch nor the whole can be applied.
                && kinds::unserved(&self.version, &self.kind).is_none()
                && !has("spec.selector")
                && !has("spec.workloadRef")
                && !is_whole())
    }

    /// A Job, or those of a CronJob; one that cannot be read is none, for nothing else depends on it.
    fn job(&self, origin: &Origin) -> Option<Object<Job>> {
        let spec = serde_json::to_value(self.built.get("spec")?.to_value()).ok()?;
        let (spec, at): (JobSpec, _) = match (self.version.as_str(), self.kind.as_str()) {
            ("batch/v1", "Job") => (serde_json::from_value(spec).ok()?, "spec"),
            ("batch/v1", "CronJob") => {
                let spec: CronJobSpec = serde_json::from_value(spec).ok()?;
                (spec.job_template.spec?, "spec.jobTemplate.spec")
            }
            _ => return None,
        };
        Some(Object { origin: origin.clone(), object: Job { spec, at } })
    }

    /// The whole object, typed.
    fn typed<T: DeserializeOwned + Serialize>(&self) -> Result<Object<T>, Problem> {
        let mut value = self.built.to_value();
        if let Some(object) = value.as_object_mut() {
            // What the cluster says of it, or a generator has left there: nothing that is applied.
            object.remove("status");
            // What is null is not there, for the API; a map of texts cannot have it.
            if self.kind == "ConfigMap"
                && let Some(data) = object.get_mut("data").and_then(|data| data.as_object_mut())
            {
                data.retain(|_, value| !value.is_null());
            }
            // An item of a list may lack them, and the types insist.
            object.insert("apiVersion".to_owned(), self.version.as_str().into());
            object.insert("kind".to_owned(), self.kind.as_str().into());
        }
        let object: T = serde_path_to_error::deserialize(&value).map_err(|error| {
            let path = error.path().to_string();
            self.refused(&path, error.inner())
        })?;
        let known = serde_json::to_value(&object).unwrap_or_default();
        let metadata: ObjectMeta = self.part("metadata")?;
        let origin = self.origin(&metadata, unknown_fields(&value, &known));
        Ok(Object { origin, object })
    }

    /// What says who carries out routes, and what holds for a whole namespace.
    fn surroundings(&self, version: &str, origin: &Origin, objects: &mut Objects) {
        let group = version.split_once('/').map_or("", |(group, _)| group);
        let text = |path: &str| self.built.at(path).and_then(Node::text).map(str::to_owned);
        match (group, self.kind.as_str()) {
            ("networking.k8s.io", "IngressClass") => {
                let default = "ingressclass.kubernetes.io/is-default-class";
                objects.ingress_classes.extend(text("spec.controller").map(|controller| {
                    let is_default = origin.annotation(default) == Some("true");
                    IngressClass { name: origin.name.clone(), controller, is_default }
                }));
            }
            ("gateway.networking.k8s.io", "Gateway") => {
                let class = text("spec.gatewayClassName");
                objects
                    .gateways
                    .extend(class.map(|object| Object { origin: origin.clone(), object }));
            }
            ("gateway.networking.k8s.io", "GatewayClass") => {
                let controller = text("spec.controllerName");
                objects.gateway_classes.extend(controller.map(|name| (origin.name.clone(), name)));
            }
            ("", "Namespace") => {
                let labels = self.built.at("metadata.labels").map(Node::to_value);
                let labels = labels.and_then(|labels| serde_json::from_value(labels).ok());
                objects.namespaces.insert(origin.name.clone(), labels.unwrap_or_default());
            }
            _ => {}
        }
    }

    /// Where an object of a kind without a type came from.
    fn bare(&self) -> Result<Origin, Problem> {
        let metadata: ObjectMeta = self.part("metadata")?;
        Ok(self.origin(&metadata, Vec::new()))
    }

    /// The labels of the pods that an object of any kind makes, where it says so as Kubernetes' own do.
    fn labels_of_pods(&self) -> Option<Labels> {
        let templates = ["spec.template", "spec.jobTemplate.spec.template"];
        let made = templates.iter().find_map(|path| self.built.at(path));
        let own = || (self.kind == "Pod").then_some(self.built.as_ref());
        let labels = made.or_else(own)?.at("metadata.labels")?;
        serde_json::from_value(labels.to_value()).ok()
    }

    fn part<T: DeserializeOwned + Default>(&self, key: &str) -> Result<T, Problem> {
        let Some(node) = self.built.get(key) else { return Ok(T::default()) };
        if node.content == Content::Null {
            return Ok(T::default());
        }
        serde_path_to_error::deserialize(&node.to_value())
            .map_err(|error| self.refused(&format!("{key}.{}", error.path()), error.inner()))
    }

    fn origin(&self, metadata: &ObjectMeta, unknown: Vec<String>) -> Origin {
        let name = metadata
            .name
            .clone()
            .or_else(|| metadata.generate_name.as_ref().map(|prefix| format!("{prefix}…")));
        Origin {
            file: Rc::clone(&self.place.file),
            kind: self.kind.clone(),
            namespace: metadata.namespace.clone(),
            name: name.unwrap_or_else(|| "(without a name)".to_owned()),
            document: self.place.document - 1,
            within: self.within.to_owned(),
            unknown,
            node: Rc::clone(&self.node),
        }
    }

    /// A field of a type that it does not have.
    fn refused(&self, path: &str, error: &serde_json::Error) -> Problem {
        let placeholder = self.node.at(path).and_then(Node::text).and_then(template::placeholder);
        match placeholder {
            Some(placeholder) => {
                self.problem(path, &format!("{path}: {}", unrendered(placeholder)), RENDER)
            }
            None => self.problem(path, &format!("{path}: {error}"), "correct it there"),
        }
    }

    fn problem(&self, path: &str, problem: &str, remedy: &str) -> Problem {
        self.place.problem(Some(self.node.line_of(path)), problem, remedy)
    }
}

/// A number that the API would refuse if it were negative.
fn seconds(number: Option<i32>) -> Option<u32> {
    number.map(|number| u32::try_from(number).unwrap_or(0))
}

#[cfg(test)]
mod tests;
