//! `websample attack`: its options, its report, its results file.

use std::{fs, time::Duration};

use clap::{Args, FromArgMatches};
use serde_json::Value;
use websample::attack::{AttackArgs, attack};
use websample_load::{
    Bounds, Direct, LoadReport,
    vegeta::{JsonReport, TextReport},
};

use crate::harness::{OK, Run, nobody, read_request, serve, write};

fn args(line: &str) -> Result<AttackArgs, clap::Error> {
    let command = AttackArgs::augment_args(clap::Command::new("attack").no_binary_name(true));
    AttackArgs::from_arg_matches(&command.try_get_matches_from(line.split(' '))?)
}

async fn exit_code(line: &str) -> u8 {
    attack(args(line).expect(line)).await.expect(line)
}

/// Two answers and a refusal, at fixed times.
async fn sample_report() -> LoadReport {
    let address = serve(|mut socket, number| async move {
        read_request(&mut socket).await;
        let failed = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nlate";
        write(&mut socket, if number == 2 { failed } else { OK }).await;
    })
    .await;
    Run::of("10/s new POST /echo body=6", Direct(address), Bounds::default())
        .finish(Duration::from_millis(250))
        .await
        .0
}

#[tokio::test]
async fn wrong_options_exit_with_64() {
    for line in [
        "ftp://127.0.0.1/",
        "https://127.0.0.1/ --ca /dev/null",
        "https://127.0.0.1/ --ca /nowhere",
        "https://127.0.0.1/ --insecure --server-name a:b",
        "http://127.0.0.1/ --ca /dev/null",
        "http://127.0.0.1/ --insecure",
        "http://127.0.0.1/ --server-name a",
        "http://127.0.0.1/ --mix 1/s\u{a0}new\u{a0}GET\u{a0}/\u{a0}alpn=yes",
        "127.0.0.1:5000",
        "http://127.0.0.1/ --rate 0",
        "http://127.0.0.1/ --rate fast",
        "http://127.0.0.1/ --header nonsense",
        "http://127.0.0.1/ --connections 3",
        "http://127.0.0.1/ --output results.bin",
        "http://127.0.0.1/ --expect 20x",
        "http://127.0.0.1/ --timeout 0s",
        "http://127.0.0.1/ --method G,T",
        "http://127.0.0.1/path --mix 1/s\u{a0}new\u{a0}GET\u{a0}/",
    ] {
        assert_eq!(exit_code(line).await, 64, "{line}");
    }
    for line in [
        "http://127.0.0.1/ --mix 1/s\u{a0}new\u{a0}GET\u{a0}/ --rate 5",
        "http://127.0.0.1/ --http2 --keep-alive",
        "https://127.0.0.1/ --http2 --http1",
        "https://127.0.0.1/ --ca a --insecure",
        "http://127.0.0.1/ --duration soon",
        "--keep-alive",
    ] {
        assert!(args(line).is_err(), "{line}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_result_and_not_an_error() {
    let line = format!("http://{}/ --rate 20 --duration 100ms --format json", nobody().await);
    assert_eq!(exit_code(&line).await, 0);
}

#[tokio::test]
async fn the_text_report_has_vegetas_layout() {
    let report = sample_report().await;
    let text = TextReport(&report).to_string();
    let lines: Vec<_> = text.lines().collect();
    let starts = [
        "Requests      [total, rate, throughput]         3, 15.00, ",
        "Duration      [total, attack, wait]             2",
        "Latencies     [min, mean, 50, 90, 95, 99, max]  ",
        "Bytes In      [total, mean]                     4, 1.33",
        "Bytes Out     [total, mean]                     18, 6.00",
        "Success       [ratio]                           66.67%",
        "Status Codes  [code:count]                      200:2  503:1  ",
        "Outcomes      [name:count]                      ok:2  status_503:1  ",
        "Lost          [total, with retries]             1, 1",
        "Send Delay    [50, 99, max]                     ",
        "Error Set:",
        "503 Service Unavailable",
    ];
    assert_eq!(lines.len(), starts.len(), "{text}");
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "{line:?} does not start with {start:?}");
    }
    assert_eq!(lines[2].matches(", ").count(), 6 + 6, "seven names and seven values");
}

#[tokio::test]
async fn the_json_report_has_vegetas_members() {
    let report = sample_report().await;
    let json = serde_json::to_value(JsonReport::from(&report)).expect("a report");
    assert_eq!(json["requests"], 3);
    assert_eq!(json["duration"], 200_000_000);
    assert_eq!(json["status_codes"], serde_json::json!({"200": 2, "503": 1}));
    assert_eq!(json["bytes_in"]["total"], 4);
    assert_eq!(json["errors"], serde_json::json!(["503 Service Unavailable"]));
    assert_eq!(json["outcomes"], serde_json::json!({"ok": 2, "status_503": 1}));
    for name in ["total", "mean", "50th", "90th", "95th", "99th", "max", "min"] {
        assert!(json["latencies"][name].is_u64(), "{name}");
    }
    for name in ["earliest", "latest", "end"] {
        let time = json[name].as_str().expect(name);
        humantime::parse_rfc3339(time).expect(name);
    }
}

#[tokio::test]
async fn results_are_written_as_vegeta_reads_them() {
    let address = serve(|mut socket, _| async move {
        while read_request(&mut socket).await {
            write(&mut socket, OK).await;
        }
    })
    .await;
    let dir = tempfile::tempdir().expect("a directory");
    let run = |file: &str| {
        let file = dir.path().join(file);
        let line = format!(
            "http://{address}/a,b --rate 50 --duration 100ms --keep-alive --body hey \
             --name night,ly --output {}",
            file.display()
        );
        async move {
            assert_eq!(exit_code(&line.replace("             ", "")).await, 0);
            fs::read_to_string(file).expect("results")
        }
    };

    let csv = run("results.csv").await;
    assert_eq!(csv.lines().count(), 5);
    for line in csv.lines() {
        let (numbers, rest) = line.split_at(line.find(",,,").expect("no error and no body"));
        let numbers: Vec<u64> = numbers.split(',').map(|n| n.parse().expect(line)).collect();
        assert_eq!((numbers.len(), numbers[1], numbers[3], numbers[4]), (5, 200, 3, 0));
        assert!(rest.starts_with(",,,\"night,ly\","), "{rest}");
        assert!(rest.ends_with(&format!(",POST,\"http://{address}/a,b\",")), "{rest}");
    }

    let json = run("results.json").await;
    let results: Vec<Value> =
        json.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let mut numbers: Vec<_> = results.iter().map(|result| result["seq"].as_u64()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [0, 1, 2, 3, 4].map(Some), "vegeta's plot wants every number from 0");
    for result in &results {
        let mut names: Vec<_> = result.as_object().expect("an object").keys().collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "attack",
                "body",
                "bytes_in",
                "bytes_out",
                "code",
                "error",
                "headers",
                "latency",
                "method",
                "seq",
                "timestamp",
                "url"
            ]
        );
        assert_eq!((&result["code"], &result["attack"]), (&200.into(), &"night,ly".into()));
    }
}
