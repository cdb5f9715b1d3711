//! Waveforms, read back: hierarchy, values stepped by hand, the same in both formats.

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use systole::machine::{Engine, Machine};
use systole::run::gemm::{self, Task};
use systole::run::operands::{Generator, Matrix, Role};
use systole::trace::TraceError;
use systole::trace::task::{Outcome, Plan, Time, waveform};
use systole::trace::wave::Format as File;
use systole_arrays::fast::KernelChoice;
use systole_isa::codes::Codes;
use systole_isa::design::{Dataflow, Design};
use systole_isa::format::Format;
use systole_isa::instruction::Instruction;
use systole_isa::program::Program;

/// A waveform file: by full name, width and changes.
#[derive(Debug, PartialEq, Eq)]
struct Wave {
    signals: BTreeMap<String, (u32, Vec<(u64, String)>)>,
    order: Vec<String>,
    times: Vec<u64>,
    exponent: i8,
}

impl Wave {
    fn read(path: &Path) -> Self {
        let mut wave = wellen::simple::read(path).expect("a waveform");
        let variables: Vec<_> = {
            let hierarchy = wave.hierarchy();
            hierarchy
                .all_vars()
                .map(|v| (hierarchy[v].full_name(hierarchy), hierarchy[v].signal_ref(), hierarchy[v].length(hierarchy)))
                .collect()
        };
        let exponent = wave.hierarchy().timescale().map(|t| {
            let factor = [1, 10, 100].iter().position(|f| *f == t.factor).expect("a power of ten") as i8;
            t.unit.to_exponent().expect("seconds") + factor
        });
        wave.load_signals(&variables.iter().map(|(_, signal, _)| *signal).collect::<Vec<_>>());
        let times = wave.time_table().to_vec();
        let order = variables.iter().map(|(name, ..)| name.clone()).collect();
        let signals = variables.into_iter().map(|(name, signal, width)| {
            let mut changes: Vec<(u64, String)> = Vec::new();
            for (at, value) in wave.get_signal(signal).expect("loaded").iter_changes() {
                let value = value.to_bit_string().expect("bits");
                if changes.last().is_none_or(|(_, last)| *last != value) {
                    changes.push((times[at as usize], value));
                }
            }
            (name, (width.expect("bits"), changes))
        });
        Self { signals: signals.collect(), order, times, exponent: exponent.expect("a timescale") }
    }

    fn end(&self) -> u64 {
        *self.times.last().expect("times")
    }

    /// What a signal holds at a time; `None` where it holds nothing.
    fn bits(&self, name: &str, time: u64) -> Option<&str> {
        let (_, changes) = self.signals.get(name).unwrap_or_else(|| panic!("no signal {name}: {:?}", self.order));
        let last = changes.iter().rev().find(|(at, _)| *at <= time)?;
        (!last.1.contains('x')).then_some(last.1.as_str())
    }

    fn value(&self, name: &str, time: u64) -> Option<u64> {
        self.bits(name, time).map(|bits| u64::from_str_radix(bits, 2).expect("at most 64 bits"))
    }

    /// Text of a parameter.
    fn text(&self, name: &str, time: u64) -> String {
        let bits = self.bits(name, time).expect("text");
        let bytes =
            bits.as_bytes().chunks(8).map(|byte| u8::from_str_radix(std::str::from_utf8(byte).expect("digits"), 2).expect("a byte"));
        String::from_utf8(bytes.filter(|byte| *byte > 0).collect()).expect("text")
    }

    /// Rows, columns and codes that leave the arrays in a cycle that begins at `time`.
    fn outputs(&self, time: u64) -> Vec<(u64, u64, u64)> {
        let valid = self.order.iter().filter(|name| name.ends_with(".d_valid") && self.value(name, time) == Some(1));
        let of = |name: &str, what: &str| self.value(&name.replace("d_valid", what), time).expect("a value");
        valid.map(|name| (of(name, "row"), of(name, "col"), of(name, "d"))).collect()
    }
}

