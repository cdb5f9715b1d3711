//! Accounts of records, some priced by hand, and reports.

use super::table::{HOROWITZ_45NM, NAMES};
use super::validation::{built_in, near};
use super::{EnergyError, account, cost_report, table_json, table_text, technology};
use std::collections::BTreeMap;
use systole_isa::design::{self, Dataflow, Design, Gating, PartialSums, Scaling, Switching};
use systole_isa::device::{Activity, Cycles, Events, Record, RegionRecord, Toggles};
use systole_isa::format::Format;

/// A made-up record: `scale` times an arbitrary mix of events, all MACs in `mode`.
fn sample(scale: u64, mode: usize) -> RegionRecord {
    let mut events = Events {
        macs: 4096,
        macs_spent: 4096,
        idle_lane_cycles: 512,
        streaming_register_writes: 4096,
        stationary_register_writes: 4096,
        accumulator_register_writes: 4096,
        outer_additions: 64,
        skew_register_writes: 960,
        drain_register_writes: 2048,
        accumulator_memory_reads: 256,
        accumulator_memory_writes: 256,
        accumulator_memory_additions: 256,
        conversions: 256,
        scratchpad_read_bytes: 512,
        scratchpad_write_bytes: 512,
        dram_read_bytes: 512,
        dram_write_bytes: 512,
        vector_additions: 256,
        vector_multiplications: 128,
        vector_functions: 64,
        folds: 1,
        instructions: 12,
    };
    events = events * scale;
    RegionRecord {
        name: format!("region {mode}"),
        cycles: Cycles { total: 200 * scale, compute: 100 * scale, ..Cycles::default() },
        events,
        macs_by_mode: BTreeMap::from([(mode, events.macs)]),
        activity: None,
        toggles: None,
        sums: Vec::new(),
    }
}

fn record_of(regions: Vec<RegionRecord>) -> Record {
    let mut record = Record::default();
    for region in regions {
        record.accumulate(&Record {
            cycles: region.cycles.clone(),
            events: region.events,
            macs_by_mode: region.macs_by_mode.clone(),
            activity: None,
            toggles: None,
            regions: vec![region],
        });
    }
    record
}

#[test]
fn energy_is_linear_and_additive_over_regions() {
    let design = built_in("fp8-16x16");
    let one = account(&design, &record_of(vec![sample(1, 0)])).unwrap().energy_pj;
    let seven = account(&design, &record_of(vec![sample(7, 0)])).unwrap().energy_pj;
    for ((name, one), (_, seven)) in one.iter().zip(seven.iter()) {
        assert!(one > 0.0, "{name} is free");
        near(seven, 7.0 * one, 1e-12, name);
    }
    let mixed = account(&design, &record_of(vec![sample(1, 0), sample(3, 1), sample(2, 2)])).unwrap();
    assert_eq!(mixed.regions.len(), 3);
    let sum: f64 = mixed.regions.iter().map(|r| r.energy_pj.total()).sum();
    near(mixed.energy_pj.total(), sum, 1e-12, "regions");
    assert!(mixed.regions[1].energy_pj.multipliers / 3.0 != one.multipliers, "e5m2 products have another price");

    // Without regions the same record gives nearly the same: only shares of modes are averaged.
    let mut whole = record_of(vec![sample(1, 0), sample(3, 1)]);
    let with = account(&design, &whole).unwrap().energy_pj;
    whole.regions.clear();
    near(account(&design, &whole).unwrap().energy_pj.total(), with.total(), 1e-3, "without regions");
}

