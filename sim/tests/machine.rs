//! The machine as a device: engines agree, time adds up, refusals name place and mend.

use proptest::prelude::*;
use proptest::sample::select;
use systole::machine::{Engine, Machine};
use systole_arrays::fast::KernelChoice;
use systole_isa::asm::assemble;
use systole_isa::codes::Codes;
use systole_isa::design::{self, Design};
use systole_isa::device::{Cycles, Device, DeviceError, Record, Stall};
use systole_isa::format::Format;
use systole_isa::instruction::Instruction;
use systole_isa::program::{Program, Segment};
use systole_isa::round::encode_f64;

fn program(text: &str) -> Program {
    assemble("test", text).unwrap_or_else(|e| panic!("{text}\n{}", e.iter().map(|e| format!("{e}\n")).collect::<String>()))
}

fn design(settings: &[(&str, &str)]) -> Design {
    let settings: Vec<_> = settings.iter().map(|(path, value)| ((*path).to_owned(), (*value).to_owned())).collect();
    design::find("fp8-16x16").unwrap().with_overrides(&settings).unwrap_or_else(|e| panic!("{e}"))
}

fn timed(design: &Design, text: &str) -> Record {
    Machine::new(design.clone(), Engine::Timing, KernelChoice::Auto).unwrap().run(&program(text), 0).unwrap_or_else(|e| panic!("{e}"))
}

fn stall(cycles: &Cycles, reason: Stall) -> u64 {
    cycles.stall.get(&reason).copied().unwrap_or(0)
}

#[test]
fn refusals_name_the_place_and_the_mend() {
    let setup = "format f0, e4m3fn\nformat f1, fp32\nformat f2, int8\nformat f3, fp64\n\
                 tensor t0, f1, dram, 0x1000, 4, 4\ntensor t1, f0, dram, 0, 4, 4\ntensor t2, f0, dram, 0x100, 4, 4\n\
                 tensor t3, f0, spm, 0, 4, 4\ntensor t4, f1, spm, 0x100, 4, 4\n";
    for (text, needle) in [
        ("vadd t0, t9, t1", "instruction 9 `vadd t0, t9, t1`: t9 is not set: put `tensor t9, ...` before it"),
        ("tensor t5, f9, dram, 0, 1, 1", "f9 is not set: put `format f9, ...` before it"),
        ("stride t9, 1, 1, 1, 1", "t9 is not set"),
        ("window t9, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1", "t9 is not set"),
        ("mode 3", "the design has MAC modes 0 to 2 only"),
        ("mark 0", "the program names 0 regions; add `.region NAME`"),
        ("advance t1, -1", "t1 would move from 0x0 out of the addresses 0 to 0xffffffffff"),
        ("tensor t1, f0, dram, 0xffffffffff, 4, 4\nadvance t1, 1", "out of the addresses"),
        // Shapes and formats of products.
        ("tensor t1, f0, dram, 0, 4, 5\ngemm t0, t1, t2", "A is 4x5, B 4x4 and D 4x4; D = A B needs A of M x K, B of K x N, D of M x N"),
        (
            "tensor t1, f1, dram, 0, 4, 4\ngemm t0, t1, t2",
            "A is fp32 and B is e4m3fn, but MAC mode 0 takes e4m3fn x e4m3fn (the design's modes: 0: e4m3fn x e4m3fn, 1: e5m2 x e4m3fn, 2: e4m3fn x e5m2); convert the operands",
        ),
        ("mode 1\ngemm t0, t1, t2", "put `mode 0` before it"),
        ("gemmc t0, t1, t2, t1", "C is e4m3fn, but it initialises the outermost accumulator, which is fp32"),
        ("tensor t5, f1, dram, 0x400, 4, 3\ngemmc t0, t1, t2, t5", "C is 4x3 and D 4x4; both are M x N"),
        ("tensor t5, f1, dram, 8, 4, 4\ngemm t5, t1, t2", "D overlaps A"),
        (
            "tensor t5, f1, dram, 0x1004, 4, 4\ngemmc t0, t1, t2, t5",
            "D overlaps C, which is still read while D is written; D may be C itself",
        ),
        // Masks.
        ("tensor t5, f1, dram, 0x400, 4, 3\ngemmm t0, t1, t2, t5", "the mask is 4x3 and D 4x4; it has an element for each output"),
        ("gemmm t0, t1, t2, t0", "D overlaps the mask, which is still read while D is written"),
        ("gemmm t0, t1, t2, t9", "t9 is not set"),
        ("tensor t5, f0, dram, 0xffffff, 4, 4\ngemmm t0, t1, t2, t5", "lie outside the DRAM"),
        // Block scales.
        (
            "scales t1, none\ngemm t0, t1, t2",
            "MAC mode 0 takes no block scales, but t1 holds those of A; put `scales none, none` before it",
        ),
        // Views.
        ("tensor t5, f0, dram, 0, 0, 4\ngemm t0, t5, t2", "t5: a tensor needs at least one row and one column"),
        ("stride t1, 0, 0, 0, 0\ngemm t0, t1, t2", "t1: `inner` counts rows and must be at least 1"),
        ("window t1, 2, 2, 2, 2, 3, 1, 1, 1, 0, 1\ngemm t0, t1, t2", "t1: a 1x1 window of 3 channels has 3 columns, not 4"),
        ("window t1, 3, 1, 3, 1, 4, 1, 1, 1, 0, 1\ngemm t0, t1, t2", "t1: 4 rows are no whole number of 3x1 outputs"),
        ("window t0, 2, 2, 2, 2, 4, 1, 1, 1, 0, 1\ngemm t0, t1, t2", "t0 is an im2col view and cannot be written through"),
        ("stride t0, 4, 0, 3, 1\ngemm t0, t1, t2", "rows or columns of t0 share memory"),
        // Addresses.
        (
            "tensor t5, f0, dram, 0xfffff0, 4, 5\ngemm t0, t5, t2",
            "instruction 10 `gemm t0, t5, t2`: addresses 0xfffff0 to 0x1000003 lie outside the DRAM of 0x1000000 bytes; enlarge memory.dram_mib",
        ),
        ("stride t1, 1, -1, 1, 1\ngemm t0, t1, t2", "lie outside the DRAM"),
        (
            "tensor t3, f0, spm, 2040, 4, 4\nload t3, t1",
            "addresses 0x7f8 to 0x807 lie outside the scratchpad of 0x800 bytes; enlarge memory.scratchpad_kib",
        ),
        (
            "tensor t5, f0, dram, 0, 16777215, 4095\nwindow t5, 1, 1, 4095, 4095, 4095, 1, 1, 1, 0, 1\ngemm t0, t5, t2",
            "lie outside the DRAM",
        ),
        // Copies.
        ("load t1, t3", "it copies from DRAM to the scratchpad, but t3 lies in the scratchpad and t1 in DRAM"),
        ("store t3, t1", "it copies from the scratchpad to DRAM"),
        ("load t4, t1", "it copies codes as they are, but t1 is e4m3fn and t4 is fp32; convert with `vcvt`"),
        ("tensor t3, f0, spm, 0, 4, 3\nload t3, t1", "t1 is 4x4 and t3 is 4x3; a copy needs equal shapes"),
        // The vector unit.
        (
            "tensor t5, f3, dram, 0x800, 4, 4\nvcvt t5, t0",
            "fp64 has 53 significant bits, the vector unit 24 (fp32); use narrower tensors or a wider vector.format",
        ),
        (
            "tensor t5, f1, dram, 0x1020, 4, 4\nvneg t5, t0",
            "D overlaps an operand; only an elementwise instruction may write over a contiguous operand",
        ),
        ("tensor t5, f1, dram, 0x1000, 1, 4\nrsum t5, t0", "D overlaps an operand"),
        ("tensor t5, f1, dram, 0x800, 2, 4\nvadd t5, t1, t2", "an operand's extent is the result's or 1"),
        ("tensor t5, f1, dram, 0x800, 2, 4\nrsum t5, t0", "does not reduce"),
        (
            "blocks 1, 3\ntensor t5, f1, dram, 0x800, 4, 3\nrsum t5, t0",
            "4x4 does not reduce to 4x3; the result's extent is the operand's or 1, or one for each block (`blocks`: 1x3)",
        ),
        ("blocks 2, 0\ntensor t5, f1, dram, 0x800, 3, 4\nvadd t0, t0, t5", "operand 2: 3x4 does not repeat to the result's 4x4"),
        // Codebooks.
        ("vfind t1, t0, t2", "`vfind`: the table is 4x4; it must be one row of 1 to 65536 elements"),
        (
            "tensor t5, f1, dram, 0x2000, 1, 257\nvfind t1, t0, t5",
            "the table has 257 elements, more than the codes of e4m3fn can number; give D a format of 9 bits or more",
        ),
        ("tensor t5, f1, dram, 0x2000, 1, 4\ntensor t6, f0, dram, 0x3000, 1, 4\nvlook t5, t6, t5", "D overlaps an operand"),
        ("pmax t0, t1", "t1 must be an im2col view: put `window t1, ...` before it"),
        ("window t1, 2, 2, 2, 2, 4, 1, 1, 1, 9, 1\npmax t0, t1", "holds no input element"),
        // Programs that do not end properly.
        ("loop 2, 3\nnop", "instruction 9 `loop 2, 3`: its body of 3 instructions reaches beyond the program, which has 1 left"),
        ("loop 4000000000, 1\nnop", "the program has not ended after 5000 instructions; shorten its loops"),
    ] {
        let program = program(&format!("{setup}{text}"));
        for engine in Engine::ALL {
            let design = design(&[("memory.dram_mib", "16"), ("memory.scratchpad_kib", "2")]);
            let mut machine = Machine::new(design, engine, KernelChoice::Auto).unwrap().with_instruction_limit(5000);
            let error = machine.run(&program, 0).expect_err(text).to_string();
            assert!(error.contains(needle), "{text} under {}: {error}", engine.name());
        }
    }
}

