//! Requests, answered as an API server does.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{Method, StatusCode},
    web,
};
use futures_util::stream;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    api::Api,
    store::{Change, Collection, Refusal, selected},
};

/// What a request is about.
#[derive(Debug, Clone)]
struct About {
    collection: Collection,
    name: Option<String>,
    subresource: Option<String>,
}

impl About {
    /// Takes a path such as `/apis/apps/v1/namespaces/x/deployments/y` apart.
    fn of(path: &str) -> Option<Self> {
        let mut parts = path.trim_start_matches('/').split('/').peekable();
        let group = match parts.next()? {
            "api" => String::new(),
            "apis" => parts.next()?.to_owned(),
            _ => return None,
        };
        parts.next()?;
        let mut rest: Vec<&str> = parts.collect();
        let mut namespace = "";
        if let ["namespaces", in_it, _, ..] = rest[..] {
            namespace = in_it;
            rest.drain(..2);
        }
        let mut rest = rest.into_iter().map(str::to_owned);
        let resource = rest.next()?;
        let collection = Collection { group, resource, namespace: namespace.to_owned() };
        Some(Self { collection, name: rest.next(), subresource: rest.next() })
    }

    fn resource(&self) -> String {
        let Collection { resource, .. } = &self.collection;
        match &self.subresource {
            Some(subresource) => format!("{resource}/{subresource}"),
            None => resource.clone(),
        }
    }
}

pub(crate) async fn answer(
    api: web::Data<Api>,
    request: HttpRequest,
    body: web::Bytes,
) -> HttpResponse {
    if request.path() == "/version" {
        return HttpResponse::Ok().json(json!({
            "major": "1", "minor": "36", "gitVersion": "v1.36.1", "gitCommit": "", "gitTreeState": "",
            "buildDate": "", "goVersion": "", "compiler": "", "platform": "linux/amd64",
        }));
    }
    let Some(about) = About::of(request.path()) else {
        return refused(&Refusal::new(404, "NotFound", "the server could not find it"));
    };
    let query = Query::of(request.query_string());
    let answered = match (request.method(), &about.name) {
        (&Method::POST, None) => Ok(review(&api, &about, &body)),
        (&Method::POST, Some(name)) => evict(&api, &about, name),
        (&Method::GET, None) if query.is("watch") => watch(&api, &about, &query),
        (&Method::GET, None) => list(&api, &about, &query),
        (&Method::GET, Some(name)) if about.subresource.is_some() => log(&api, &about, name),
        (&Method::GET, Some(name)) => get(&api, &about, name),
        (&Method::PATCH, Some(name)) if is_strategic(&request) => patch(&api, &about, name, &body),
        (&Method::PATCH, Some(name)) => apply(&api, &about, name, &query, &body),
        (&Method::DELETE, Some(name)) => delete(&api, &about, name, &body),
        _ => Err(Refusal::new(405, "MethodNotAllowed", "not in this API")),
    };
    let asked = format!("{} {} {body:?}", request.method(), request.uri());
    if !query.is("watch") && !query.is("follow") && api.breaks_answer(asked) {
        // It was done, and nobody is told.
        let broken = stream::once(async { Err::<web::Bytes, _>(std::io::Error::other("broken")) });
        return HttpResponse::Ok().streaming(broken);
    }
    answered.unwrap_or_else(|refusal| refused(&refusal))
}

type Answer = Result<HttpResponse, Refusal>;

fn refused(refusal: &Refusal) -> HttpResponse {
    let code = StatusCode::from_u16(refusal.code).expect("a status");
    HttpResponse::build(code).json(refusal.status())
}

fn review(api: &Api, about: &About, body: &[u8]) -> HttpResponse {
    assert_eq!(about.collection.resource, "selfsubjectaccessreviews");
    let mut review: Value = serde_json::from_slice(body).expect("JSON");
    let asked = &review["spec"]["resourceAttributes"];
    let part = |name: &str| asked[name].as_str().unwrap_or_default().to_owned();
    let resource = match part("subresource").as_str() {
        "" => part("resource"),
        subresource => format!("{}/{subresource}", part("resource")),
    };
    let allowed = !api.forbids(&part("verb"), &resource);
    review["status"] = json!({"allowed": allowed});
    HttpResponse::Created().json(review)
}