#[test]
fn every_event_has_its_part() {
    let design = built_in("gemmini-16x16");
    let base = sample(1, 0);
    let total = |region: RegionRecord| account(&design, &record_of(vec![region])).unwrap().energy_pj.total();
    let before = total(base.clone());
    type Change = fn(&mut RegionRecord);
    let dearer: [(&str, Change); 14] = [
        ("streaming", |r| r.events.streaming_register_writes += 1),
        ("stationary", |r| r.events.stationary_register_writes += 1),
        ("accumulators", |r| r.events.accumulator_register_writes += 1),
        ("skew", |r| r.events.skew_register_writes += 1),
        ("drain", |r| r.events.drain_register_writes += 1),
        ("memory reads", |r| r.events.accumulator_memory_reads += 1),
        ("memory writes", |r| r.events.accumulator_memory_writes += 1),
        ("memory additions", |r| r.events.accumulator_memory_additions += 1),
        ("conversions", |r| r.events.conversions += 1),
        ("scratchpad", |r| r.events.scratchpad_write_bytes += 1),
        ("dram", |r| r.events.dram_write_bytes += 1),
        ("vector", |r| r.events.vector_functions += 1),
        ("instructions", |r| r.events.instructions += 1),
        ("time", |r| r.cycles.total += 1),
    ];
    for (name, change) in dearer {
        let mut region = base.clone();
        change(&mut region);
        assert!(total(region) > before, "{name} is free");
    }
    // A MAC asked for and not spent costs nothing, and is no work done.
    let mut gated = base.clone();
    gated.events.macs += 1000;
    let (with, without) = (account(&design, &record_of(vec![gated])).unwrap(), account(&design, &record_of(vec![base.clone()])).unwrap());
    assert_eq!((with.energy_pj, with.tflops), (without.energy_pj, without.tflops));
    // The full clock is paid already, so a lane that idles costs nothing more.
    let mut idle = base;
    idle.events.idle_lane_cycles += 1000;
    assert_eq!(total(idle), before);
}

/// Detectors look at every operand; a gated MAC of a chain that stays saves its arithmetic and the
/// accumulator's write, one of a chain that travels the arithmetic alone.
#[test]
fn zero_operands_save_what_gating_says() {
    let gated = |name: &str, dataflow| {
        let mut design = built_in(name);
        design.array.dataflow = dataflow;
        design.energy.gating = Gating::ZeroOperand;
        design
    };
    let parts = |design: &Design, zeros: Option<u64>| {
        let mut region = sample(1, 0);
        region.activity = zeros.map(|zero_operand_macs| Activity { zero_operand_macs, ..Activity::default() });
        let mut record = record_of(vec![region.clone()]);
        record.activity = region.activity;
        account(design, &record).map(|account| account.energy_pj)
    };
    for dataflow in [Dataflow::Os, Dataflow::Ws, Dataflow::Is] {
        let design = gated("int8-16x16", dataflow);
        let mut plain = design.clone();
        plain.energy.gating = Gating::None;
        let (without, none, some) = (parts(&plain, None).unwrap(), parts(&design, Some(0)).unwrap(), parts(&design, Some(1000)).unwrap());
        assert!(without.iter().all(|(name, _)| name != "zero_detectors"), "absent, not 0");
        // 8192 operand registers of 8 bits; a multiplier of 0.2 pJ, an adder of 0.1 pJ.
        near(none.zero_detectors, 8192.0 * 8.0 * 0.0005, 1e-12, "detectors");
        near(none.multipliers - some.multipliers, 200.0, 1e-9, "multipliers");
        near(none.adders - some.adders, 100.0, 1e-9, "adders");
        let written = if dataflow == Dataflow::Os { 1000.0 * 32.0 * 0.5 * 0.0005 } else { 0.0 };
        assert!((none.registers - some.registers - written).abs() < 1e-9, "accumulators");
        assert_eq!((none.multipliers, none.adders, none.registers), (without.multipliers, without.adders, without.registers));
        let area = |design: &Design| cost_report(design).unwrap().area_um2;
        near(area(&design).zero_detectors, 256.0 * 16.0 * 0.67, 1e-12, "area");
        near(area(&design).total() - area(&plain).total(), area(&design).zero_detectors, 1e-9, "area in all");
        // At full use the two kinds of MAC are priced apart.
        let report = cost_report(&design).unwrap();
        let spared = report.energy_pj.total() - report.gated_mac_energy_pj.unwrap().total();
        near(spared, 0.3 + written / 1000.0, 1e-9, "one MAC");
        assert!(cost_report(&plain).unwrap().gated_mac_energy_pj.is_none());
        assert!(matches!(parts(&design, None), Err(EnergyError::NeedsValues { field: "energy.gating", .. })));
    }
    // A tree's adders carry the other products on: multiplier and shifter alone.
    let h100 = gated("h100-fp8", Dataflow::Os);
    let report = cost_report(&h100).unwrap();
    let (whole, rest) = (report.energy_pj, report.gated_mac_energy_pj.unwrap());
    assert_eq!((rest.multipliers, rest.registers), (0.0, whole.registers));
    near(whole.adders - rest.adders, 0.0014 * 15.0 * 15f64.log2(), 1e-9, "shifter");
    for built_in in design::DESIGNS {
        let design = gated(built_in.name, Dataflow::Os);
        let gated = cost_report(&design).unwrap().gated_mac_energy_pj.unwrap();
        assert!(gated.iter().all(|(_, pj)| pj > -1e-12), "{}: {gated:?}", built_in.name);
    }
}

