//! What every SARIF log has, whatever was looked at (OASIS: Static Analysis Results Interchange Format,
//! 2.1.0); of this project's tools each writes one.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// A log of one run of a tool. `rules` are reportingDescriptors, `results` results, and `problems`
/// notifications of what kept it from its work: where there is one, it was not successful.
pub fn sarif_log(tool: &str, rules: &[Value], results: &[Value], problems: &[Value]) -> Value {
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": tool,
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "invocations": [{
                "executionSuccessful": problems.is_empty(),
                "toolExecutionNotifications": problems,
            }],
            "results": results,
        }],
    })
}

/// A location: a line of a file, or the file.
pub fn sarif_place(file: &str, line: Option<usize>) -> Value {
    let mut place = json!({ "artifactLocation": { "uri": uri(file) } });
    if let Some(line) = line {
        place["region"] = json!({ "startLine": line });
    }
    json!({ "physicalLocation": place })
}

/// A path as a reference: what a URI does not have is written by its number (RFC 3986).
fn uri(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        if plain(byte) {
            uri.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}
