//! Partial sums that products tell of, against what the products themselves count.

#[path = "common/command.rs"]
mod command;

use command::{report, success, systole, write_npy};
use systole::machine::Engine;
use systole::run::gemm::{Outcome, Task, run_with_sums};
use systole::run::operands::Generator;
use systole_arrays::fast::KernelChoice;
use systole_isa::design::{Design, find};
use systole_isa::device::{SumCounts, SumPlace};
use systole_isa::overrides;

/// Ragged on every array.
const SHAPE: [u32; 3] = [19, 23, 70];

/// Designs whose sums take every way there is.
const DESIGNS: [&[&str]; 9] = [
    &["array.rows=8", "array.cols=8"],
    &["array.dataflow=ws", "array.rows=8", "array.partial_sums=outside"],
    &["array.dataflow=is", "array.rows=8", "mac.chunk=none"],
    &["mac.accumulator=fp16", "mac.chunk=none", "mac.overflow=saturate"],
    &["mac.accumulator=e5m2", "mac.chunk=16"],
    &["mac.accumulator=e4m3", "mac.chunk=none", "array.dataflow=ws", "array.rows=16", "array.partial_sums=outside"],
    &["mac.lanes=4", "mac.unit=exact", "mac.chunk=none"],
    &["mac.rounding=sr8", "mac.accumulator=e5m6", "mac.chunk=32"],
    &["mac.rounding=sr8", r#"mac.entropy={"lfsr":{"width":16,"taps":46080,"shared":"row"}}"#, "array.dataflow=ws", "array.rows=8"],
];

fn design(settings: &[&str]) -> Design {
    let settings: Vec<_> = settings.iter().map(|setting| overrides::split(setting).expect("a setting")).collect();
    let design: Design = overrides::apply("design", &find("fp8-16x16").expect("built in"), &settings).expect("a design");
    design.validated().expect("a valid design")
}

fn outcome(design: &Design, engine: Engine, generator: Generator, outputs: u64) -> Outcome {
    let [m, n, k] = SHAPE;
    let task = Task::generated(design, m, n, k, generator);
    run_with_sums(design, &task, engine, KernelChoice::Auto, outputs).expect("a product")
}

fn total(sums: &[SumCounts], places: &[SumPlace], count: impl Fn(&SumCounts) -> u64) -> u64 {
    sums.iter().filter(|sums| places.contains(&sums.place)).map(count).sum()
}

#[test]
fn all_sums_looked_at_are_all_that_the_product_counts() {
    use SumPlace::{Accumulator, Memory, Outer};
    let [m, n, k] = SHAPE.map(u64::from);
    let mut overflows = 0;
    for settings in DESIGNS {
        let design = design(settings);
        for generator in [Generator::Normal, Generator::Codes, Generator::Specials] {
            let outcome = outcome(&design, Engine::Fast, generator, u64::MAX);
            let (sums, record) = (outcome.sums(), &outcome.record);
            let activity = record.activity.expect("values");
            let lanes = u64::from(design.mac.lanes);
            assert_eq!(total(sums, &[Accumulator], |s| s.additions), m * n * k.div_ceil(lanes), "{settings:?}");
            assert_eq!(total(sums, &[Outer], |s| s.additions), record.events.outer_additions, "{settings:?}");
            let folds = if design.array.partial_sums == systole_isa::design::PartialSums::Outside {
                k.div_ceil(u64::from(design.array.rows) * lanes)
            } else {
                0
            };
            assert_eq!(total(sums, &[Memory], |s| s.additions), m * n * folds, "{settings:?}");
            let counted = total(sums, &[Accumulator, Outer, Memory], |s| s.overflows);
            assert_eq!(counted, activity.accumulator_overflows, "{settings:?} {generator:?}");
            assert!(sums.iter().all(|sums| sums.outputs == m * n));
            overflows += counted;
        }
    }
    assert!(overflows > 1_000, "{overflows} overflows");
}

#[test]
fn engines_tell_the_same_sums_and_looking_changes_nothing() {
    for settings in DESIGNS {
        let design = design(settings);
        let [fast, ticked] = [Engine::Fast, Engine::Ticked].map(|engine| outcome(&design, engine, Generator::Normal, 17));
        assert_eq!(fast.record, ticked.record, "{settings:?}");
        assert_eq!(total(fast.sums(), &[SumPlace::Accumulator], |s| s.outputs), 17, "{settings:?}");
        let mut blind = outcome(&design, Engine::Fast, Generator::Normal, 0);
        assert!(blind.sums().is_empty());
        assert_eq!(blind.d, fast.d, "{settings:?}");
        blind.record.regions[0].sums = fast.sums().to_vec();
        assert_eq!(blind.record, fast.record, "{settings:?}");
    }
}

/// 2048 products of 1 in fp16: 2048 + 1 is a tie that goes to even.
#[test]
fn the_command_shows_where_sums_stand_still() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let path = |name: &str| directory.path().join(name).display().to_string();
    let [a, b] = ["a.npy", "b.npy"].map(path);
    // 1 in e4m3fn.
    write_npy(a.as_ref(), 1, 3000, 0x38);
    write_npy(b.as_ref(), 3000, 1, 0x38);
    let args = ["gemm", "--set", "mac.accumulator=fp16", "--set", "mac.chunk=none", "--a", a.as_str(), "--b", b.as_str(), "--sums", "1"];
    let json = report(&args);
    let sums = json["partial_sums"].as_array().expect("sums");
    assert_eq!(sums.len(), 1);
    assert_eq!((sums[0]["place"].as_str(), sums[0]["format"].as_str()), (Some("accumulator"), Some("fp16")));
    assert_eq!((sums[0]["additions"].as_u64(), sums[0]["swamped"].as_u64()), (Some(3000), Some(952)));
    assert_eq!(sums[0]["exponents"][11], serde_json::json!([11, 953]));
    let text = success(&args);
    assert!(text.contains("3,000 additions in 1 outputs, 31.7 % swamped"), "{text}");
    let refused = systole(&["gemm", "--shape", "4,4,4", "--engine", "timing", "--sums", "1"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--sums needs values"));
    assert!(!refused.status.success());
}
