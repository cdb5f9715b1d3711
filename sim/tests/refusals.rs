//! Bad input gets one clear message and exit status 2.

#[path = "common/command.rs"]
mod command;

use command::systole;
use std::path::{Path, PathBuf};

fn write(directory: &Path, name: &str, bytes: &[u8]) -> String {
    let path: PathBuf = directory.join(name);
    std::fs::write(&path, bytes).expect("temporary file");
    path.display().to_string()
}

/// An IDX file: magic, extents, bytes.
fn idx(magic: u32, extents: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = magic.to_be_bytes().to_vec();
    bytes.extend(extents.iter().flat_map(|e| e.to_be_bytes()));
    bytes.extend(data);
    bytes
}

fn idx_directory(root: &Path, name: &str, train_images: &[u8], train_labels: &[u8]) -> String {
    let directory = root.join(name);
    std::fs::create_dir_all(&directory).expect("temporary directory");
    write(&directory, "train-images-idx3-ubyte", train_images);
    write(&directory, "train-labels-idx1-ubyte", train_labels);
    write(&directory, "t10k-images-idx3-ubyte", &idx(0x803, &[2, 2, 2], &[0; 8]));
    write(&directory, "t10k-labels-idx1-ubyte", &idx(0x801, &[2], &[0, 1]));
    directory.display().to_string()
}

