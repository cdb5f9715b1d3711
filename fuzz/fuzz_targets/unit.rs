//! Feeds [`systole_fuzz::unit`].
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| systole_fuzz::check::<systole_fuzz::unit::Unit>(bytes));
