//! The process: processor time, memory, files, threads.
//!
//! The families of the prometheus crate, whose collector counts whole seconds of processor time, in which
//! a server that idles, or lives no longer than a rollout, seems to need none; and whose way to `/proc`
//! would be a tenth of everything that a service with this framework compiles beside its server.

use std::{fs, io};

use prometheus::{
    Opts,
    core::{Collector, Desc, Describer as _},
    proto::{Counter, Gauge, Metric, MetricFamily, MetricType},
};
use rustix::{
    param::{clock_ticks_per_second, page_size},
    process::{Resource, getrlimit},
    time::{ClockId, clock_gettime},
};

/// Name and help of each family.
const FAMILIES: [(&str, &str); 7] = [
    ("process_cpu_seconds_total", "Total user and system CPU time spent in seconds."),
    ("process_open_fds", "Number of open file descriptors."),
    ("process_max_fds", "Maximum number of open file descriptors."),
    ("process_virtual_memory_bytes", "Virtual memory size in bytes."),
    ("process_resident_memory_bytes", "Resident memory size in bytes."),
    ("process_start_time_seconds", "Start time of the process since unix epoch in seconds."),
    ("process_threads", "Number of OS threads in the process."),
];

/// The `process_*` families of the process that it is in.
#[derive(Debug)]
pub struct Process {
    descs: Vec<Desc>,
    /// When the system began, in seconds since 1970: it is not told twice.
    booted: Option<u64>,
}

impl Process {
    /// Those of this process.
    pub fn of_this() -> Self {
        let describe = |(name, help)| Opts::new(name, help).describe();
        // The names are valid, so each has a description.
        let descs = FAMILIES.into_iter().filter_map(|family| describe(family).ok()).collect();
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let booted = stat.lines().find_map(|line| line.strip_prefix("btime ")?.parse().ok());
        Self { descs, booted }
    }

    /// The values of the families, in their order; what cannot be had is left out.
    fn values(&self) -> [Option<f64>; FAMILIES.len()] {
        let stat = fs::read_to_string("/proc/self/stat").ok();
        let stat = stat.as_deref().and_then(Stat::parse);
        let in_seconds = |ticks| ticks / clock_ticks_per_second();
        [
            Some(processor_seconds()),
            open_files().ok().map(|count| count as f64),
            getrlimit(Resource::Nofile).current.map(|most| most as f64),
            stat.map(|stat| stat.virtual_bytes as f64),
            stat.map(|stat| (stat.resident_pages * page_size() as u64) as f64),
            stat.zip(self.booted).map(|(stat, at)| (at + in_seconds(stat.started)) as f64),
            stat.map(|stat| stat.threads as f64),
        ]
    }
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let values = FAMILIES.into_iter().zip(self.values());
        let families = values.filter_map(|((name, help), value)| {
            let value = value?;
            let mut metric = Metric::default();
            let mut family = MetricFamily::default();
            family.set_name(name.to_owned());
            family.set_help(help.to_owned());
            if name.ends_with("_total") {
                family.set_field_type(MetricType::COUNTER);
                let mut counter = Counter::default();
                counter.set_value(value);
                metric.set_counter(counter);
            } else {
                family.set_field_type(MetricType::GAUGE);
                let mut gauge = Gauge::default();
                gauge.set_value(value);
                metric.set_gauge(gauge);
            }
            family.set_metric(vec![metric]);
            Some(family)
        });
        families.collect()
    }
}

/// What the threads of this process have used of processors.
fn processor_seconds() -> f64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
}

fn open_files() -> io::Result<usize> {
    // Without the one that looks.
    Ok(fs::read_dir("/proc/self/fd")?.count().saturating_sub(1))
}

/// What `/proc/PID/stat` tells, see proc(5).
#[derive(Debug, Clone, Copy, PartialEq)]
struct Stat {
    threads: u64,
    /// In ticks since the system began.
    started: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The second field is the program's name, in brackets, which may hold anything.
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse().ok();
        Some(Self {
            threads: field(20)?,
            started: field(22)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(process: &Process, name: &str) -> f64 {
        let families = process.collect();
        let family = families.iter().find(|family| family.name() == name).expect("it is there");
        let metric = &family.get_metric()[0];
        metric.get_counter().get_value() + metric.get_gauge().get_value()
    }

    #[test]
    fn processor_time_is_counted_in_parts_of_a_second() {
        let process = Process::of_this();
        let counted = || value(&process, "process_cpu_seconds_total");
        let first = counted();
        // Ends: every look takes some.
        let next = std::iter::repeat_with(counted).find(|next| *next > first).expect("it grows");
        assert!(next - first < 1.0, "{first} {next}");
        assert_eq!(process.collect().len(), 7);
        assert_eq!(process.desc().len(), 7);
    }

    #[test]
    fn a_name_with_brackets_and_spaces_moves_no_field() {
        let rest =
            "S 1 2 3 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 9 0 100 4096 5 18446744073709551615 1";
        let stat = Stat { threads: 9, started: 100, virtual_bytes: 4096, resident_pages: 5 };
        assert_eq!(Stat::parse(&format!("1 (a) b (c)) {rest}")), Some(stat));
        assert_eq!(Stat::parse("1 (a) S 1 2 3"), None);
        assert_eq!(Stat::parse(""), None);
    }

    #[test]
    fn the_values_are_those_of_this_process() {
        let process = Process::of_this();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let age =
            now.expect("after 1970").as_secs_f64() - value(&process, "process_start_time_seconds");
        assert!((-2.0..3_600.0).contains(&age), "{age}");
        let resident = value(&process, "process_resident_memory_bytes");
        assert!((1e6..1e9).contains(&resident), "{resident}");
        assert!(value(&process, "process_virtual_memory_bytes") >= resident);
        assert!(value(&process, "process_threads") >= 1.0);
        let open = value(&process, "process_open_fds");
        assert!(open >= 3.0 && open <= value(&process, "process_max_fds"));
    }
}
