//! What a product takes beside its operands and its result.

#![cfg(target_os = "linux")]

use systole_arrays::datapath::Output;
use systole_arrays::fast::{KernelChoice, gemm};
use systole_arrays::problem::{Operands, Setup, Shape};
use systole_isa::codes::Codes;
use systole_isa::design::{ArraySpec, MacMode};
use systole_isa::entropy::Site;
use systole_isa::format::Format;
use systole_isa::round::Policy;

/// A figure of this process in KiB.
fn status(field: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Unpacked at once, these operands would take 128 MiB.
#[test]
fn a_product_takes_at_most_64_mib() {
    let mode = MacMode::fused(Format::E4M3FN, Format::E4M3FN, Format::FP32);
    let array = ArraySpec::output_stationary(16, 16);
    let output = Output { format: mode.outermost(), policy: Policy::RNE };
    let setup = Setup { array, mode, bias_a: 0, bias_b: 0, output, site: Site::default() };
    let shape = Shape { m: 512, n: 512, k: 32_768 };
    let operand = |seed: usize| Codes::from_fn(Format::E4M3FN, 512 * 32_768, |i| ((i * 2_654_435_761 + seed) >> 13 & 0x3f) as u64);
    let (a, b) = (operand(1), operand(77));
    let before = status("VmRSS:");
    let (values, used) = gemm(&setup, shape, &Operands::new(&a, &b, None), KernelChoice::Auto);
    let taken = status("VmHWM:").saturating_sub(before);
    assert_ne!(used.name, "scalar");
    assert_eq!(values.d.len(), 512 * 512);
    assert!(taken > 1024 && taken <= (64 << 10) + (1 << 10), "{taken} KiB by {}", used.name);
}
