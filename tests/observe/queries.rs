//! Everything that is asked of Prometheus, wherever it is written down.

use crate::{
    client::{Prometheus, Window},
    dashboards, rules,
    variables::filled,
};

/// How a query is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// At the end of the range that is shown.
    Instant,
    /// At every step of it.
    Range,
    /// For the values of a label, of the series that match or of all.
    LabelValues {
        /// Of which series.
        selector: Option<String>,
        /// Of which label.
        label: String,
    },
}

/// A query, and where it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Query {
    /// The file, and the panel, variable, annotation or rule in it.
    pub(crate) at: String,
    pub(crate) expr: String,
    pub(crate) kind: Kind,
}

impl Query {
    /// Asks it, with this run chosen: how many series, or values, there are.
    pub(crate) fn ask(
        &self,
        prometheus: Prometheus,
        window: Window,
        run: &str,
    ) -> Result<usize, String> {
        let expr = filled(&self.expr, window, run)?;
        match &self.kind {
            Kind::Instant => prometheus.query(&expr, window).map(|series| series.len()),
            Kind::Range => prometheus.query_range(&expr, window).map(|series| series.len()),
            Kind::LabelValues { selector: Some(selector), label } => {
                let series = prometheus.matching(&filled(selector, window, run)?, window)?;
                Ok(series.iter().filter(|labels| labels[label].is_string()).count())
            }
            Kind::LabelValues { selector: None, label } => {
                prometheus.label_values(label).map(|values| values.len())
            }
        }
    }
}

/// Every query of this repository.
pub(crate) fn all() -> Vec<Query> {
    let all: Vec<_> = dashboards::queries().into_iter().chain(rules::queries()).collect();
    let of = |file: &str| all.iter().filter(|query| query.at.starts_with(file)).count();
    assert!(of("grafana/dashboards/") > 20 && of("deploy/prometheus/rules/") > 5, "{all:#?}");
    all
}