#[test]
fn refusals_of_scales_and_wide_addends() {
    let setup = "format f0, e4m3fn\nformat f1, fp32\nformat f2, e8m0\n\
                 tensor t0, f1, dram, 0x1000, 4, 6\ntensor t1, f0, dram, 0, 4, 9\ntensor t2, f0, dram, 0x100, 9, 6\n\
                 tensor t3, f2, dram, 0x200, 2, 3\ntensor t4, f2, dram, 0x300, 3, 2\n";
    let scaled = [("mac.scale", "exponent"), ("mac.chunk", "4"), ("mac.scale_rows", "2"), ("mac.scale_cols", "3")];
    let wide = [("mac.chunk", "none"), ("mac.accumulator", "fx96.32"), ("output.format", "fp32")];
    let cases: [(&[_], &str, Result<(), &str>); 11] = [
        (&scaled, "scales t3, t4\ngemm t0, t1, t2", Ok(())),
        (&scaled, "scales t3, none\ngemm t0, t1, t2", Ok(())),
        (
            &scaled,
            "scales t4, none\ngemm t0, t1, t2",
            Err("t4, the scales of A, is 3x2; this product needs 2x3, one for each 2x4 block of A"),
        ),
        (
            &scaled,
            "scales none, t3\ngemm t0, t1, t2",
            Err("t3, the scales of B, is 2x3; this product needs 3x2, one for each 4x3 block of B"),
        ),
        (&scaled, "scales t9, none\ngemm t0, t1, t2", Err("t9 is not set: put `tensor t9, ...` before it")),
        (
            &scaled,
            "tensor t4, f0, dram, 0x300, 3, 2\nscales none, t4\ngemm t0, t1, t2",
            Err("t4, the scales of B, is e4m3fn, but MAC mode 0 takes e8m0 scales"),
        ),
        (
            &scaled,
            "window t3, 1, 1, 1, 1, 3, 1, 1, 1, 0, 1\nscales t3, none\ngemm t0, t1, t2",
            Err("t3, the scales of A, is an im2col view; give scales a strided view"),
        ),
        (
            &scaled,
            "tensor t4, f2, dram, 0x1003, 3, 2\nscales t3, t4\ngemm t0, t1, t2",
            Err("D overlaps the scales of B, which is still read while D is written"),
        ),
        (&scaled, "tensor t4, f2, dram, 0xffffff, 3, 2\nscales t3, t4\ngemm t0, t1, t2", Err("lie outside the DRAM")),
        (&wide, "tensor t5, f1, dram, 0x2000, 4, 6\ngemmc t0, t1, t2, t5", Ok(())),
        (
            &wide,
            "format f3, bf16\ntensor t5, f3, dram, 0x2000, 4, 6\ngemmc t0, t1, t2, t5",
            Err("C is bf16 and D fp32; the outermost accumulator, fx96.32, is too wide for memory, so C comes in D's format"),
        ),
    ];
    for (settings, text, expected) in cases {
        for engine in Engine::ALL {
            let design = design(&[settings, &[("memory.dram_mib", "16")]].concat());
            let outcome = Machine::new(design, engine, KernelChoice::Auto).unwrap().run(&program(&format!("{setup}{text}")), 0);
            match (outcome, expected) {
                (Ok(_), Ok(())) => {}
                (Err(error), Err(needle)) => assert!(error.to_string().contains(needle), "{text}: {error}"),
                (outcome, _) => panic!("{text} under {}: {outcome:?}", engine.name()),
            }
        }
    }
}