/// Toggles of random data cost what the table says, none cost the fixed share, twice as many twice
/// the rest; what operands do not enter stays at the table's.
#[test]
fn counted_toggles_price_operands() {
    let mut design = built_in("int8-16x16");
    design.energy.activity = Switching::Toggles;
    let of = |share: u64| {
        let mut region = sample(1, 0);
        region.activity = Some(Activity::default());
        region.toggles = Some(Toggles {
            streaming_register_toggles: 16_384 * share,
            streaming_register_bits: 32_768,
            stationary_register_toggles: 16_384 * share,
            stationary_register_bits: 32_768,
            skew_register_toggles: 3_840 * share,
            skew_register_bits: 7_680,
            partial_product_toggles: 98_304 * share,
            partial_product_cells: 262_144,
        });
        account(&design, &record_of(vec![region])).unwrap()
    };
    let (none, random, twice) = (of(0), of(1), of(2));
    assert_eq!(none.energy_pj, twice.energy_pj, "the table's figures do not follow toggles");
    let parts = |account: &super::EnergyAccount| account.energy_by_toggles_pj.unwrap();
    for ((name, by_toggles), (_, by_table)) in parts(&random).iter().zip(random.energy_pj.iter()) {
        near(by_toggles, by_table, 1e-12, name);
    }
    // 0.2 pJ an 8 x 8 multiplier, a fifth of it whatever the operands do.
    near(parts(&none).multipliers, 0.2 * random.energy_pj.multipliers, 1e-9, "multipliers at rest");
    near(parts(&twice).multipliers, 1.8 * random.energy_pj.multipliers, 1e-9, "multipliers");
    near(parts(&twice).registers - parts(&random).registers, 0.0005 * 36_608.0, 1e-9, "registers");
    assert!(parts(&none).wires < parts(&random).wires);
    assert_eq!(parts(&none).adders, random.energy_pj.adders);

    let plain = account(&built_in("int8-16x16"), &record_of(vec![sample(1, 0)])).unwrap();
    assert!(plain.energy_by_toggles_pj.is_none(), "absent where not asked for");
    let refused = account(&design, &record_of(vec![sample(1, 0)])).unwrap_err();
    assert!(matches!(refused, EnergyError::NeedsValues { field: "energy.activity", .. }), "{refused}");
    design.energy.gating = Gating::ZeroOperand;
    assert!(design.problems().iter().any(|problem| problem.path == "energy.activity"));
}

#[test]
fn hand_priced_record() {
    let design = built_in("int8-16x16");
    let mut region = sample(1, 0);
    region.events = Events { macs: 1000, macs_spent: 1000, dram_read_bytes: 10, instructions: 2, ..Events::default() };
    region.macs_by_mode = BTreeMap::from([(0, 1000)]);
    let account = account(&design, &record_of(vec![region])).unwrap();
    let e = account.energy_pj;
    near(e.multipliers, 200.0, 1e-9, "1000 int8 products");
    near(e.adders, 100.0, 1e-9, "1000 int32 sums");
    assert_eq!((e.rounding, e.wires, e.scratchpad), (0.0, 0.0, 0.0));
    near(e.dram, 1600.0, 1e-12, "80 bits at 20 pJ");
    near(e.instructions, 140.0, 1e-12, "2 instructions");
    // 256 PEs of 8 + 8 + 32 + 32 bits; 136 skew registers each of A, B and C; 16 outputs.
    near(e.registers, 200.0 * 0.0038 * (256.0 * 80.0 + 136.0 * 48.0 + 16.0 * 32.0), 1e-12, "200 clocks");
    // 0.012 W/mm2 for 0.2 us.
    near(e.leakage, 0.012 * account.area_um2.total() * 0.2, 1e-12, "leakage");
    near(account.tflops.achieved, 2.0 * 1000.0 / 0.2e-6 / 1e12, 1e-12, "achieved");
    near(account.tflops.per_watt, 2000.0 / e.total(), 1e-12, "per watt");
}

