//! Objects, as an API server keeps them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::{Map, Value, json};
use tokio::sync::watch;

/// A collection of objects: where they are found in the API.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Collection {
    pub(crate) group: String,
    pub(crate) resource: String,
    /// Empty for what has none.
    pub(crate) namespace: String,
}

impl Collection {
    pub(crate) fn of(group: &str, resource: &str, namespace: &str) -> Self {
        let [group, resource, namespace] = [group, resource, namespace].map(str::to_owned);
        Self { group, resource, namespace }
    }
}

/// A change, as a watch tells it.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) version: u64,
    pub(crate) collection: Collection,
    pub(crate) kind: &'static str,
    pub(crate) object: Value,
}

/// Everything that is kept. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    inner: Arc<Mutex<Inner>>,
    version: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Inner {
    objects: BTreeMap<(Collection, String), Value>,
    changes: Vec<Change>,
    /// Changes up to this one are forgotten.
    compacted: u64,
    version: u64,
    uids: u64,
    /// Fields that somebody else manages: manager and JSON pointer, by object.
    foreign: BTreeMap<(Collection, String), (String, String)>,
}

/// Why something is not done.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) code: u16,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into() }
    }

    pub(crate) fn status(&self) -> Value {
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code,
        })
    }
}

impl Store {
    pub(crate) fn new() -> Self {
        Self { inner: Arc::default(), version: watch::channel(0).0 }
    }

    pub(crate) fn get(&self, collection: &Collection, name: &str) -> Option<Value> {
        self.lock().objects.get(&(collection.clone(), name.to_owned())).cloned()
    }

    /// The objects of a collection, with the version that the list is of.
    pub(crate) fn list(&self, collection: &Collection) -> (Vec<Value>, u64) {
        let inner = self.lock();
        let objects = inner.objects.iter().filter(|((c, _), _)| c == collection);
        (objects.map(|(_, object)| object.clone()).collect(), inner.version)
    }

    /// Everything that there is, by kind and name.
    pub(crate) fn titles(&self) -> Vec<String> {
        let inner = self.lock();
        inner.objects.keys().map(|(c, name)| format!("{}/{name}", c.resource)).collect()
    }

    /// Server-side apply. True where there was nothing before.
    pub(crate) fn apply(
        &self,
        collection: &Collection,
        name: &str,
        manager: &str,
        applied: &Value,
    ) -> Result<(Value, bool), Refusal> {
        let inner = &mut *self.lock();
        inner.namespace_exists(collection)?;
        let key = (collection.clone(), name.to_owned());
        let there = inner.objects.get(&key).cloned();
        if let (Some(there), Some((other, pointer))) = (&there, inner.foreign.get(&key))
            && other != manager
            && applied.pointer(pointer).is_some_and(|value| there.pointer(pointer) != Some(value))
        {
            let field = pointer.replace('/', ".");
            let message =
                format!("Apply failed with 1 conflict: conflict with \"{other}\": {field}");
            return Err(Refusal::new(409, "Conflict", message));
        }
        let created = there.is_none();
        let before = there.unwrap_or_else(|| json!({"metadata": {}}));
        let mut object = before.clone();
        merge(&mut object, applied);
        let inner_name = json!(name);
        object["metadata"]["name"] = inner_name;
        if !collection.namespace.is_empty() {
            object["metadata"]["namespace"] = json!(collection.namespace);
        }
        let generation = before["metadata"]["generation"].as_u64().unwrap_or(0);
        if before["spec"] != object["spec"] {
            object["metadata"]["generation"] = json!(generation + 1);
        }
        Ok((inner.put(key, object, created), created))
    }

    /// Creates an object, or changes it in this way.
    pub(crate) fn put(&self, collection: &Collection, name: &str, object: Value) {
        let inner = &mut *self.lock();
        let key = (collection.clone(), name.to_owned());
        let created = match inner.objects.get(&key) {
            Some(there) if same(there, &object) => return,
            there => there.is_none(),
        };
        inner.put(key, object, created);
        self.version.send_replace(inner.version);
    }

    /// Changes an object that is there.
    pub(crate) fn update(&self, collection: &Collection, name: &str, change: impl Fn(&mut Value)) {
        let inner = &mut *self.lock();
        let key = (collection.clone(), name.to_owned());
        let Some(there) = inner.objects.get(&key) else { return };
        let mut object = there.clone();
        change(&mut object);
        if !same(there, &object) {
            inner.put(key, object, false);
            self.version.send_replace(inner.version);
        }
    }

