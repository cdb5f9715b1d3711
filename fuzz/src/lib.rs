//! Properties that must hold for any bytes; each fuzz target feeds one of them.
//!
//! `cargo fuzz run -s none --features libfuzzer TARGET` runs a target on stable Rust. The seeds under `seeds/` are
//! replayed by an ordinary test.
#![forbid(unsafe_code)]

mod source;

use source::Source;
use systole_arrays::dataflow;
use systole_arrays::datapath::Output;
use systole_arrays::fast::{self, KernelChoice};
use systole_arrays::problem::{Operands, Setup, Shape};
use systole_arrays::ticked;
use systole_golden::gemm::{Folds, Gemm, Step};
use systole_golden::oracle::{self, Operand};
use systole_isa::asm;
use systole_isa::codes::Codes;
use systole_isa::design::{ArraySpec, DESIGNS, Dataflow, Design, Drain, MacMode, PartialSums, Preload, Product};
use systole_isa::entropy::{Site, Stage};
use systole_isa::format::Format;
use systole_isa::round::{NoInfinity, Overflow, Policy, Rounding, SubnormalPolicy, Tininess, convert};

/// Formats the targets draw from.
const FORMATS: [&str; 20] = [
    "e4m3fn",
    "e5m2",
    "e6m9",
    "fp16",
    "bf16",
    "fp32",
    "e4m3",
    "e3m4",
    "e4m3fnuz",
    "e5m2fnuz",
    "e2m1f",
    "e2m3f",
    "e2m5b2f",
    "dlfloat16",
    "p3109_k8p4se",
    "p3109_k8p3sf",
    "e8m13",
    "int8",
    "int16",
    "fx46.18",
];

fn format(source: &mut Source<'_>) -> Format {
    FORMATS[source.below(FORMATS.len())].parse().unwrap_or(Format::FP32)
}

fn rounding(source: &mut Source<'_>) -> Rounding {
    match source.below(8) {
        i @ 0..=5 => Rounding::DETERMINISTIC[i],
        _ => Rounding::Sr(1 + source.below(32) as u32),
    }
}

fn policy(source: &mut Source<'_>) -> Policy {
    Policy {
        rounding: rounding(source),
        overflow: source.pick(&[Overflow::Ieee, Overflow::Saturate]),
        no_infinity: source.pick(&[NoInfinity::Nan, NoInfinity::Max]),
        subnormals: source.pick(&[SubnormalPolicy::Gradual, SubnormalPolicy::Daz, SubnormalPolicy::Ftz, SubnormalPolicy::DazFtz]),
        tininess: source.pick(&[Tininess::After, Tininess::Before]),
    }
}

/// Conversion of any code between any formats is what the oracle says, flags included.
pub fn conversion(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let (from, to, policy) = (format(&mut source), format(&mut source), policy(&mut source));
    let (code, random) = (source.word() & from.mask(), source.word());
    let random = if policy.rounding.random_bits() == 0 { 0 } else { random >> (64 - policy.rounding.random_bits()) };
    let ours = convert(from, to, code, policy, random);
    let truth = oracle::convert(Operand { format: from, code }, to, policy, random);
    assert_eq!(ours, truth, "{code:#x} of {from} to {to} by {policy:?}, R = {random:#x}");
}

fn mode(source: &mut Source<'_>) -> MacMode {
    let Policy { rounding, overflow, no_infinity, subnormals, tininess } = policy(source);
    let (a, b) = (format(source), format(source));
    let product = if source.below(3) == 0 { Product::Rounded(format(source)) } else { Product::Exact };
    MacMode {
        product,
        rounding,
        overflow,
        no_infinity,
        subnormals,
        tininess,
        chunk: source.pick(&[None, Some(1), Some(3), Some(8)]),
        outer: (source.below(2) == 0).then(|| format(source)),
        bias_a: source.below(81) as i32 - 40,
        bias_b: source.below(25) as i32 - 12,
        ..MacMode::fused(a, b, format(source))
    }
}

