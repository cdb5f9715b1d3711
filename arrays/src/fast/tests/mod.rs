//! Kernels against the definition.

mod edges;
mod exhaustive;
mod masked;
mod random;
mod scales;

use super::{KernelChoice, gemm};
use crate::datapath::Output;
use crate::problem::{Operands, Setup, Shape, Values};
use crate::testing::{self, Pattern, Problem};
use std::collections::BTreeMap;
use systole_isa::codes::Codes;
use systole_isa::design::{Addend, Aligned, ArraySpec, MacMode, Product, Truncation, Unit};
use systole_isa::entropy::Site;
use systole_isa::format::Format;
use systole_isa::round::{Policy, Rounding, SubnormalPolicy};

const ROUNDINGS: [Rounding; 9] = [
    Rounding::Rne,
    Rounding::Rmm,
    Rounding::Rtz,
    Rounding::Rdn,
    Rounding::Rup,
    Rounding::Rod,
    Rounding::Sr(1),
    Rounding::Sr(8),
    Rounding::Sr(23),
];

fn format(name: &str) -> Format {
    name.parse().unwrap()
}

fn mode(a: &str, b: &str, accumulator: &str) -> MacMode {
    MacMode::fused(format(a), format(b), format(accumulator))
}

/// A unit that aligns its products with the accumulator, as NVIDIA's do.
fn aligned(fraction_bits: u32, term_truncation: Truncation, zero_exponent: Option<i32>, infinite_from: Option<i32>) -> Unit {
    Unit::Aligned(Aligned {
        fraction_bits,
        term_truncation,
        addend: Addend::Together,
        groups: 1,
        sum_truncation: Truncation::TowardZero,
        zero_exponent,
        infinite_from,
        negative_zero: infinite_from.is_some(),
    })
}

fn setup(mode: MacMode) -> Setup {
    let output = Output { format: mode.outermost(), policy: Policy::RNE };
    Setup {
        array: ArraySpec::output_stationary(16, 16),
        mode,
        bias_a: 0,
        bias_b: 0,
        output,
        site: Site { seed: 9, step: 2, instruction: 5, ..Site::default() },
    }
}

/// Problems a test draws: PROPTEST_CASES where it is set.
fn cases(default: u32) -> u32 {
    std::env::var("PROPTEST_CASES").map_or(default, |cases| cases.parse().unwrap())
}