#[test]
fn scales_are_fetched_with_their_tiles() {
    let settings = [("mac.scale", "exponent"), ("mac.chunk", "32"), ("mac.scale_cols", "24")];
    let text = product(32, 48, 64);
    let scaled = text.replace(
        "gemm",
        "format f2, e8m0\ntensor t3, f2, dram, 0x9000000, 32, 2\ntensor t4, f2, dram, 0x9100000, 2, 2\nscales t3, t4\ngemm",
    );
    for (kib, columns_of_scales) in [("256", 2), ("5", 2 * 4)] {
        let settings = [&settings[..], &[("memory.scratchpad_kib", kib)]].concat();
        let (plain, with) = (timed(&design(&settings), &text).events, timed(&design(&settings), &scaled).events);
        // Columns 0..16, 16..32 and 32..48 touch 1, 2 and 1 columns of scales, in each of two rows
        // of folds, unless B stays on the chip.
        let fetched = 32 * 2 + columns_of_scales * 2;
        assert_eq!(with.dram_read_bytes - plain.dram_read_bytes, fetched, "{kib} KiB");
        // Two blocks, 32 rows in each of 3 column tiles, 48 columns in each of 2 row tiles.
        let read = 2 * (32 * 3 + 48 * 2);
        assert_eq!(with.scratchpad_read_bytes - plain.scratchpad_read_bytes, read);
        assert_eq!(with.scratchpad_write_bytes - plain.scratchpad_write_bytes, fetched);
        assert_eq!((with.macs, with.outer_additions), (plain.macs, plain.outer_additions));
    }
    // One byte a cycle: what is fetched takes its time.
    let slow = [&settings[..], &[("memory.dram_bytes_per_cycle", "1")]].concat();
    let (plain, with) = (timed(&design(&slow), &text).cycles, timed(&design(&slow), &scaled).cycles);
    // Five more instructions issue before.
    assert_eq!(with.total, plain.total + 32 * 2 + 2 * 2 + 4, "{with:?} {plain:?}");
    assert_eq!(with.compute, plain.compute);
}

#[test]
fn host_accesses_stay_inside_dram() {
    let mut machine = Machine::new(design(&[("memory.dram_mib", "1")]), Engine::Fast, KernelChoice::Auto).unwrap();
    for (address, count) in [(1 << 20, 1), ((1 << 20) - 3, 1), (u64::MAX, 2), (0, usize::MAX)] {
        assert!(matches!(machine.read(address, Format::FP32, count), Err(DeviceError::OutOfRange { .. })), "{address} {count}");
    }
    assert!(machine.write((1 << 20) - 7, Format::FP32, &[0, 0]).is_err());
    assert_eq!(machine.write((1 << 20) - 8, Format::FP32, &[1, 2]), Ok(()));
    assert_eq!(machine.read((1 << 20) - 8, Format::FP32, 2), Ok(vec![1, 2]));
    assert_eq!(machine.read(u64::MAX, Format::FP32, 0), Ok(vec![]));
}

#[test]
fn memory_keeps_what_ran_before_a_refusal() {
    let text = ".data 0 fp32 =3\nformat f0, fp32\ntensor t0, f0, dram, 0, 1, 1\nvadd t0, t0, t0\nvadd t0, t0, t9";
    let mut machine = Machine::new(design(&[]), Engine::Fast, KernelChoice::Auto).unwrap();
    assert!(machine.run_with_data(&program(text), 0).is_err());
    assert_eq!(machine.read(0, Format::FP32, 1), Ok(vec![encode_f64(Format::FP32, 6.0)]));
}

#[test]
fn cost_only_designs_are_timed_and_not_computed() {
    let tpu = design::find("tpu-v3").unwrap();
    let cost_only = |engine| Machine::new(tpu.clone(), engine, KernelChoice::Auto).map(|_| ());
    assert_eq!(cost_only(Engine::Timing), Ok(()));
    for engine in [Engine::Fast, Engine::Ticked] {
        assert!(matches!(cost_only(engine), Err(DeviceError::CostOnly { .. })), "{engine:?}");
    }
}

#[test]
fn timing_leaves_zeros() {
    let text = ".data 0 fp32 =3\nformat f0, fp32\ntensor t0, f0, dram, 0, 1, 1\nvadd t0, t0, t0";
    let mut machine = Machine::new(design(&[]), Engine::Timing, KernelChoice::Auto).unwrap();
    assert_eq!(machine.run_with_data(&program(text), 0).unwrap().activity, None);
    assert_eq!(machine.read(0, Format::FP32, 2), Ok(vec![0, 0]));
}

#[test]
fn a_run_starts_from_cleared_registers_and_scratchpad() {
    let mut machine = Machine::new(design(&[]), Engine::Fast, KernelChoice::Auto).unwrap();
    let fill = ".data 0 fp32 =7\nformat f0, fp32\ntensor t0, f0, dram, 0, 1, 1\ntensor t1, f0, spm, 0, 1, 1\nload t1, t0";
    machine.run_with_data(&program(fill), 0).unwrap();
    let copy = "format f0, fp32\ntensor t0, f0, dram, 4, 1, 1\ntensor t1, f0, spm, 0, 1, 1\nstore t0, t1";
    machine.run(&program(copy), 0).unwrap();
    assert_eq!(machine.read(0, Format::FP32, 2), Ok(vec![encode_f64(Format::FP32, 7.0), 0]));
    assert!(machine.run(&program("store t0, t1"), 0).is_err());
}

#[test]
fn stochastic_rounding_knows_step_and_ordinal_only() {
    let mut text = String::from(
        "format f0, fp32\nformat f1, e4m3fn\ntensor t0, f0, dram, 0, 8, 32\ntensor t1, f1, dram, 0x1000, 8, 32\nvector sr16, saturate, max\nvcvt t1, t0\n",
    );
    let run = |text: &str, step| {
        let mut machine = Machine::new(design(&[]), Engine::Fast, KernelChoice::Auto).unwrap();
        machine.write(0, Format::FP32, &[encode_f64(Format::FP32, 1.03); 256]).unwrap();
        machine.run(&program(text), step).unwrap();
        machine.read(0x1000, Format::E4M3FN, 256).unwrap()
    };
    let first = run(&text, 0);
    let up = first.iter().filter(|code| **code == encode_f64(Format::E4M3FN, 1.125)).count();
    assert!((30..95).contains(&up), "{up} of 256 rounded up, 61 expected");
    assert_eq!(run(&text, 0), first);
    assert_ne!(run(&text, 1), first);
    text.insert_str(0, "nop\n");
    assert_ne!(run(&text, 0), first);
}

/// One product of `m` x `n` x `k`, everything in DRAM, as the only work.
fn product(m: u32, n: u32, k: u32) -> String {
    format!(
        "format f0, e4m3fn\nformat f1, fp32\ntensor t0, f1, dram, 0x8000000, {m}, {n}\ntensor t1, f0, dram, 0, {m}, {k}\ntensor t2, f0, dram, 0x4000000, {k}, {n}\ngemm t0, t1, t2\n"
    )
}

