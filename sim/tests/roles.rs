//! What instructions make of a tensor in a role is what the published scheme's definition makes
//! of it.

use systole::machine::{Engine, Machine};
use systole_arrays::fast::KernelChoice;
use systole_golden::scheme::{Input, Parameters, Quantized, Scheme};
use systole_isa::design;
use systole_isa::device::Device;
use systole_isa::format::Format;
use systole_isa::round::encode_f64;
use systole_trainer::lower::{Tensor, round_trip};
use systole_trainer::recipe::{Recipe, Role, RoleFormat};

/// A role as RON has it.
fn role(name: &str, text: &str) -> RoleFormat {
    let ron =
        format!("(name: \"one\", design: \"fp32-16x16\", epochs: 1, batch: 1, optimizer: (learning_rate: 1), roles: ({name}: {text}))");
    let recipe = Recipe::from_ron("one", &ron).unwrap_or_else(|e| panic!("{e}"));
    match recipe.roles.iter().find(|(n, _)| *n == name) {
        Some((_, Role::Format(role))) => role,
        _ => panic!("{name}: no format"),
    }
}

/// Values with extremes over-weighted: zeros of both signs, ties, powers of two and their
/// neighbours, and magnitudes over many binades.
fn strewn(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    (0..count)
        .map(|_| {
            let (kind, bits) = (draw() % 8, draw() as u32);
            let binade = (draw() % 24) as i32 - 12;
            let sign = if bits & 1 == 1 { -1.0 } else { 1.0 };
            let power = 2f32.powi(binade);
            sign * match kind {
                0 => 0.0,
                1 => power,
                2 => power * (1.0 + f32::EPSILON),
                3 => power * (1.0 - f32::EPSILON / 2.0),
                // Halfway between neighbours of few significant bits.
                4 => power * (1.0 + (bits % 128) as f32 / 128.0),
                _ => power * (1.0 + bits as f32 / 2f32.powi(31)),
            }
        })
        .collect()
}

/// What the machine makes of a tensor: codes, scales' values and values.
fn on_machine(name: &'static str, role: &RoleFormat, rows: usize, cols: usize, values: &[f32]) -> (Vec<u64>, Vec<f64>, Vec<f32>) {
    let recipe = Recipe::builtin("fp32").unwrap();
    let design = design::find("fp32-16x16").unwrap();
    let trip = round_trip(&recipe, &design, name, role, rows, cols);
    let mut machine = Machine::new(design, Engine::Fast, KernelChoice::Auto).unwrap();
    for (tensor, constants) in &trip.constants {
        let codes: Vec<u64> = constants.iter().map(|&v| encode_f64(tensor.format, v)).collect();
        machine.write(tensor.address, tensor.format, &codes).unwrap();
    }
    let bits: Vec<u64> = values.iter().map(|v| v.to_bits().into()).collect();
    machine.write(trip.input.address, trip.input.format, &bits).unwrap();
    machine.run(&trip.program, 0).unwrap();
    let read = |t: &Tensor| machine.read(t.address, t.format, t.elements()).unwrap();
    let scales = trip.scales.iter().flat_map(|t| read(t).into_iter().map(|c| t.format.to_f64(c)).collect::<Vec<_>>()).collect();
    (read(&trip.codes), scales, read(&trip.values).into_iter().map(|c| f32::from_bits(c as u32)).collect())
}

fn defined(scheme: &str, settings: &[(&str, &str)], shape: &[usize], values: &[f32]) -> Quantized {
    let settings: Vec<(String, String)> = settings.iter().map(|(p, v)| ((*p).to_owned(), (*v).to_owned())).collect();
    let parameters = Parameters::of(Scheme::find(scheme).unwrap()).with_overrides(&settings).unwrap();
    parameters.quantize(&Input::new(shape, values)).unwrap()
}

fn transposed(values: &[f32], rows: usize, cols: usize) -> Vec<f32> {
    (0..cols).flat_map(|c| (0..rows).map(move |r| values[r * cols + c])).collect()
}

/// Zeros compare as numbers: not every scheme keeps their sign.
fn assert_same(what: &str, ours: &[f32], theirs: &[f32]) {
    assert_eq!(ours.len(), theirs.len());
    for (i, (a, b)) in ours.iter().zip(theirs).enumerate() {
        assert!(a == b || (a.is_nan() && b.is_nan()), "{what}, element {i}: {a} on the machine, {b} by definition");
    }
}

