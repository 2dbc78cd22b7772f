//! The process: processor time, memory, files, threads.

use prometheus::{
    core::{Collector, Desc},
    process_collector::ProcessCollector,
    proto::{Counter, MetricFamily},
};
use rustix::time::{ClockId, clock_gettime};

/// The family that is measured here.
const CPU: &str = "process_cpu_seconds_total";

/// The `process_*` families of the process that it is in. Those of the prometheus crate, but for
/// the processor time: that crate counts whole seconds, in which a server that idles, or lives no
/// longer than a rollout, seems to need none.
#[derive(Debug)]
pub struct Process(ProcessCollector);

impl Process {
    /// Those of this process.
    pub fn of_this() -> Self {
        Self(ProcessCollector::for_self())
    }
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        self.0.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = self.0.collect();
        let cpu = families.iter_mut().find(|family| family.name() == CPU);
        let metric = cpu.and_then(|family| family.mut_metric().first_mut());
        if let Some(metric) = metric {
            let mut counter = Counter::default();
            counter.set_value(processor_seconds());
            metric.set_counter(counter);
        }
        families
    }
}

/// What the threads of this process have used of processors.
fn processor_seconds() -> f64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
}

#[test]
fn processor_time_is_counted_in_parts_of_a_second() {
    let process = Process::of_this();
    let counted = || {
        let families = process.collect();
        let family = families.iter().find(|family| family.name() == CPU).expect("it is there");
        family.get_metric()[0].get_counter().get_value()
    };
    let first = counted();
    // Ends: every look takes some.
    let next = std::iter::repeat_with(counted).find(|next| *next > first).expect("it grows");
    assert!(next - first < 1.0, "{first} {next}");
    assert_eq!(process.collect().len(), 7);
}