#[test]
fn cycles_by_hand() {
    let stalls = |cycles: &Cycles| cycles.stall.iter().map(|(reason, cycles)| (*reason, *cycles)).collect::<Vec<_>>();
    // Five configuration cycles and the issue; 512 bytes in 8 cycles, 100 of latency; one fold
    // of K + R + 2C; 1024 bytes in 16 cycles.
    let one = timed(&design(&[]), &product(16, 16, 16)).cycles;
    assert_eq!((one.total, one.compute), (6 + 108 + 64 + 16, 64));
    assert_eq!(stalls(&one), [(Stall::OperandLoad, 108), (Stall::ResultStore, 16), (Stall::Issue, 6)]);
    // A second fold streams 16 cycles later; its 256 bytes follow the first 512 at once, and
    // its result is stored behind the first one's.
    let two = timed(&design(&[]), &product(16, 32, 16)).cycles;
    assert_eq!((two.total, two.compute), (6 + 108 + 80 + 16, 80));
    // The same in the scratchpad: no transfers, and the same array time.
    let text = product(16, 16, 16)
        .replace("dram, 0x8000000", "spm, 0x400")
        .replace("dram, 0x4000000", "spm, 0x200")
        .replace("dram, 0,", "spm, 0,");
    let inside = timed(&design(&[]), &text).cycles;
    assert_eq!((inside.total, stalls(&inside)), (6 + 64, vec![(Stall::Issue, 6)]));
    // SCALE-Sim's figure is what the array takes under its convention: R + C + T - 2, less one.
    let scalesim = timed(&design(&[("array.convention", "scalesim")]), &text).cycles;
    assert_eq!((scalesim.total, scalesim.compute), (6 + 45, 45));
    // 512 elements on 16 lanes behind a latency of 8: fp32 in and out at 64 bytes a cycle.
    let vector =
        timed(&design(&[]), "format f0, fp32\ntensor t0, f0, dram, 0, 1, 512\ntensor t1, f0, dram, 0x1000, 1, 512\nvrelu t1, t0").cycles;
    assert_eq!(vector.total, 4 + (32 + 100) + (8 + 32) + 32);
    assert_eq!(stalls(&vector), [(Stall::Vector, vector.total)]);
}

#[test]
fn double_buffering_hides_dram_or_shows_that_it_does_not() {
    let text = product(256, 256, 512);
    let record = |bandwidth: &str| timed(&design(&[("memory.dram_bytes_per_cycle", bandwidth), ("memory.scratchpad_kib", "64")]), &text);
    let fast = record("100000");
    let enough = record("64");
    let scarce = record("4");
    let bytes = enough.events.dram_read_bytes + enough.events.dram_write_bytes;
    // Operand panels are 8 KiB, so the 128 KiB of B are fetched again for every row of folds.
    assert_eq!(enough.events.dram_read_bytes, 256 * 512 + 16 * 512 * 256);
    assert_eq!(enough.events.dram_write_bytes, 256 * 256 * 4);
    let transfer = |bandwidth: u64| bytes / bandwidth;
    assert!(enough.cycles.total < enough.cycles.compute + transfer(64) / 4, "{:?}", enough.cycles);
    assert!(transfer(64) > enough.cycles.compute / 4, "the case is no test");
    assert!(enough.cycles.total >= fast.cycles.total);
    assert!(scarce.cycles.total >= transfer(4) && scarce.cycles.total < transfer(4) * 11 / 10, "{:?} {}", scarce.cycles, transfer(4));
    assert!(stall(&scarce.cycles, Stall::OperandLoad) + stall(&scarce.cycles, Stall::ResultStore) > scarce.cycles.compute);
    for record in [&fast, &enough, &scarce] {
        assert_eq!(record.cycles.compute, fast.cycles.compute);
        assert_eq!(record.cycles.total, record.cycles.compute + record.cycles.stalled());
    }
}

#[test]
fn operands_that_fit_are_fetched_once() {
    for (kib, expected) in [("1024", 256 * 512 + 512 * 256), ("64", 256 * 512 + 16 * 512 * 256), ("1", 16 * 256 * 512 + 16 * 512 * 256)] {
        let record = timed(&design(&[("memory.scratchpad_kib", kib)]), &product(256, 256, 512));
        assert_eq!(record.events.dram_read_bytes, expected, "{kib} KiB");
    }
    // Two arrays share what they read at the same time.
    let record = timed(&design(&[("memory.scratchpad_kib", "1"), ("array.count", "2")]), &product(256, 256, 512));
    assert_eq!(record.events.dram_read_bytes, 8 * 256 * 512 + 16 * 512 * 256);
}

#[test]
fn partial_sums_beyond_the_accumulator_memory_are_spilled() {
    let settings = |kib| {
        [
            ("array.dataflow", "ws"),
            ("array.partial_sums", "outside"),
            ("memory.accumulator_kib", kib),
            ("mac.chunk", "none"),
            ("mac.accumulator", "fp32"),
        ]
    };
    let fits = timed(&design(&settings("16")), &product(256, 64, 64));
    let spills = timed(&design(&settings("4")), &product(256, 64, 64));
    // 256 x 16 partial sums of 4 bytes; 12 of 16 KiB leave and return between 4 folds, in 4 groups.
    let spilled = 4 * 3 * 12 * 1024;
    assert_eq!(spills.events.dram_read_bytes, fits.events.dram_read_bytes + spilled);
    assert_eq!(spills.events.dram_write_bytes, fits.events.dram_write_bytes + spilled);
    assert!(spills.cycles.total > fits.cycles.total);
}

#[test]
fn a_narrow_scratchpad_holds_the_array_up() {
    let text = product(64, 64, 1024);
    let wide = timed(&design(&[]), &text);
    assert_eq!(stall(&wide.cycles, Stall::ScratchpadBandwidth), 0);
    let narrow = timed(&design(&[("memory.scratchpad_banks", "2")]), &text);
    // 32 bytes a cycle at the edges, 16 delivered: every fold takes twice as long.
    assert_eq!(stall(&narrow.cycles, Stall::ScratchpadBandwidth), 16 * 1024);
    assert_eq!(narrow.cycles.compute, wide.cycles.compute);
}

