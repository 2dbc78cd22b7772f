//! A dashboard, as the rules look at it.

use serde_json::Value;

use crate::{files, read};

/// A dashboard in its file.
#[derive(Debug, Clone)]
pub(crate) struct Board {
    /// Its path in the repository.
    pub(crate) file: String,
    /// The file as it is written.
    pub(crate) text: String,
    pub(crate) json: Value,
}

/// A query, and where it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The panel, the annotation or the variable.
    pub(crate) place: String,
    pub(crate) expr: String,
}

impl Board {
    /// Every dashboard of the repository.
    pub(crate) fn all() -> Vec<Self> {
        let boards = files("grafana/dashboards", ".json").into_iter().map(|file| {
            let text = read(&file);
            let json = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{file}: {e}"));
            Self { file, text, json }
        });
        boards.collect()
    }

    /// The dashboard of this file, which has no directory and no ending here.
    pub(crate) fn named(name: &str) -> Self {
        let file = format!("grafana/dashboards/{name}.json");
        Self::all().into_iter().find(|board| board.file == file).expect("it is there")
    }

    /// The file's name without its ending.
    pub(crate) fn stem(&self) -> &str {
        self.file.rsplit('/').next().and_then(|name| name.strip_suffix(".json")).unwrap_or("")
    }

    /// Rows and panels, those in folded rows too, in the order of the file.
    pub(crate) fn all_panels(&self) -> Vec<&Value> {
        let top = list(&self.json["panels"]).into_iter();
        top.flat_map(|panel| std::iter::once(panel).chain(list(&panel["panels"]))).collect()
    }

    /// What is on the board when it is opened: rows, and panels that are in no folded one.
    pub(crate) fn unfolded(&self) -> Vec<&Value> {
        list(&self.json["panels"])
    }

    /// The panels that ask something.
    pub(crate) fn panels(&self) -> Vec<&Value> {
        self.shown().into_iter().filter(|panel| panel["type"] != "text").collect()
    }

    /// The panels that show something.
    pub(crate) fn shown(&self) -> Vec<&Value> {
        self.all_panels().into_iter().filter(|panel| panel["type"] != "row").collect()
    }

    pub(crate) fn variables(&self) -> Vec<&Value> {
        list(&self.json["templating"]["list"])
    }

    pub(crate) fn variable(&self, name: &str) -> Option<&Value> {
        self.variables().into_iter().find(|variable| variable["name"] == name)
    }

    /// The annotations of this dashboard's own, without Grafana's.
    pub(crate) fn annotations(&self) -> Vec<&Value> {
        let list = list(&self.json["annotations"]["list"]);
        list.into_iter().filter(|annotation| annotation["builtIn"] != 1).collect()
    }

    /// What the panels and the annotations ask.
    pub(crate) fn queries(&self) -> Vec<Asked> {
        let of = |kind: &str, name: &Value, expr: &Value| Asked {
            place: format!("{kind} {name}"),
            expr: text(expr).to_owned(),
        };
        let panels = self.panels().into_iter().flat_map(|panel| {
            let title = &panel["title"];
            list(&panel["targets"]).into_iter().map(move |t| of("panel", title, &t["expr"]))
        });
        let annotations = self.annotations().into_iter();
        panels.chain(annotations.map(|a| of("annotation", &a["name"], &a["expr"]))).collect()
    }

    /// The selectors that the variables take their values from.
    pub(crate) fn variable_queries(&self) -> Vec<Asked> {
        let queries = self.variables().into_iter().filter(|variable| variable["type"] == "query");
        let asked = queries.map(|variable| {
            let query = text(&variable["query"]["query"]);
            let inside = query.strip_prefix("label_values(").and_then(|q| q.strip_suffix(')'));
            let selector = inside.and_then(|inside| inside.rsplit_once(", ")).map(|(s, _)| s);
            Asked {
                place: format!("variable {}", variable["name"]),
                expr: selector.unwrap_or_default().to_owned(),
            }
        });
        asked.collect()
    }
}

/// The elements of an array; none of what is not one.
pub(crate) fn list(value: &Value) -> Vec<&Value> {
    value.as_array().map(|values| values.iter().collect()).unwrap_or_default()
}

/// A string; an empty one of what is not.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
