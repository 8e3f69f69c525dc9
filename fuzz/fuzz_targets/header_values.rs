//! libFuzzer's bytes for `idv_gateway::fuzzing::header_values`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| idv_gateway::fuzzing::header_values(bytes));
