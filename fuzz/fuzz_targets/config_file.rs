//! libFuzzer's bytes for `idv_gateway::fuzzing::config_file`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| idv_gateway::fuzzing::config_file(bytes));
