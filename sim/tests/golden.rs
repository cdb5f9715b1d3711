//! The golden door: vectors made are vectors checked, and whatever is wrong is found and explained.

#[path = "common/command.rs"]
mod command;

use command::systole;
use serde_json::Value;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Standard output of a run that ends in `status`.
fn text(args: &[&str], status: i32) -> String {
    let output = systole(args);
    assert_eq!(output.status.code(), Some(status), "{args:?}: {}{}", stdout(&output), String::from_utf8_lossy(&output.stderr));
    stdout(&output)
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

fn write(directory: &Path, name: &str, contents: &str) -> String {
    let path = directory.join(name);
    std::fs::write(&path, contents).expect("temporary file");
    path.display().to_string()
}

/// Makes vectors, checks them by their header alone, and returns the report.
fn round_trip(directory: &Path, arguments: &str) -> Value {
    let file = directory.join("cases.txt").display().to_string();
    text(&[&["golden", "vectors", "--out-file", &file], &words(arguments)[..]].concat(), 0);
    let report: Value = serde_json::from_str(&text(&["golden", "check", "--json", &file], 0)).expect("one JSON object");
    assert_eq!(report["differ"], 0, "{arguments}: {report:#}");
    assert!(report["checked"].as_u64().expect("a count") > 0, "{arguments}");
    report
}

/// Operation and formats, and whether a kernel for arrays takes it too.
const SUBJECTS: &[(&str, bool)] = &[
    ("--op convert --in fp32 --out e4m3fn", true),
    ("--op convert --in fp16 --out e5m2", true),
    ("--op convert --in bf16 --out e4m3fnuz", true),
    ("--op convert --in fp16 --out p3109_k8p4se", true),
    ("--op convert --in fp32 --out int8", true),
    ("--op convert --in fp16 --out posit16_1", false),
    ("--op convert --in posit16_2 --out fp16", false),
    ("--op convert --in fp64 --out fx24.6", false),
    ("--op convert --in e3m4 --out dlfloat16", true),
    ("--op convert --in fp32 --out e8m0", false),
    ("--op add --in e4m3fn --out fp16", false),
    ("--op add --in fp16 --out fp16", true),
    ("--op add --in bf16,fp32 --out fp32", true),
    ("--op add --in e5m2 --out e2m1f", false),
    ("--op add --in posit8_0 --out posit8_0", false),
    ("--op sub --in fp32 --out fp32", true),
    ("--op sub --in fp16,bf16 --out fp16", true),
    ("--op sub --in int16 --out int16", true),
    ("--op add --in fp64 --out int32", false),
    ("--op fma --in bf16,fp64 --out fx24.6", false),
    ("--op sub --in fp64 --out fp64", false),
    ("--op mul --in e4m3fn,e5m2 --out e6m9", true),
    ("--op mul --in fp16 --out fp16", true),
    ("--op mul --in fp32 --out bf16", true),
    ("--op mul --in e4m3b11fnuz --out e4m3", true),
    ("--op mul --in fp64 --out fp64", false),
    ("--op fma --in e5m2 --out fp16", true),
    ("--op fma --in e4m3fn --out e6m9", true),
    ("--op fma --in e4m3fn,e5m2,fp32 --out fp32", true),
    ("--op fma --in fp16,fp32 --out fp16", false),
    ("--op fma --in fp32 --out fp32", true),
    ("--op fma --in int8 --out int32", true),
    ("--op fma --in posit8_0 --out posit16_1", false),
    ("--op fma --in fp64 --out fp64", false),
];

const ROUNDINGS: &[&str] = &["rne", "rmm", "rtz", "rdn", "rup", "rod", "sr1", "sr8", "sr32"];

const POLICIES: &[&str] = &[
    "",
    "--overflow saturate",
    "--overflow propagate",
    "--overflow infinity",
    "--subnormals daz-ftz",
    "--subnormals ftz --tininess before",
    "--tininess before",
    "--no-infinity max",
];

#[test]
fn vectors_of_every_operation_format_and_mode_agree_with_every_judge() {
    let directory = tempfile::tempdir().expect("temporary directory");
    for (turn, (subject, has_kernel)) in SUBJECTS.iter().enumerate() {
        for i in 0..3 {
            let (rounding, policy) = (ROUNDINGS[(turn + 3 * i) % ROUNDINGS.len()], POLICIES[(turn + i) % POLICIES.len()]);
            let arguments = format!("{subject} --round {rounding} {policy} --level 2 --count 400 --flags --seed {turn}");
            let report = round_trip(directory.path(), &arguments);
            let judges = &report["judges"];
            for count in [&report["checked"], &report["flags_compared"], &judges["oracle"], &judges["datapath"]] {
                assert_eq!(*count, 400, "{arguments}: {report:#}");
            }
            // R of the file cannot be handed to kernels, which draw by site.
            let fast = judges["fast"].as_object().expect("kernels");
            assert_eq!(fast.get("vector"), (!rounding.starts_with("sr")).then_some(&400.into()), "{arguments}");
            if *has_kernel && !rounding.starts_with("sr") && policy.is_empty() {
                assert!(fast.len() > 1, "{arguments}: {judges}");
            }
        }
    }
}

#[test]
fn corners_and_whole_spaces_agree() {
    let directory = tempfile::tempdir().expect("temporary directory");
    for (arguments, cases) in [
        ("--op add --in e2m1f --out e2m3f --round rmm --level exhaustive --flags", 256),
        ("--op mul --in e4m3fn --out e5m2 --round rdn --level exhaustive --flags", 65_536),
        ("--op convert --in fp16 --out e4m3fn --round rup --level exhaustive", 65_536),
        ("--op convert --in e5m2 --out e2m1f --round sr4 --level exhaustive --flags", 4096),
        ("--op fma --in e2m1f --out e3m2f --round rod --overflow saturate --level exhaustive", 16_384),
    ] {
        assert_eq!(round_trip(directory.path(), arguments)["checked"], cases, "{arguments}");
    }
    for arguments in ["--op add --in fp16 --out fp16 --round rdn --flags", "--op mul --in fp32 --out e4m3fn --round sr3"] {
        assert!(round_trip(directory.path(), arguments)["checked"].as_u64() > Some(1000), "{arguments}");
    }
    let output = systole(&words("golden vectors --op fma --in fp16 --out fp16 --round rne --level exhaustive"));
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2));
    assert!(message.contains("2^48") && message.contains("--level 2"), "{message}");
}

