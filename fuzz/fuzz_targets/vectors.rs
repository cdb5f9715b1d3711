//! Feeds [`systole_fuzz::vectors`].
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| systole_fuzz::check::<systole_fuzz::vectors::File>(bytes));
