//! Speed of every kernel: 512 x 512 x 512, in multiply-accumulates per second, beside the
//! machine's own f32 product (`matrixmultiply`, one core), and of the ticked engine, in
//! PE-cycles per second.
//!
//! `RAYON_NUM_THREADS=1 cargo bench -p systole-arrays` gives figures per core.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use systole_arrays::datapath::Output;
use systole_arrays::fast::{KernelChoice, gemm};
use systole_arrays::problem::{Operands, Scales, Setup, Shape, scale_extents};
use systole_isa::codes::Codes;
use systole_isa::design::{ArraySpec, Convention, Dataflow, Drain, MacMode, PartialSums, Preload, Product, Scaling, Unit};
use systole_isa::entropy::Site;
use systole_isa::format::Format;
use systole_isa::round::{Overflow, Policy, Rounding, encode_f64};

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

fn of_design(name: &str) -> Setup {
    let design = systole_isa::design::find(name).unwrap();
    let output = Output { format: design.output_format(&design.mac), policy: Policy::RNE };
    Setup { array: ARRAY, mode: design.mac, bias_a: 0, bias_b: 0, output, site: Site::default() }
}

/// Finite codes; `small` keeps floats within 2 so that 16-bit sums stay in range.
fn operand(setup: &Setup, len: usize, small: bool, seed: u64) -> Codes {
    let mut state = seed;
    Codes::from_fn(setup.mode.a, len, |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let bits = setup.mode.a.bits();
        let code = state >> (64 - bits);
        if small {
            code & !(1 << (bits - 2))
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
        (
            "blocks exact tree of 24 into fp32",
            setup("e4m3fn", "fp32", |m| (m.unit, m.lanes) = (Unit::Exact, 24)),
            true,
            KernelChoice::Auto,
            512,
        ),
        ("aligned32 h100-fp8", of_design("h100-fp8"), true, KernelChoice::Auto, 512),
        ("aligned64 b200-fp8", of_design("b200-fp8"), true, KernelChoice::Auto, 512),
        ("aligned64 a100-fp16", of_design("a100-fp16"), true, KernelChoice::Auto, 512),
        (
            "integer kulisch fx96.32 for e4m3fn",
            Setup { output: Output { format: Format::FP32, policy: Policy::RNE }, ..setup("e4m3fn", "fx96.32", |_| {}) },
            true,
            KernelChoice::Auto,
            512,
        ),
        ("mxfp8-16x16, scales in exponents", of_design("mxfp8-16x16"), true, KernelChoice::Auto, 512),
        (
            "fp32 chunks of 128, scaled",
            setup("e4m3fn", "fp32", |m| (m.chunk, m.scale) = (Some(128), Scaling::Chunk)),
            true,
            KernelChoice::Auto,
            512,
        ),
        ("bm8-16x16, exact blocks of 48, scaled", of_design("bm8-16x16"), true, KernelChoice::Auto, 512),
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
        let scales = scale_extents(&setup.mode, shape).map(|(rows, cols)| {
            let near_one = encode_f64(setup.mode.scale_format, 1.0);
            Codes::from_fn(setup.mode.scale_format, (rows * cols) as usize, |i| near_one + i as u64 % 4)
        });
        let mut operands = Operands::new(&a, &b, None);
        if setup.mode.scale != Scaling::None {
            operands.scales = Scales { a: Some(&scales[0]), b: Some(&scales[1]) };
        }
        let (_, used) = gemm(setup, shape, &operands, *choice);
        println!("{name}: {} ({})", used.name, used.reason);
        let mut group = c.benchmark_group("gemm");
        group.throughput(Throughput::Elements(shape.macs())).sample_size(10);
        group.bench_function(*name, |bench| bench.iter(|| gemm(black_box(setup), shape, &operands, *choice)));
        group.finish();
    }
}

/// The machine's own product, one rounding per MAC in no order anyone states.
fn native(c: &mut Criterion) {
    const SIDE: usize = 512;
    let (a, b) = (vec![0.5f32; SIDE * SIDE], vec![0.25f32; SIDE * SIDE]);
    let mut d = vec![0.0f32; SIDE * SIDE];
    let mut group = c.benchmark_group("native");
    group.throughput(Throughput::Elements((SIDE * SIDE * SIDE) as u64)).sample_size(10);
    group.bench_function("f32", |bench| {
        bench.iter(|| {
            let (side, stride) = (SIDE, SIDE as isize);
            // SAFETY: the matrices are SIDE x SIDE with these strides.
            unsafe {
                matrixmultiply::sgemm(side, side, side, 1.0, a.as_ptr(), stride, 1, b.as_ptr(), stride, 1, 0.0, d.as_mut_ptr(), stride, 1);
            }
            black_box(&d);
        });
    });
    group.finish();
}

/// A product of 64 x 64 x 64 on 16 x 16 PEs, every register of every cycle.
fn ticked(c: &mut Criterion) {
    let shape = Shape { m: 64, n: 64, k: 64 };
    for (name, dataflow) in [("os", Dataflow::Os), ("ws", Dataflow::Ws), ("is", Dataflow::Is)] {
        let base = setup("e4m3fn", "e6m9", |_| {});
        let setup = Setup { array: ArraySpec { dataflow, ..ARRAY }, ..base };
        let (a, b) = (operand(&setup, 64 * 64, true, 1), operand(&setup, 64 * 64, true, 2));
        let operands = Operands::new(&a, &b, None);
        let Ok((_, cost)) = systole_arrays::ticked::gemm(&setup, shape, &operands) else { continue };
        let mut group = c.benchmark_group("ticked");
        group.throughput(Throughput::Elements(cost.compute_cycles * 256)).sample_size(10);
        group.bench_function(name, |bench| bench.iter(|| systole_arrays::ticked::gemm(black_box(&setup), shape, &operands)));
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(std::time::Duration::from_millis(300)).measurement_time(std::time::Duration::from_secs(2));
    targets = native, bench, ticked
}
criterion_main!(benches);