fn e4m3(values: &[f64], rows: u32, cols: u32) -> Matrix {
    let codes = |i: usize| systole_isa::round::encode_f64(Format::E4M3FN, values[i]);
    Matrix { rows, cols, codes: Codes::from_fn(Format::E4M3FN, values.len(), codes) }
}

fn trace(design: &Design, task: &Task, path: &Path, format: File) -> Result<Outcome, TraceError> {
    trace_window(design, task, path, format, None)
}

fn trace_window(
    design: &Design,
    task: &Task,
    path: &Path,
    format: File,
    window: Option<std::ops::Range<u64>>,
) -> Result<Outcome, TraceError> {
    let mut timed = gemm::prepare(design, task, Engine::Fast, KernelChoice::Auto).expect("prepared");
    let mut ticked = gemm::prepare(design, task, Engine::Ticked, KernelChoice::Auto).expect("prepared");
    let plan = Plan::new(design, &mut timed.machine, &timed.program, Time::Array, window.as_ref())?;
    waveform(design, plan, &mut ticked.machine, &ticked.program, (path, format))
}

/// Both files of a product, which must hold the same.
fn both(design: &Design, task: &Task, directory: &Path) -> Wave {
    let [fst, vcd] = [("t.fst", File::Fst), ("t.vcd", File::Vcd)].map(|(name, format)| {
        let path = directory.join(name);
        trace(design, task, &path, format).unwrap_or_else(|e| panic!("{e}"));
        Wave::read(&path)
    });
    assert_eq!(fst, vcd);
    fst
}

fn small(settings: &[(&str, &str)]) -> Design {
    common::design("fp8-16x16", &[&[("array.rows", "2"), ("array.cols", "2")], FP32_SUMS, settings].concat())
}

const FP32_SUMS: &[(&str, &str)] = &[("mac.accumulator", "fp32"), ("mac.chunk", "none")];

const FP32: fn(f64) -> Option<u64> = |value| Some(u64::from((value as f32).to_bits()));

