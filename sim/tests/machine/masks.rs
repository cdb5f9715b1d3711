//! Masked products cost what they select.

use super::*;

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
