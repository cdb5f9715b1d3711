//! golden's n-term units against vectors from models written apart from it.
//!
//! Each file of `data/units` holds 200 cases for the unit of a built-in design: numbers of a
//! size, wide spreads, cancellations, subnormals, zeros, sums near the largest and smallest
//! numbers, NaNs and infinities; short blocks, and sums of several blocks.

use std::fs;
use std::path::Path;
use systole_golden::gemm::{Folds, Gemm};
use systole_isa::design::{self, MacMode, Unit};
use systole_isa::format::Format;

/// One file's cases, each judged. Returns how many there are.
fn judge(path: &Path) -> usize {
    let text = fs::read_to_string(path).unwrap();
    let name = text.lines().next().and_then(|l| l.strip_prefix("#! op=dot design=")).unwrap();
    let mode = design(name);
    let mut k = 0;
    let mut cases = 0;
    for (number, line) in text.lines().enumerate() {
        if let Some(length) = line.strip_prefix("#k ") {
            k = length.parse().unwrap();
        }
        if line.starts_with('#') {
            continue;
        }
        let codes: Vec<u64> = line.split_whitespace().map(|code| u64::from_str_radix(code, 16).unwrap()).collect();
        let [a, b, [c, expected]] = [&codes[..k], &codes[k..2 * k], &codes[2 * k..]] else { panic!("{path:?}:{number}") };
        let gemm = Gemm {
            mode: &mode,
            folds: Folds::Chain,
            output: (mode.accumulator, mode.policy()),
            shape: [1, 1, k],
            a,
            b,
            c: Some(&[*c]),
            c_format: None,
            scales: None,
        };
        let got = gemm.run(|site| panic!("random bits at {site:?}")).unwrap()[0];
        assert!(got == *expected, "{path:?}:{}: got {got:x}, expected {expected:x}", number + 1);
        cases += 1;
    }
    cases
}

fn design(name: &str) -> MacMode {
    design::find(name).unwrap().mac
}

#[test]
fn every_unit_of_the_built_in_designs() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/units");
    let mut covered = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        assert!(judge(&path) >= 200, "{path:?}");
        covered.push(path.file_stem().unwrap().to_str().unwrap().to_owned());
    }
    for built_in in design::DESIGNS {
        // Chunks and block scales stand around a unit, not inside it.
        let plain = MacMode::fused(Format::FP32, Format::FP32, Format::FP32);
        let MacMode { scale, scale_format, scale_rows, scale_cols, chunk, outer, outer_rounding, .. } = plain;
        let mode = MacMode { scale, scale_format, scale_rows, scale_cols, chunk, outer, outer_rounding, ..design(built_in.name) };
        let covered_by_another = covered.iter().any(|name| design(name) == mode);
        assert!(mode.unit == Unit::Chain || covered_by_another, "no vectors for {}", built_in.name);
    }
}
