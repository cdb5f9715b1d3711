//! The command's promises: engines agree, threads do not matter, results are what is printed.

#[path = "common/command.rs"]
mod command;

use command::{report as json, success as systole, write_array, write_npy};

#[test]
fn engines_agree_for_every_dataflow_and_partial_sum() {
    for dataflow in ["os", "ws", "is"] {
        for sums in ["feedback", "outside"] {
            for extra in
                ["mac.chunk=7", "mac.chunk=none", "mac.rounding=sr11", "array.drain=serial", "array.preload=serial", "array.count=3"]
            {
                let (dataflow, sums) = (format!("array.dataflow={dataflow}"), format!("array.partial_sums={sums}"));
                let run =
                    |engine| json(&["gemm", "--shape", "37,29,53", "--set", &dataflow, "--set", &sums, "--set", extra, "--engine", engine]);
                let (fast, ticked, timing) = (run("fast"), run("ticked"), run("timing"));
                for field in ["digest", "activity", "cycles", "events", "energy_pj"] {
                    assert_eq!(fast[field], ticked[field], "{dataflow} {sums} {extra} {field}");
                    assert!(!fast[field].is_null());
                }
                for field in ["cycles", "events", "energy_pj"] {
                    assert_eq!(fast[field], timing[field], "{dataflow} {sums} {extra} {field}");
                }
                assert!(timing["digest"].is_null() && timing["activity"].is_null());
            }
        }
    }
}

#[test]
fn scalesim_convention_has_scalesims_closed_form() {
    let (m, n, k) = (512u64, 200u64, 300u64);
    for (rows, cols) in [(16u64, 16u64), (32, 8), (128, 128)] {
        for (dataflow, sr, sc, t) in [("os", m, n, k), ("ws", k, n, m), ("is", k, m, n)] {
            let folds = sr.div_ceil(rows) * sc.div_ceil(cols);
            let per_fold = if dataflow == "os" { rows + cols + t - 2 } else { 2 * rows + cols + t - 2 };
            let report = json(&[
                "gemm",
                "--shape",
                &format!("{m},{n},{k}"),
                "--engine",
                "timing",
                "--set",
                "array.convention=scalesim",
                "--set",
                &format!("array.dataflow={dataflow}"),
                "--set",
                &format!("array.rows={rows}"),
                "--set",
                &format!("array.cols={cols}"),
            ]);
            assert_eq!(report["cycles"]["compute"], folds * per_fold - 1, "{dataflow} {rows}x{cols}");
        }
    }
}

#[test]
fn one_tile_takes_k_plus_r_plus_2c_and_long_tiles_hide_their_drain() {
    for (shape, expected) in [("16,8,100", 100 + 16 + 2 * 8), ("48,8,100", 3 * 100 + 16 + 2 * 8)] {
        let report = json(&["gemm", "--shape", shape, "--engine", "timing", "--set", "array.cols=8"]);
        assert_eq!(report["cycles"]["compute"], expected);
    }
}

#[test]
fn chunks_repair_a_narrow_accumulator() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let at = |name: &str| directory.path().join(name).display().to_string();
    // 0x38 is 1.0 in e4m3fn.
    write_npy(&directory.path().join("a.npy"), 1, 4096, 0x38);
    write_npy(&directory.path().join("b.npy"), 4096, 1, 0x38);
    for (chunk, expected) in [("mac.chunk=none", 1024.0f64), ("mac.chunk=64", 4096.0)] {
        for engine in ["fast", "ticked"] {
            let (a, b, d) = (at("a.npy"), at("b.npy"), at("d.npy"));
            let settings = ["--set", "mac.outer=e6m9", "--set", chunk];
            systole(&[&["gemm", "--a", &a, "--b", &b, "--out", &d, "--engine", engine][..], &settings].concat());
            let bytes = std::fs::read(&d).expect("result");
            let code = u16::from_le_bytes([bytes[bytes.len() - 2], bytes[bytes.len() - 1]]);
            let format: systole_isa::format::Format = "e6m9".parse().expect("a format");
            assert_eq!(format.to_f64(code.into()), expected, "{chunk} {engine}");
        }
    }
}