fn permitted(api: &Api, about: &About, verb: &str) -> Result<(), Refusal> {
    let resource = about.resource();
    api.record(verb, &about.collection.group, &resource);
    if api.forbids(verb, &resource) {
        let message = format!("User \"tester\" cannot {verb} resource \"{resource}\"");
        return Err(Refusal::new(403, "Forbidden", message));
    }
    Ok(())
}

fn get(api: &Api, about: &About, name: &str) -> Answer {
    permitted(api, about, "get")?;
    let found = api.store.get(&about.collection, name);
    found.map(|object| HttpResponse::Ok().json(object)).ok_or_else(|| missing(about, name))
}

fn missing(about: &About, name: &str) -> Refusal {
    let resource = &about.collection.resource;
    Refusal::new(404, "NotFound", format!("{resource} \"{name}\" not found"))
}

fn list(api: &Api, about: &About, query: &Query) -> Answer {
    permitted(api, about, "list")?;
    let (objects, version) = api.store.list(&about.collection);
    let (labels, fields) = (query.get("labelSelector"), query.get("fieldSelector"));
    let items: Vec<_> = objects.into_iter().filter(|o| selected(o, &labels, &fields)).collect();
    Ok(HttpResponse::Ok().json(json!({
        "kind": "List", "apiVersion": "v1",
        "metadata": {"resourceVersion": version.to_string()}, "items": items,
    })))
}

/// A line for every change, until the client goes or the watch is broken off.
fn watch(api: &Api, about: &About, query: &Query) -> Answer {
    permitted(api, about, "watch")?;
    let from: u64 = query.get("resourceVersion").parse().expect("a version to begin with");
    let (labels, fields) = (query.get("labelSelector"), query.get("fieldSelector"));
    let lines = Lines {
        api: api.clone(),
        collection: about.collection.clone(),
        from,
        ends: api.watch_token(),
        over: false,
    };
    let lines = stream::unfold(lines, move |mut lines| {
        let (labels, fields) = (labels.clone(), fields.clone());
        async move {
            let text = lines.next(&labels, &fields).await?;
            Some((Ok::<_, actix_web::Error>(web::Bytes::from(text)), lines))
        }
    });
    Ok(HttpResponse::Ok().content_type("application/json").streaming(lines))
}

struct Lines {
    api: Api,
    collection: Collection,
    from: u64,
    ends: CancellationToken,
    over: bool,
}

impl Lines {
    /// The next changes, as lines; `None` at the end of the watch.
    async fn next(&mut self, labels: &str, fields: &str) -> Option<String> {
        let mut versions = self.api.store.versions();
        while !self.over {
            let changes = match self.api.store.since(&self.collection, self.from) {
                Ok(changes) => changes,
                Err(gone) => {
                    self.over = true;
                    return Some(format!(
                        "{}\n",
                        json!({"type": "ERROR", "object": gone.status()})
                    ));
                }
            };
            self.from = changes.last().map_or(self.from, |change| change.version);
            let line = |Change { kind, object, .. }: &Change| {
                format!("{}\n", json!({"type": kind, "object": object}))
            };
            let wanted = changes.iter().filter(|c| selected(&c.object, labels, fields));
            let text: String = wanted.map(line).collect();
            if !text.is_empty() {
                return Some(text);
            }
            tokio::select! {
                () = self.ends.cancelled() => return None,
                changed = versions.changed() => changed.ok()?,
            }
        }
        None
    }
}

fn apply(api: &Api, about: &About, name: &str, query: &Query, body: &[u8]) -> Answer {
    permitted(api, about, "patch")?;
    let manager = query.get("fieldManager");
    assert_eq!((manager.as_str(), query.get("force").as_str()), ("websample", ""));
    let applied: Value = serde_json::from_slice(body).expect("JSON");
    let before = api.store.get(&about.collection, name);
    if before.is_none() {
        permitted(api, about, "create")?;
    }
    if let Some(refusal) = api.refuses(&about.collection.resource) {
        return Err(refusal);
    }
    let (object, created) = api.store.apply(&about.collection, name, &manager, &applied)?;
    api.store.publish();
    // The controllers act on what is new: what is applied again as it was changes nothing.
    if created || before.is_none_or(|before| before["spec"] != object["spec"]) {
        api.applied(&about.collection, name, &object);
    }
    // What was filled in is told as well.
    let object = api.store.get(&about.collection, name).unwrap_or(object);
    let code = if created { StatusCode::CREATED } else { StatusCode::OK };
    Ok(HttpResponse::build(code).json(object))
}

