//! Nanoseconds per element of the main instructions, printed on demand.

use super::super::function::Function;
use super::super::{Blocks, Codebook, Elementwise, Operand, Pool, Reduction, Target, codebook_into, elementwise, pool, reduce};
use super::{Random, SITE, format};
use std::time::Instant;
use systole_isa::codes::Codes;
use systole_isa::format::Format;
use systole_isa::round::{Policy, Rounding, encode_f64};
use systole_isa::view::Window;

/// Elements stay below the threshold of parallel work: these are times of one core.
const ROWS: usize = 250;
const COLS: usize = 250;

fn time(name: &str, elements: usize, mut run: impl FnMut()) {
    run();
    let mut best = f64::INFINITY;
    for _ in 0..100 {
        let start = Instant::now();
        run();
        best = best.min(start.elapsed().as_secs_f64());
    }
    println!("{name:44} {:8.2} ns/element", best * 1e9 / elements as f64);
}

#[test]
#[ignore = "a measurement: cargo test --release -p systole-arrays vector::tests::speed -- --ignored --nocapture"]
fn nanoseconds_per_element() {
    let mut random = Random(30);
    let mut make = |f: Format| Codes::from_fn(f, ROWS * COLS, |_| encode_f64(f, random.next() as i64 as f64 * 2f64.powi(-62)));
    let formats = ["fp32", "bf16", "e4m3fn", "e5m2", "fp64"].map(format);
    let tensors = formats.map(&mut make);
    let operand = |i: usize| Operand { format: formats[i], rows: ROWS, cols: COLS, codes: &tensors[i] };
    let (fp32, narrow) = (operand(0), operand(2));
    let to = |name: &str, rounding| Target {
        format: format(name),
        rows: ROWS,
        cols: COLS,
        policy: Policy::new(rounding),
        blocks: Blocks::WHOLE,
        site: SITE,
    };
    let rne = Rounding::Rne;
    let row = Operand { rows: 1, codes: &Codes::U32(vec![0x3f80_0000; COLS]), ..fp32 };
    let scalar = Operand { rows: 1, cols: 1, codes: &Codes::U32(vec![0x3dcc_cccd]), ..fp32 };
    for (name, op, target, operands) in [
        ("vadd fp32", Elementwise::Add, to("fp32", rne), vec![fp32, fp32]),
        ("vadd fp32 + row", Elementwise::Add, to("fp32", rne), vec![fp32, row]),
        ("vmul fp32 * scalar", Elementwise::Multiply, to("fp32", rne), vec![fp32, scalar]),
        ("vdiv fp32", Elementwise::Divide, to("fp32", rne), vec![fp32, fp32]),
        ("vfma fp32 * scalar + fp32", Elementwise::FusedMultiplyAdd, to("fp32", rne), vec![fp32, scalar, fp32]),
        ("vmax fp32", Elementwise::Maximum, to("fp32", rne), vec![fp32, fp32]),
        ("vgate fp32", Elementwise::Gate, to("fp32", rne), vec![fp32, fp32]),
        ("vsqrt fp32", Elementwise::Function(Function::Sqrt), to("fp32", rne), vec![fp32]),
        ("vexp fp32", Elementwise::Function(Function::Exp), to("fp32", rne), vec![fp32]),
        ("vtanh e4m3fn", Elementwise::Function(Function::Tanh), to("e4m3fn", rne), vec![narrow]),
        ("vcvt fp32 -> e4m3fn rne", Elementwise::Convert, to("e4m3fn", rne), vec![fp32]),
        ("vcvt fp32 -> e5m2 rne", Elementwise::Convert, to("e5m2", rne), vec![fp32]),
        ("vcvt fp32 -> bf16 rne", Elementwise::Convert, to("bf16", rne), vec![fp32]),
        ("vcvt fp32 -> e6m9 rtz", Elementwise::Convert, to("e6m9", Rounding::Rtz), vec![fp32]),
        ("vcvt fp32 -> dlfloat16 rne", Elementwise::Convert, to("dlfloat16", rne), vec![fp32]),
        ("vcvt fp32 -> e4m3fn sr8", Elementwise::Convert, to("e4m3fn", Rounding::Sr(8)), vec![fp32]),
        ("vcvt e4m3fn -> fp32", Elementwise::Convert, to("fp32", rne), vec![narrow]),
        ("vcvt fp32 -> int8 rne", Elementwise::Convert, to("int8", rne), vec![fp32]),
        ("vadd bf16 -> bf16", Elementwise::Add, to("bf16", rne), vec![operand(1), operand(1)]),
        ("vfma fp32 -> bf16 sr16", Elementwise::FusedMultiplyAdd, to("bf16", Rounding::Sr(16)), vec![fp32, scalar, fp32]),
        ("vhyst fp32 -> e4m3fn", Elementwise::Hysteresis, to("e4m3fn", rne), vec![fp32, fp32]),
        ("vsign fp32", Elementwise::CopySign, to("fp32", rne), vec![fp32, fp32]),
        ("vadd fp64 (definition)", Elementwise::Add, to("fp64", rne), vec![operand(4), operand(4)]),
    ] {
        time(name, ROWS * COLS, || drop(elementwise(op, &target, &operands).unwrap()));
    }
    for (name, op, shape) in [
        ("rsum fp32 rows", Reduction::Sum, (1, COLS)),
        ("rsum fp32 columns", Reduction::Sum, (ROWS, 1)),
        ("rsum fp32 all", Reduction::Sum, (1, 1)),
        ("ramax fp32 all", Reduction::Amax, (1, 1)),
    ] {
        let target = Target { rows: shape.0, cols: shape.1, ..to("fp32", rne) };
        time(name, ROWS * COLS, || drop(reduce(op, &target, &[fp32]).unwrap()));
    }
    blocks(fp32, to("fp32", rne));
    codebooks(fp32, narrow, to("fp32", rne));
    let target = Target { rows: 1, ..to("bf16", rne) };
    time("rsum fp32 rows -> bf16", ROWS * COLS, || drop(reduce(Reduction::Sum, &target, &[fp32]).unwrap()));

    // LeNet-5's first pooling: 28x28x6, batch 8.
    let window = Window { out_h: 14, out_w: 14, h: 28, w: 28, c: 6, kernel_h: 2, kernel_w: 2, stride: 2, pad: 0, dilate: 1 };
    let (ins, outs) = (8 * 28 * 28, 8 * 14 * 14);
    let x = Codes::from_fn(Format::FP32, ins * 6, |i| tensors[0].get(i));
    let g = Codes::from_fn(Format::FP32, outs * 6, |i| tensors[0].get(i));
    let x = Operand { rows: ins, cols: 6, codes: &x, ..fp32 };
    let g = Operand { rows: outs, cols: 6, codes: &g, ..fp32 };
    for (name, op, rows, operands) in [
        ("pmax fp32, LeNet-5 (input elements)", Pool::Maximum, outs, vec![x]),
        ("pmaxg fp32, LeNet-5 (input elements)", Pool::MaximumGradient, ins, vec![x, g]),
        ("psum fp32, LeNet-5 (input elements)", Pool::Sum, outs, vec![x]),
        ("pspread fp32, LeNet-5 (input elements)", Pool::Spread, ins, vec![g]),
    ] {
        let target = Target { rows, cols: 6, ..to("fp32", rne) };
        time(name, ins * 6, || drop(pool(op, &target, &window, &operands).unwrap()));
    }
}

