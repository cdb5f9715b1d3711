//! `systole figure`: tables computed, trained once, refused with a reason.

#[path = "common/command.rs"]
mod command;

use command::systole;
use serde_json::Value;
use std::path::Path;

fn text(args: &[&str]) -> String {
    let output = systole(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn json(args: &[&str]) -> Value {
    serde_json::from_str(&text(&[args, &["--json"]].concat())).expect("one JSON object")
}

/// The words of the line that begins with `first`.
fn row<'t>(text: &'t str, first: &str) -> Vec<&'t str> {
    let words = |line: &'t str| line.split_whitespace().collect::<Vec<_>>();
    text.lines().map(words).find(|words| words.first() == Some(&first)).unwrap_or_else(|| panic!("no line of {first}: {text}"))
}

#[test]
fn resolution_of_fp16_is_the_lectures() {
    let table = text(&["figure", "resolution"]);
    assert_eq!(row(&table, "0"), ["0", "2^-14", "2^-24", "1,024", "subnormal"]);
    assert_eq!(row(&table, "2^-14"), ["2^-14", "2^-13", "2^-24", "1,024"]);
    assert_eq!(row(&table, "1024"), ["1024", "2048", "1", "1,024"]);
    assert_eq!(row(&table, "32768"), ["32768", "65504", "32", "1,024"]);
    assert!(table.contains("largest number 65504; rounded to nearest, results overflow from 65520"), "{table}");
    let object = json(&["figure", "resolution", "--format", "e4m3fn"]);
    assert_eq!(object["overflow"]["threshold"]["value"], 464.0);
    assert_eq!(object["overflow"]["included"], false);
    assert_eq!(object["ranges"][0]["spacing"]["exactly"], "2^-9");
    // Both ends and the middle of a long table; all of it if asked.
    let (some, all) = (["figure", "resolution", "--format", "fp64"], ["figure", "resolution", "--format", "fp64", "--all"]);
    assert!(text(&some).lines().count() < 60 && text(&some).contains("--all prints every one"));
    assert!(text(&all).lines().count() > 2047);
    assert_eq!(row(&text(&some), "1"), ["1", "2", "2^-52", "4,503,599,627,370,496"]);
}

#[test]
fn formats_stand_side_by_side() {
    let table = text(&["figure", "formats"]);
    assert_eq!(row(&table, "fp16")[..8], ["fp16", "1.5.10", "15", "65504", "2^-14", "2^-24", "2^-11", "fp32"]);
    assert_eq!(row(&table, "e4m3fn")[..8], ["e4m3fn", "1.4.3", "7", "448", "2^-6", "2^-9", "2^-4", "fp32"]);
    assert_eq!(row(&table, "e2m5b2f")[..8], ["e2m5b2f", "1.2.5", "2", "3.9375", "2^-1", "2^-6", "2^-6", "fp32"]);
    assert!(table.contains("equal area") && table.contains("fp32-16x16"), "{table}");
    // The yardstick's own row is what `cost` says of it.
    let object = json(&["figure", "formats", "fp32", "e5m2"]);
    let cost = json(&["cost", "--design", "fp32-16x16"]);
    assert_eq!(object["formats"].as_array().map(Vec::len), Some(2));
    assert_eq!(object["formats"][0]["tflops"], cost["tflops"]["peak"]);
    assert_eq!(object["formats"][0]["tflops_per_watt"], cost["tflops"]["per_watt"]);
    // Narrow sums make narrow operands worth more.
    let narrow = json(&["figure", "formats", "fp32", "e5m2", "--accumulator", "e6m9"]);
    assert_eq!(narrow["formats"][1]["accumulator"], "e6m9");
    assert!(narrow["formats"][1]["tflops"].as_f64() > object["formats"][1]["tflops"].as_f64().map(|t| 1.5 * t));
}