#[test]
fn dot_products_of_chains_and_units_agree() {
    let directory = tempfile::tempdir().expect("temporary directory");
    // Arguments, and whether there are kernels; aligned units' take what is neither special nor tiny.
    for (arguments, kernels) in [
        ("--design fp8-16x16 --k 9", Some(true)),
        ("--design fp8-16x16 --k 9 --set mac.chunk=4 --set mac.accumulator=fp16 --set mac.rounding=rup", Some(true)),
        ("--design fp8-16x16 --k 5 --set mac.product=e5m6 --set mac.bias_a=3", Some(true)),
        ("--design fp8-16x16 --k 7 --set mac.accumulator=fx46.18 --set mac.overflow=saturate", Some(true)),
        ("--design h100-fp8", None),
        ("--design h100-fp8 --k 70", None),
        ("--design ada-fp8 --k 11", None),
        ("--design mi300-fp8", Some(false)),
        ("--design amx-bf16", Some(false)),
        ("--design avx512-bf16 --k 6", Some(false)),
        ("--design v100-fp16", None),
    ] {
        for level in ["1", "2"] {
            let arguments = format!("--op dot {arguments} --level {level} --count 300 --flags");
            let report = round_trip(directory.path(), &arguments);
            let judges = &report["judges"];
            for count in [&report["checked"], &judges["oracle"], &judges["datapath"]] {
                assert_eq!(*count, 300, "{arguments}: {report:#}");
            }
            let judged = judges["fast"].as_object().is_some_and(|fast| !fast.is_empty());
            assert!(kernels.is_none_or(|kernels| kernels == judged), "{arguments}: {judges}");
        }
    }
}

#[test]
fn stochastic_dot_products_bring_r_for_every_rounding() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let file = directory.path().join("dot.txt").display().to_string();
    let set = ["--set", "mac.rounding=sr5", "--set", "mac.chunk=2", "--set", "mac.outer=fp32"];
    let make = ["golden", "vectors", "--op", "dot", "--design", "fp8-16x16", "--k", "3", "--level", "2", "--count", "50"];
    text(&[&make[..], &set, &["--out-file", &file]].concat(), 0);
    let contents = std::fs::read_to_string(&file).expect("vectors");
    let case = contents.lines().find(|line| !line.starts_with('#')).expect("a case");
    // Three a's, three b's, c; three additions and two chunks closed; the result.
    assert_eq!(words(case).len(), 7 + 5 + 1, "{case}");
    assert!(text(&["golden", "check", &file], 0).ends_with("checked 50, differ 0\n"));
}