/// The drawing of an output-stationary fold, with numbers: A B of 2 x 3 and 3 x 2.
#[test]
fn two_by_two_by_hand() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let design = small(&[]);
    let a = e4m3(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2, 3);
    let b = e4m3(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3, 2);
    let task = Task::given(&design, a, b, None, [None, None]).expect("a product");
    let wave = both(&design, &task, directory.path());
    assert_eq!((wave.exponent, wave.end()), (-12, 9 * 1000));
    let code = |value: f64| Some(systole_isa::round::encode_f64(Format::E4M3FN, value));
    let none = |n: usize| vec![None; n];
    let sums = |from: usize, values: [f64; 3]| [none(from), values.map(FP32).to_vec(), none(6 - from)].concat();
    let codes = |from: usize, values: [f64; 3]| [none(from), values.map(code).to_vec(), none(6 - from)].concat();
    let bits = |text: &str| text.bytes().map(|digit| Some(u64::from(digit - b'0'))).collect::<Vec<_>>();
    let held = |from: usize, cells: &[Option<f64>]| {
        let mut all = [none(from), cells.iter().map(|value| value.and_then(FP32)).collect()].concat();
        all.resize(9, None);
        all
    };
    for (name, expected) in [
        // Row i of A passes i + 1 skew registers, column j of B j + 1.
        ("skew_a.row[0].stage[0].a", codes(0, [1.0, 2.0, 3.0])),
        ("skew_a.row[1].stage[0].a", codes(0, [4.0, 5.0, 6.0])),
        ("skew_a.row[1].stage[1].a", codes(1, [4.0, 5.0, 6.0])),
        ("skew_b.col[0].stage[0].b", codes(0, [1.0, 3.0, 5.0])),
        ("skew_b.col[1].stage[1].b", codes(1, [2.0, 4.0, 6.0])),
        ("skew_b.col[1].stage[1].b_valid", bits("011100000")),
        ("row[0].col[0].a", codes(1, [1.0, 2.0, 3.0])),
        ("row[0].col[1].a", codes(2, [1.0, 2.0, 3.0])),
        ("row[1].col[0].b", codes(2, [1.0, 3.0, 5.0])),
        ("row[1].col[1].b", codes(3, [2.0, 4.0, 6.0])),
        ("row[0].col[0].a_valid", bits("011100000")),
        ("row[0].col[0].first", bits("010000000")),
        ("row[0].col[0].capture", bits("000010000")),
        ("row[0].col[0].acc", sums(1, [1.0, 7.0, 22.0])),
        ("row[0].col[1].acc", sums(2, [2.0, 10.0, 28.0])),
        ("row[1].col[0].acc", sums(2, [4.0, 19.0, 49.0])),
        ("row[1].col[1].acc", sums(3, [8.0, 28.0, 64.0])),
        ("row[0].col[0].acc_valid", bits("011100000")),
        // Captured the cycle behind, shifted when the row is complete.
        ("row[0].col[0].drain", held(4, &[Some(22.0), Some(22.0)])),
        ("row[0].col[1].drain", held(5, &[Some(28.0), Some(22.0)])),
        ("row[0].col[1].drain_valid", bits("000001100")),
        ("row[1].col[0].drain", held(5, &[Some(49.0), Some(49.0)])),
        ("row[1].col[1].drain", held(6, &[Some(64.0), Some(49.0)])),
        ("out.row[0].d", held(6, &[Some(28.0), Some(22.0)])),
        ("out.row[0].d_valid", bits("000000110")),
        ("out.row[1].d", held(7, &[Some(64.0), Some(49.0)])),
        ("out.row[1].col", [none(7), vec![Some(1), Some(0)]].concat()),
        ("fold", [vec![Some(0); 3], none(6)].concat()),
        ("k", [vec![Some(0), Some(1), Some(2)], none(6)].concat()),
        ("folds_drained", bits("000000001")),
    ] {
        let name = format!("systole.array[0].{name}");
        let found: Vec<_> = (0..9).map(|cycle| wave.value(&name, cycle * 1000)).collect();
        assert_eq!(found, expected, "{name}");
    }
    for cycle in 0..9 {
        assert_eq!(wave.value("systole.cycle", cycle * 1000 + 999), Some(cycle));
        assert_eq!((wave.value("systole.clk", cycle * 1000), wave.value("systole.clk", cycle * 1000 + 500)), (Some(1), Some(0)));
    }
    for (name, format) in [("a", "e4m3fn"), ("b", "e4m3fn"), ("accumulator", "fp32"), ("outer", "none"), ("c", "fp32"), ("d", "fp32")] {
        assert_eq!(wave.text(&format!("systole.formats.{name}_format"), 0), format);
    }
}

