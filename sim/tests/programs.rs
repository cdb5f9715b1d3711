//! Program files: each `.s` under `tests/programs` runs under every engine.
//!
//! Its first comments say on what: `; design: NAME`, `; set: PATH=VALUE`. Its `.expect`
//! segments must hold under `fast` and `ticked`; records must agree under all engines, but for
//! programs with masked products, of which `timing` gives the bound.

use std::collections::BTreeSet;
use std::path::Path;
use systole::machine::{Engine, Machine};
use systole_arrays::fast::KernelChoice;
use systole_isa::asm::{assemble, disassemble};
use systole_isa::design::{self, Design};
use systole_isa::device::{Cycles, Record};
use systole_isa::instruction::{Instruction, TABLE};
use systole_isa::program::Program;

fn design(text: &str) -> Design {
    let headers = |key: &'static str| text.lines().filter_map(move |line| line.strip_prefix(key)).map(str::trim);
    let name = headers("; design:").next().expect("a design");
    let settings: Vec<_> = headers("; set:").map(|s| s.split_once('=').expect("PATH=VALUE")).collect();
    let settings: Vec<_> = settings.into_iter().map(|(path, value)| (path.to_owned(), value.to_owned())).collect();
    design::find(name).expect("a built-in design").with_overrides(&settings).unwrap_or_else(|e| panic!("{e}"))
}

fn check_sums(name: &str, record: &Record) {
    let identity = |cycles: &Cycles| assert_eq!(cycles.total, cycles.compute + cycles.stalled(), "{name}: {cycles:?}");
    identity(&record.cycles);
    let mut total = Record::default();
    for region in &record.regions {
        identity(&region.cycles);
        total.cycles += &region.cycles;
        total.events += region.events;
        if let Some(activity) = region.activity {
            *total.activity.get_or_insert_default() += activity;
        }
    }
    assert_eq!((&total.cycles, total.events, total.activity), (&record.cycles, record.events, record.activity), "{name}");
}

fn files() -> Vec<(String, String, Program)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(path).unwrap();
            let program = assemble(&name, &text).unwrap_or_else(|e| panic!("{}", e.iter().map(|e| format!("{e}\n")).collect::<String>()));
            (name, text, program)
        })
        .collect();
    files.sort_by(|a, b| a.0.cmp(&b.0));
    files
}

#[test]
fn every_file_under_every_engine() {
    for (name, text, program) in files() {
        assert_eq!(assemble(&name, &disassemble(&program)).as_ref(), Ok(&program), "{name}");
        assert!(!program.expect.is_empty(), "{name} expects nothing");
        let mut records = Vec::new();
        for engine in Engine::ALL {
            let mut machine = Machine::new(design(&text), engine, KernelChoice::Auto).unwrap();
            let record = machine.run_with_data(&program, 0).unwrap_or_else(|e| panic!("{name} under {}: {e}", engine.name()));
            if engine.computes_values() {
                let differences = machine.differences(&program).unwrap();
                let lines: String = differences.iter().map(|d| format!("{d:x?}\n")).collect();
                assert!(differences.is_empty(), "{name} under {}:\n{lines}", engine.name());
            }
            if engine == Engine::Fast {
                let mut in_bands = Machine::new(design(&text), engine, KernelChoice::Auto).unwrap().with_gathered_bytes(16);
                assert_eq!(in_bands.run_with_data(&program, 0), Ok(record.clone()), "{name} in bands");
                assert_eq!(in_bands.differences(&program), Ok(Vec::new()), "{name} in bands");
            }
            check_sums(&name, &record);
            // The schedule kept from the first run is the same.
            assert_eq!(machine.run_with_data(&program, 0), Ok(record.clone()));
            records.push(record);
        }
        assert_eq!(records[0], records[1], "{name}");
        assert_eq!(records[2].activity, None);
        if program.instructions.iter().any(|i| matches!(i, Instruction::GemmM { .. })) {
            assert!(records[0].cycles.total < records[2].cycles.total && records[0].cycles.compute < records[2].cycles.compute, "{name}");
            for ((event, spent), (_, most)) in records[0].events.iter().zip(records[2].events.iter()) {
                assert!(spent <= most || event == "idle_lane_cycles", "{name}: {spent} {event}, {most} at most");
            }
            assert_eq!(records[0].events.macs, records[2].events.macs, "{name}");
            continue;
        }
        assert_eq!((&records[0].cycles, records[0].events), (&records[2].cycles, records[2].events), "{name}");
        assert_eq!(records[0].macs_by_mode, records[2].macs_by_mode, "{name}");
    }
}

#[test]
fn the_files_use_every_instruction() {
    let used: BTreeSet<&str> =
        files().iter().flat_map(|(_, _, p)| p.instructions.iter().map(|i| i.mnemonic()).collect::<Vec<_>>()).collect();
    let unused: Vec<&str> = TABLE.iter().map(|row| row.mnemonic).filter(|m| !used.contains(m)).collect();
    assert!(unused.is_empty(), "{unused:?}");
}