#[test]
fn stochastic_units_ask_for_r_in_the_same_order() {
    let directory = tempfile::tempdir().expect("temporary directory");
    for unit in ["chain", "descending", r#"{"interleaved":{"ways":2}}"#, "exact", "exact_apart", r#"{"aligned":{"fraction_bits":13}}"#] {
        let unit = format!("mac.unit={unit}");
        let file = directory.path().join("dot.txt").display().to_string();
        let set = ["--set", &unit, "--set", "mac.lanes=4", "--set", "mac.rounding=sr6", "--set", "mac.accumulator=fp16"];
        let make = ["golden", "vectors", "--op", "dot", "--design", "fp8-16x16", "--k", "7", "--level", "2", "--count", "200"];
        text(&[&make[..], &set, &["--set", "mac.chunk=none", "--out-file", &file]].concat(), 0);
        let report: Value = serde_json::from_str(&text(&["golden", "check", "--json", &file], 0)).expect("one JSON object");
        for count in [&report["checked"], &report["judges"]["oracle"], &report["judges"]["datapath"]] {
            assert_eq!(*count, 200, "{unit}: {report:#}");
        }
    }
}

#[test]
fn several_files_and_lengths_count_together() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let at = directory.path();
    let add = write(at, "add.txt", "#! op=add in=fp16 out=fp16 round=rne\n3c00 3c00 4000\n");
    let dot = write(at, "dot.txt", "#k 1\n38 38 0000 # c first 3\n\n#k 2\n38 38 38 38 0000 40\n");
    // 1 + 1 in an e6m9 accumulator is 0x4000.
    let dot = {
        let contents =
            std::fs::read_to_string(&dot).expect("cases").replace("0000 # c first 3", "0000 3e00").replace("0000 40", "0000 4000");
        write(at, "dot.txt", &contents)
    };
    let report = text(&["golden", "check", &add], 0);
    assert!(report.ends_with("checked 1, differ 0\n"), "{report}");
    let report = text(
        &["golden", "check", "--op", "dot", "--design", "fp8-16x16", "--set", "mac.accumulator=e6m9", "--set", "mac.chunk=none", &dot],
        0,
    );
    assert!(report.ends_with("checked 2, differ 0\n"), "{report}");
    let report = text(&["golden", "check", &add, &add], 0);
    assert!(report.ends_with("checked 2, differ 0\n"), "{report}");
}

#[test]
fn a_flipped_bit_is_found_and_explained() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let at = directory.path();
    let cases = "3C00 3C00 3C00 4000 00\n7E 7e 0x7bff 7bff\n";
    let header = "#! op=fma in=fp16 out=fp16 round=rne\n# two cases\n";
    let good = write(at, "good.txt", &format!("{header}{cases}"));
    // (126 * 2^-24)^2 is far below half an ulp of 65504.
    text(&["golden", "check", &good], 0);
    let bad = write(at, "bad.txt", &format!("{header}{}", cases.replace("0x7bff 7bff", "0x7bff 7bfe")));
    let report = text(&["golden", "check", &bad], 1);
    for needle in [
        "bad.txt:4: fma fp16,fp16,fp16 -> fp16 rne",
        "0x007e",
        "~0.00000751018524",
        "(+0x1.f8p-18)",
        "0x7bff",
        "65504 (+0x1.ffcp+15)",
        "expected",
        "0x7bfe",
        "65472 (+0x1.ff8p+15)",
        "exact",
        "1 ulp",
        "oracle",
        "datapath",
        "vector",
    ] {
        assert!(report.contains(needle), "wanted `{needle}` in\n{report}");
    }
    assert!(report.ends_with("checked 2, differ 1\n"), "{report}");
    let json: Value = serde_json::from_str(&text(&["golden", "check", "--json", &bad], 1)).expect("one JSON object");
    assert_eq!((&json["op"], &json["checked"], &json["differ"]), (&"fma".into(), &2.into(), &1.into()));
    let first = &json["first"][0];
    assert_eq!(
        (&first["line"], &first["expected"]["code"], &first["judges"][0]["result"]),
        (&4.into(), &"0x7bfe".into(), &"0x7bff".into())
    );
    assert_eq!(first["judges"][0]["ulps"], 1);
    // --show limits what is printed, not what is counted.
    let many = write(at, "many.txt", &format!("{header}{}", "3c00 3c00 3c00 4001\n".repeat(30)));
    let shown = |n: &str| text(&["golden", "check", "--show", n, &many], 1).matches("many.txt:").count();
    assert_eq!((shown("0"), shown("3"), shown("100")), (0, 3, 30));
}