#[test]
fn shared_ports_hold_the_array_up() {
    let text = product(64, 64, 1024);
    // 32 bytes a cycle delivered, and as many taken at the edges.
    let full = [("memory.scratchpad_banks", "4")];
    let separate = timed(&design(&full), &text);
    assert_eq!(stall(&separate.cycles, Stall::ScratchpadBandwidth), 0);
    let shared = timed(&design(&[full[0], ("memory.scratchpad_ports", "shared")]), &text);
    // Results on their way in, what is stored and what is loaded come on top, in one of 16 folds or another.
    let others = (64 * 64 * 4 + shared.events.dram_write_bytes + shared.events.dram_read_bytes) / 32;
    let waited = stall(&shared.cycles, Stall::ScratchpadBandwidth);
    assert!((others..=others + 16).contains(&waited), "{waited} for {others}");
    assert_eq!((shared.cycles.compute, shared.events), (separate.cycles.compute, separate.events));
    assert_eq!(timed(&design(&[("memory.scratchpad_ports", "shared")]), &text).cycles, timed(&design(&[]), &text).cycles);

    let relu = "format f1, fp32\ntensor t0, f1, dram, 0, 64, 1024\ntensor t1, f1, dram, 0x1000000, 64, 1024\nvrelu t1, t0\n";
    let vector = |ports| timed(&design(&[full[0], ("memory.scratchpad_ports", ports)]), relu).cycles.total;
    // 16 bytes an element through 32 a cycle.
    assert!(vector("separate") < 64 * 1024 / 2 && vector("shared") >= 64 * 1024 / 2);
}

#[test]
fn what_depends_waits_and_what_does_not_runs_ahead() {
    let base = product(64, 64, 256);
    let alone = timed(&design(&[]), &base).cycles.total;
    let relu = |source: &str| {
        format!(
            "{base}tensor t4, f1, dram, {source}, 64, 64\ntensor t5, f1, dram, 0xa000000, 64, 64\nvrelu t5, t4\ntensor t6, f0, dram, 0x1000000, 64, 256\ngemm t0, t6, t2\n"
        )
    };
    let free = timed(&design(&[]), &relu("0x9000000"));
    let bound = timed(&design(&[]), &relu("0x8000000"));
    // The vector unit works beside the array, unless it waits for the product it reads; the
    // second product then waits to overwrite that.
    assert_eq!(stall(&free.cycles, Stall::Vector), 0, "{:?}", free.cycles);
    assert!(stall(&bound.cycles, Stall::Vector) > 0, "{:?}", bound.cycles);
    assert!(free.cycles.total < bound.cycles.total && free.cycles.total < 2 * alone + 20);
    let fenced = timed(&design(&[]), &relu("0x9000000").replace("tensor t6", "fence\ntensor t6"));
    assert!(fenced.cycles.total > free.cycles.total);
    assert!(stall(&fenced.cycles, Stall::Dependency) + stall(&fenced.cycles, Stall::Vector) > 0);
}

#[test]
fn loads_run_ahead_of_the_array() {
    let body = |separate: bool| {
        let mut text =
            String::from("format f0, e4m3fn\nformat f1, fp32\ntensor t3, f0, spm, 0x8000, 256, 16\ntensor t9, f1, spm, 0x10000, 16, 16\n");
        for i in 0..8 {
            let place = if separate { i % 2 * 0x1000 } else { 0 };
            text += &format!(
                "tensor t0, f0, dram, {}, 16, 256\ntensor t1, f0, spm, {place}, 16, 256\nload t1, t0\ngemm t9, t1, t3\n",
                i * 4096
            );
        }
        text
    };
    let design = design(&[("memory.dram_bytes_per_cycle", "16")]);
    let (double, single) = (timed(&design, &body(true)), timed(&design, &body(false)));
    assert_eq!(double.events, single.events);
    // With one buffer every load (256 cycles and the latency) waits for the product before it.
    assert!(double.cycles.total + 7 * 200 < single.cycles.total, "{:?} {:?}", double.cycles, single.cycles);
}

/// 64 x 64 outputs in tiles of 16 x 16, some of them selected.
fn masked_record(settings: &[(&str, &str)], engine: Engine, chosen: impl Fn(u64, u64) -> bool) -> Record {
    let text =
        product(64, 64, 64).replace("gemm t0, t1, t2", "format f4, int8\ntensor t4, f4, dram, 0xb000000, 64, 64\ngemmm t0, t1, t2, t4");
    let mut program = program(&text);
    let codes = (0..64 * 64).map(|i| u64::from(chosen(i / 64, i % 64))).collect();
    program.data.push(Segment { address: 0xb00_0000, format: Format::INT8, codes });
    Machine::new(design(settings), engine, KernelChoice::Auto).unwrap().run_with_data(&program, 0).unwrap()
}

#[test]
fn masked_products_cost_what_they_select() {
    let whole = timed(&design(&[]), &product(64, 64, 64));
    let bound = masked_record(&[], Engine::Timing, |_, _| false);
    for engine in [Engine::Fast, Engine::Ticked] {
        let all = masked_record(&[], engine, |_, _| true);
        assert_eq!((&all.cycles, all.events), (&bound.cycles, bound.events));
        // The mask is fetched, staged and read once.
        let mask = 64 * 64;
        assert_eq!(all.events.dram_read_bytes, whole.events.dram_read_bytes + mask);
        assert_eq!(all.events.scratchpad_write_bytes, whole.events.scratchpad_write_bytes + mask);
        assert_eq!(all.events.scratchpad_read_bytes, whole.events.scratchpad_read_bytes + mask);
        assert_eq!((all.events.macs, all.events.macs_spent), (64 * 64 * 64, 64 * 64 * 64));

        // One tile of sixteen, and one output of it.
        let one = masked_record(&[], engine, |row, column| (row, column) == (40, 20));
        assert_eq!((one.events.macs, one.events.macs_spent, one.events.folds), (64 * 64 * 64, 64, 1));
        assert_eq!(one.cycles.compute, 64 + 16 + 2 * 16);
        assert_eq!(one.events.dram_read_bytes, 2 * 16 * 64 + mask);
        assert_eq!(one.events.dram_write_bytes, 4);
        assert_eq!(one.macs_by_mode.values().sum::<u64>(), 64);

        // Nothing selected: the mask is read, and that is all.
        let none = masked_record(&[], engine, |_, _| false);
        assert_eq!((none.cycles.compute, none.events.folds, none.events.macs_spent), (0, 0, 0));
        assert_eq!((none.events.dram_read_bytes, none.events.scratchpad_read_bytes, none.events.dram_write_bytes), (mask, mask, 0));
        assert!(stall(&none.cycles, Stall::OperandLoad) >= 4096 / 64, "{:?}", none.cycles);
        for record in [&all, &one, &none] {
            assert_eq!(record.cycles.total, record.cycles.compute + record.cycles.stalled());
            assert!(record.cycles.total <= bound.cycles.total);
        }

        // Tiles left go to the arrays in turn.
        let strewn = |row, column| row / 16 != 1 && column % 16 == 3;
        let two = masked_record(&[("array.count", "2")], engine, strewn);
        assert_eq!((two.events.folds, two.cycles.compute), (12, 64 + 16 + 2 * 16 + 5 * 64));
    }
}