/// Formats come from recipe and design: overriding either shows.
#[test]
fn methods_are_resolved_from_recipe_and_design() {
    let formats = |more: &[&str]| text(&[&["figure", "methods", "--seeds", "0"][..], more].concat());
    let table = formats(&[]);
    assert_eq!(row(&table, "s2fp8")[..8], ["s2fp8", "all", "2", "e5m2", "e5m2", "e5m2", "e5m2", "fp32"]);
    // All layers of this model are exempt.
    assert_eq!(row(&table, "hfp8")[..5], ["hfp8", "all", "2", "dlfloat16", "rmm"]);
    assert!(table.contains("NOT measured here") && table.contains("70.3"), "{table}");
    let deeper = formats(&["hfp8", "--model", "cnn"]);
    assert!(deeper.contains("e4m3b11fnuz") && deeper.contains("dlfloat16 rmm in chunks of 64"), "{deeper}");
    let recipe = formats(&["fp8-seb", "--set", "roles.weight_gradients=fp16"]);
    assert_eq!(row(&recipe, "fp8-seb")[3..7], ["e4m3f", "e4m3f", "e4m3f", "fp16"]);
    let design = formats(&["s2fp8", "--set", "mac.accumulator=fp16", "--set", "mac.rounding=rtz"]);
    assert!(row(&design, "s2fp8").ends_with(&["fp16", "rtz"]), "{design}");
}

fn lines(path: &Path) -> usize {
    std::fs::read_to_string(path).expect("results").lines().count()
}

#[test]
fn methods_are_trained_once() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let out = directory.path().to_string_lossy().into_owned();
    let small = ["--epochs", "1", "--limit", "160", "--seeds", "2"];
    let args = [&["figure", "methods", "bm8", "s2fp8", "--out", &out][..], &small].concat();
    let first = json(&args);
    assert_eq!(first["methods"][0]["published_not_ours"]["method"], 0.698);
    let runs = directory.path().join("runs.jsonl");
    let made = lines(&runs);
    assert_eq!(json(&args), first);
    assert_eq!(lines(&runs), made);
    // The same runs, and the same figures, as `compare`'s.
    let compared = json(&[&["compare", "bm8", "s2fp8", "--out", &out][..], &small].concat());
    assert_eq!(lines(&runs), made);
    for i in 0..2 {
        assert_eq!(first["methods"][i]["trained"], compared["recipes"][i]);
    }
    let printed = std::fs::read_to_string(directory.path().join("methods.txt")).expect("a table");
    assert_eq!(printed, text(&args));
}

/// What the book prints is what the commands print.
#[test]
fn the_book_shows_these_tables() {
    let book = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/figures").join(name);
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    };
    for (args, name) in [
        (&["resolution", "--format", "fp16"][..], "resolution-fp16.txt"),
        (&["resolution", "--format", "dlfloat16"], "resolution-dlfloat16.txt"),
        (&["formats"], "formats.txt"),
        (&["formats", "fp32", "bf16", "fp16", "e5m2", "e4m3fn", "e2m1f", "--accumulator", "e6m9"], "formats-e6m9.txt"),
        (&["methods", "hfp8", "--model", "cnn", "--seeds", "0"], "methods-cnn.txt"),
    ] {
        assert_eq!(text(&[&["figure"], args].concat()), book(name), "{name}: print it again with `systole figure {}`", args.join(" "));
    }
}

#[test]
fn bad_input_is_one_message_and_status_2() {
    for (args, needle) in [
        (&["figure", "resolution", "--format", "fp17"][..], "fp17"),
        (&["figure", "resolution", "--format", "fx96.32"], "wider than the 64 bits"),
        (&["figure", "formats", "e8m0"], "e8m0 is no format of operands: it has no sign"),
        (&["figure", "formats", "--design", "none-such"], "no design is called `none-such`"),
        (&["figure", "methods", "fp32-host"], "trains on the host"),
        (&["figure", "methods", "fp8", "--seeds", "0", "--set", "roles.errors=fp16"], "has no MAC mode for the error product"),
    ] {
        let output = systole(args);
        let message = String::from_utf8_lossy(&output.stderr).replace("\n  │ ", " ");
        assert_eq!(output.status.code(), Some(2), "{args:?}: {message}");
        assert!(message.contains(needle), "{args:?}: {message}");
    }
}