/// Every signal of the smallest arrays, in order.
#[test]
fn the_hierarchy_is_the_hardware() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let top = ["clk", "cycle"].map(str::to_owned);
    let formats = ["a", "b", "accumulator", "outer", "c", "d"].map(|name| format!("formats.{name}_format"));
    let pairs = |scope: &str, names: &[&str]| names.iter().map(|name| format!("array[0].{scope}{name}")).collect::<Vec<_>>();
    let out = |scope: &str| pairs(scope, &["d", "d_valid", "row", "col"]);
    for (dataflow, settings, expected) in [
        (
            "os",
            vec![],
            vec![
                pairs("", &["fold", "fold_row", "fold_col", "k", "folds_drained"]),
                pairs("skew_a.row[0].stage[0].", &["a", "a_valid"]),
                pairs("skew_b.col[0].stage[0].", &["b", "b_valid"]),
                pairs("row[0].col[0].", &["a", "a_valid", "first", "capture", "b", "b_valid", "acc", "acc_valid", "drain", "drain_valid"]),
                out("out.row[0]."),
            ],
        ),
        (
            "ws",
            vec![("mac.chunk", "4"), ("mac.outer", "fp32"), ("mac.accumulator", "e6m9")],
            vec![
                pairs("", &["fold", "row", "fold_col", "fold_k", "tile_fold", "tile_row", "folds_drained"]),
                pairs("skew_a.row[0].stage[0].", &["a", "a_valid"]),
                pairs("skew_b.col[0].stage[0].", &["b", "b_valid"]),
                pairs("skew_psum.col[0].stage[0].", &["psum", "psum_outer", "psum_valid"]),
                pairs(
                    "row[0].col[0].",
                    &["a", "a_valid", "b_shadow", "b_shadow_valid", "b", "b_valid", "psum", "psum_outer", "psum_valid"],
                ),
                out("out.col[0]."),
                pairs("memory.col[0].", &["sum", "sum_outer", "sum_valid", "address"]),
            ],
        ),
        (
            "is",
            vec![("array.preload", "serial"), ("array.partial_sums", "outside")],
            vec![
                pairs("", &["fold", "fold_row", "col", "fold_k", "tile_fold", "tile_row", "folds_drained"]),
                // The edges in the order of A, B, C.
                pairs("skew_a.col[0].stage[0].", &["a", "a_valid"]),
                pairs("skew_b.row[0].stage[0].", &["b", "b_valid"]),
                pairs("skew_c.col[0].stage[0].", &["c", "c_valid"]),
                pairs("row[0].col[0].", &["b", "b_valid", "a", "a_valid", "psum", "psum_valid"]),
                out("out.col[0]."),
                pairs("memory.col[0].", &["sum", "sum_valid", "address"]),
            ],
        ),
    ] {
        let settings = [&[("array.rows", "1"), ("array.cols", "1"), ("array.dataflow", dataflow)][..], FP32_SUMS, &settings].concat();
        let design = common::design("fp8-16x16", &settings);
        let wave = both(&design, &Task::generated(&design, 2, 2, 3, Generator::Normal), directory.path());
        let expected: Vec<String> =
            top.iter().chain(&formats).chain(expected.iter().flatten()).map(|name| format!("systole.{name}")).collect();
        assert_eq!(wave.order, expected, "{dataflow}");
        let width = |name: &str| wave.signals[&format!("systole.{name}")].0;
        assert_eq!((width("clk"), width("array[0].row[0].col[0].a"), width("array[0].row[0].col[0].a_valid")), (1, 8, 1));
        if dataflow == "ws" {
            assert_eq!((width("array[0].row[0].col[0].psum"), width("array[0].row[0].col[0].psum_outer")), (16, 32));
        }
    }
}

/// What leaves the arrays is the product, once, and the last of it in the last cycle of `compute`.
fn check_product(design: &Design, task: &Task, directory: &Path, what: &str) {
    let wave = both(design, task, directory);
    let outcome = gemm::run(design, task, Engine::Fast, KernelChoice::Auto).expect("runs");
    let compute = outcome.record.cycles.compute;
    assert_eq!(wave.end(), compute * 1000, "{what}");
    assert_eq!(wave.value("systole.cycle", wave.end()), Some(compute - 1), "{what}");
    let d = outcome.d.expect("values");
    let mut seen = vec![0; d.codes.len()];
    let mut last = 0;
    for cycle in 0..compute {
        for (row, column, code) in wave.outputs(cycle * 1000) {
            let at = row as usize * d.cols as usize + column as usize;
            assert_eq!(code, d.codes.get(at), "{what}: row {row}, column {column}");
            seen[at] += 1;
            last = cycle;
        }
    }
    assert_eq!(seen, vec![1; d.codes.len()], "{what}");
    // The array drains at full geometry, so behind a ragged fold's last output come idle registers.
    assert!(last < compute, "{what}");
    let (down, across) = match design.array.dataflow {
        Dataflow::Os => (task.m, task.n),
        Dataflow::Ws => (task.k, task.n),
        Dataflow::Is => (task.k, task.m),
    };
    let whole = down.is_multiple_of(design.array.rows) && across.is_multiple_of(design.array.cols) && design.array.count == 1;
    assert!(!whole || last + 1 == compute, "{what}: {last} of {compute}");
}