/// Reduction and division by blocks.
fn blocks(fp32: Operand, whole: Target) {
    for (rows, cols) in [(1, 32), (32, 1), (16, 16), (48, 48), (128, 128), (1, 128)] {
        let blocks = Blocks { rows, cols };
        let (height, width) = (ROWS.div_ceil(rows), COLS.div_ceil(cols));
        let small = Target { rows: height, cols: width, blocks, ..whole };
        for op in [Reduction::Amax, Reduction::Sum] {
            let name = format!("{} fp32 in {blocks}", op.mnemonic());
            time(&name, ROWS * COLS, || drop(reduce(op, &small, &[fp32]).unwrap()));
        }
        let powers = Target { format: format("e8m0"), ..small };
        time(&format!("ramax fp32 in {blocks} -> e8m0"), ROWS * COLS, || drop(reduce(Reduction::Amax, &powers, &[fp32]).unwrap()));
        let ones = Codes::from_fn(Format::FP32, height * width, |_| 0x3f80_0000);
        let scales = Operand { format: Format::FP32, rows: height, cols: width, codes: &ones };
        for name in ["fp32", "e4m3fn"] {
            let target = Target { format: format(name), blocks, ..whole };
            time(&format!("vdiv fp32 by {blocks} -> {name}"), ROWS * COLS, || {
                drop(elementwise(Elementwise::Divide, &target, &[fp32, scales]).unwrap());
            });
        }
    }
    let full = Target { format: format("e4m3fn"), ..whole };
    time("vdiv fp32 -> e4m3fn", ROWS * COLS, || drop(elementwise(Elementwise::Divide, &full, &[fp32, fp32]).unwrap()));
    let powers = Target { format: format("e8m0"), ..whole };
    time("vcvt fp32 -> e8m0", ROWS * COLS, || drop(elementwise(Elementwise::Absolute, &powers, &[fp32]).unwrap()));
    time("vmul fp32 -> e8m0", ROWS * COLS, || drop(elementwise(Elementwise::Multiply, &powers, &[fp32, fp32]).unwrap()));
}

/// Indices found and looked up.
fn codebooks(fp32: Operand, bytes: Operand, to: Target) {
    for entries in [16, 256, 4096] {
        let table =
            Codes::from_fn(Format::FP32, entries, |i| encode_f64(Format::FP32, ((i as f64 + 0.5) / entries as f64 * 2.0 - 1.0).powi(3)));
        let table = Operand { format: Format::FP32, rows: 1, cols: entries, codes: &table };
        let found = Target { format: format(if entries > 256 { "fp16" } else { "int8" }), ..to };
        let mut codes = Codes::zeros(to.format, 0);
        time(&format!("vfind fp32 in {entries}"), ROWS * COLS, || {
            codebook_into(Codebook::Find, &found, &[fp32, table], &mut codes).unwrap();
        });
        time(&format!("vlook 8 bits in {entries} -> fp32"), ROWS * COLS, || {
            codebook_into(Codebook::Look, &to, &[bytes, table], &mut codes).unwrap();
        });
    }
}
