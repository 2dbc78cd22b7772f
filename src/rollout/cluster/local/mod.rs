//! A faithful Kubernetes rolling update on one machine, with real processes.