#[test]
fn power_of_two_scales_are_exact() {
    let (rows, cols) = (100, 130);
    for seed in 0..4 {
        let mut values = strewn(rows * cols, seed);
        // A block of zeros.
        (0..48).for_each(|r| values[r * cols..r * cols + 64].fill(0.0));
        let square = "(format: \"e2m5b2f\", overflow: saturate, scale: blocks(along: 48, across: 48, rule: floor_power))";
        let (_, _, ours) = on_machine("activations", &role("activations", square), rows, cols, &values);
        assert_same("bm", &ours, &defined("bm", &[("rounding", "nearest")], &[rows, cols], &values).values);

        for (rule, name) in [("floor_power", "floor"), ("ceil_power", "ceil")] {
            let text = format!("(format: \"e4m3fn\", overflow: saturate, scale: blocks(along: 32, across: 1, rule: {rule}))");
            let (_, _, ours) = on_machine("activations", &role("activations", &text), rows, cols, &values);
            let theirs = defined("mx", &[("scale_rule", name), ("rounding", "nearest")], &[rows, cols], &values);
            assert_same(name, &ours, &theirs.values);
        }

        // An exponent for each output channel, which is a column here and a row there.
        let text = "(format: \"fx8.6\", overflow: saturate, scale: blocks(along: 0, across: 1, rule: floor_power), expand: \"bf16\")";
        let (_, _, ours) = on_machine("weights", &role("weights", text), rows, cols, &values);
        let theirs = defined("swalp", &[("rounding", "nearest")], &[cols, rows], &transposed(&values, rows, cols));
        assert_same("swalp", &transposed(&ours, rows, cols), &theirs.values);

        for room in [0, 1] {
            let text = format!("(format: \"e3m4b7f\", overflow: saturate, scale: present(room: {room}))");
            let (_, _, ours) = on_machine("errors", &role("errors", &text), rows, cols, &values);
            let theirs = defined("fp134", &[("room", &room.to_string()), ("rounding", "nearest")], &[rows, cols], &values);
            assert_same("fp134", &ours, &theirs.values);
        }
    }
}

#[test]
fn codebooks_are_exact() {
    let (rows, cols) = (70, 64);
    for (scheme, signed) in [("dynamic_signed", true), ("dynamic_unsigned", false)] {
        let values: Vec<f32> = strewn(rows * cols, 9).iter().map(|v| if signed { *v } else { v.abs() }).collect();
        let text = format!("(format: \"int8\", scale: map(block: 256, signed: {signed}))");
        let (codes, scales, ours) = on_machine("momentum", &role("momentum", &text), rows, cols, &values);
        let theirs = defined(scheme, &[("block", "256")], &[rows * cols], &values);
        assert_same(scheme, &ours, &theirs.values);
        assert_eq!(scales.len(), (rows * cols).div_ceil(256));
        assert!(codes.iter().all(|c| *c < 256));
    }
}

/// Logarithms and powers are rounded to binary32 here and to binary64 there, so a code may be
/// its neighbour where the two fall on different sides of a tie.
#[test]
fn powers_of_magnitudes_differ_at_ties_only() {
    let (rows, cols) = (64, 96);
    let values: Vec<f32> = strewn(rows * cols, 5).iter().map(|v| v * 1e-3).collect();
    for (name, text, scheme, settings, allowed) in [
        ("errors", "(format: \"e5m2\", overflow: saturate, scale: squeeze, expand: \"fp32\")", "s2fp8", &[][..], 0.25),
        ("momentum", "(format: \"e4m3fn\", overflow: saturate, scale: expansion(block: 128))", "coat", &[][..], 0.13),
    ] {
        let (_, _, ours) = on_machine(name, &role(name, text), rows, cols, &values);
        let theirs = defined(scheme, settings, &[rows, cols], &values);
        let mut apart = 0;
        for ((a, b), x) in ours.iter().zip(&theirs.values).zip(&values) {
            assert_eq!(*x == 0.0, *a == 0.0 || a.abs() < 1e-30, "{scheme}: {x} became {a}");
            let distance = (a - b).abs() / b.abs().max(f32::MIN_POSITIVE);
            assert!(distance <= allowed, "{scheme}: {x} became {a} on the machine, {b} by definition");
            apart += usize::from(distance > 1e-4);
        }
        assert!(apart * 100 < values.len(), "{scheme}: {apart} of {} differ", values.len());
    }
}

/// Two levels of scales by way of binary32, as Transformer Engine computes them.
#[test]
fn two_level_scales_are_those_of_transformer_engine() {
    let (rows, cols) = (48, 80);
    let values = strewn(rows * cols, 7);
    let text =
        "(format: \"e2m1f\", overflow: saturate, scale: blocks(along: 16, across: 1, format: \"e4m3fn\", rule: ratio, two_level: true))";
    let (codes, ..) = on_machine("activations", &role("activations", text), rows, cols, &values);
    let theirs = defined("nvfp4", &[], &[rows, cols], &values);
    let element: Format = "e2m1f".parse().unwrap();
    let (_, _, ours) = on_machine("activations", &role("activations", text), rows, cols, &values);
    let apart = ours.iter().zip(&theirs.values).filter(|(a, b)| (*a - *b).abs() > 1e-5 * b.abs()).count();
    assert!(apart * 200 < values.len(), "{apart} of {} differ", values.len());
    assert!(codes.iter().all(|&c| element.to_f64(c).abs() <= 6.0));
}
