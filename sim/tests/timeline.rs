//! Timelines: their form, and that their sums are the record's.

mod common;

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use systole::machine::{Engine, Machine};
use systole::run::gemm::{self, Task};
use systole::trace::timeline::Timeline;
use systole_arrays::fast::KernelChoice;
use systole_isa::design::Design;
use systole_isa::device::{Cycles, Record, Stall};

fn schema() -> Value {
    serde_json::from_str(include_str!("../schema/timeline.schema.json")).expect("JSON")
}

fn check_form(trace: &Value) {
    let validator = jsonschema::validator_for(&schema()).expect("a schema");
    let errors: Vec<String> = validator.iter_errors(trace).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:?}");
}

/// Slices of a track: name, first cycle, cycle behind the last, arguments.
fn slices(trace: &Value, track: &str) -> Vec<(String, u64, u64, Value)> {
    let events = trace["traceEvents"].as_array().expect("events");
    let threads: Vec<&Value> =
        events.iter().filter(|e| e["name"] == "thread_name" && e["args"]["name"] == track).map(|e| &e["tid"]).collect();
    let slices = events.iter().filter(|e| e["ph"] == "X" && threads.contains(&&e["tid"]));
    let number = |value: &Value| value.as_u64().expect("a number");
    slices
        .map(|e| (e["name"].as_str().expect("text").to_owned(), number(&e["ts"]), number(&e["ts"]) + number(&e["dur"]), e["args"].clone()))
        .collect()
}

/// Slices that follow each other without gap from 0 to the end.
fn partition(trace: &Value, track: &str, end: u64) -> Vec<(String, u64, Value)> {
    let slices = slices(trace, track);
    let mut at = 0;
    for (name, from, to, _) in &slices {
        assert_eq!((*from, name.is_empty()), (at, false), "{track}: {name}");
        at = *to;
    }
    assert_eq!(at, end, "{track}");
    slices.into_iter().map(|(name, from, to, args)| (name, to - from, args)).collect()
}

fn as_cycles(slices: impl Iterator<Item = (String, u64)>) -> Cycles {
    let mut cycles = Cycles::default();
    for (name, length) in slices {
        cycles.total += length;
        match Stall::ALL.into_iter().find(|stall| stall.name() == name) {
            Some(stall) => cycles.charge(stall, length),
            None => {
                assert_eq!(name, "compute");
                cycles.compute += length;
            }
        }
    }
    cycles
}

/// Everything that a timeline owes the record.
fn check_sums(trace: &Value, record: &Record) {
    let total = record.cycles.total;
    let cycles = partition(trace, "cycles", total);
    assert_eq!(as_cycles(cycles.iter().map(|(name, length, _)| (name.clone(), *length))), record.cycles);
    for region in &record.regions {
        let of_region = cycles.iter().filter(|(_, _, args)| args["region"] == region.name.as_str());
        assert_eq!(as_cycles(of_region.map(|(name, length, _)| (name.clone(), *length))), region.cycles, "{}", region.name);
    }
    let mut regions: BTreeMap<String, u64> = BTreeMap::new();
    partition(trace, "regions", total).into_iter().for_each(|(name, length, _)| *regions.entry(name).or_default() += length);
    let expected = record.regions.iter().filter(|region| region.cycles.total > 0).map(|region| {
        let name = if region.name.is_empty() { "(no region)".to_owned() } else { region.name.clone() };
        (name, region.cycles.total)
    });
    assert_eq!(regions, expected.collect());

    // Instructions on the arrays follow one another, and compute what the record says.
    let arrays = slices(trace, "array");
    let number = |args: &Value, name: &str| args[name].as_u64().expect("a number");
    assert_eq!(arrays.iter().map(|(.., args)| number(args, "compute")).sum::<u64>(), record.cycles.compute);
    assert!(arrays.windows(2).all(|pair| pair[0].2 <= pair[1].1));
    for (name, from, to, args) in &arrays {
        assert_eq!(to - from, number(args, "compute") + number(args, "waited"), "{name}");
        // What it waited is told where it was.
        let within = slices(trace, "cycles").into_iter().filter(|(slice, begin, end, _)| slice != "compute" && begin >= from && end <= to);
        if number(args, "compute") > 0 {
            assert_eq!(within.map(|(_, begin, end, _)| end - begin).sum::<u64>(), number(args, "waited"), "{name}");
        }
    }
    for (track, bytes) in [("load", record.events.dram_read_bytes), ("store", record.events.dram_write_bytes)] {
        let transfers = slices(trace, track);
        assert_eq!(transfers.iter().map(|(.., args)| number(args, "bytes")).sum::<u64>(), bytes, "{track}");
        assert!(transfers.iter().all(|(_, _, to, _)| *to <= total), "{track}");
    }
    let about = &trace["otherData"]["cycles"];
    assert_eq!((&about["total"], &about["compute"]), (&json!(total), &json!(record.cycles.compute)));
}

fn write(timeline: Timeline, design: &Design) -> Value {
    let directory = tempfile::tempdir().expect("temporary directory");
    let path = directory.path().join("t.json");
    timeline.write(&path, design, "test").expect("written");
    read(&path)
}

fn read(path: &Path) -> Value {
    let trace: Value = serde_json::from_str(&std::fs::read_to_string(path).expect("a file")).expect("JSON");
    check_form(&trace);
    trace
}

