//! Speed of every kernel: 512 x 512 x 512, in multiply-accumulates per second.
//!
//! `RAYON_NUM_THREADS=1 cargo bench -p systole-arrays` gives figures per core.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use systole_arrays::datapath::Output;
use systole_arrays::fast::{KernelChoice, gemm};
use systole_arrays::problem::{Operands, Setup, Shape};
use systole_isa::codes::Codes;
use systole_isa::design::{ArraySpec, Convention, Dataflow, Drain, MacMode, PartialSums, Preload, Product};
use systole_isa::entropy::Site;
use systole_isa::format::Format;
use systole_isa::round::{Overflow, Policy, Rounding};

const ARRAY: ArraySpec = ArraySpec {
    rows: 16,
    cols: 16,
    count: 1,
    clock_mhz: 1000.0,
    dataflow: Dataflow::Os,
    convention: Convention::Rtl,
    drain: Drain::Overlap,
    preload: Preload::Double,
    partial_sums: PartialSums::Feedback,
};

fn format(name: &str) -> Format {
    name.parse().unwrap()
}

fn setup(a: &str, accumulator: &str, edit: impl FnOnce(&mut MacMode)) -> Setup {
    let mut mode = MacMode::fused(format(a), format(a), format(accumulator));
    edit(&mut mode);
    let output = Output { format: mode.outermost(), policy: Policy::RNE };
    Setup { array: ARRAY, mode, bias_a: 0, bias_b: 0, output, site: Site::default() }
}

/// Finite codes; `small` keeps e4m3fn within 2 so that 16-bit sums stay in range.
fn operand(setup: &Setup, len: usize, small: bool, seed: u64) -> Codes {
    let mut state = seed;
    Codes::from_fn(setup.mode.a, len, |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let code = state >> 56;
        if small {
            code & 0xbf
        } else if setup.mode.a.is_nan(code) {
            0
        } else {
            code
        }
    })
}

fn bench(c: &mut Criterion) {
    let cases: &[(&str, Setup, bool, KernelChoice, u32)] = &[
        ("fma32 fp32", setup("e4m3fn", "fp32", |_| {}), false, KernelChoice::Auto, 512),
        ("carrier32 e6m9 chunk 64 proved", setup("e4m3fn", "e6m9", |m| m.chunk = Some(64)), true, KernelChoice::Auto, 512),
        (
            "carrier32 e6m9 chunk 64 into fp32",
            setup("e4m3fn", "e6m9", |m| (m.chunk, m.outer) = (Some(64), Some(Format::FP32))),
            true,
            KernelChoice::Auto,
            512,
        ),
        ("carrier32 fp16 checked", setup("e4m3fn", "fp16", |_| {}), false, KernelChoice::Auto, 512),
        ("carrier32 fp16 saturating", setup("e4m3fn", "fp16", |m| m.overflow = Overflow::Saturate), false, KernelChoice::Auto, 512),
        ("carrier64 e8m13 rne", setup("e4m3fn", "e8m13", |_| {}), false, KernelChoice::Auto, 512),
        ("carrier64 e6m5 rne", setup("e4m3fn", "e6m5", |_| {}), false, KernelChoice::Auto, 512),
        ("carrier64 e6m9 rtz", setup("e4m3fn", "e6m9", |m| m.rounding = Rounding::Rtz), true, KernelChoice::Auto, 512),
        (
            "carrier64 e6m9 sr8 proved",
            setup("e4m3fn", "e6m9", |m| (m.rounding, m.chunk) = (Rounding::Sr(8), Some(64))),
            true,
            KernelChoice::Auto,
            512,
        ),
        ("carrier64 fp16 sr8 checked", setup("e4m3fn", "fp16", |m| m.rounding = Rounding::Sr(8)), false, KernelChoice::Auto, 512),
        (
            "carrier64 e6m9 products in fp16",
            setup("e4m3fn", "e6m9", |m| m.product = Product::Rounded(Format::FP16)),
            true,
            KernelChoice::Auto,
            512,
        ),
        ("integer int8 int32", setup("int8", "int32", |_| {}), false, KernelChoice::Auto, 512),
        ("integer int8 int16 wrapping", setup("int8", "int16", |_| {}), false, KernelChoice::Auto, 512),
        ("portable fp32", setup("e4m3fn", "fp32", |_| {}), false, KernelChoice::Portable, 256),
        ("portable e6m9 chunk 64", setup("e4m3fn", "e6m9", |m| m.chunk = Some(64)), true, KernelChoice::Portable, 256),
        ("scalar e6m9", setup("e4m3fn", "e6m9", |_| {}), true, KernelChoice::Scalar, 64),
        ("scalar fp32", setup("e4m3fn", "fp32", |_| {}), false, KernelChoice::Scalar, 64),
    ];
    for (name, setup, small, choice, size) in cases {
        let shape = Shape { m: *size, n: *size, k: *size };
        let len = (size * size) as usize;
        let (a, b) = (operand(setup, len, *small, 1), operand(setup, len, *small, 2));
        let operands = Operands::new(&a, &b, None);
        let (_, used) = gemm(setup, shape, &operands, *choice);
        println!("{name}: {} ({})", used.name, used.reason);
        let mut group = c.benchmark_group("gemm");
        group.throughput(Throughput::Elements(shape.macs())).sample_size(10);
        group.bench_function(*name, |bench| bench.iter(|| gemm(black_box(setup), shape, &operands, *choice)));
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(std::time::Duration::from_millis(300)).measurement_time(std::time::Duration::from_secs(2));
    targets = bench
}
criterion_main!(benches);