fn is_strategic(request: &HttpRequest) -> bool {
    let kind = request.headers().get("content-type").and_then(|kind| kind.to_str().ok());
    kind == Some("application/strategic-merge-patch+json")
}

/// A strategic merge patch of an object that is there.
fn patch(api: &Api, about: &About, name: &str, body: &[u8]) -> Answer {
    permitted(api, about, "patch")?;
    let patch: Value = serde_json::from_slice(body).expect("JSON");
    let mut object = api.store.get(&about.collection, name).ok_or_else(|| missing(about, name))?;
    let before = object["spec"].clone();
    strategic(&mut object, &patch);
    if before != object["spec"] {
        let generation = object["metadata"]["generation"].as_u64().unwrap_or(0);
        object["metadata"]["generation"] = json!(generation + 1);
    }
    api.store.put(&about.collection, name, object.clone());
    api.applied(&about.collection, name, &object);
    Ok(HttpResponse::Ok().json(object))
}

/// Maps field by field, containers by their names, null for what is taken away.
fn strategic(there: &mut Value, patch: &Value) {
    match (there, patch) {
        (Value::Object(there), Value::Object(patch)) => {
            for (name, value) in patch {
                if value.is_null() {
                    there.remove(name);
                } else {
                    let fresh = if value.is_object() { json!({}) } else { Value::Null };
                    strategic(there.entry(name.clone()).or_insert(fresh), value);
                }
            }
        }
        (Value::Array(there), Value::Array(patch)) => {
            for item in patch {
                let same = there.iter_mut().find(|known| known["name"] == item["name"]);
                match same {
                    Some(known) => strategic(known, item),
                    None => there.push(item.clone()),
                }
            }
        }
        (there, patch) => *there = patch.clone(),
    }
}

fn delete(api: &Api, about: &About, name: &str, body: &[u8]) -> Answer {
    permitted(api, about, "delete")?;
    let options: Value = serde_json::from_slice(body).unwrap_or_default();
    let object = api.store.get(&about.collection, name).ok_or_else(|| missing(about, name))?;
    let wanted = &options["preconditions"]["uid"];
    if !wanted.is_null() && *wanted != object["metadata"]["uid"] {
        return Err(Refusal::new(409, "Conflict", "the UID in the precondition does not match"));
    }
    api.deleted(&about.collection, name, &object);
    Ok(HttpResponse::Ok().json(object))
}

fn evict(api: &Api, about: &About, name: &str) -> Answer {
    assert_eq!(about.resource(), "pods/eviction");
    permitted(api, about, "create")?;
    if !api.evicted(name) {
        let message = "Cannot evict pod as it would violate the pod's disruption budget.";
        return Err(Refusal::new(429, "TooManyRequests", message));
    }
    Ok(HttpResponse::Created().json(json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201,
    })))
}

/// A pod's log, from its start and as it grows.
fn log(api: &Api, about: &About, name: &str) -> Answer {
    permitted(api, about, "get")?;
    let Some(log) = api.log(name) else {
        let message = format!("container in pod \"{name}\" is waiting to start");
        return Err(Refusal::new(400, "BadRequest", message));
    };
    let (ends, at) = (api.log_token(), 0);
    let lines = stream::unfold((log, ends, at), |(mut log, ends, at)| async move {
        loop {
            let (text, over) = {
                let written = log.borrow_and_update();
                (written.text[at..].to_owned(), written.over)
            };
            if !text.is_empty() {
                let next = at + text.len();
                let text = Ok::<_, actix_web::Error>(web::Bytes::from(text));
                return Some((text, (log, ends, next)));
            }
            if over {
                return None;
            }
            tokio::select! {
                () = ends.cancelled() => return None,
                changed = log.changed() => changed.ok()?,
            }
        }
    });
    Ok(HttpResponse::Ok().content_type("text/plain").streaming(lines))
}

/// A query, taken apart.
struct Query(Vec<(String, String)>);

impl Query {
    fn of(text: &str) -> Self {
        let pairs = web::Query::<Vec<(String, String)>>::from_query(text).expect("a query");
        Self(pairs.into_inner())
    }

    fn get(&self, name: &str) -> String {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    }

    fn is(&self, name: &str) -> bool {
        self.get(name) == "true"
    }
}
