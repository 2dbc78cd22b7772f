//! The table of findings: what can be wrong, and how bad that is.

use std::fmt;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A rollout loses requests, gets stuck, or the API refuses the object.
    Error,
    /// It does so under conditions that the manifest does not show.
    Warning,
    /// Something was not judged, so that nothing found says nothing of it.
    Note,
}

impl Severity {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Where a finding is explained: the section of its name in this page.
pub const PAGE: &str = "docs/check.md";

macro_rules! rules {
    ($($rule:ident $severity:ident $name:literal $about:literal)*) => {
        /// Something that can be wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule {
            $(#[doc = $about] $rule,)*
        }

        impl Rule {
            /// Every rule, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$rule,)*];

            /// Its name, which is its anchor in [`PAGE`] too.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$rule => $name,)* }
            }

            /// The rule of this name.
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|rule| rule.name() == name)
            }

            /// How bad it is.
            pub const fn severity(self) -> Severity {
                match self { $(Self::$rule => Severity::$severity,)* }
            }

            /// What is wrong where it is found, in a few words.
            pub const fn about(self) -> &'static str {
                match self { $(Self::$rule => $about,)* }
            }
        }
    };
}

rules! {
    // How a pod ends
    EndpointRace Warning "endpoint-race" "Nothing shows that it goes on accepting while traffic moves away"
    DelayTooShort Warning "delay-too-short" "It stops accepting before traffic has moved away"
    NoReadinessGate Warning "no-readiness-gate" "A load balancer to pods is not waited for"
    DeregistrationTooShort Warning "deregistration-too-short" "A load balancer gives up requests before the server does"
    GraceZero Error "grace-zero" "The grace period is zero"
    GraceTooShort Error "grace-too-short" "The grace period is shorter than hook, delay and drain"
    NoTimeToDrain Warning "no-time-to-drain" "Hook and delay leave next to nothing of the grace period"
    DrainOutlastsGrace Warning "drain-outlasts-grace" "The program was given longer to finish than the pod has"
    HookOutlastsGrace Error "hook-outlasts-grace" "The preStop hook sleeps as long as the grace period, or longer"
    HookPortNotExposed Error "hook-port-not-exposed" "The preStop hook calls a port that the container does not have"
    HookWithoutProgram Error "hook-without-program" "The preStop hook runs a program that the image does not have"
    HookTcpSocket Error "hook-tcp-socket" "A preStop hook cannot be a tcpSocket"
    HookRefused Warning "hook-refused" "The server does not answer the preStop hook"
    ShellAsPid1 Warning "shell-as-pid-1" "SIGTERM goes to a shell that does not pass it on"
    ProxyLeavesFirst Warning "proxy-leaves-first" "The sidecar proxy leaves before the application"
    // What the sample server is told
    SettingsRefused Error "settings-refused" "The server refuses its settings and does not start"
    ServerGraceTooLong Error "server-grace-too-long" "The server believes to have more time than the kubelet gives it"
    ServerGraceTooShort Warning "server-grace-too-short" "The server cuts requests before it has to"
    SigtermIgnored Warning "sigterm-ignored" "The server ignores SIGTERM and ends by SIGKILL"
    ExitsAtOnce Error "exits-at-once" "The server exits at SIGTERM, whatever is in flight"
    // Probes
    NoReadinessProbe Error "no-readiness-probe" "There is no readiness probe"
    ProbeOutlastsDelay Warning "probe-outlasts-delay" "The server closes before its readiness probe can take it out"
    UnknownPortName Error "unknown-port-name" "A probe or hook names a port that the container does not have"
    ProbePortUndeclared Warning "probe-port-undeclared" "A probe asks a port that the pod does not declare"
    ProbeOfUdpPort Warning "probe-of-udp-port" "A probe opens a TCP connection to a port that is declared for UDP"
    ProbeTimeoutOverPeriod Warning "probe-timeout-over-period" "A probe may take longer than its period"
    ProbeGraceTooShort Warning "probe-grace-too-short" "A probe's own grace period is shorter than hook and delay"
    LivenessLikeReadiness Warning "liveness-like-readiness" "The liveness probe kills what the readiness probe would only take out"
    LivenessBeforeReadiness Warning "liveness-before-readiness" "The liveness probe gives up before the readiness probe begins"
    // How the pods are replaced
    StrategyRecreate Error "strategy-recreate" "All pods are stopped before the first new one starts"
    NoPodLeft Error "no-pod-left" "The rollout may stop every pod that serves"
    SurgeAndUnavailableZero Error "surge-and-unavailable-zero" "maxSurge and maxUnavailable are both zero"
    NoSurge Warning "no-surge" "Without a surge the rollout runs below capacity"
    TooManyUnavailable Warning "too-many-unavailable" "The rollout may stop more than half of the pods"
    SingleReplica Warning "single-replica" "There is one replica"
    ReplicasAndAutoscaler Warning "replicas-and-autoscaler" "replicas is set beside an autoscaler"
    ProgressDeadlineTooShort Error "progress-deadline-too-short" "progressDeadlineSeconds is not above minReadySeconds"
    ProgressDeadlineBeforeReady Warning "progress-deadline-before-ready" "A rollout is given up before a pod has to be ready"
    HostPortBlocksSurge Warning "host-port-blocks-surge" "A port of the node is taken by the pod that is to be replaced"
    SingleAttachVolume Warning "single-attach-volume" "A volume is held by the pod that is to be replaced"
    DeviceBlocksSurge Warning "device-blocks-surge" "New pods need a device that the old ones hold"
    BarePod Warning "bare-pod" "Nobody makes the pod again"
    ScalesToZero Warning "scales-to-zero" "Its autoscaler goes down to no pod at all"
    ScaleDownDelayTooShort Warning "scale-down-delay-too-short" "Old pods go before everybody has heard of the switch"
    AntiAffinityBlocksSurge Warning "anti-affinity-blocks-surge" "New pods need a node without an old one"
    // Disruptions besides rollouts
    NoDisruptionBudget Warning "no-disruption-budget" "No PodDisruptionBudget protects the pods"
    DisruptionBudgetBlocks Warning "disruption-budget-blocks" "A PodDisruptionBudget allows no disruption at all"
    DisruptionBudgetRefused Error "disruption-budget-refused" "The API refuses the PodDisruptionBudget"
    DisruptionBudgetsOverlap Error "disruption-budgets-overlap" "Two PodDisruptionBudgets select the same pods"
    JobFailsWhenDrained Warning "job-fails-when-drained" "The drain of a node fails the Job"
    JobPodsOverlap Warning "job-pods-overlap" "A Job's next pod waits for what the one before still holds"
    DisruptionBudgetUnmatched Warning "disruption-budget-unmatched" "A PodDisruptionBudget selects none of the pods it is named after"
    // What does not fit together
    ServicePortUnknown Error "service-port-unknown" "A Service names a port that no container has"
    ServicePortUndeclared Warning "service-port-undeclared" "A Service sends to a port that the pod does not declare"
    ServiceOfSeveral Warning "service-of-several" "A Service sends to pods of which some do not listen"
    ServicesDisagree Warning "services-disagree" "Two Services say different things of one port"
    ServiceSelectsNothing Error "service-selects-nothing" "A Service selects none of the pods it is named after"
    ServiceWithoutPods Warning "service-without-pods" "A Service selects the pods of nothing that was read"
    RouteServiceMissing Warning "route-service-missing" "An Ingress or route sends to a Service that was not read"
    RoutePortUnknown Error "route-port-unknown" "An Ingress or route sends to a port that the Service does not have"
    RoutePortOfPod Warning "route-port-of-pod" "An Ingress or route names the pods' port, not the Service's"
    AutoscalerTargetUnknown Error "autoscaler-target-unknown" "An autoscaler names something that cannot be scaled"
    AutoscalerTargetMissing Warning "autoscaler-target-missing" "An autoscaler's target was not read"
    AutoscalersOverlap Warning "autoscalers-overlap" "Two autoscalers scale one workload"
    DefinedTwice Warning "defined-twice" "An object is there twice in one file"
    PublishesNotReady Error "publishes-not-ready" "A Service sends to pods that are not ready"
    NamespaceApart Warning "namespace-apart" "One of two that belong together names a namespace"
    SelectorMismatch Error "selector-mismatch" "The selector does not match the pods' own labels"
    ApiRefuses Error "api-refuses" "The API refuses the object"
    RemovedApi Error "removed-api" "The object's API version is no longer served"
    UnknownApi Error "unknown-api" "There has never been such a version of this kind"
    UnknownField Warning "unknown-field" "The API does not have this field"
    IgnoreRefused Warning "ignore-refused" "An annotation that ignores findings is not understood"
    // What was not judged
    TrafficUnknown Note "traffic-unknown" "Nothing shows whether requests come to it"
    NotAnObject Note "not-an-object" "A document is no object of Kubernetes"
    ReferenceNotJudged Note "reference-not-judged" "What it refers to was not read"
    NotBuilt Note "not-built" "A kustomization changes what was read"
    KindNotJudged Note "kind-not-judged" "Objects of this kind are not judged"
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl serde::Serialize for Rule {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_fit_for_an_anchor() {
        let names: BTreeSet<_> = Rule::ALL.iter().map(|rule| rule.name()).collect();
        assert_eq!(names.len(), Rule::ALL.len());
        for name in names {
            let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(name.chars().all(fits), "{name}");
        }
    }
}