#[test]
fn every_refusal_is_one_message_and_status_2() {
    let root = tempfile::tempdir().expect("temporary directory");
    let at = root.path();
    let images = idx(0x803, &[2, 2, 2], &[0; 8]);
    let labels = idx(0x801, &[2], &[0, 1]);
    let gzip = {
        use std::io::Write;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(&images).expect("in memory");
        encoder.finish().expect("in memory")
    };
    let design = include_str!("../../isa/designs/fp8-16x16.ron");
    let unknown_field = write(at, "unknown.ron", design.replace("clock_mhz", "clock_ghz").as_bytes());
    let no_rows = write(at, "no_rows.ron", design.replace("rows: 16", "rows: 0").as_bytes());
    let truncated = idx_directory(at, "truncated", &gzip[..gzip.len() - 9], &labels);
    let wrong_magic = idx_directory(at, "magic", &idx(0x802, &[2, 2, 2], &[0; 8]), &labels);
    let wrong_count = idx_directory(at, "count", &idx(0x803, &[3, 2, 2], &[0; 8]), &labels);
    let unequal = idx_directory(at, "unequal", &images, &idx(0x801, &[3], &[0, 1, 0]));
    let cifar = at.join("cifar");
    std::fs::create_dir_all(&cifar).expect("temporary directory");
    let cut_batch = write(&cifar, "data_batch_1.bin", &[0; 4000]);
    write(&cifar, "test_batch.bin", &[0; 3073]);
    let cifar = cifar.display().to_string();
    let program = write(at, "out_of_range.s", b"format f0, fp32\ntensor t0, f0, dram, 0xfffffffff0, 64, 64\nvadd t0, t0, t0\nhalt\n");
    let bad_program = write(at, "typo.s", b"format f0, fp32\nvad t0, t0, t0\n");
    let not_npy = write(at, "x.npy", b"hello");
    let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (4294967296, 4294967296), }\n";
    let vast = [b"\x93NUMPY\x01\x00".as_slice(), &(header.len() as u16).to_le_bytes(), header.as_bytes()].concat();
    let vast_npy = write(at, "vast.npy", &vast);

    let cases: &[(&[&str], &[&str])] = &[
        (&["gemm", "--shape", "4,4,4", "--design", &unknown_field], &["unknown.ron:", "clock_ghz", "clock_mhz"]),
        (&["gemm", "--shape", "4,4,4", "--design", &no_rows], &["array.rows", "must be 1 to"]),
        (&["gemm", "--shape", "4,4,4", "--set", "array.cols=0"], &["array.cols"]),
        (&["gemm", "--shape", "4,4,4", "--design", "absent.ron"], &["absent.ron", "cannot be read"]),
        (&["gemm", "--shape", "4,4,4", "--design", "fp8-16x61"], &["did you mean `fp8-16x16`"]),
        (&["gemm", "--shape", "4,4,4", "--set", "mac.accumulator=e6m9x"], &["mac.accumulator", "e6m9x", "did you mean `e6m9`"]),
        (&["gemm", "--shape", "4,4,4", "--set", "mac.acumulator=e6m9"], &["acumulator", "did you mean `accumulator`"]),
        (&["gemm", "--shape", "4,4,4", "--set", "mac.rounding=rnd"], &["`rnd` is no rounding mode"]),
        (&["gemm", "--shape", "4,4,4", "--set", "mac.accumulator"], &["PATH=VALUE"]),
        (&["gemm", "--shape", "4,4,4", "--set", "energy.table=sky130"], &["energy.table", "horowitz-45nm"]),
        (&["gemm", "--shape", "4,0,4"], &["--shape takes M,N,K"]),
        (&["gemm", "--shape", "4,4,4", "--kernel", "avx1024"], &["--kernel avx1024"]),
        (&["gemm", "--shape", "4,4,4", "--design", "tpu-v4"], &["tpu-v4", "costs and cycles only"]),
        (&["gemm", "--a", &not_npy, "--b", &not_npy], &["x.npy"]),
        (&["gemm", "--a", &vast_npy, "--b", &vast_npy], &["vast.npy", "more elements than a file can hold"]),
        (&["gemm", "--a", "absent.npy", "--b", &not_npy], &["absent.npy"]),
        (&["train", "--design", "tpu-v3", "--recipe", "bf16"], &["tpu-v3", "costs and cycles only"]),
        (&["train", "--data", "nowhere"], &["nowhere"]),
        (&["train", "--data", &truncated], &["train-images-idx3-ubyte"]),
        (&["train", "--data", &wrong_magic], &["train-images-idx3-ubyte", "magic"]),
        (&["train", "--data", &wrong_count], &["train-images-idx3-ubyte"]),
        (&["train", "--data", &unequal], &["labels"]),
        (&["train", "--data", &cifar], &["no data_batch_2.bin", "data_batch_2.bin.gz"]),
        (&["train", "--data", &cut_batch], &["data_batch_1.bin", "byte 3073", "927 bytes of 3073"]),
        (&["train", "--data", "chars:0"], &["chars:0", "1 to 4095 characters"]),
        (&["train", "--data", "chars"], &["model `mlp`", "1 logits", "64 labels", "transformer"]),
        (&["train", "--model", "transformer-tiny"], &["64 logits", "`digits` has 1 labels"]),
        (&["train", "--data", "chars", "--model", "transformer-tiny", "--augment", "crop_flip"], &["`chars` is text", "augment `none`"]),
        (&["train", "--augment", "crop"], &["augment", "crop", "crop_flip"]),
        (&["train", "--model", "resnet"], &["no model `resnet`", "resnet20"]),
        (&["train", "--set", "optimizer.learning_rate=NaN"], &["optimizer.learning_rate", "must be finite"]),
        (&["train", "--set", "optimizer.learning_rate=-1"], &["optimizer.learning_rate", "positive"]),
        (&["train", "--recipe", "fp9"], &["fp9", "did you mean"]),
        (&["train", "--model", "lenet5"], &["lenet5", "conv2"]),
        (&["train", "--recipe", "bf16", "--design", "fp8-16x16"], &["no MAC mode", "bf16", "e4m3fn"]),
        (&["train", "--epochs", "0"], &["epochs"]),
        (&["run", &program], &["out_of_range.s", "instruction 2", "0xfffffffff0", "DRAM"]),
        (&["run", &bad_program], &["typo.s:2:", "did you mean `vadd`"]),
        (&["run", "absent.s"], &["absent.s"]),
        (&["format", "e4m3fm"], &["did you mean `e4m3fn`"]),
        (&["cost", "--table", "sky130"], &["sky130", "horowitz-45nm"]),
    ];
    for (args, needles) in cases {
        let output = systole(args);
        let message = String::from_utf8_lossy(&output.stderr).replace("\n  │ ", " ");
        assert_eq!(output.status.code(), Some(2), "{args:?}: {message}");
        assert!(output.stdout.is_empty(), "{args:?} printed {}", String::from_utf8_lossy(&output.stdout));
        assert!(!message.contains("panicked"), "{args:?}: {message}");
        // Messages wrap at the terminal's width; compare without the breaks.
        let flat: String = message.split_whitespace().filter(|w| *w != "│").collect::<Vec<_>>().join(" ");
        for needle in *needles {
            let joined = flat.contains(needle) || flat.replace(' ', "").contains(&needle.replace(' ', ""));
            assert!(joined, "{args:?}: wanted `{needle}` in\n{message}");
        }
    }
}