/// The steady state of `cycles` cycles at full use, counted as the arrays count: elements.
fn steady_state(design: &Design, cycles: u64) -> Events {
    let array = &design.array;
    let (rows, cols, lanes) = (u64::from(array.rows), u64::from(array.cols), u64::from(design.mac.lanes));
    let arrays_cycles = cycles * u64::from(array.count);
    let triangle = |side: u64| side * (side + 1) / 2;
    let macs = rows * cols * lanes * arrays_cycles;
    let closed = design.mac.chunk.map_or(0, |length| macs / u64::from(length));
    let bytes = |format: Format| u64::from(format.storage_bytes());
    // A scale with each block of either operand.
    let scaled_elements = |elements: u64| match (design.mac.scale, design.mac.chunk) {
        (Scaling::None, _) | (_, None) => 0,
        (_, Some(length)) => elements / u64::from(length) * bytes(design.mac.scale_format),
    };
    let common = Events {
        macs,
        macs_spent: macs,
        streaming_register_writes: macs,
        accumulator_register_writes: macs / lanes,
        outer_additions: closed,
        ..Events::default()
    };
    if array.dataflow == Dataflow::Os {
        return Events {
            stationary_register_writes: macs,
            skew_register_writes: (triangle(rows) + triangle(cols)) * lanes * arrays_cycles,
            scratchpad_read_bytes: (rows * bytes(design.mac.a) + cols * bytes(design.mac.b)) * lanes * arrays_cycles
                + scaled_elements((rows + cols) * lanes * arrays_cycles),
            ..common
        };
    }
    let outside = array.partial_sums == PartialSums::Outside;
    let streaming = if array.dataflow == Dataflow::Ws { design.mac.a } else { design.mac.b };
    let partial_sums = cols * arrays_cycles;
    Events {
        skew_register_writes: triangle(rows) * lanes * arrays_cycles + if outside { 0 } else { partial_sums },
        scratchpad_read_bytes: rows * bytes(streaming) * lanes * arrays_cycles + scaled_elements(rows * lanes * arrays_cycles),
        accumulator_memory_reads: partial_sums,
        accumulator_memory_writes: partial_sums,
        accumulator_memory_additions: if outside { partial_sums } else { 0 },
        ..common
    }
}

#[test]
fn a_run_at_full_use_costs_what_the_report_says() {
    for built_in in design::DESIGNS {
        let base = Design::from_ron(built_in.name, built_in.ron).unwrap();
        for dataflow in [Dataflow::Os, Dataflow::Ws, Dataflow::Is] {
            for partial_sums in [PartialSums::Feedback, PartialSums::Outside] {
                let mut design = base.clone();
                (design.array.dataflow, design.array.partial_sums) = (dataflow, partial_sums);
                // Whole chunks close, those of 48 products too.
                let cycles = 3 << 19;
                let events = steady_state(&design, cycles);
                let macs = events.macs as f64;
                let region = RegionRecord {
                    name: String::new(),
                    cycles: Cycles { total: cycles, compute: cycles, ..Cycles::default() },
                    events,
                    macs_by_mode: BTreeMap::from([(0, events.macs)]),
                    activity: None,
                    toggles: None,
                    sums: Vec::new(),
                };
                let run = account(&design, &record_of(vec![region])).unwrap();
                let report = cost_report(&design).unwrap();
                let what = format!("{} {dataflow:?} {partial_sums:?}", design.name);
                for (name, pj) in report.energy_pj.iter() {
                    let (_, spent) = run.energy_pj.iter().find(|(other, _)| *other == name).unwrap();
                    assert!((spent / macs - pj).abs() <= 1e-9 * pj, "{what}, {name}: {} instead of {pj}", spent / macs);
                }
                near(run.energy_pj.total() / macs, report.energy_pj.total(), 1e-9, &what);
                near(run.tflops.achieved, report.tflops.peak, 1e-9, &what);
                near(run.tflops.per_watt, report.tflops.per_watt, 1e-9, &what);
            }
        }
    }
}

