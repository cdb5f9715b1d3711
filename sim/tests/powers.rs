//! Powers of two that stand in for shared exponent biases: read as an instruction executes,
//! fetched and waited for like every operand.

use proptest::prelude::*;
use proptest::sample::select;
use systole::machine::{Engine, Machine};
use systole_arrays::fast::KernelChoice;
use systole_isa::asm::assemble;
use systole_isa::design::{self, Design};
use systole_isa::device::{Device, Record};
use systole_isa::format::Format;
use systole_isa::program::{Program, Segment};

fn program(text: &str) -> Program {
    assemble("test", text).unwrap_or_else(|e| panic!("{text}\n{}", e.iter().map(|e| format!("{e}\n")).collect::<String>()))
}

fn design(settings: &[(&str, &str)]) -> Design {
    let settings: Vec<_> = settings.iter().map(|(path, value)| ((*path).to_owned(), (*value).to_owned())).collect();
    design::find("fp8-16x16").unwrap().with_overrides(&settings).unwrap_or_else(|e| panic!("{e}"))
}

/// Runs a program on a new machine; the record and `count` codes of results at 0x1000.
fn run(design: &Design, engine: Engine, program: &Program, results: Format, count: usize) -> (Record, Vec<u64>) {
    let mut machine = Machine::new(design.clone(), engine, KernelChoice::Auto).unwrap();
    let record = machine.run_with_data(program, 0).unwrap_or_else(|e| panic!("{e}"));
    (record, machine.read(0x1000, results, count).unwrap())
}

/// A product of 5 x 7 x 9 in fp16, random codes in e4m3fn, after some configuration.
fn product(configuration: &str, powers: [u64; 2]) -> Program {
    let mut program = program(&format!(
        "format f0, e4m3fn\nformat f1, fp16\nformat f2, e8m0\ntensor t0, f1, dram, 0x1000, 5, 7\ntensor t1, f0, dram, 0, 5, 9\n\
         tensor t2, f0, dram, 0x100, 9, 7\ntensor t3, f2, dram, 0x200, 1, 1\ntensor t4, f2, dram, 0x201, 1, 1\n\
         tensor t5, f2, spm, 0, 1, 1\n{configuration}\ngemm t0, t1, t2\n"
    ));
    let codes = (0..0x200u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56).map(|c| if c & 0x7f == 0x7f { 0x38 } else { c });
    program.data.push(Segment { address: 0, format: Format::E4M3FN, codes: codes.collect() });
    program.data.push(Segment { address: 0x200, format: Format::E8M0, codes: powers.into() });
    program
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]
    /// Whatever the datapath, a power of two is the bias of its negated exponent.
    #[test]
    fn a_power_is_a_bias(
        powers in prop::array::uniform2(prop_oneof![3 => 110..145u64, 1 => 0..255u64]),
        named in select(vec!["t3, t4", "t3, none", "none, t4"]),
        bias in (-20..20i32, -20..20i32),
        mac in select(vec![("e6m9", "1"), ("fp32", "none"), ("e8m13", "none"), ("fx60.30", "none"), ("fp16", "4"), ("bf16", "1")]),
        dataflow in select(vec!["os", "ws", "is"]),
        rounding in select(vec!["rne", "rtz", "sr8", "rdn"]),
    ) {
        let design = design(&[
            ("array.rows", "3"), ("array.cols", "2"), ("array.dataflow", dataflow), ("array.partial_sums", "feedback"),
            ("mac.accumulator", mac.0), ("mac.chunk", mac.1), ("mac.rounding", rounding), ("output.format", "fp16"),
        ]);
        let by_powers = product(&format!("bias {}, {}\npowers {named}", bias.0, bias.1), powers);
        let exponent = |i: usize, name: &str, bias: i32| if named.contains(name) { 127 - powers[i] as i32 } else { bias };
        let (a, b) = (exponent(0, "t3", bias.0), exponent(1, "t4", bias.1));
        // As many instructions, so that random bits are the same.
        let by_biases = product(&format!("nop\nbias {a}, {b}"), powers);
        let mut all = Vec::new();
        for engine in [Engine::Fast, Engine::Ticked] {
            let (record, values) = run(&design, engine, &by_powers, Format::FP16, 35);
            let (plain, expected) = run(&design, engine, &by_biases, Format::FP16, 35);
            prop_assert_eq!(&values, &expected, "{}", engine.name());
            prop_assert_eq!(record.activity, plain.activity);
            all.push(values);
        }
        prop_assert_eq!(&all[0], &all[1]);
    }
}