#[test]
fn every_option_drains_the_product_by_the_last_cycle() {
    let directory = tempfile::tempdir().expect("temporary directory");
    for dataflow in ["os", "ws", "is"] {
        for drain in ["serial", "overlap"] {
            for preload in ["serial", "double"] {
                for sums in ["feedback", "outside"] {
                    let design = small(&[
                        ("array.dataflow", dataflow),
                        ("array.drain", drain),
                        ("array.preload", preload),
                        ("array.partial_sums", sums),
                        ("array.cols", "3"),
                    ]);
                    for ([m, n, k], has_c) in [([2, 3, 2], false), ([4, 6, 5], true), ([5, 4, 7], false)] {
                        let mut task = Task::generated(&design, m, n, k, Generator::Normal);
                        task.c = has_c.then(|| Generator::Normal.generate(design.addend_format(&design.mac), m, n, Role::C, 0));
                        check_product(&design, &task, directory.path(), &format!("{dataflow} {drain} {preload} {sums} {m}x{n}x{k}"));
                    }
                }
            }
        }
    }
}

/// Arrays in parallel, lanes, chunks, wide accumulators, block scales, another clock.
#[test]
fn every_kind_of_register_is_shown() {
    let directory = tempfile::tempdir().expect("temporary directory");
    for (name, settings) in [
        ("fp8-16x16", &[("array.count", "3")][..]),
        ("fp8-16x16", &[("array.dataflow", "ws"), ("array.count", "2")]),
        ("fp8-16x16", &[("mac.accumulator", "fx80.20"), ("mac.chunk", "none"), ("output.format", "fp32")]),
        ("fp8-16x16", &[("array.dataflow", "is"), ("mac.accumulator", "fx80.20"), ("mac.chunk", "none"), ("output.format", "e5m2")]),
        ("fp8-16x16", &[("mac.chunk", "3"), ("mac.accumulator", "e6m9"), ("mac.outer", "fp32"), ("array.dataflow", "ws")]),
        ("mxfp8-16x16", &[("array.dataflow", "ws")]),
        ("mxfp8-16x16", &[]),
    ] {
        let settings = [&[("array.rows", "2"), ("array.cols", "3")], settings].concat();
        let design = common::design(name, &settings);
        check_product(&design, &Task::generated(&design, 5, 7, 9, Generator::Normal), directory.path(), &format!("{name} {settings:?}"));
    }
}

#[test]
fn a_window_holds_what_the_whole_holds_there() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let design = small(&[("array.dataflow", "ws")]);
    let task = Task::generated(&design, 5, 4, 6, Generator::Normal);
    let whole = both(&design, &task, directory.path());
    for (name, format) in [("w.fst", File::Fst), ("w.vcd", File::Vcd)] {
        let path = directory.path().join(name);
        let outcome = trace_window(&design, &task, &path, format, Some(7..12)).expect("a window");
        assert_eq!((outcome.window, outcome.signals), (7..12, whole.order.len()));
        let part = Wave::read(&path);
        assert_eq!((&part.order, part.end()), (&whole.order, 12_000));
        for name in whole.order.iter().filter(|name| !name.ends_with("_format")) {
            for cycle in 7..12 {
                assert_eq!(part.bits(name, cycle * 1000), whole.bits(name, cycle * 1000), "{name} in cycle {cycle}");
            }
        }
        assert_eq!(part.text("systole.formats.a_format", 7000), "e4m3fn");
    }
}