#[test]
fn testfloat_lines_are_read_as_they_are() {
    let directory = tempfile::tempdir().expect("temporary directory");
    for (arguments, lines) in [
        ("--op fma --in fp16 --out fp16 --round rne", "7BFF 7BFF 0000 7C00 05\nFC01 0000 0000 7E00 10\n0001 3800 0000 0000 03\n"),
        // Infinity times zero beside a quiet NaN is invalid.
        ("--op fma --in fp32 --out fp32 --round rne", "7F800000 00000000 7FC00000 7FC00000 10\n"),
        ("--op mul --in fp32 --out fp32 --round rtz", "7F7FFFFF 7F7FFFFF 7F7FFFFF 05\n"),
        ("--op sub --in fp16 --out fp16 --round rdn", "3C00 3C00 8000 00\n"),
        ("--op convert --in fp32 --out fp16 --round rne", "38800000 0400 00\n387FE000 0400 03\n33000001 0001 03\n"),
        ("--op convert --in fp32 --out fp16 --round rne --tininess after", "387FFFFF 0400 01\n"),
        ("--op convert --in fp32 --out fp16 --round rne --tininess before", "387FFFFF 0400 03\n"),
        ("--op add --in fp64 --out fp64 --round rmm", "3FF0000000000000 3CA0000000000000 3FF0000000000001 01\n"),
    ] {
        let file = write(directory.path(), "testfloat.txt", lines);
        let report = text(&[&["golden", "check"], &words(arguments)[..], &[&file]].concat(), 0);
        let cases = lines.lines().count();
        assert!(report.contains(&format!("flags compared in {cases} cases")), "{report}");
        assert!(report.ends_with(&format!("checked {cases}, differ 0\n")), "{report}");
    }
}

#[test]
fn flags_are_compared_where_they_are_given() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let header = "#! op=add in=fp16 out=fp16 round=rne\n";
    for (lines, compared, differ) in [
        ("7bff 7bff 7c00\n7bff 7bff 7c00 05\n", 1, 0),
        ("7bff 7bff 7c00 04\n7bff 7bff 7c00 05\n", 2, 1),
        ("7d00 3c00 7e00 10\n7d00 3c00 7e00 00\n", 2, 1),
    ] {
        let file = write(directory.path(), "flags.txt", &format!("{header}{lines}"));
        let report = text(&["golden", "check", &file], i32::from(differ > 0));
        assert!(report.contains(&format!("flags compared in {compared} cases")), "{report}");
        assert!(report.ends_with(&format!("checked 2, differ {differ}\n")), "{report}");
        assert_eq!(report.contains("flags differ"), differ > 0, "{report}");
    }
}

#[test]
fn nans_and_zeros_agree_by_rule() {
    let directory = tempfile::tempdir().expect("temporary directory");
    // Expected result of inf - inf, rule, differences.
    for (expected, rule, differ) in [
        ("7e00", "any", 0),
        ("fe01", "any", 0),
        ("7c00", "any", 1),
        ("7e00", "canonical", 0),
        ("fe00", "canonical", 1),
        ("7e00", "exact", 0),
        ("7e01", "exact", 1),
    ] {
        let file = write(directory.path(), "nan.txt", &format!("7c00 7c00 {expected}\n"));
        let arguments = ["golden", "check", "--op", "sub", "--in", "fp16", "--out", "fp16", "--round", "rne", "--nan", rule, &file];
        let report = text(&arguments, differ);
        assert!(report.ends_with(&format!("checked 1, differ {differ}\n")), "{expected} {rule}: {report}");
    }
    let file = write(directory.path(), "zero.txt", "8000 8000 0000\n");
    let report = text(&words(&format!("golden check --op add --in fp16 --out fp16 --round rne {file}")), 1);
    assert!(report.contains("the sign of zero"), "{report}");
}

