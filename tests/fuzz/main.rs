//! What any input must not be able to break, for a moment; `scripts/fuzz` goes on for as long as
//! one likes. What comes over connections is tried in `crates/actix`.

#[expect(unreachable_pub, reason = "elsewhere it is a library")]
#[path = "../../fuzz/src/lib.rs"]
mod targets;

use proptest::{collection::vec, prelude::*};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn manifest(data in vec(any::<u8>(), 0..40)) {
        targets::manifest(&data);
    }

    #[test]
    fn configuration(data in vec(prop_oneof![4 => any::<u8>(), 1 => Just(b'\n')], 0..60)) {
        targets::configuration(&data);
    }

    #[test]
    fn report(data in vec(any::<u8>(), 0..40)) {
        targets::report(&data);
    }
}
