//! Documents with something else in them.

use serde_json::{Value, json};

/// Changes a document as the bytes say: four for each change, of which two choose the place.
pub(crate) fn change(document: &mut Value, data: &[u8]) {
    for four in data.chunks_exact(4) {
        let place = usize::from(u16::from_be_bytes([four[0], four[1]]));
        let mut left = place % count(document).max(1);
        put(document, &mut left, four[2], four[3]);
    }
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum(),
        _ => 0,
    }
}

/// Goes to a place, in the order of the text, and changes what is there.
fn put(value: &mut Value, left: &mut usize, kind: u8, byte: u8) -> bool {
    if *left == 0 {
        replace(value, kind, byte);
        return true;
    }
    *left -= 1;
    match value {
        Value::Array(items) => items.iter_mut().any(|item| put(item, left, kind, byte)),
        Value::Object(fields) => fields.values_mut().any(|field| put(field, left, kind, byte)),
        _ => false,
    }
}

fn replace(value: &mut Value, kind: u8, byte: u8) {
    match (kind % 28, value) {
        (0, Value::Array(items)) => items.clear(),
        (0, Value::Object(fields)) => fields.clear(),
        (1, Value::Array(items)) => {
            let again: Vec<_> =
                items.iter().cycle().take(items.len() * usize::from(byte % 4)).cloned().collect();
            // Not for ever: what is doubled may be doubled again.
            if items.len() < 1_000 {
                items.extend(again);
            }
        }
        (1, Value::Object(fields)) => {
            let name = fields.keys().nth(usize::from(byte) % fields.len().max(1)).cloned();
            name.map(|name| fields.remove(&name));
        }
        (2, Value::String(text)) => text.push(char::from(byte)),
        (2, Value::Number(number)) => {
            let changed = number.as_f64().unwrap_or(0.0) * f64::from(byte);
            *number = json!(changed).as_number().cloned().unwrap_or_else(|| 0.into());
        }
        (other, value) => {
            *value = match other {
                3 => Value::Null,
                4 => json!(true),
                5 => json!(0),
                6 => json!(-1),
                7 => json!(i64::MIN),
                8 => json!(u64::MAX),
                9 => json!(1_u64 << 53),
                10 => json!(1e308),
                11 => json!(-1e308),
                12 => json!(f64::MIN_POSITIVE),
                13 => json!(""),
                14 => json!("\u{1b}[2J\u{0}\u{7f}\u{9b}\n\r::error::<script>&\"'|`\u{202e}"),
                15 => json!("x".repeat(usize::from(byte) * 16)),
                16 => json!([]),
                17 => json!({}),
                18 => json!([null]),
                19 => json!(byte),
                20 => json!(f64::from(byte) / 7.0),
                21 => json!(format!("{byte}%")),
                22 => json!(format!("{byte}s")),
                23 => json!("-9223372036854775808%"),
                24 => json!("99999999999999999999s"),
                25 => json!(i32::MAX),
                26 => json!({ "a": { "b": [byte] } }),
                _ => json!(char::from(byte).to_string()),
            };
        }
    }
}

/// The first control character that would reach a terminal.
pub(crate) fn control(text: &str) -> Option<char> {
    text.chars().find(|c| c.is_control() && *c != '\n')
}