/// Any product on any array: the ticked and the fast engine and the oracle give the same
/// bits, and the ticked engine counts what the closed forms predict.
pub fn engines(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let mode = mode(&mut source);
    let array = ArraySpec {
        rows: 1 + source.below(6) as u32,
        cols: 1 + source.below(6) as u32,
        count: 1 + source.below(2) as u32,
        clock_mhz: 1000.0,
        dataflow: source.pick(&[Dataflow::Os, Dataflow::Ws, Dataflow::Is]),
        convention: Default::default(),
        drain: source.pick(&[Drain::Serial, Drain::Overlap]),
        preload: source.pick(&[Preload::Serial, Preload::Double]),
        partial_sums: source.pick(&[PartialSums::Feedback, PartialSums::Outside]),
    };
    let output = Output { format: format(&mut source), policy: Policy { rounding: rounding(&mut source), ..Policy::RNE } };
    let shape = Shape { m: 1 + source.below(7) as u32, n: 1 + source.below(7) as u32, k: 1 + source.below(13) as u32 };
    let site = Site { seed: source.word(), step: source.below(3) as u32, instruction: 5 };
    let mut codes =
        |format: Format, rows: u32, cols: u32| Codes::from_fn(format, (rows * cols) as usize, |_| source.word() & format.mask());
    let (a, b) = (codes(mode.a, shape.m, shape.k), codes(mode.b, shape.k, shape.n));
    let setup = Setup { array, bias_a: mode.bias_a, bias_b: mode.bias_b, mode, output, site };
    let operands = Operands { a: &a, b: &b, c: None };

    let Ok((ticked, cost)) = ticked::gemm(&setup, shape, &operands) else { panic!("a small product was refused") };
    assert_eq!(cost, dataflow::Plan::new(&setup.array, &setup.mode, &setup.output, shape, false).cost(), "{setup:?} {shape:?}");
    let (fast, _) = fast::gemm(&setup, shape, &operands, KernelChoice::default());
    assert_eq!(fast, ticked, "{setup:?} {shape:?}");

    // The oracle's wrapping sums are unbounded; the datapath's have the accumulator's reach.
    if matches!(setup.mode.accumulator, Format::Fixed(_)) || matches!(setup.mode.outermost(), Format::Fixed(_)) {
        return;
    }
    let fold = dataflow::separate_fold_length(&setup.array, &setup.mode);
    let [a, b] = [&a, &b].map(|codes| codes.iter().collect::<Vec<_>>());
    let truth = Gemm {
        mode: &setup.mode,
        folds: fold.map_or(Folds::Chain, |rows| Folds::Outside { rows: rows as usize }),
        output: (output.format, output.policy),
        shape: [shape.m, shape.n, shape.k].map(|x| x as usize),
        a: &a,
        b: &b,
        c: None,
    };
    let random = |at: systole_golden::gemm::Site| {
        let (mode, stage, index) = match at.step {
            Step::Product { k } => (setup.mode.rounding, Stage::Product, k),
            Step::Accumulate { k } => (setup.mode.rounding, Stage::Accumulate, k),
            Step::Outer { k } => (setup.mode.rounding, Stage::Outer, k),
            Step::Memory { fold: index } => {
                (setup.mode.rounding, Stage::Memory, ((index + 1) * fold.unwrap_or(1) as usize).min(shape.k as usize) - 1)
            }
            Step::Output => (output.policy.rounding, Stage::Output, 0),
        };
        site.random(mode.random_bits(), at.row as u32, at.column as u32, stage, index as u32)
    };
    match truth.run(random) {
        Ok(d) => assert_eq!(ticked.d.iter().collect::<Vec<_>>(), d, "{setup:?} {shape:?}"),
        Err(e) => panic!("{e}"),
    }
}

/// Any text either fails with a located error or assembles to a program whose disassembly
/// and binary form are the same program.
pub fn assembly(bytes: &[u8]) {
    if let Ok(program) = asm::from_bytes(bytes) {
        assert_eq!(asm::from_bytes(&asm::to_bytes(&program)).as_ref(), Ok(&program));
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match asm::assemble("fuzz", text) {
        Ok(program) => {
            let again = asm::assemble("again", &asm::disassemble(&program));
            assert_eq!(again.as_ref(), Ok(&program));
            assert_eq!(asm::from_bytes(&asm::to_bytes(&program)).as_ref(), Ok(&program));
        }
        Err(errors) => assert!(!errors.is_empty()),
    }
}

/// Any text is a design or a located error, and any override of a built-in design leaves it
/// valid or is refused.
pub fn design(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(design) = Design::from_ron("fuzz", text) {
        let _ = design.problems();
    }
    let Some((path, value)) = systole_isa::overrides::split(text) else { return };
    for built_in in DESIGNS.iter().take(2) {
        let Some(base) = systole_isa::design::find(built_in.name) else { continue };
        if let Ok(changed) = base.with_overrides(&[(path.clone(), value.clone())]) {
            assert!(changed.problems().is_empty());
        }
    }
}
