use super::*;

const BLOCK: &str = "\
# A head.
spec:
  replicas: 3  # three
  containers:
    - name: app  # the first
      image: app:1

      # What it takes.
      resources: {limits: {cpu: 1}}
    # Between.
    - name: other
      ports:
      - containerPort: 80
  # At the end.
status: {}
";

#[test]
fn keys_come_behind_the_others_and_all_else_stays() {
    let table = [
        (
            "spec.containers[0]",
            "lifecycle: { preStop: { sleep: { seconds: 5 } } }",
            "      resources: {limits: {cpu: 1}}\n      lifecycle:\n        preStop:\n          \
             sleep:\n            seconds: 5\n    # Between.\n",
        ),
        ("spec", "replicas: 4", "  replicas: 4  # three\n"),
        ("spec", "strategy: { type: RollingUpdate }", "  strategy:\n    type: RollingUpdate\n"),
        ("spec.strategy", "rollingUpdate: { maxSurge: 1 }", "  strategy:\n    rollingUpdate:\n"),
        (
            "spec.containers[1]",
            "ports: [{ containerPort: 81 }]",
            "      - containerPort: 80\n      - containerPort: 81\n",
        ),
        (
            "spec.containers[0].resources",
            "requests: { cpu: 1 }",
            "{requests: { cpu: 1 }, limits: {cpu: 1}}",
        ),
        ("status", "a: 1", "status: { a: 1 }\n"),
        ("", "kind: X", "status: {}\nkind: X\n"),
    ];
    for (at, yaml, expected) in table {
        let changed = merge(BLOCK, at, yaml).unwrap();
        assert!(changed.contains(expected), "{at}\n{changed}");
        let kept = BLOCK.lines().filter(|line| changed.contains(line)).count();
        assert!(kept >= BLOCK.lines().count() - 1, "{changed}");
        assert_eq!(merge(&changed, at, yaml), Ok(changed.clone()), "twice is once");
    }
}

#[test]
fn documents_in_braces_stay_in_braces() {
    for (text, at, yaml, expected) in [
        ("{a: {b: 1}}", "a", "c: 2", "{a: {c: 2, b: 1}}"),
        ("{ \"a\": { } }", "a", "c: x", "{ \"a\": { \"c\": \"x\" } }"),
        (
            "{\n  \"a\": {\n    \"b\": 1\n  }\n}\n",
            "a",
            "c: 2",
            "{\n  \"a\": {\n    \"c\": 2,\n    \"b\": 1\n  }\n}\n",
        ),
        ("{a: [{name: x}]}", "", "a: [{ name: z, v: 1 }]", "{a: [{name: x}, { name: z, v: 1 }]}"),
        (
            "a: {preStop: {exec: {command: [\"}\"]}}}",
            "a",
            "preStop: { sleep: 5 }",
            "a: {preStop: { sleep: 5 }}",
        ),
    ] {
        assert_eq!(merge(text, at, yaml).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn handlers_take_each_others_place_and_fields_go() {
    let text = "lifecycle:\n  preStop:\n    exec:\n      command: [a]\n  postStart: {}\n";
    let changed = merge(text, "lifecycle", "preStop: { sleep: { seconds: 5 } }");
    assert_eq!(
        changed.as_deref(),
        Ok("lifecycle:\n  preStop:\n    sleep:\n      seconds: 5\n  postStart: {}\n")
    );
    assert_eq!(
        remove(BLOCK, "spec.replicas").unwrap(),
        BLOCK.replace("  replicas: 3  # three\n", "")
    );
    assert_eq!(remove(BLOCK, "spec.nothing").as_deref(), Ok(BLOCK));
    assert_eq!(remove("- a: 1\n  b: 2\n", "[0].a"), Err(Unchanged));
}

#[test]
fn what_cannot_be_kept_is_left_alone() {
    // The same mapping in two places, of which one is meant.
    let text = "x: &x\n  a: 1\ny: *x\n";
    assert_eq!(merge(text, "y", "b: 2"), Err(Unchanged));
    assert_eq!(merge("a: [1\n", "", "b: 2"), Err(Unchanged));
    // Lines that end as Windows has them.
    assert_eq!(merge("a: 1\r\n", "", "b: 2").as_deref(), Ok("a: 1\r\nb: 2\r\n"));
    assert_eq!(merge("a: 1", "", "b: 2").as_deref(), Ok("a: 1\nb: 2\n"));
}
