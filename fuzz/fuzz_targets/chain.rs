//! Feeds [`systole_fuzz::chain`].
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| systole_fuzz::check::<systole_fuzz::chain::Chain>(bytes));