#[test]
fn settings_change_what_they_should() {
    let report = |settings: &[(&str, &str)]| {
        let settings: Vec<_> = settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        cost_report(&built_in("gemmini-16x16").with_overrides(&settings).unwrap_or_else(|e| panic!("{e}"))).unwrap()
    };
    let base = report(&[]);
    near(report(&[("energy.temperature_c", "50")]).energy_pj.leakage, 2.0 * base.energy_pj.leakage, 1e-12, "25 C hotter");
    near(report(&[("array.clock_mhz", "500")]).energy_pj.leakage, 2.0 * base.energy_pj.leakage, 1e-12, "half the clock");
    near(report(&[("array.clock_mhz", "500")]).tflops.peak, base.tflops.peak / 2.0, 1e-12, "half the clock");
    assert!(report(&[("memory.scratchpad_banks", "1")]).energy_pj.scratchpad > base.energy_pj.scratchpad);
    assert!(report(&[("array.preload", "serial")]).area_um2.registers < base.area_um2.registers);
    assert!(report(&[("array.partial_sums", "feedback")]).energy_pj.adders < base.energy_pj.adders);
    assert!(report(&[("array.count", "4")]).energy_pj.scratchpad < base.energy_pj.scratchpad, "shares lie nearer");
    // 256 PEs of 8 + 2 * 8 + 32 bits; 136 skew registers each of A, B and C; 16 feet of columns.
    near(base.area_um2.registers, 5.98 * (256.0 * 56.0 + 136.0 * 48.0 + 16.0 * 32.0), 1e-12, "registers");
    let stationary = report(&[("array.dataflow", "os")]);
    assert_eq!((stationary.energy_pj.accumulator_memory, stationary.area_um2.accumulator_memory), (0.0, 0.0));
}

#[test]
fn refusals_name_the_mend() {
    let mut design = built_in("fp8-16x16");
    design.energy.table = "horowitz".to_owned();
    let error = cost_report(&design).unwrap_err().to_string();
    assert!(error.contains("energy.table") && error.contains("`horowitz`") && error.contains(HOROWITZ_45NM), "{error}");
    let design = built_in("int8-16x16");
    let error = account(&design, &record_of(vec![sample(1, 3)])).unwrap_err();
    assert!(matches!(error, EnergyError::UnknownMode { mode: 3, modes: 1, .. }), "{error}");
    let mut lost = record_of(vec![sample(1, 0)]);
    lost.regions.clear();
    lost.events.macs_spent += 1;
    let error = account(&design, &lost).unwrap_err();
    assert_eq!(error, EnergyError::Unattributed { attributed: 4096, macs: 4097 });
}

#[test]
fn an_empty_record_costs_nothing() {
    let empty = account(&built_in("fp8-16x16"), &Record::default()).unwrap();
    assert_eq!(empty.energy_pj.total(), 0.0);
    assert_eq!((empty.tflops.achieved, empty.tflops.per_watt), (0.0, 0.0));
}

#[test]
fn reports_have_the_agreed_shape_and_fit_their_width() {
    for built_in in design::DESIGNS {
        let design = Design::from_ron(built_in.name, built_in.ron).unwrap();
        let report = cost_report(&design).unwrap();
        let json = report.json();
        for group in ["energy_pj", "area_um2"] {
            let parts = json[group].as_object().unwrap();
            let sum: f64 = parts.iter().filter(|(name, _)| *name != "total").map(|(_, part)| part.as_f64().unwrap()).sum();
            near(sum, parts["total"].as_f64().unwrap(), 1e-12, group);
        }
        for rate in ["peak", "per_watt", "per_mm2"] {
            assert!(json["tflops"][rate].as_f64().unwrap() > 0.0, "{rate}");
        }
        let run = account(&design, &record_of(vec![sample(1, 0)])).unwrap();
        near(run.energy_json()["total"].as_f64().unwrap(), run.energy_pj.total(), 1e-12, "total");
        for text in [report.text(), run.text(), run.assumptions_text()] {
            assert!(text.lines().all(|line| line.len() <= 100), "{text}");
        }
    }
    for name in NAMES {
        let table = technology(name).unwrap();
        let text = table_text(table);
        assert!(text.lines().all(|line| line.len() <= 100), "{text}");
        for figure in table.figures() {
            assert!(text.contains(figure.source) && text.contains(figure.status.text()), "{figure:?}");
        }
        assert_eq!(table_json(table)["figures"].as_array().unwrap().len(), table.figures().len());
    }
}
