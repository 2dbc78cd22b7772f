#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| websample_actix::fuzzing::frames(data));
