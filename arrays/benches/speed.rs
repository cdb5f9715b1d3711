//! Speed under criterion, for changes to this crate: kernels, whole products of other shapes and
//! threads, the ticked engine, conversions, and the machine's own f32 product.
//!
//! `RAYON_NUM_THREADS=1 cargo bench -p systole-arrays --features bench --bench speed` gives
//! figures per core. `systole bench` measures against the native product in the same minute.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use systole_arrays::bench::{Case, cases, conversions, sgemm};
use systole_arrays::fast::{KernelChoice, gemm};
use systole_arrays::problem::Shape;
use systole_isa::design::Dataflow;

const fn cube(side: u32) -> Shape {
    Shape { m: side, n: side, k: side }
}

fn case(name: &str) -> Case {
    cases().into_iter().find(|case| case.name == name).expect("a case of the table")
}

fn kernels(c: &mut Criterion) {
    let mut group = c.benchmark_group("kernels");
    for case in cases() {
        let side = match case.choice {
            KernelChoice::Scalar => 64,
            KernelChoice::Portable => 256,
            _ => 512,
        };
        let problem = case.problem(cube(side));
        let (_, used) = gemm(&problem.setup, problem.shape, &problem.operands(), case.choice);
        println!("{}: {} ({})", case.name, used.name, used.reason);
        group.throughput(Throughput::Elements(problem.shape.macs())).sample_size(10);
        group.bench_function(case.name, |bench| {
            bench.iter(|| gemm(black_box(&problem.setup), problem.shape, &problem.operands(), case.choice));
        });
    }
    group.finish();
}

/// Shapes of networks: few rows, few columns, short sums, and none a multiple of a tile.
fn shapes(c: &mut Criterion) {
    let mut group = c.benchmark_group("gemm");
    for name in ["fp32", "e6m9"] {
        let case = case(name);
        for (m, n, k) in [(8, 2048, 2048), (3136, 64, 576), (2048, 2048, 32), (509, 251, 1021), (1024, 1024, 1024)] {
            let problem = case.problem(Shape { m, n, k });
            group.throughput(Throughput::Elements(problem.shape.macs())).sample_size(10);
            group.bench_function(format!("{name} {m} x {n} x {k}"), |bench| {
                bench.iter(|| gemm(black_box(&problem.setup), problem.shape, &problem.operands(), case.choice));
            });
        }
    }
    group.finish();
}

fn native(c: &mut Criterion) {
    let shape = cube(512);
    let (a, b) = (vec![0.5f32; 512 * 512], vec![0.25f32; 512 * 512]);
    let mut d = vec![0.0f32; 512 * 512];
    let mut group = c.benchmark_group("native");
    group.throughput(Throughput::Elements(shape.macs())).sample_size(10);
    group.bench_function("f32", |bench| bench.iter(|| sgemm(shape, black_box(&a), &b, &mut d)));
    group.finish();
}

/// A product of 64 x 64 x 64 on 16 x 16 PEs, every register of every cycle.
fn ticked(c: &mut Criterion) {
    let mut group = c.benchmark_group("ticked");
    for (name, dataflow) in [("os", Dataflow::Os), ("ws", Dataflow::Ws), ("is", Dataflow::Is)] {
        let mut problem = case("e6m9").problem(cube(64));
        problem.setup.array.dataflow = dataflow;
        let run = || systole_arrays::ticked::gemm(black_box(&problem.setup), problem.shape, &problem.operands()).expect("a small array");
        group.throughput(Throughput::Elements(run().1.compute_cycles * 256)).sample_size(10);
        group.bench_function(name, |bench| bench.iter(run));
    }
    group.finish();
}

fn converting(c: &mut Criterion) {
    let mut group = c.benchmark_group("conversions");
    for conversion in conversions() {
        let codes = conversion.elements(1 << 20);
        group.throughput(Throughput::Elements(codes.len() as u64)).sample_size(10);
        let mut result = conversion.run(&codes).expect("a conversion").0;
        group.bench_function(conversion.name(), |bench| bench.iter(|| conversion.run_into(black_box(&codes), &mut result)));
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(std::time::Duration::from_millis(300)).measurement_time(std::time::Duration::from_secs(2));
    targets = native, kernels, shapes, ticked, converting
}
criterion_main!(benches);
