//! Numbers beside what they should be, and what the kernel says of this process.

use std::{error::Error, fmt, fs, time::Duration};

/// Rows of a Markdown table.
#[derive(Default)]
pub(crate) struct Table(Vec<Row>);

impl Table {
    pub(crate) fn push(&mut self, row: Row) {
        eprintln!("instrument:   {} {}", row.what, row.measured());
        self.0.push(row);
    }
}

/// One thing that was measured.
pub(crate) struct Row {
    what: String,
    value: f64,
    unit: &'static str,
    target: Target,
}

enum Target {
    None,
    /// Computed by hand; met within one percent.
    Of(f64),
    Below(f64),
}

impl Row {
    pub(crate) fn new(what: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { what: what.into(), value, unit, target: Target::None }
    }

    /// What it should be, within one percent.
    pub(crate) fn of(self, target: f64) -> Self {
        Self { target: Target::Of(target), ..self }
    }

    /// What it should not be more than.
    pub(crate) fn below(self, target: f64) -> Self {
        Self { target: Target::Below(target), ..self }
    }

    fn measured(&self) -> String {
        let digits = if self.value.fract() == 0.0 { 0 } else { 2 };
        format!("{:.digits$} {}", self.value, self.unit).trim_end().to_owned()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| | measured | by hand | off by | met |")?;
        writeln!(f, "|---|---|---|---|---|")?;
        for row in &self.0 {
            let yes = |met| if met { "yes" } else { "**no**" };
            let (target, off, met) = match row.target {
                Target::None => (String::new(), String::new(), ""),
                Target::Below(most) => {
                    (format!("≤ {most} {}", row.unit), String::new(), yes(row.value <= most))
                }
                Target::Of(exactly) => {
                    // Of nothing, every difference is a whole.
                    let off = (row.value - exactly) / exactly.max(1.0);
                    let shown = format!("{} {}", (exactly * 100.0).round() / 100.0, row.unit);
                    (shown, format!("{:+.2} %", off * 100.0), yes(off.abs() <= 0.01))
                }
            };
            let (what, measured) = (&row.what, row.measured());
            writeln!(f, "| {what} | {measured} | {} | {off} | {met} |", target.trim_end())?;
        }
        Ok(())
    }
}

/// The processor time that this process has had.
pub(crate) fn cpu_time() -> Result<Duration, Box<dyn Error>> {
    // Threads that have ended are in this account, which counts hundredths of a second.
    let stat = fs::read_to_string("/proc/self/stat")?;
    // Behind the program's name, which may hold anything, user and system time are 12th and 13th.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
    let ticks = fields.skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    Ok(Duration::from_millis(ticks * 10))
}

/// Bytes of this process in memory.
pub(crate) fn resident() -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kib: u64 = kib.ok_or("the kernel does not tell VmRSS")?.trim().parse()?;
    Ok(kib * 1024)
}
