//! Cycles, traffic and stalls by hand.

use super::*;

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