#[test]
fn block_scales_come_from_files() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let at = |name: &str| directory.path().join(name).display().to_string();
    let write = |name: &str, element, extents, data: &[u8]| write_array(&directory.path().join(name), element, extents, data);
    // Ones: every block of 32 products sums to 32 before its scales; the last has 6.
    write_npy(&directory.path().join("a.npy"), 2, 70, 0x38);
    write_npy(&directory.path().join("b.npy"), 70, 1, 0x38);
    let floats = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    write("sa_floats.npy", "<f4", [2, 3], &floats(&[0.5, 2.0, 4.0, 1.0, 1.0, 0.125]));
    write("sa_codes.npy", "|u1", [2, 3], &[126, 128, 129, 127, 127, 124]);
    write("sb.npy", "<f4", [3, 1], &floats(&[1.0, 0.25, 8.0]));
    write("third.npy", "<f4", [3, 1], &floats(&[1.0, 0.3, 8.0]));
    let gemm = |options: &[&str]| -> Vec<f32> {
        let (a, b, d) = (at("a.npy"), at("b.npy"), at("d.npy"));
        systole(&[&["gemm", "--design", "mxfp8-16x16", "--a", &a, "--b", &b, "--out", &d][..], options].concat());
        let bytes = std::fs::read(&d).expect("result");
        bytes[bytes.len() - 8..].chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
    };
    let [floats, codes, sb, third] = ["sa_floats.npy", "sa_codes.npy", "sb.npy", "third.npy"].map(at);
    for engine in ["fast", "ticked"] {
        assert_eq!(gemm(&["--engine", engine]), [70.0, 70.0]);
        for sa in [&floats, &codes] {
            assert_eq!(gemm(&["--scale-a", sa, "--engine", engine]), [16.0 + 64.0 + 24.0, 64.0 + 0.75]);
            assert_eq!(gemm(&["--scale-a", sa, "--scale-b", &sb, "--engine", engine]), [16.0 + 16.0 + 192.0, 32.0 + 8.0 + 6.0]);
        }
        assert_eq!(gemm(&["--scale-b", &sb, "--engine", engine]), [32.0 + 8.0 + 48.0; 2]);
    }
    for (options, needle) in [
        (["--scale-b", &third], "holds 0.3"),
        (["--scale-a", &sb], "the scales of A are 3 x 1; 2 x 3 are needed, one for each 1 x 32 block of A"),
        (["--set", "mac.scale_cols=4"], ""),
    ] {
        let (a, b) = (at("a.npy"), at("b.npy"));
        let arguments = [&["gemm", "--design", "mxfp8-16x16", "--a", &a, "--b", &b][..], &options].concat();
        let output = command::systole(&arguments);
        let message = String::from_utf8_lossy(&output.stderr).replace("\n  │ ", " ");
        assert_eq!(output.status.code(), Some(if needle.is_empty() { 0 } else { 2 }), "{message}");
        assert!(message.contains(needle), "{message}");
    }
    let (a, b) = (at("a.npy"), at("b.npy"));
    let arguments = ["gemm", "--a", &a, "--b", &b, "--scale-b", &sb];
    let output = command::systole(&arguments);
    assert!(String::from_utf8_lossy(&output.stderr).contains("takes no block scales"));
}

#[test]
fn threads_do_not_matter() {
    let stripped = |threads: &str, args: &[&str]| {
        let mut report = json(&[args, &["--threads", threads]].concat());
        report.as_object_mut().expect("an object").remove("seconds");
        report.to_string()
    };
    for args in [
        &["gemm", "--shape", "200,100,300", "--set", "mac.rounding=sr8"][..],
        &["train", "--epochs", "2", "--limit", "320"],
        &["train", "--epochs", "1", "--limit", "64", "--model", "cnn"],
    ] {
        assert_eq!(stripped("1", args), stripped("2", args), "{args:?}");
    }
}

#[test]
fn a_resumed_run_ends_in_the_same_bits() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let out = directory.path().join("run").display().to_string();
    let constant = ["--set", "optimizer.schedule=constant", "--limit", "320"];
    let whole = json(&[&["train", "--epochs", "3"][..], &constant].concat());
    systole(&[&["train", "--epochs", "1", "--out", &out][..], &constant].concat());
    let resumed = json(&[&["train", "--epochs", "3", "--out", &out, "--resume"][..], &constant].concat());
    for field in ["digest", "epochs", "cycles", "events", "activity", "energy_pj"] {
        assert_eq!(whole[field], resumed[field], "{field}");
    }
}