/// Results by kernel name, so that a test can tell which ran.
#[derive(Default)]
struct Ran(BTreeMap<&'static str, u64>);

impl Ran {
    fn check(&mut self, problem: &Problem, expected: &Values) {
        for choice in KernelChoice::available() {
            let (values, used) = gemm(&problem.setup, problem.shape, &problem.operands(), choice);
            *self.0.entry(used.name).or_default() += problem.shape.macs();
            if values != *expected {
                let n = problem.shape.n as usize;
                let at = (0..values.d.len()).find(|&i| values.d.get(i) != expected.d.get(i));
                let difference = at.map(|i| format!("d[{}][{}] is {:#x}, not {:#x}", i / n, i % n, values.d.get(i), expected.d.get(i)));
                panic!(
                    "{} differs: {difference:?}\n{:?}\n{:?}\n{} {:?} biases {} {} {:?}",
                    used.name,
                    values.activity,
                    expected.activity,
                    used.reason,
                    problem.setup.mode,
                    problem.setup.bias_a,
                    problem.setup.bias_b,
                    problem.shape,
                );
            }
        }
    }

    /// Against the definition, rows in parallel.
    fn check_large(&mut self, problem: &Problem) {
        let (expected, used) = gemm(&problem.setup, problem.shape, &problem.operands(), KernelChoice::Scalar);
        assert_eq!(used.name, "scalar");
        self.check(problem, &expected);
    }

    /// Every kernel named here must have run, with each set of instructions this machine has.
    fn assert_ran(&self, names: &[&str]) {
        for name in names {
            for set in KernelChoice::available().into_iter().filter(|&set| set != KernelChoice::Avx512Fp16) {
                let name = format!("{name}/{set}");
                assert!(self.0.contains_key(name.as_str()), "{name} never ran: {:?}", self.0);
            }
        }
    }
}

/// The kernel and its reason, for designs people run.
#[test]
fn dispatch_names_the_kernel_and_the_reason() {
    let rne = |accumulator| mode("e4m3fn", "e5m2", accumulator);
    let cases = [
        (rne("fp32"), 0, "fma32", ""),
        (rne("e6m9"), 0, "carrier32", "not fp32"),
        (rne("fp16"), 7, "carrier32", "not fp32"),
        (rne("bf16"), 0, "carrier32", "not fp32"),
        (rne("dlfloat16"), 0, "carrier32", "not fp32"),
        (rne("dlfloat16"), 9, "carrier64", "underflow"),
        (rne("e6m5"), 0, "carrier32", "not fp32"),
        (rne("e8m13"), 0, "carrier32", "not fp32"),
        (rne("e8m23"), 150, "carrier64", "binary32's range"),
        (rne("e8m22"), 0, "carrier64", "room to round"),
        (MacMode { rounding: Rounding::Sr(8), ..rne("e6m9") }, 0, "carrier32", "not fp32"),
        (MacMode { rounding: Rounding::Sr(15), ..rne("e6m9") }, 0, "carrier64", "room to round"),
        (MacMode { rounding: Rounding::Rtz, ..rne("fp32") }, 0, "carrier32", "not rne"),
        (MacMode { rounding: Rounding::Rup, ..rne("fp32") }, 0, "carrier64", "room to round"),
        (MacMode { subnormals: SubnormalPolicy::Ftz, ..rne("e6m9") }, 0, "scalar", "flushed"),
        (MacMode { product: Product::Rounded(Format::FP16), ..rne("e6m9") }, 0, "carrier64", "products are rounded"),
        (MacMode { product: Product::Rounded(format("e6m9")), ..rne("e6m9") }, 0, "carrier32", "not fp32"),
        (MacMode { product: Product::Rounded(format("e6m5")), ..rne("e6m9") }, 0, "carrier32", "products are rounded"),
        (mode("int8", "int8", "int32"), 0, "integer", ""),
        (mode("e4m3fn", "e4m3fn", "fx46.18"), 0, "integer", "24 bits"),
        (rne("fp64"), 0, "scalar", "not 2 to 50"),
        (mode("fp64", "fp64", "fp32"), 0, "scalar", "more than 53"),
        (rne("fp32"), 150, "carrier64", "binary32's range"),
    ];
    for (mode, bias_a, name, reason) in cases {
        let (m, n, k) = (7, 19, 33);
        let mut problem = Problem {
            scales: [None, None],
            mask: None,
            shape: Shape { m: m as u32, n: n as u32, k: k as u32 },
            a: testing::codes(mode.a, m * k, Pattern::Moderate, 1),
            b: testing::codes(mode.b, k * n, Pattern::Moderate, 2),
            c: None,
            setup: Setup { bias_a, ..setup(mode) },
        };
        // One operand at the end of its format, so that its full range counts.
        problem.a.set(0, 1);
        problem.b.set(0, 1);
        Ran::default().check_large(&problem);
        for choice in KernelChoice::available() {
            let (_, used) = gemm(&problem.setup, problem.shape, &problem.operands(), choice);
            assert_eq!(used.name.split('/').next(), Some(name), "{used:?} {:?}", problem.setup.mode);
            assert!(used.reason.contains(reason) && (!reason.is_empty() || used.reason.is_empty()), "{used:?}");
        }
    }
}

#[test]
fn the_same_at_any_thread_count() {
    let mode = MacMode { rounding: Rounding::Sr(8), chunk: Some(16), ..mode("e4m3fn", "e4m3fn", "e6m9") };
    let (m, n, k) = (131, 67, 90);
    let a = testing::codes(mode.a, m * k, Pattern::Uniform, 4);
    let b = testing::codes(mode.b, k * n, Pattern::Uniform, 5);
    let setup = setup(mode);
    let run = |threads, choice| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let operands = Operands::new(&a, &b, None);
        pool.install(|| gemm(&setup, Shape { m: m as u32, n: n as u32, k: k as u32 }, &operands, choice).0)
    };
    let one = run(1, KernelChoice::Auto);
    for threads in [2, 3, 8] {
        for choice in KernelChoice::available() {
            assert_eq!(run(threads, choice), one);
        }
    }
    assert_eq!(run(2, KernelChoice::Scalar), one);
}

#[test]
fn without_products_c_leaves_alone() {
    let mode = mode("e4m3fn", "e4m3fn", "e6m9");
    let problem = Problem {
        scales: [None, None],
        mask: None,
        a: Codes::zeros(mode.a, 0),
        b: Codes::zeros(mode.b, 0),
        c: Some(testing::codes(mode.accumulator, 6, Pattern::Uniform, 1)),
        setup: setup(mode),
        shape: Shape { m: 2, n: 3, k: 0 },
    };
    Ran::default().check_large(&problem);
    assert_eq!(Some(gemm(&problem.setup, problem.shape, &problem.operands(), KernelChoice::Auto).0.d), problem.c);
}

#[test]
fn choices_by_name() {
    for choice in [KernelChoice::Auto, KernelChoice::Scalar].into_iter().chain(KernelChoice::available()) {
        assert_eq!(choice.to_string().parse(), Ok(choice));
    }
    let unknown = "sse9".parse::<KernelChoice>().unwrap_err().to_string();
    assert_eq!(unknown, "`sse9` names no kernels; use auto, avx512fp16, avx512, avx2, portable or scalar");
    for name in ["avx512fp16", "avx512", "avx2"] {
        if let Err(absent) = name.parse::<KernelChoice>() {
            assert!(absent.to_string().starts_with(&format!("`{name}` kernels need a CPU with ")), "{absent}");
        }
    }
}