#[test]
fn stochastic_rounding_takes_r_from_the_line() {
    let directory = tempfile::tempdir().expect("temporary directory");
    // 1 + 2^-12 lies a quarter of an ulp above 1: away from R = 3 of 4 on.
    for (r, expected) in [("0", "3c00"), ("1", "3c00"), ("2", "3c00"), ("3", "3c01")] {
        for (result, differ) in [(expected, 0), ("3c02", 1)] {
            let file = write(directory.path(), "sr.txt", &format!("3f800800 {r} {result}\n"));
            let report = text(&["golden", "check", "--op", "convert", "--in", "fp32", "--out", "fp16", "--round", "sr2", &file], differ);
            assert!(report.ends_with(&format!("checked 1, differ {differ}\n")), "{report}");
        }
    }
}

#[test]
fn registers_of_fp32_around_a_narrow_accumulator() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let at = directory.path();
    let check = |name: &str, lines: &str, status| {
        let file = write(at, name, lines);
        let output = systole(&["golden", "check", "--op", "dot", "--design", "h100-fp8", &file]);
        assert_eq!(output.status.code(), Some(status), "{}{}", stdout(&output), String::from_utf8_lossy(&output.stderr));
        stdout(&output) + &String::from_utf8_lossy(&output.stderr)
    };
    // 1 * 1 + 1 = 2: e8m13 codes, then fp32 codes; 0xfe000 is 1 in e8m13 and 0x3f800000 in fp32.
    let report = check("e8m13.txt", "#k 1\n38 38 0fe000 100000\n", 0);
    assert!(!report.contains("fp32 code"), "{report}");
    let report = check("fp32.txt", "#k 1\n38 38 3f800000 40000000\n38 38 00000000 3f800000\n", 0);
    assert!(report.contains("every c and result is read as an fp32 code") && report.ends_with("checked 2, differ 0\n"), "{report}");
    // The unit drops what lies below 13 fraction bits: 1 + 2^-20 counts as 1.
    check("low.txt", "#k 1\n38 38 3f800008 40000000\n", 0);
    check("differ.txt", "#k 1\n38 38 3f800000 40000001\n", 1);
    // e6m9 has no fp32 registers.
    let file = write(at, "wide.txt", "#k 1\n38 38 3f800000 40000000\n");
    let output = systole(&["golden", "check", "--op", "dot", "--design", "fp8-16x16", "--set", "mac.chunk=none", &file]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn bad_lines_are_named_with_their_mend() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let header = "#! op=add in=e4m3fn out=fp16 round=rne\n";
    let dot = "#! op=dot design=fp8-16x16\n";
    for (contents, needles) in [
        (format!("{header}38 38 4000\n38 38\n"), &["bad.txt:3:", "2 fields where a case has 3, or 4 with flags: a b result"][..]),
        (format!("{header}38 38 4000 00 00\n"), &["bad.txt:2:", "5 fields"]),
        (format!("{header}\n# x\n138 38 4000\n"), &["bad.txt:4:", "field 1 (a)", "wider than e4m3fn (8 bits)"]),
        (format!("{header}38 38 40000\n"), &["bad.txt:2:", "field 3 (result)", "fp16 (16 bits)"]),
        (format!("{header}38 zz 4000\n"), &["field 2 (b)", "`zz` is not a hexadecimal code"]),
        (format!("{header}38 38 4000 40\n"), &["field 4 (flags)", "five flags"]),
        (format!("{header}38 38 4000\n{header}"), &["bad.txt:3:", "before the first case"]),
        ("#! op=add in=fp16 out=fp16\n".to_owned(), &["bad.txt", "`add` needs --round"]),
        ("#! op=add rounding=rne\n".to_owned(), &["bad.txt:1:", "no key `rounding`"]),
        ("3c00 3c00 4000\n".to_owned(), &["bad.txt", "--op"]),
        (format!("{dot}38 38 0000 3c00\n"), &["bad.txt:2:", "#k K"]),
        (format!("{dot}#k 0\n"), &["bad.txt:2:", "not `0`"]),
        (format!("{dot}#k two\n"), &["bad.txt:2:", "not `two`"]),
        ("#! op=dot\n#k 1\n".to_owned(), &["`dot` needs --design"]),
        ("#! op=dot design=fp8-16x61\n#k 1\n".to_owned(), &["did you mean `fp8-16x16`"]),
        ("#! op=dot design=fp8-16x16 round=rne\n#k 1\n".to_owned(), &["does not take --round", "--set"]),
    ] {
        let file = write(directory.path(), "bad.txt", &contents);
        let output = systole(&["golden", "check", &file]);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{contents}: {message}");
        assert!(output.stdout.is_empty() && !message.contains("panicked"), "{contents}: {message}");
        let flat = message.replace(['\n', '│'], " ").split_whitespace().collect::<Vec<_>>().join(" ");
        for needle in needles {
            assert!(flat.replace(' ', "").contains(&needle.replace(' ', "")), "{contents}: wanted `{needle}` in {flat}");
        }
    }
    for arguments in ["golden check --op add --in fp16 --out fp16 --round rne absent.txt", "golden check", "golden vectors --op add"] {
        assert_eq!(systole(&words(arguments)).status.code(), Some(2), "{arguments}");
    }
}