/// Programs in their own time: all products of every program file.
#[test]
fn programs_show_each_instruction_in_its_window() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let mut seen = 0;
    for (name, design, program) in common::programs() {
        let products = |i: &Instruction| matches!(i, Instruction::Gemm { .. } | Instruction::GemmC { .. } | Instruction::GemmM { .. });
        let (result, wave) = trace_program(&design, &program, &directory.path().join("p.fst"), File::Fst);
        if !program.instructions.iter().any(products) {
            assert!(matches!(result, Err(TraceError::NoProducts)), "{name}");
            continue;
        }
        let (outcome, wave) = (result.unwrap_or_else(|e| panic!("{name}: {e}")), wave.expect("a file"));
        let (_, vcd) = trace_program(&design, &program, &directory.path().join("p.vcd"), File::Vcd);
        assert_eq!(Some(&wave), vcd.as_ref(), "{name}");
        let mut machine = Machine::new(design.clone(), Engine::Fast, KernelChoice::Auto).expect("a machine");
        let record = machine.run_with_data(&program, 0).expect("runs");
        let period = wave.end() / record.cycles.total;
        assert_eq!((wave.end(), outcome.cycles), (record.cycles.total * period, record.cycles.total), "{name}");
        // Cycles in which an instruction is named are those that the arrays compute.
        let named = (0..record.cycles.total).filter(|cycle| wave.value("systole.ordinal", cycle * period).is_some()).count();
        assert_eq!(named as u64, record.cycles.compute, "{name}");
        let outputs: usize = (0..record.cycles.total).map(|cycle| wave.outputs(cycle * period).len()).sum();
        // One of seven like products is under a power of two that is NaN, and never enters the array.
        let entered = |all: u64| if name == "powers.s" { all / 7 * 6 } else { all };
        assert_eq!(outputs as u64, entered(drained(&design, &program)), "{name}");
        seen += outcome.products;
    }
    assert!(seen > 10, "{seen}");
}

fn trace_program(design: &Design, program: &Program, path: &Path, format: File) -> (Result<Outcome, TraceError>, Option<Wave>) {
    let [mut timed, mut ticked] = [Engine::Fast, Engine::Ticked].map(|engine| {
        let mut machine = Machine::new(design.clone(), engine, KernelChoice::Auto).expect("a machine");
        machine.place(program).expect("data");
        machine
    });
    let plan = Plan::new(design, &mut timed, program, Time::Program, None);
    let result = plan.and_then(|plan| waveform(design, plan, &mut ticked, program, (path, format)));
    let wave = result.is_ok().then(|| Wave::read(path));
    (result, wave)
}

/// Outputs of a program's products, counted from what it writes.
fn drained(design: &Design, program: &Program) -> u64 {
    #[derive(Default)]
    struct Outputs(u64);
    impl systole::machine::Watcher for Outputs {
        fn retired(&mut self, retired: systole::machine::Retired<'_>) {
            if retired.passage.station == systole::machine::Station::Array {
                self.0 += retired.elements;
            }
        }
    }
    let mut machine = Machine::new(design.clone(), Engine::Fast, KernelChoice::Auto).expect("a machine");
    machine.place(program).expect("data");
    let mut outputs = Outputs::default();
    machine.run_watched(program, 0, &mut outputs).expect("runs");
    outputs.0
}

/// The other reader: GTKWave's converter, where it is installed.
#[test]
fn fst2vcd_reads_the_same() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let design = small(&[]);
    let wave = both(&design, &Task::generated(&design, 4, 4, 3, Generator::Normal), directory.path());
    let converted: PathBuf = directory.path().join("converted.vcd");
    let output = Command::new("fst2vcd").arg("-f").arg(directory.path().join("t.fst")).arg("-o").arg(&converted).output();
    match output {
        Err(error) => println!("skipped: fst2vcd (Debian's gtkwave) does not run: {error}"),
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let read = Wave::read(&converted);
            assert_eq!(read.order, wave.order);
            assert_eq!(read.signals, wave.signals);
        }
    }
}