#[test]
fn nan_makes_every_result_nan() {
    // fp16, e4m3fn and e2m1f: without a NaN that is the largest number.
    for (results, nan) in [("fp16", 0x7e00), ("e4m3fn", 0x7f), ("e2m1f", 7), ("int8", 0)] {
        let results: Format = results.parse().unwrap();
        for engine in [Engine::Fast, Engine::Ticked] {
            let mut program = product("powers t3, t4", [127, 0xff]);
            program.instructions[1] =
                systole_isa::instruction::Instruction::Format { dst: systole_isa::field::FormatReg(1), format: results };
            let (record, values) = run(&design(&[]), engine, &program, results, 35);
            assert_eq!(values, vec![nan; 35], "{results}");
            assert_eq!(record.activity.unwrap().accumulator_nans, 35);
        }
    }
    let design = design(&[("mac.nan", "all_ones"), ("output.format", "fp16")]);
    assert_eq!(run(&design, Engine::Fast, &product("powers t4, none", [127, 0xff]), Format::FP16, 35).1, vec![0x7fff; 35]);
}

#[test]
fn powers_are_fetched_and_read_once() {
    let timed = |text: &str| run(&design(&[]), Engine::Timing, &product(text, [127; 2]), Format::FP16, 0).0;
    let plain = timed("nop");
    for (text, fetched, read) in [("powers t3, t4", 2, 2), ("powers none, t4", 1, 1), ("powers t5, t4", 1, 2), ("powers t5, none", 0, 1)] {
        let with = timed(text);
        assert_eq!(with.events.dram_read_bytes - plain.events.dram_read_bytes, fetched, "{text}");
        assert_eq!(with.events.scratchpad_write_bytes - plain.events.scratchpad_write_bytes, fetched, "{text}");
        assert_eq!(with.events.scratchpad_read_bytes - plain.events.scratchpad_read_bytes, read, "{text}");
        assert_eq!(with.events.macs, plain.events.macs);
    }
}

#[test]
fn products_wait_for_their_powers() {
    let timed = |target: &str| {
        let text = format!("tensor t6, f2, dram, {target}, 1, 1\nvmul t6, t6, t6\npowers t3, none");
        run(&design(&[]), Engine::Timing, &product(&text, [127; 2]), Format::FP16, 0).0.cycles
    };
    let (apart, bound) = (timed("0x300"), timed("0x200"));
    assert!(bound.total > apart.total + 100, "{} {}", bound.total, apart.total);
    // And what comes later waits to overwrite them.
    let text = product("powers t3, none", [130, 127]);
    let mut text = text;
    text.instructions.extend(program("format f2, e8m0\ntensor t3, f2, dram, 0x200, 1, 1\nvmul t3, t3, t3").instructions);
    let (_, values) = run(&design(&[]), Engine::Fast, &text, Format::FP16, 35);
    let (_, expected) = run(&design(&[]), Engine::Fast, &product("bias -3, 0", [0; 2]), Format::FP16, 35);
    assert_eq!(values, expected);
}

#[test]
fn refusals() {
    for (text, needle) in [
        ("powers t9, none", "t9 is not set: put `tensor t9, ...` before it"),
        ("powers t1, none", "t1, the power of A, is e4m3fn, but powers of two are e8m0"),
        ("tensor t4, f2, dram, 0x200, 1, 2\npowers none, t4", "t4, the power of B, is 1x2; it must be 1x1"),
        ("window t3, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1\npowers t3, none", "t3, the power of A, is an im2col view"),
        ("tensor t4, f2, dram, 0x1004, 1, 1\npowers none, t4", "D overlaps the power of B, which is still read while D is written"),
        ("tensor t4, f2, dram, 0xffffffffff, 1, 1\npowers none, t4", "outside the DRAM"),
    ] {
        for engine in Engine::ALL {
            let mut machine = Machine::new(design(&[]), engine, KernelChoice::Auto).unwrap();
            let error = machine.run(&product(text, [0; 2]), 0).expect_err(text).to_string();
            assert!(error.contains(needle), "{text}: {error}");
        }
    }
}