#[test]
fn standard_input_threads_and_single_judges() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let make = words("golden vectors --op fma --in e4m3fn --out fp16 --round rne --level 2 --count 30000 --flags");
    let lines = text(&[&make[..], &["--threads", "1"]].concat(), 0);
    assert_eq!(lines, text(&[&make[..], &["--threads", "3"]].concat(), 0));
    let mut child = Command::new(env!("CARGO_BIN_EXE_systole"))
        .args(["golden", "check", "-"])
        .env_remove("SYSTOLE_KERNEL")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("systole runs");
    child.stdin.take().expect("a pipe").write_all(lines.as_bytes()).expect("written");
    let output = child.wait_with_output().expect("systole ends");
    assert!(stdout(&output).ends_with("checked 30000, differ 0\n"), "{}", stdout(&output));
    // Every third expectation is wrong: the report is the same at any number of threads.
    let wrong: Vec<String> = (lines.lines().enumerate())
        .map(|(i, line)| if i % 3 == 2 && !line.starts_with('#') { format!("{} 0000", &line[..10]) } else { line.to_owned() })
        .collect();
    let file = write(directory.path(), "wrong.txt", &wrong.join("\n"));
    let report = |threads: &str, more: &[&str]| text(&[&["golden", "check", &file, "--threads", threads], more].concat(), 1);
    assert_eq!(report("1", &[]), report("3", &[]));
    for (against, judge) in [("oracle", "oracle"), ("datapath", "datapath"), ("fast", "vector")] {
        let report = report("2", &["--against", against, "--show", "1"]);
        let judged = report.lines().find(|line| line.starts_with("judged by")).expect("judges");
        assert!(judged.contains(judge), "{judged}");
        assert_eq!(["oracle", "datapath", "vector"].iter().filter(|name| judged.contains(*name)).count(), 1, "{judged}");
    }
    // No kernel takes its random bits from a file.
    let file = write(directory.path(), "sr.txt", "#! op=add in=fp16 out=fp16 round=sr4\n3c00 3c00 0 4000\n");
    assert_eq!(systole(&["golden", "check", "--against", "fast", &file]).status.code(), Some(2));
}

/// Words of a `$readmemh` file.
fn memh(directory: &Path, name: &str) -> Vec<u64> {
    let text = std::fs::read_to_string(directory.join(name)).expect("a file of words");
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("//")).collect();
    let width = lines[0].len();
    assert!(lines.iter().all(|line| line.len() == width), "{name}: words of one width");
    lines.iter().map(|line| u64::from_str_radix(line, 16).expect("hexadecimal")).collect()
}

