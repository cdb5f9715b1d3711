//! `systole quantize`: files in, files out, and what it refuses.

#[path = "common/command.rs"]
mod command;

use command::{report, systole, write_tensor as write};
use serde_json::json;
use std::path::{Path, PathBuf};
use systole_golden::scheme::{Input, Numbers, Parameters, Scheme, power};

fn little(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// Header text and data of a .npy file.
fn read(path: &Path) -> (String, Vec<u8>) {
    let bytes = std::fs::read(path).expect("an output");
    let end = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    (String::from_utf8_lossy(&bytes[10..end]).into_owned(), bytes[end..].to_vec())
}

fn floats(path: &Path) -> Vec<f32> {
    read(path).1.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().expect("4 bytes"))).collect()
}

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("temporary directory"))
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn name(&self, name: &str) -> String {
        self.at(name).display().to_string()
    }
}

/// Numbers of every size, sign and closeness to powers of two.
fn numbers(count: usize) -> Vec<f32> {
    (0..count as u32)
        .map(|i| {
            let hash = i.wrapping_mul(0x9e37_79b9).rotate_left(13).wrapping_mul(0x85eb_ca6b);
            let exponent = 120 + hash % 12;
            let fraction = if i % 5 == 0 { 0 } else { hash >> 9 };
            if i % 11 == 0 { 0.0 } else { f32::from_bits(hash & 0x8000_0000 | exponent << 23 | fraction) }
        })
        .collect()
}

