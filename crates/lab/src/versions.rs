//! The two versions of an update, by the names that they have everywhere in the lab.

/// The version that is there first.
pub const FROM: &str = "v1";
/// The version that is rolled out.
pub const TO: &str = "v2";
