//! Feeds [`systole_fuzz::onnx`].
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| systole_fuzz::check::<systole_fuzz::onnx::File>(bytes));