#[test]
fn masks_and_shift_registers_do_not_go_together() {
    let text = "format f0, e4m3fn\nformat f1, fp32\ntensor t0, f1, dram, 0x1000, 4, 4\ntensor t1, f0, dram, 0, 4, 4\n\
                tensor t2, f0, dram, 0x100, 4, 4\ntensor t3, f0, dram, 0x200, 4, 4\ngemmm t0, t1, t2, t3";
    let lfsr = ("mac.entropy", r#"{"lfsr":{"width":16,"taps":46080}}"#);
    for engine in Engine::ALL {
        let run = |settings: &[(&str, &str)]| Machine::new(design(settings), engine, KernelChoice::Auto).unwrap().run(&program(text), 0);
        let error = run(&[lfsr, ("mac.rounding", "sr8")]).unwrap_err().to_string();
        assert!(error.contains("draws its random bits from shift registers"), "{error}");
        assert!(run(&[lfsr]).is_ok() && run(&[("mac.rounding", "sr8")]).is_ok());
    }
}

#[test]
fn regions_share_the_cycles_out() {
    let text = format!(
        ".region first\n.region second\nmark first\n{}mark second\ntensor t5, f1, dram, 0xa000000, 32, 32\nvrelu t5, t0\nmark first\nnop",
        product(32, 32, 64)
    );
    let record = timed(&design(&[]), &text);
    let names: Vec<_> = record.regions.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(names, ["first", "second"]);
    let [first, second] = &record.regions[..] else { unreachable!() };
    assert_eq!(first.cycles.total + second.cycles.total, record.cycles.total);
    assert_eq!(first.cycles.compute, record.cycles.compute);
    assert!(stall(&second.cycles, Stall::Vector) > 0);
    assert_eq!((first.events.macs, second.events.macs), (32 * 32 * 64, 0));
    assert_eq!(second.events.vector_additions, 1024);
    assert_eq!(first.events.instructions + second.events.instructions, record.events.instructions);
}

#[test]
fn configuration_alone_takes_a_cycle_each() {
    let record = timed(&design(&[]), "nop\nloop 10, 1\nnop\nformat f0, fp32");
    assert_eq!((record.cycles.total, record.events.instructions), (13, 13));
    assert_eq!(stall(&record.cycles, Stall::Issue), 13);
    assert_eq!(timed(&design(&[]), "").cycles.total, 0);
}

#[test]
fn absurd_programs_are_refused_not_counted() {
    let text = "format f0, e4m3fn\nformat f1, fp32\ntensor t0, f1, dram, 0, 16777215, 16\ntensor t1, f0, spm, 0, 16777215, 16777215\n\
                stride t1, 1, 0, 0, 0\ntensor t2, f0, spm, 0, 16777215, 16\nstride t2, 1, 0, 0, 0\ngemm t0, t1, t2";
    for engine in Engine::ALL {
        let error = Machine::new(design(&[]), engine, KernelChoice::Auto).unwrap().run(&program(text), 0).unwrap_err().to_string();
        assert!(error.contains("beyond the 2^50 of one instruction; split the product"), "{error}");
        let fewer = text.replace("0, 16777215, 16\n", "0, 16777215, 3\n");
        let outcome = Machine::new(design(&[]), engine, KernelChoice::Auto).unwrap().run(&program(&fewer), 0).map(|r| r.events.macs);
        match engine {
            Engine::Timing => assert_eq!(outcome, Ok(16_777_215 * 16_777_215 * 3)),
            _ => assert!(outcome.unwrap_err().to_string().contains("2^31 elements")),
        }
    }
    let slow = design(&[
        ("memory.dram_bytes_per_cycle", "0.001"),
        ("memory.dram_mib", "1048576"),
        ("vector.lanes", "1"),
        ("vector.function_cycles", "1024"),
    ]);
    let text = "format f0, fp32\ntensor t0, f0, dram, 0, 16777215, 8000\ntensor t1, f0, dram, 0x7e00000000, 16777215, 8000\nloop 100000000, 1\nvsqrt t1, t0";
    let mut machine = Machine::new(slow, Engine::Timing, KernelChoice::Auto).unwrap();
    let error = machine.run(&program(text), 0).unwrap_err().to_string();
    assert!(error.contains("more than 2^52 cycles"), "{error}");
}

#[derive(Clone, Debug)]
struct Random {
    design: Design,
    program: Program,
}

/// A design and a program of a few products, copies and vector instructions on random operands.
fn random() -> impl Strategy<Value = Random> {
    let array =
        (1..9u32, 1..9u32, 1..4u32, select(vec!["os", "ws", "is"]), select(vec!["serial", "overlap"]), select(vec!["serial", "double"]));
    let more = (
        select(vec!["feedback", "outside"]),
        select(vec!["rtl", "rtl", "scalesim"]),
        select(vec!["rne", "rtz", "sr8"]),
        select(vec!["none", "1", "3", "8"]),
    );
    let memory = (select(vec!["64", "5.3", "1", "0.4"]), select(vec!["1", "2", "256"]), 0..200u32, select(vec!["1", "32"]));
    let scale = (
        select(vec!["none", "exponent", "chunk", "chunk_rounded"]),
        select(vec!["e8m0", "e4m3fn"]),
        select(vec![1, 1, 3, 8, 128u32]),
        select(vec![1, 1, 3, 8, 128u32]),
    );
    let step = (0..9u8, 1..20u32, 1..20u32, 1..30u32, any::<u64>());
    (array, more, memory, scale, prop::collection::vec(step, 1..6)).prop_map(|(array, more, memory, scale, steps)| {
        let scale_format = if scale.0 == "chunk" || scale.0 == "chunk_rounded" { scale.1 } else { "e8m0" };
        let chunk: Option<u32> = more.3.parse().ok();
        let scaled = scale.0 != "none" && chunk.is_some();
        let (rows, cols, count, dataflow, drain, preload) = array;
        let settings = [
            ("array.rows", rows.to_string()),
            ("array.cols", cols.to_string()),
            ("array.count", count.to_string()),
            ("array.dataflow", dataflow.to_owned()),
            ("array.drain", drain.to_owned()),
            ("array.preload", preload.to_owned()),
            ("array.partial_sums", more.0.to_owned()),
            ("array.convention", more.1.to_owned()),
            ("mac.rounding", more.2.to_owned()),
            ("mac.chunk", more.3.to_owned()),
            ("mac.accumulator", if more.3 == "none" { "fp32" } else { "e6m9" }.to_owned()),
            ("memory.dram_bytes_per_cycle", memory.0.to_owned()),
            ("memory.scratchpad_kib", "64".to_owned()),
            ("memory.accumulator_kib", "1".to_owned()),
            ("memory.scratchpad_banks", memory.1.to_owned()),
            ("memory.dram_latency_cycles", memory.2.to_string()),
            ("vector.lanes", memory.3.to_owned()),
            ("mac.scale", if scaled { scale.0 } else { "none" }.to_owned()),
            ("mac.scale_format", scale_format.to_owned()),
            ("mac.scale_rows", scale.2.to_string()),
            ("mac.scale_cols", scale.3.to_string()),
        ];
        let settings: Vec<_> = settings.map(|(path, value)| (path.to_owned(), value)).into();
        let design = design::find("fp8-16x16").unwrap().with_overrides(&settings).unwrap();
        let mut text = format!(".region odd\n.region even\nformat f0, e4m3fn\nformat f1, fp32\nformat f2, bf16\nformat f3, {scale_format}\nformat f4, e8m0\nformat f5, int8\n");
        let mut codes = Vec::new();
        for (i, (kind, m, n, k, seed)) in steps.into_iter().enumerate() {
            let mut state = seed;
            codes.extend((0..1200).map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                state >> 56
            }));
            let space = if seed & 1 == 1 { "spm" } else { "dram" };
            let (a, b, d) = (i * 1200, i * 1200 + 600, 0x4000 + i * 0x800);
            text += if i % 2 == 0 { "mark even\n" } else { "mark odd\n" };
            text += &format!("tensor t0, f1, {space}, {d}, {m}, {n}\ntensor t1, f0, dram, {a}, {m}, {k}\ntensor t2, f0, dram, {b}, {k}, {n}\n");
            if scaled {
                let blocks = k.div_ceil(chunk.unwrap_or(1));
                let (rows, cols) = (m.div_ceil(scale.2), n.div_ceil(scale.3));
                let names = [["t7", "t8"], ["none", "t8"], ["t7", "none"], ["t9", "t8"], ["none", "none"]][(seed >> 32) as usize % 5];
                text += &format!(
                    "tensor t7, f3, dram, 0x1c000, {rows}, {blocks}\ntensor t8, f3, dram, 0x1c400, {blocks}, {cols}\n\
                     tensor t9, f3, spm, 0x8000, {rows}, {blocks}\nload t9, t7\nscales {}\n",
                    names.join(", ")
                );
            }
            // Powers of two in place of biases: a few binades, and NaN.
            let names = [["none", "none"], ["t10", "none"], ["none", "t11"], ["t10", "t11"]][(seed >> 36) as usize & 3];
            let (power_a, power_b) = (0x1e000 + (seed >> 38 & 7), 0x1e000 + (seed >> 41 & 7));
            text += &format!(
                "tensor t10, f4, dram, {power_a}, 1, 1\ntensor t12, f4, dram, {power_b}, 1, 1\ntensor t11, f4, spm, 0x8400, 1, 1\n\
                 load t11, t12\npowers {}\n",
                names.join(", ")
            );
            text += &match kind {
                0 | 1 => "gemm t0, t1, t2\n".to_owned(),
                2 => "gemmc t0, t1, t2, t0\n".to_owned(),
                8 => {
                    // A mask of a quarter or so of the products' own codes, which are few zeros, or of the sparse ones.
                    let (format, address) = if seed & 2 == 0 { ("f5", 0x1d000) } else { ("f0", 0x1d000 + (seed >> 40 & 0x3ff)) };
                    format!("tensor t15, {format}, dram, {address}, {m}, {n}\ngemmm t0, t1, t2, t15\n")
                }
                3 => format!("tensor t3, f0, spm, 0, {m}, {k}\nload t3, t1\ngemm t0, t3, t2\ntensor t4, f1, dram, {}, {m}, {n}\n{}", d + 0x100, if space == "spm" { "store t4, t0\n" } else { "fence\n" }),
                // Convolutions of two images: windows on the left; windows on the right, the result turned.
                6 => format!(
                    "scales none, none\ntensor t1, f0, dram, {a}, 24, 18\nwindow t1, 4, 3, 4, 3, 2, 3, 3, 1, 1, 1\ntensor t2, f0, dram, {b}, 18, {0}\n\
                     tensor t0, f1, {space}, {d}, 24, {0}\ngemm t0, t1, t2\n",
                    n
                ),
                7 => format!(
                    "scales none, none\ntensor t1, f0, dram, {a}, {0}, 24\nstride t1, {0}, 0, 1, {0}\ntensor t2, f0, dram, {b}, 24, 18\n\
                     window t2, 4, 3, 4, 3, 2, 3, 3, 1, 1, 1\ntensor t0, f1, {space}, {d}, {0}, 18\nstride t0, {0}, 0, 1, {0}\ngemm t0, t1, t2\n",
                    m
                ),
                4 => format!("gemm t0, t1, t2\ntensor t5, f2, dram, 0x10000, {m}, {n}\nvrelu t5, t0\ntensor t6, f1, dram, 0x18000, 1, {n}\nrsum t6, t5\nvadd t0, t0, t6\n\
                     tensor t13, f1, dram, 0x19000, {}, {}\nblocks 2, 3\nramax t13, t0\nvdiv t0, t0, t13\nrsum t13, t5\nblocks 0, 0\n\
                     tensor t14, f5, dram, 0x1a000, {m}, {n}\nvfind t14, t0, t6\nvhyst t5, t0, t6\nvlook t0, t14, t6\nvsign t0, t0, t5\n", m.div_ceil(2), n.div_ceil(3)),
                _ => format!("loop 3, 3\ngemm t0, t1, t2\nadvance t0, 4\nadvance t1, {}\n", m * k / 4),
            };
        }
        let mut program = program(&text);
        program.data.push(Segment { address: 0, format: Format::E4M3FN, codes });
        // Scales within a few binades of 1.
        let one = if scale_format == "e8m0" { 127 } else { 0x38 };
        let codes = (0..0x800u64).map(|i| one + (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60) - 8).collect();
        program.data.push(Segment { address: 0x1c000, format: scale_format.parse().unwrap(), codes });
        // Thin, thick and empty stretches of masks.
        let strewn = |i: u64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56;
        let codes = (0..0x800u64).map(|i| if strewn(i) < strewn(i / 64) { 0x38 } else { 0 }).collect();
        program.data.push(Segment { address: 0x1d000, format: Format::INT8, codes });
        let codes = [127, 124, 130, 121, 0xff, 128, 126, 133].into();
        program.data.push(Segment { address: 0x1e000, format: Format::E8M0, codes });
        Random { design, program }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn engines_agree_and_time_adds_up(case in random()) {
        let mut outcomes = Vec::new();
        let in_bands = [(Engine::Fast, 1), (Engine::Fast, 400)];
        for (engine, bytes) in Engine::ALL.into_iter().map(|engine| (engine, u64::MAX)).chain(in_bands) {
            let machine = Machine::new(case.design.clone(), engine, KernelChoice::Auto).unwrap();
            let mut machine = machine.with_gathered_bytes(bytes);
            let record = machine.run_with_data(&case.program, 3).map_err(|e| TestCaseError::fail(e.to_string()))?;
            prop_assert_eq!(record.cycles.total, record.cycles.compute + record.cycles.stalled());
            let mut sum = Cycles::default();
            for region in &record.regions {
                prop_assert_eq!(region.cycles.total, region.cycles.compute + region.cycles.stalled());
                sum += &region.cycles;
            }
            prop_assert_eq!(&sum, &record.cycles);
            let moved = record.events.dram_read_bytes + record.events.dram_write_bytes;
            let fastest = moved as f64 / case.design.memory.dram_bytes_per_cycle;
            prop_assert!(record.cycles.total as f64 + 1.0 >= fastest, "{moved} bytes in {}", record.cycles.total);
            let memory = machine.read(0, Format::INT8, 0x20000).unwrap();
            outcomes.push((record, Codes::from_fn(Format::INT8, memory.len(), |i| memory[i])));
        }
        for same in [1, 3, 4] {
            prop_assert_eq!(&outcomes[0], &outcomes[same]);
        }
        let (fast, timing) = (&outcomes[0].0, &outcomes[2].0);
        prop_assert!(fast.activity.is_some() && timing.activity.is_none());
        if masked(&case.program) {
            prop_assert_eq!(fast.events.macs, timing.events.macs);
            prop_assert!(fast.cycles.compute <= timing.cycles.compute);
            // Several arrays may share fewer operands of the tiles that are left.
            let shared = |event| case.design.array.count > 1 && ["dram_read_bytes", "scratchpad_write_bytes"].contains(&event);
            for ((event, spent), (_, most)) in fast.events.iter().zip(timing.events.iter()) {
                prop_assert!(spent <= most || event == "idle_lane_cycles" || shared(event), "{}: {} of {}", event, spent, most);
            }
            return Ok(());
        }
        prop_assert_eq!(&fast.cycles, &timing.cycles);
        prop_assert_eq!(fast.events, timing.events);
        prop_assert_eq!(&fast.macs_by_mode, &timing.macs_by_mode);
    }
}

/// True if a program has masked products, which cost what their masks select.
fn masked(program: &Program) -> bool {
    program.instructions.iter().any(|i| matches!(i, Instruction::GemmM { .. }))
}

/// Instructions with small operands, sound or not.
fn hostile() -> impl Strategy<Value = Vec<String>> {
    let format = (0..4u8, select(vec!["e4m3fn", "fp32", "bf16", "int8", "e8m0", "e7m9", "fx46.18"]))
        .prop_map(|(f, name)| format!("format f{f}, {name}"));
    let tensor = (0..6u8, 0..4u8, select(vec!["dram", "spm"]), 0..0x2000u32, (0..20u32, 0..20u32))
        .prop_map(|(t, f, space, address, (rows, cols))| format!("tensor t{t}, f{f}, {space}, {address}, {rows}, {cols}"));
    let stride = (0..6u8, 0..9u32, -40..40i32, -40..40i32, -3..3i32).prop_map(|(t, i, a, b, c)| format!("stride t{t}, {i}, {a}, {b}, {c}"));
    let window = (0..6u8, prop::collection::vec(0..5u32, 10))
        .prop_map(|(t, fields)| format!("window t{t}, {}", fields.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")));
    let control = prop_oneof![
        (0..4u32, 0..12u32).prop_map(|(count, length)| format!("loop {count}, {length}")),
        (0..6u8, -300..300i32).prop_map(|(t, bytes)| format!("advance t{t}, {bytes}")),
        (0..4u8).prop_map(|mode| format!("mode {mode}")),
        (0..6u8, 0..6u8).prop_map(|(a, b)| format!("scales t{a}, {}", if b == 0 { "none".to_owned() } else { format!("t{b}") })),
        Just("scales none, none".to_owned()),
        (-9..9i32, -9..9i32).prop_map(|(a, b)| format!("bias {a}, {b}")),
        (0..6u8, 0..6u8).prop_map(|(a, b)| format!("powers t{a}, {}", if b == 0 { "none".to_owned() } else { format!("t{b}") })),
        Just("powers none, none".to_owned()),
        (0..6u32, 0..6u32).prop_map(|(rows, cols)| format!("blocks {rows}, {cols}")),
        Just("vector sr3, ieee, max".to_owned()),
        Just("output rup, saturate, nan".to_owned()),
        Just("fence".to_owned()),
    ];
    let work = (
        select(systole_isa::instruction::TABLE.iter().filter(|row| row.opcode >= 0x18).collect::<Vec<_>>()),
        prop::collection::vec(0..6u8, 4),
    )
        .prop_map(|(row, t)| {
            let operands: Vec<String> = row.operands.split_whitespace().zip(t).map(|(_, t)| format!("t{t}")).collect();
            format!("{} {}", row.mnemonic, operands.join(", "))
        });
    prop::collection::vec(prop_oneof![2 => format, 5 => tensor, 1 => stride, 1 => window, 1 => control, 6 => work], 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]
    #[test]
    fn hostile_programs_end_alike_under_every_engine(
        lines in hostile(),
        dataflow in select(vec!["os", "ws", "is"]),
        scale in select(vec!["none", "none", "exponent"]),
    ) {
        let text = lines.join("\n");
        let design = design(&[("mac.scale", scale), ("mac.chunk", "4"), ("memory.dram_mib", "1"), ("memory.scratchpad_kib", "4"), ("array.rows", "3"), ("array.cols", "2"), ("array.dataflow", dataflow)]);
        // Programs end at their first refusal; what ran before is compared by leaving it out.
        let mut program = program(&text);
        loop {
            let outcomes = Engine::ALL.map(|engine| {
                Machine::new(design.clone(), engine, KernelChoice::Auto).unwrap().with_instruction_limit(3000).run(&program, 1)
            });
            match outcomes {
                [Ok(fast), Ok(ticked), Ok(timing)] => {
                    prop_assert_eq!(&fast, &ticked);
                    if !masked(&program) {
                        prop_assert_eq!((&fast.cycles, fast.events), (&timing.cycles, timing.events));
                    }
                    prop_assert_eq!(fast.cycles.total, fast.cycles.compute + fast.cycles.stalled());
                    break;
                }
                [Err(fast), Err(ticked), Err(timing)] => {
                    prop_assert_eq!(&fast, &ticked);
                    prop_assert_eq!(&fast, &timing);
                    let text = fast.to_string();
                    let index = text.split_whitespace().nth(1).and_then(|n| n.parse::<usize>().ok());
                    prop_assert!(index.is_some_and(|i| i < program.instructions.len()), "{}", text);
                    program.instructions.remove(index.unwrap_or(0));
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}