#[test]
fn every_format_is_printed_whole() {
    let named = systole_isa::format::NAMED.iter().map(|n| n.name);
    let others = ["e3m0f", "e11m1", "e1m6fn", "e4m3b-3", "p3109_k9p3se", "posit3_0", "posit32_3", "quire8_0", "fx12.40", "fx64.-3", "int2"];
    for name in named.chain(others) {
        let format: systole_isa::format::Format = name.parse().expect(name);
        let text = systole(&["format", name]);
        let object = json(&["format", name]);
        assert!(text.starts_with(&format!("{format}: {} bits, ", format.bits())), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 140 && line.trim_end() == line), "{text}");
        for policy in ["ieee", "saturate", "propagate", "infinity"] {
            assert!(text.lines().any(|line| line.starts_with(&format!(" {policy}"))), "{name} {policy}: {text}");
            assert!(object["overflow"].as_array().expect("rows").iter().any(|row| row["policy"] == policy), "{name} {policy}");
        }
        assert!(object["cases"].as_array().is_some_and(|cases| cases.len() >= 4), "{name}");
        // Every source that is cited is named below.
        for number in 1..=12 {
            let label = format!("[{number}]");
            assert!(text.matches(&label).count() != 1, "{name} {label}: {text}");
        }
        match object["values"].as_array() {
            Some(values) => {
                assert!(format.bits() <= 8 && values.len() == 1 << format.bits(), "{name}");
                let codes = values.iter().enumerate().filter(|(code, value)| {
                    let number: f64 = value.as_str().expect("text").replace("NaR", "NaN").parse().expect("a number");
                    let exact = format.to_f64(*code as u64);
                    number.is_nan() && exact.is_nan() || number == exact || (number - exact).abs() < 1e-5 * exact.abs()
                });
                assert_eq!(codes.count(), values.len(), "{name}");
            }
            None => assert!(format.bits() > 8, "{name}"),
        }
    }
    for (name, canonical) in [("fx96.32", "fx96.32"), ("quire32_2", "quire512.240"), ("fx4096.2000", "fx4096.2000"), ("int100", "int100")] {
        let text = systole(&["format", name]);
        assert!(text.starts_with(canonical) && text.contains("has none: it is an accumulator's only"), "{text}");
        let object = json(&["format", name]);
        assert_eq!((&object["format"], &object["codes"]), (&canonical.into(), &false.into()));
        assert!(object["values"].is_null() && object["largest"].is_string(), "{object}");
    }
    assert!(systole(&["format", "quire32_2"]).contains("also called     quire32_2"));
}

#[test]
fn every_format_is_listed_once() {
    let list = systole(&["list", "formats"]);
    for named in systole_isa::format::NAMED {
        let lines = list.lines().filter(|line| line.split_whitespace().next() == Some(named.name)).count();
        assert_eq!(lines, 1, "{}: {list}", named.name);
    }
    assert_eq!(list.split("\n\n").count(), 6, "{list}");
}

#[test]
fn a_disassembled_program_assembles_to_the_same_words() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let at = |name: &str| directory.path().join(name).display().to_string();
    let text = ".region gemm\n.data 0 e4m3fn =1 =2 =3 =4\n.expect 64 fp32 =7 =10 =15 =22\nmark gemm\nformat f0, e4m3fn\nformat f1, fp32\n\
                tensor t0, f0, dram, 0, 2, 2\ntensor t1, f1, dram, 64, 2, 2\ngemm t1, t0, t0\nhalt\n";
    std::fs::write(at("a.s"), text).expect("temporary file");
    systole(&["asm", &at("a.s"), "--out", &at("a.bin")]);
    std::fs::write(at("b.s"), systole(&["disasm", &at("a.bin")])).expect("temporary file");
    systole(&["asm", &at("b.s"), "--out", &at("b.bin")]);
    assert_eq!(std::fs::read(at("a.bin")).expect("words"), std::fs::read(at("b.bin")).expect("words"));
    for engine in ["fast", "ticked"] {
        let report = json(&["run", &at("a.bin"), "--engine", engine]);
        assert_eq!((&report["expected"], &report["differ"]), (&4.into(), &0.into()));
    }
    std::fs::write(at("wrong.s"), text.replace("=22", "=23")).expect("temporary file");
    let output = command::systole(&["run", &at("wrong.s")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("0x4c: expected"));
}
