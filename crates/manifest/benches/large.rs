//! How long a check takes of what a large cluster has. Nothing is asserted: times are the machine's.
//!
//! `cargo bench -p websample-manifest`

use std::{fmt::Write, hint::black_box, time::Instant};

use websample_manifest::{Source, Told, check};

fn main() {
    // By `cargo test --benches` it is only built and begun.
    let sizes: &[usize] = if std::env::args().any(|argument| argument == "--bench") {
        &[3_500, 7_000, 14_000]
    } else {
        &[40]
    };
    for &objects in sizes {
        // Every tenant has the same, which is what takes longest; and all have another.
        for tenants in [objects / 4, 1] {
            let list =
                vec![Source { name: "list.yaml".to_owned(), text: list(objects / 4, tenants) }];
            timed(&format!("{objects} objects in one list, {tenants} namespaces"), &list);
        }
    }
    let files: Vec<_> = (0..500)
        .map(|n| Source {
            name: format!("{n}.yaml"),
            text: list(1, 1).replace("web-0", &format!("web-{n}")),
        })
        .collect();
    timed("500 files of 4 objects", &files);
}

fn timed(what: &str, sources: &[Source]) {
    let start = Instant::now();
    let report = check(sources, Told::default(), &()).expect("it can be read");
    println!("{what}: {:.2?}, {} findings", start.elapsed(), black_box(report).findings.len());
}

/// A Deployment, its Service, its budget and a ConfigMap, so many times.
fn list(times: usize, tenants: usize) -> String {
    let mut text = "apiVersion: v1\nkind: List\nitems:\n".to_owned();
    for n in 0..times {
        let (name, tenant) =
            if tenants > 1 { ("web".to_owned(), n) } else { (format!("web-{n}"), 0) };
        let meta = format!("metadata: {{ name: {name}, namespace: tenant-{tenant} }}");
        let env = "          - { name: V, value: x }
"
        .repeat(10);
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "- apiVersion: apps/v1\n  kind: Deployment\n  {meta}\n  spec:\n    replicas: 3\n    selector: \
             {{ matchLabels: {{ app: {name}, part: shop }} }}\n    template:\n      metadata: {{ labels: {{ \
             app: {name}, part: shop }} }}\n      spec:\n        containers:\n        - name: app\n          \
             image: web:1\n          ports: [{{ name: http, containerPort: 8080 }}]\n          \
             readinessProbe: {{ httpGet: {{ path: /ready, port: http }} }}\n          env:\n{env}  status: \
             {{ replicas: 3 }}\n- apiVersion: v1\n  kind: Service\n  {meta}\n  spec: {{ selector: {{ app: \
             {name} }}, ports: [{{ port: 80, targetPort: http }}] }}\n- apiVersion: v1\n  kind: \
             ConfigMap\n  {meta}\n  data: {{ a: b }}\n- apiVersion: policy/v1\n  kind: \
             PodDisruptionBudget\n  {meta}\n  spec: {{ maxUnavailable: 1, selector: {{ matchLabels: {{ app: \
             {name} }} }} }}\n"
        );
    }
    text
}