fn bytes_of(numbers: &Numbers) -> Vec<u8> {
    match numbers {
        Numbers::U8(v) => v.clone(),
        Numbers::U16(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Numbers::U32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Numbers::I8(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Numbers::I16(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Numbers::I32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Numbers::F32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Numbers::F64(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
    }
}

/// Every scheme at every rank: the files hold what the definition gives.
#[test]
fn files_hold_what_the_definitions_give() {
    let files = Files::new();
    for shape in [&[60][..], &[3, 50], &[2, 5, 7], &[2, 50, 3, 3]] {
        let x = numbers(shape.iter().product());
        write(&files.at("x.npy"), "<f4", false, shape, &little(&x));
        for &scheme in Scheme::ALL {
            let (x_name, y, c, s) = (files.name("x.npy"), files.name("y.npy"), files.name("c.npy"), files.name("s.npy"));
            let report = report(&["quantize", "--scheme", scheme.name(), "--in", &x_name, "--out", &y, "--codes", &c, "--scales", &s]);
            let expected = Parameters::of(scheme).quantize(&Input::new(shape, &x)).expect("quantised");
            assert_eq!(read(&files.at("y.npy")).1, little(&expected.values), "{} {shape:?}", scheme.name());
            assert_eq!(read(&files.at("c.npy")).1, bytes_of(&expected.codes), "{} {shape:?}", scheme.name());
            assert_eq!(read(&files.at("s.npy")).1, bytes_of(&expected.scales), "{} {shape:?}", scheme.name());
            let extents: Vec<String> = shape.iter().map(usize::to_string).collect();
            assert!(read(&files.at("y.npy")).0.contains(&extents.join(", ")), "the output has the tensor's shape");
            assert_eq!((&report["scheme"], &report["shape"]), (&json!(scheme.name()), &json!(shape)));
            assert_eq!(report["counts"]["elements"], x.len());
            assert_eq!(report["digest"].as_str().map(str::len), Some(64));
        }
    }
}

/// Half and double precision, big-endian and column-major files say the same.
#[test]
fn every_kind_of_float_file_is_read() {
    let files = Files::new();
    let x: Vec<f32> = (0..12).map(|i| i as f32 * 0.375 - 2.0).collect();
    let digest_of = |element: &str, fortran: bool, data: &[u8]| {
        write(&files.at("x.npy"), element, fortran, &[3, 4], data);
        report(&["quantize", "--scheme", "mx", "--in", &files.name("x.npy")])["digest"].clone()
    };
    let expected = digest_of("<f4", false, &little(&x));
    let big: Vec<u8> = x.iter().flat_map(|v| v.to_be_bytes()).collect();
    assert_eq!(digest_of(">f4", false, &big), expected);
    let double: Vec<u8> = x.iter().flat_map(|v| f64::from(*v).to_le_bytes()).collect();
    assert_eq!(digest_of("<f8", false, &double), expected);
    let columns: Vec<f32> = (0..12).map(|i| x[i % 3 * 4 + i / 3]).collect();
    assert_eq!(digest_of("<f4", true, &little(&columns)), expected);
    // 1.0, -0.5, 2^-24 and the like as fp16.
    let halves = [0x3c00u16, 0xb800, 0x0001, 0x7bff, 0x8000, 0x3555];
    let same: Vec<f32> = vec![1.0, -0.5, 2f32.powi(-24), 65504.0, -0.0, 0.333_251_95];
    let read_as = |element: &str, data: &[u8]| {
        write(&files.at("h.npy"), element, false, &[6], data);
        report(&["quantize", "--scheme", "coat", "--in", &files.name("h.npy")])["digest"].clone()
    };
    let expected = read_as("<f4", &little(&same));
    assert_eq!(read_as("<f2", &halves.iter().flat_map(|h| h.to_le_bytes()).collect::<Vec<_>>()), expected);
    assert_eq!(read_as(">f2", &halves.iter().flat_map(|h| h.to_be_bytes()).collect::<Vec<_>>()), expected);
}

#[test]
fn previous_values_uniforms_and_settings_reach_the_scheme() {
    let files = Files::new();
    write(&files.at("x.npy"), "<f4", false, &[2], &little(&[1.03, 1.03]));
    write(&files.at("p.npy"), "<f4", false, &[2], &little(&[1.0, 1.0625]));
    write(&files.at("u.npy"), "<f8", false, &[2], &[0.3f64.to_le_bytes(), 0.6f64.to_le_bytes()].concat());
    let (x, p, u, y) = (files.name("x.npy"), files.name("p.npy"), files.name("u.npy"), files.name("y.npy"));
    let state = report(&["quantize", "--scheme", "fp134", "--in", &x, "--prev", &p, "--out", &y])["state"].clone();
    assert_eq!((floats(&files.at("y.npy")), state), (vec![1.0, 1.0625], json!({"scale": 0, "next_scale": 0})));
    // 1.03 is 0.48 steps above 1: up from a uniform below that.
    report(&["quantize", "--scheme", "fp134", "--in", &x, "--uniforms", &u, "--out", &y]);
    assert_eq!(floats(&files.at("y.npy")), [1.0625, 1.0]);
    let with = report(&["quantize", "--scheme", "fp134", "--in", &x, "--out", &y, "--set", "format=log4", "--set", "scale=3"]);
    assert_eq!((floats(&files.at("y.npy")), &with["parameters"]["scale"]), (vec![1.0, 1.0], &json!(3)));
}

#[test]
fn maps_come_without_a_tensor() {
    let files = Files::new();
    for (scheme, first) in [("dynamic_signed", -0.992_968_74), ("dynamic_unsigned", 0.0)] {
        let map = report(&["quantize", "--scheme", scheme, "--out", &files.name("m.npy")])["map"].clone();
        let written = floats(&files.at("m.npy"));
        assert_eq!((written.len(), written[0], written[255]), (256, first, 1.0));
        assert!(map.as_array().expect("values").iter().zip(&written).all(|(a, b)| a.as_f64() == Some(f64::from(*b))));
    }
}

#[test]
fn refusals_name_place_and_mend() {
    let files = Files::new();
    write(&files.at("x.npy"), "<f4", false, &[2], &little(&[1.0, 2.0]));
    write(&files.at("y.npy"), "<f4", false, &[1, 2], &little(&[0.0, 0.5]));
    write(&files.at("one.npy"), "<f4", false, &[2], &little(&[0.0, 1.0]));
    write(&files.at("fine.npy"), "<f8", false, &[2], &[1.0f64.to_le_bytes(), 0.1f64.to_le_bytes()].concat());
    write(&files.at("codes.npy"), "|u1", false, &[2], &[1, 2]);
    write(&files.at("deep.npy"), "<f4", false, &[1, 1, 1, 1, 2], &little(&[1.0, 2.0]));
    write(&files.at("empty.npy"), "<f4", false, &[0], &[]);
    write(&files.at("short.npy"), "<f4", false, &[9], &little(&[1.0]));
    let file = |name: &str| files.name(name);
    let x = file("x.npy");
    for (args, expected) in [
        (vec!["--scheme", "swlap", "--in", &x], "did you mean `swalp`?"),
        (vec!["--scheme", "swalp"], "give a tensor with --in"),
        (vec!["--scheme", "swalp", "--in", &x, "--set", "bitz=4"], "did you mean `bits`?"),
        (vec!["--scheme", "swalp", "--in", &x, "--set", "bits=99"], "bits=99: must be 2 to 16"),
        (vec!["--scheme", "swalp", "--in", &x, "--set", "rounding=up"], "unknown variant `up`"),
        (vec!["--scheme", "swalp", "--in", &x, "--set", "rounding=stochastic"], "give --uniforms"),
        (vec!["--scheme", "swalp", "--in", &x, "--prev", &x], "takes no previous values; leave --prev out"),
        (vec!["--scheme", "coat", "--in", &x, "--uniforms", &file("y.npy")], "shape [1, 2]"),
        (vec!["--scheme", "coat", "--in", &x, "--uniforms", &file("one.npy")], "takes no uniform numbers"),
        (vec!["--scheme", "bm", "--in", &x, "--uniforms", &file("one.npy")], "uniform number 1 at element 1"),
        (vec!["--scheme", "bm", "--in", &file("fine.npy")], "element 1 is 0.1, which is no float32"),
        (vec!["--scheme", "bm", "--in", &file("codes.npy")], "floats are needed"),
        (vec!["--scheme", "bm", "--in", &file("deep.npy")], "at most 4"),
        (vec!["--scheme", "bm", "--in", &file("empty.npy")], "1 to 2^30 elements"),
        (vec!["--scheme", "bm", "--in", &file("short.npy")], "cut short"),
        (vec!["--scheme", "bm", "--in", &file("missing.npy")], "missing.npy"),
        (vec!["--scheme", "dynamic_signed", "--codes", &file("c.npy")], "--codes needs a tensor"),
    ] {
        let output = systole(&[&["quantize"], &args[..]].concat());
        let message = String::from_utf8_lossy(&output.stderr).replace("\n  │ ", " ").replace("\n  ", " ");
        let flat: String = message.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(flat.contains(expected), "{args:?}: {flat}");
    }
}

#[test]
fn lists_and_help_describe_every_parameter() {
    let listed = String::from_utf8(systole(&["list", "schemes"]).stdout).expect("text");
    let help = String::from_utf8(systole(&["quantize", "--help"]).stdout).expect("text");
    for &scheme in Scheme::ALL {
        for (name, default, _) in scheme.fields() {
            let setting = format!("--set {name}={default}");
            assert!(listed.contains(&setting) && help.contains(&setting), "{} {setting}", scheme.name());
        }
    }
}

/// Threads change nothing.
#[test]
fn threads_do_not_matter() {
    let files = Files::new();
    write(&files.at("x.npy"), "<f4", false, &[5, 100], &little(&numbers(500)));
    let x = files.name("x.npy");
    for scheme in ["s2fp8", "coat", "nvfp4"] {
        let run = |threads| report(&["quantize", "--scheme", scheme, "--in", &x, "--threads", threads])["digest"].clone();
        assert_eq!(run("1"), run("3"), "{scheme}");
    }
}

/// The layouts of the instruction set, rounded by its own integers, agree with the definitions.
#[test]
fn block_layouts_agree() {
    let (rows, cols) = (50, 97);
    let x = numbers(rows * cols);
    let wide: Vec<f64> = x.iter().map(|&v| v.into()).collect();
    for (layout, scheme, settings) in [
        ("mxfp8_e4m3", Scheme::Mx, &[][..]),
        ("mxfp8_e5m2", Scheme::Mx, &[("element", "e5m2")]),
        ("mxfp6_e3m2", Scheme::Mx, &[("element", "e3m2")]),
        ("mxfp6_e2m3", Scheme::Mx, &[("element", "e2m3")]),
        ("mxfp4_e2m1", Scheme::Mx, &[("element", "e2m1")]),
        ("mxint8", Scheme::Mx, &[("element", "int8")]),
        ("mxfp8_e4m3_ceil", Scheme::Mx, &[("scale_rule", "ceil")]),
        ("nvfp4", Scheme::Nvfp4, &[("arithmetic", "exact")]),
        ("nvfp4_16x16", Scheme::Nvfp4, &[("arithmetic", "exact"), ("block", "16x16")]),
        ("bm8_e2m5", Scheme::Bm, &[]),
        ("bm8_e4m3", Scheme::Bm, &[("exponent_bits", "4"), ("mantissa_bits", "3")]),
    ] {
        let blocks = systole_isa::block::find(layout).expect("a layout").encode(&wide, (rows, cols));
        let settings: Vec<(String, String)> = settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let parameters = Parameters::of(scheme).with_overrides(&settings).expect("settings");
        let y = parameters.quantize(&Input::new(&[rows, cols], &x)).expect("quantised").values;
        for (i, y) in y.iter().enumerate() {
            assert_eq!(blocks.value(i / cols, i % cols) as f32, *y, "{layout} {i}: {}", x[i]);
        }
    }
}

/// The vector unit's functions, rounded to binary32 in fixed point of their own, agree with the
/// definitions' binary64 rounded once more: no number here lies so close to a tie that it shows.
#[test]
fn logarithms_and_powers_agree_with_the_vector_unit() {
    use systole_arrays::vector::function::{Function, evaluate};
    use systole_isa::format::Format;
    use systole_isa::round::Policy;
    let unit = |function, x: f32| {
        let (code, _) = evaluate(function, Format::FP32, Format::FP32, x.to_bits().into(), Policy::RNE, 0).expect("defined");
        f32::from_bits(code as u32)
    };
    for x in numbers(2000) {
        if x > 0.0 {
            assert_eq!(unit(Function::Log2, x), power::log2(f64::from(x)) as f32, "log2 {x}");
        }
        assert_eq!(unit(Function::Exp2, x), power::exp2(f64::from(x)) as f32, "exp2 {x}");
    }
}
