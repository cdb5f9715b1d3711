//! What is refused, and how that is said.

use super::*;

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