#[test]
fn memory_files_hold_the_same_cases_as_lines() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let at = directory.path().join("memh");
    let out = at.display().to_string();
    let lines = directory.path().join("lines.txt").display().to_string();
    for (arguments, per_case) in [
        (
            "--op fma --in e4m3fn,e5m2,fp32 --out fp16 --round sr5",
            &[("a", 1), ("b", 1), ("c", 1), ("r", 1), ("result", 1), ("flags", 1)][..],
        ),
        ("--op dot --design fp8-16x16 --k 3", &[("a", 3), ("b", 3), ("c", 1), ("result", 1), ("flags", 1)]),
    ] {
        let common = ["golden", "vectors", "--level", "2", "--count", "100", "--flags"];
        text(&[&common[..], &words(arguments), &["--memh", &out, "--out-file", &lines]].concat(), 0);
        let manifest: Value = serde_json::from_str(&std::fs::read_to_string(at.join("manifest.json")).expect("manifest")).expect("JSON");
        assert_eq!(manifest["cases"], 100);
        let files: Vec<&str> = manifest["files"].as_array().expect("files").iter().map(|f| f["file"].as_str().expect("a name")).collect();
        assert_eq!(files, per_case.iter().map(|(name, _)| format!("{name}.memh")).collect::<Vec<_>>());
        let columns: Vec<Vec<u64>> = files.iter().map(|file| memh(&at, file)).collect();
        let contents = std::fs::read_to_string(&lines).expect("lines");
        let cases: Vec<&str> = contents.lines().filter(|line| !line.starts_with('#')).collect();
        for (i, case) in cases.iter().enumerate() {
            let fields: Vec<u64> = words(case).iter().map(|word| u64::from_str_radix(word, 16).expect("hexadecimal")).collect();
            let joined: Vec<u64> = columns.iter().zip(per_case).flat_map(|(column, (_, n))| column[i * n..(i + 1) * n].to_vec()).collect();
            assert_eq!(fields, joined, "{case}");
        }
    }
}

#[test]
fn a_whole_product_is_what_the_machine_computes() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let out = directory.path().display().to_string();
    for arguments in [
        "--design fp8-16x16 --shape 5,7,40 --data specials",
        "--design fp8-16x16 --shape 6,5,33 --set mac.rounding=sr7 --set mac.chunk=8 --set output.format=e5m2 --set output.rounding=sr3",
        "--design fp8-16x16 --shape 4,3,50 --set array.dataflow=ws --set array.partial_sums=outside --set seed=9",
        "--design h100-fp8 --shape 3,4,70 --data specials",
    ] {
        text(&[&["golden", "vectors", "--op", "gemm", "--memh", &out], &words(arguments)[..]].concat(), 0);
        let manifest: Value =
            serde_json::from_str(&std::fs::read_to_string(directory.path().join("manifest.json")).expect("manifest")).expect("JSON");
        let report: Value = serde_json::from_str(&text(&[&["gemm", "--json"], &words(arguments)[..]].concat(), 0)).expect("JSON");
        let d = &manifest["files"][2];
        assert_eq!((&d["file"], &d["digest"]), (&"d.memh".into(), &report["digest"]), "{arguments}");
        assert_eq!(memh(directory.path(), "d.memh").len() as u64, d["shape"][0].as_u64().unwrap() * d["shape"][1].as_u64().unwrap());
    }
}

/// Words of a matrix of unsigned integers of `bytes` bytes.
fn write_npy(path: &Path, (rows, cols): (usize, usize), bytes: usize, words: &[u64]) {
    let data: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()[..bytes].to_vec()).collect();
    command::write_array(path, &format!("<u{bytes}"), [rows, cols], &data);
}

#[test]
fn a_product_with_an_addend_is_what_the_machine_computes() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let at = directory.path();
    let set = ["--design", "fp8-16x16", "--set", "mac.rounding=sr9", "--set", "mac.chunk=4"];
    let out = at.display().to_string();
    text(&[&["golden", "vectors", "--op", "gemm", "--shape", "3,5,11", "--addend", "--memh", &out], &set[..]].concat(), 0);
    let npy = |name: &str, shape, bytes| {
        let path = at.join(format!("{name}.npy"));
        write_npy(&path, shape, bytes, &memh(at, &format!("{name}.memh")));
        path.display().to_string()
    };
    let (a, b, c) = (npy("a", (3, 11), 1), npy("b", (11, 5), 1), npy("c", (3, 5), 4));
    let report: Value =
        serde_json::from_str(&text(&[&["gemm", "--json", "--a", &a, "--b", &b, "--c", &c], &set[..]].concat(), 0)).expect("JSON");
    let manifest: Value = serde_json::from_str(&std::fs::read_to_string(at.join("manifest.json")).expect("manifest")).expect("JSON");
    assert_eq!(manifest["files"][3]["digest"], report["digest"]);
}
