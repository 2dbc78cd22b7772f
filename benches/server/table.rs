//! Numbers side by side, and what is made of many.

use std::fmt;

/// Rows of a Markdown table.
#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<Row>,
}

/// One thing that was measured.
#[derive(Default)]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) websample: String,
    pub(crate) plain: String,
    pub(crate) ratio: String,
    pub(crate) target: String,
    /// Whether the target is met, where there is one.
    pub(crate) met: Option<bool>,
}

impl Table {
    pub(crate) fn push(&mut self, row: Row) {
        eprintln!("bench:   {} {} | {} | {}", row.what, row.websample, row.plain, row.ratio);
        self.rows.push(row);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["", "websample", "plain", "ratio", "target", "met"].map(String::from);
        let rows = self.rows.iter().map(|row| {
            let met = row.met.map_or("", |met| if met { "yes" } else { "**no**" });
            [&row.what, &row.websample, &row.plain, &row.ratio, &row.target, met].map(String::from)
        });
        let mut lines = vec![head];
        lines.extend(rows);
        let width = |column: usize| {
            lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0).max(3)
        };
        let widths = [0, 1, 2, 3, 4, 5].map(width);
        for (index, line) in lines.iter().enumerate() {
            for (cell, width) in line.iter().zip(widths) {
                write!(f, "| {cell:width$} ")?;
            }
            writeln!(f, "|")?;
            if index == 0 {
                for width in widths {
                    write!(f, "|{:-<1$}", "", width + 2)?;
                }
                writeln!(f, "|")?;
            }
        }
        Ok(())
    }
}

/// Order statistics of a series.
pub(crate) struct Spread {
    sorted: Vec<f64>,
}

impl Spread {
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        Self { sorted }
    }

    pub(crate) fn count(&self) -> usize {
        self.sorted.len()
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The value below which this part of the series lies, between two neighbours if need be.
    pub(crate) fn quantile(&self, part: f64) -> f64 {
        let Some(last) = self.sorted.len().checked_sub(1) else { return f64::NAN };
        let place = part * last as f64;
        let (low, high) = (place.floor(), place.ceil());
        let (below, above) = (self.sorted[low as usize], self.sorted[high as usize]);
        below + (above - below) * (place - low)
    }
}

impl fmt::Display for Spread {
    /// The median, and between which values the middle half lies.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(1);
        let [low, middle, high] = [0.25, 0.5, 0.75].map(|part| self.quantile(part));
        write!(f, "{middle:.digits$} ({low:.digits$}–{high:.digits$})")
    }
}