#[test]
fn the_schema_refuses_what_is_wrong() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let path = directory.path().join("t.json");
    let design = common::design("fp8-16x16", &[]);
    let mut prepared = gemm::prepare(&design, &Task::shape(&design, 4, 4, 4), Engine::Timing, KernelChoice::Auto).expect("prepared");
    let mut timeline = Timeline::default();
    prepared.machine.run_watched(&prepared.program, 0, &mut timeline).expect("runs");
    timeline.write(&path, &design, "test").expect("written");
    let trace = read(&path);
    let validator = jsonschema::validator_for(&schema()).expect("a schema");
    let last = trace["traceEvents"].as_array().expect("events").iter().rposition(|e| e["ph"] == "X").expect("a slice");
    for (field, value) in [("ph", json!("B")), ("dur", json!(0)), ("ts", json!(-1)), ("tid", json!(7)), ("name", json!(3))] {
        let mut wrong = trace.clone();
        wrong["traceEvents"][last][field] = value;
        assert!(!validator.is_valid(&wrong), "{field}");
    }
    let mut wrong = trace.clone();
    wrong["otherData"]["cycles"]["stall"]["weather"] = json!(1);
    assert!(!validator.is_valid(&wrong));
}

#[test]
fn every_program_adds_up() {
    for (name, design, program) in common::programs() {
        for engine in [Engine::Fast, Engine::Timing] {
            let mut machine = Machine::new(design.clone(), engine, KernelChoice::Auto).expect("a machine");
            machine.place(&program).expect("data");
            let mut timeline = Timeline::default();
            let record = machine.run_watched(&program, 0, &mut timeline).unwrap_or_else(|e| panic!("{name}: {e}"));
            check_sums(&write(timeline, &design), &record);
        }
    }
}

/// Programs one behind the other are one timeline.
#[test]
fn programs_follow_each_other() {
    let (_, design, program) = common::programs().swap_remove(0);
    let mut machine = Machine::new(design.clone(), Engine::Timing, KernelChoice::Auto).expect("a machine");
    let (mut timeline, mut record) = (Timeline::default(), Record::default());
    for _ in 0..3 {
        record.accumulate(&machine.run_watched(&program, 0, &mut timeline).expect("runs"));
    }
    assert_eq!(timeline.cycles(), &record.cycles);
    check_sums(&write(timeline, &design), &record);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    /// Few waves and many, short of bandwidth in every way.
    #[test]
    fn products_add_up(
        (m, n, k) in (1..300u32, 1..300u32, 1..2000u32), (rows, cols, count) in (select(vec![1u32, 2, 4, 16]), 1..17u32, 1..4u32),
        dataflow in select(vec!["os", "ws", "is"]), drain in select(vec!["serial", "overlap"]), preload in select(vec!["serial", "double"]),
        sums in select(vec!["feedback", "outside"]), convention in select(vec!["rtl", "scalesim"]),
        bandwidth in select(vec!["0.7", "4", "64"]), banks in select(vec!["1", "16"]), scratchpad in select(vec!["4", "256"]),
    ) {
        let (rows, cols, count) = (rows.to_string(), cols.to_string(), count.to_string());
        let design = common::design("fp8-16x16", &[
            ("array.rows", &rows), ("array.cols", &cols), ("array.count", &count), ("array.dataflow", dataflow), ("array.drain", drain),
            ("array.preload", preload), ("array.partial_sums", sums), ("array.convention", convention),
            ("memory.dram_bytes_per_cycle", bandwidth), ("memory.scratchpad_banks", banks), ("memory.scratchpad_kib", scratchpad),
        ]);
        let mut prepared = gemm::prepare(&design, &Task::shape(&design, m, n, k), Engine::Timing, KernelChoice::Auto).expect("prepared");
        let mut timeline = Timeline::default();
        let record = prepared.machine.run_watched(&prepared.program, 0, &mut timeline).expect("runs");
        prop_assert_eq!(&record, &gemm::run(&design, &Task::shape(&design, m, n, k), Engine::Timing, KernelChoice::Auto).expect("runs").record);
        check_sums(&write(timeline, &design), &record);
    }
}

/// A training step: the cycles of `systole workload`, the layers and passes as regions.
#[test]
fn a_training_step_is_what_workload_counts() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let path = directory.path().join("step.json");
    for model in ["mlp", "transformer-tiny"] {
        let data = if model == "mlp" { "digits" } else { "chars" };
        let systole = |args: &[&str]| {
            let output = Command::new(env!("CARGO_BIN_EXE_systole")).args(args).output().expect("systole runs");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).expect("text")
        };
        let file = path.display().to_string();
        systole(&["trace", "--model", model, "--dataset", data, "--timeline", &file]);
        let trace = read(&path);
        let report: Value = serde_json::from_str(&systole(&["workload", model, "--data", data, "--json"])).expect("JSON");
        let cycles = as_cycles(
            partition(&trace, "cycles", report["cycles"]["total"].as_u64().expect("cycles"))
                .into_iter()
                .map(|(name, length, _)| (name, length)),
        );
        assert_eq!(cycles.compute, report["cycles"]["compute"].as_u64().expect("cycles"), "{model}");
        assert_eq!(serde_json::to_value(&cycles.stall).expect("JSON"), report["cycles"]["stall"], "{model}");
        assert_eq!(trace["otherData"]["cycles"], report["cycles"], "{model}");
        // A layer may have passes beside those that the report names.
        let mut regions: BTreeMap<String, u64> = BTreeMap::new();
        slices(&trace, "regions").into_iter().for_each(|(name, from, to, _)| *regions.entry(name).or_default() += to - from);
        assert!(regions.len() > 5, "{regions:?}");
        for layer in report["layers"].as_array().expect("layers") {
            let total = layer["cycles"]["total"].as_u64().expect("cycles");
            assert!(total == 0 || regions.values().any(|length| *length == total), "{layer} {regions:?}");
        }
    }
}
