//! Feeds [`systole_fuzz::engines`].
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| systole_fuzz::engines(bytes));