/// Nobody who stops reading, and no full disk, makes the command panic.
#[cfg(unix)]
#[test]
fn output_that_takes_no_more() {
    use std::fs::OpenOptions;
    use std::io::Read;
    use std::process::Stdio;
    for args in [
        &["list"][..],
        &["cost"],
        &["cost", "--json"],
        &["gemm", "--shape", "2,2,2"],
        &["gemm", "--shape", "2,2,2", "--json"],
        &["workload", "resnet18"],
        &["sweep", "eight-bits", "--dry-run"],
        &["format", "e4m3fn"],
        &["train", "--epochs", "1", "--limit", "32"],
    ] {
        let mut child = command::command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("systole runs");
        drop(child.stdout.take());
        let mut said = String::new();
        child.stderr.take().expect("a pipe").read_to_string(&mut said).expect("text");
        let status = child.wait().expect("an end");
        assert_eq!(status.code(), Some(0), "{args:?}: {said}");
        assert!(!said.contains("panicked"), "{args:?}: {said}");
        // Linux has a file on a disk that is always full.
        let Ok(full) = OpenOptions::new().write(true).open("/dev/full") else { continue };
        let output = command::command(args).stdout(full).output().expect("systole runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains("standard output:") && !said.contains("panicked"), "{args:?}: {said}");
        let Ok(full) = OpenOptions::new().write(true).open("/dev/full") else { continue };
        let told = command::command(&["gemm", "--shape", "nonsense"]).stderr(full).status().expect("systole runs");
        assert_eq!(told.code(), Some(2));
    }
}

/// What is checked is wrong, whether or not anybody reads that.
#[cfg(unix)]
#[test]
fn a_closed_output_keeps_the_status() {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/programs/loops.s");
    let text = std::fs::read_to_string(program).expect("a program");
    let directory = tempfile::tempdir().expect("temporary directory");
    let wrong = text.lines().map(|line| if line.starts_with(".expect") { format!("{line} 1") } else { line.to_owned() });
    let wrong = write(directory.path(), "wrong.s", wrong.collect::<Vec<_>>().join("\n").as_bytes());
    for (file, code) in [(program, 0), (&wrong, 1)] {
        for more in [&[][..], &["--json"], &["--log"]] {
            let mut child = command::command(&[&["run", file][..], more].concat())
                .stdout(std::process::Stdio::piped())
                .stderr(std::process::Stdio::null())
                .spawn()
                .expect("systole runs");
            drop(child.stdout.take());
            assert_eq!(child.wait().expect("an end").code(), Some(code), "{file} {more:?}");
        }
    }
}

#[test]
fn refusals_of_the_ticked_engine_and_of_traces() {
    let says = |args: &[&str], needle: &str| {
        let output = systole(args);
        let text = String::from_utf8_lossy(&output.stderr).split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ");
        assert_eq!(output.status.code(), Some(2), "{args:?}: {text}");
        assert!(text.contains(needle), "{args:?}, wanted `{needle}`: {text}");
    };
    says(
        &["gemm", "--shape", "3,4,5", "--engine", "ticked", "--set", "array.cols=65536"],
        "skew registers, beyond the ticked engine's 2^26",
    );
    says(&["gemm", "--shape", "3,4,5", "--set", "array.loop_stages=2"], "are some of the MAC's stages (array.mac_stages: 1)");
    let directory = tempfile::tempdir().expect("temporary directory");
    let file = directory.path().join("one.vcd").display().to_string();
    says(&["trace", "--shape", "2,2,2", "--out", &file, "--timeline", &file], "name the same file");
    let nowhere = directory.path().join("none/one.fst").display().to_string();
    says(&["trace", "--shape", "2,2,2", "--out", &nowhere], "No such file or directory");
    // Nothing is made of a product that is too large to look at.
    says(&["trace", "--shape", "8192,8192,8192", "--out", &file], "--cycles FROM..TO");
}