    pub(crate) fn remove(&self, collection: &Collection, name: &str) -> Option<Value> {
        let inner = &mut *self.lock();
        let key = (collection.clone(), name.to_owned());
        let object = inner.objects.remove(&key)?;
        inner.changed(&key.0, "DELETED", object.clone());
        self.version.send_replace(inner.version);
        Some(object)
    }

    /// From now on this field of an object is somebody else's, and has this value.
    pub(crate) fn manage(
        &self,
        collection: &Collection,
        name: &str,
        manager: &str,
        pointer: &str,
        value: &Value,
    ) {
        let key = (collection.clone(), name.to_owned());
        self.lock().foreign.insert(key, (manager.to_owned(), pointer.to_owned()));
        self.update(collection, name, |object| {
            *object.pointer_mut(pointer).expect("the field is there") = value.clone();
        });
    }

    /// Forgets every change so far: a watch from before is 410 Gone.
    pub(crate) fn compact(&self) {
        let mut inner = self.lock();
        inner.compacted = inner.version;
        inner.changes.clear();
    }

    /// The changes of a collection after this version.
    ///
    /// # Errors
    /// 410 where they are forgotten.
    pub(crate) fn since(
        &self,
        collection: &Collection,
        version: u64,
    ) -> Result<Vec<Change>, Refusal> {
        let inner = self.lock();
        if version < inner.compacted {
            let message = format!("too old resource version: {version} ({})", inner.compacted);
            return Err(Refusal::new(410, "Expired", message));
        }
        let later = inner.changes.iter().filter(|change| change.version > version);
        Ok(later.filter(|change| change.collection == *collection).cloned().collect())
    }

    /// The newest version, whenever there is a newer one.
    pub(crate) fn versions(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Tells those who wait for it what was applied.
    pub(crate) fn publish(&self) {
        let version = self.lock().version;
        self.version.send_replace(version);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn namespace_exists(&self, collection: &Collection) -> Result<(), Refusal> {
        let name = &collection.namespace;
        let key = (Collection::of("", "namespaces", ""), name.clone());
        if name.is_empty() || self.objects.contains_key(&key) {
            return Ok(());
        }
        Err(Refusal::new(404, "NotFound", format!("namespaces \"{name}\" not found")))
    }

    fn put(&mut self, key: (Collection, String), mut object: Value, created: bool) -> Value {
        if created {
            self.uids += 1;
            object["metadata"]["uid"] = json!(format!("uid-{}", self.uids));
            object["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        let kind = if created { "ADDED" } else { "MODIFIED" };
        let object = self.changed(&key.0, kind, object);
        self.objects.insert(key, object.clone());
        object
    }

    fn changed(&mut self, collection: &Collection, kind: &'static str, mut object: Value) -> Value {
        self.version += 1;
        let version = self.version;
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        let collection = collection.clone();
        self.changes.push(Change { version, collection, kind, object: object.clone() });
        object
    }
}

/// Whether two objects differ in nothing that a client would call a change.
fn same(there: &Value, object: &Value) -> bool {
    let stripped = |object: &Value| {
        let mut object = object.clone();
        if let Some(metadata) = object["metadata"].as_object_mut() {
            for kept in ["resourceVersion", "uid", "creationTimestamp"] {
                metadata.remove(kept);
            }
        }
        object
    };
    stripped(there) == stripped(object)
}

/// What was applied over what is there: maps field by field, everything else whole.
fn merge(there: &mut Value, applied: &Value) {
    match (there, applied) {
        (Value::Object(there), Value::Object(applied)) => {
            for (name, value) in applied {
                let fresh = || Value::Object(Map::new());
                let place = there
                    .entry(name.clone())
                    .or_insert_with(|| if value.is_object() { fresh() } else { Value::Null });
                merge(place, value);
            }
        }
        (there, applied) => *there = applied.clone(),
    }
}

/// Whether an object has the labels that a selector such as `a=b,c=d` wants.
pub(crate) fn selected(object: &Value, labels: &str, fields: &str) -> bool {
    let wanted = |selector: &str, find: &dyn Fn(&str) -> Option<String>| {
        selector.split(',').filter(|part| !part.is_empty()).all(|part| {
            let (name, value) = part.split_once('=').expect("an equality");
            find(name).as_deref() == Some(value)
        })
    };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    wanted(labels, &|name| text(&object["metadata"]["labels"][name]))
        && wanted(fields, &|name| {
            text(object.pointer(&format!("/{}", name.replace('.', "/"))).unwrap_or(&Value::Null))
        })
}