/// The commands of the page on traces print what it shows.
#[test]
fn the_page_shows_what_the_commands_print() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let page = include_str!("../../docs/src/traces.md");
    let mut shown = 0;
    for block in page.split("```text\n").skip(1).filter_map(|rest| rest.split("```").next()) {
        for command in block.split("$ systole ").skip(1) {
            let (arguments, expected) = command.split_once('\n').expect("an output");
            let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/logs/example.s");
            let arguments = arguments.split(' ').map(|word| if word.ends_with(".s") { program } else { word });
            let output =
                Command::new(env!("CARGO_BIN_EXE_systole")).args(arguments).current_dir(directory.path()).output().expect("systole runs");
            assert_eq!(String::from_utf8_lossy(&output.stderr), expected, "{command}");
            shown += 1;
        }
    }
    assert_eq!(shown, 3);
    let step = std::fs::read_to_string(directory.path().join("step.json")).expect("a timeline");
    let json = page.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).expect("slices");
    assert!(json.lines().count() == 2 && json.lines().all(|line| step.contains(line)), "{json}");
}

#[test]
fn refusals_name_the_mend() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let at = |name: &str| directory.path().join(name).display().to_string();
    let no_products = at("vector.s");
    std::fs::write(&no_products, "format f0, fp32\ntensor t0, f0, dram, 0, 2, 2\nvadd t0, t0, t0\nhalt\n").expect("a file");
    let wrong = at("wrong.s");
    std::fs::write(&wrong, "gemm t0, t1, t2\nhalt\n").expect("a file");
    let (fst, json) = (at("t.fst"), at("t.json"));
    let product = ["trace", "--shape", "4,4,4"];
    for (args, needle) in [
        (vec!["trace", "--shape", "4,4,4"], "give --out FILE.fst"),
        (vec!["trace", "--out", &fst], "give a program, --shape M,N,K, both --a and --b, or --model NAME"),
        ([&product[..], &["--out", &json]].concat(), "write --timeline"),
        ([&product[..], &["--out", "t.wav"]].concat(), "name it .fst or .vcd, or add --format fst"),
        ([&product[..], &["--out", &fst, "--cycles", "9..2"]].concat(), "a window is FROM..TO"),
        ([&product[..], &["--out", &fst, "--cycles", "1000..2000"]].concat(), "holds none of the 52 cycles there are; name some of 0..52"),
        ([&product[..], &["--out", &fst, "--set", "array.convention=scalesim"]].concat(), "use --set array.convention=rtl"),
        ([&product[..], &["--out", "/nowhere/at/all.fst"]].concat(), "/nowhere/at/all.fst"),
        ([&product[..], &["--timeline", "/nowhere/at/all.json"]].concat(), "/nowhere/at/all.json"),
        ([&product[..], &["--out", &fst, "--design", "tpu-v4"]].concat(), "costs and cycles only"),
        (vec!["trace", "--shape", "2000,2000,100", "--out", &fst], "name fewer cycles with --cycles FROM..TO"),
        (vec!["trace", "--shape", "3000,3000,3000", "--out", &fst, "--cycles", "0..9"], "are too many to step"),
        (vec!["trace", &no_products, "--out", &fst], "vector.s`: the program has no matrix instruction"),
        (vec!["trace", &wrong, "--out", &fst], "wrong.s`: instruction 0 `gemm t0, t1, t2`"),
        (vec!["trace", &wrong, "--timeline", &json], "wrong.s`: instruction 0 `gemm t0, t1, t2`"),
        (vec!["trace", "absent.s", "--out", &fst], "absent.s"),
        (vec!["trace", "--model", "mlp", "--out", &fst], "--timeline FILE.json draws the network's step"),
        (vec!["trace", "--model", "absent", "--timeline", &json], "no model `absent`"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_systole")).args(&args).env_remove("SYSTOLE_KERNEL").output().expect("systole runs");
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {message}");
        assert!(output.stdout.is_empty() && !message.contains("panicked"), "{args:?}: {message}");
        let squeeze = |text: &str| text.chars().filter(|c| !c.is_whitespace() && *c != '│').collect::<String>();
        assert!(squeeze(&message).contains(&squeeze(needle)), "{args:?}: wanted `{needle}` in\n{message}");
    }
}
