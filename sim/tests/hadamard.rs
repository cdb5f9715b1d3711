//! Hadamard transforms along the sum of the weight-gradient product.

use systole::machine::{Engine, Machine};
use systole::run::operands::{Generator, Role};
use systole_arrays::fast::KernelChoice;
use systole_golden::scheme::{Input, Parameters, Scheme};
use systole_isa::design::{self, Design};
use systole_isa::device::Device;
use systole_isa::format::Format;
use systole_isa::round::encode_f64;
use systole_trainer::data::{self, Dataset, Split};
use systole_trainer::lower::transform;
use systole_trainer::model::Model;
use systole_trainer::recipe::Recipe;
use systole_trainer::training::{Heard, Run, RunError, Task, train};

/// Signs of NVIDIA Transformer Engine's transform.
const SIGNS: [f64; 16] = [1., 1., 1., -1., 1., -1., -1., -1., -1., -1., -1., 1., -1., 1., -1., -1.];

fn recipe(name: &str, settings: &[(&str, &str)]) -> Recipe {
    Recipe::builtin(name).and_then(|r| r.with_overrides(settings)).unwrap_or_else(|e| panic!("{e}"))
}

/// What the machine makes of a tensor: values of codes in, values of codes out.
fn on_machine(recipe: &Recipe, design: &Design, side: usize, (rows, cols): (usize, usize), engine: Engine, values: &[f64]) -> Vec<f64> {
    let compiled = transform(recipe, design, side, rows, cols).unwrap_or_else(|e| panic!("{e}"));
    let mut machine = Machine::new(design.clone(), engine, KernelChoice::Auto).expect("a machine");
    for (tensor, constants) in &compiled.constants {
        let codes: Vec<u64> = constants.iter().map(|&v| encode_f64(tensor.format, v)).collect();
        machine.write(tensor.address, tensor.format, &codes).expect("constants");
    }
    let format = compiled.input.format;
    let codes: Vec<u64> = values.iter().map(|&v| encode_f64(format, v)).collect();
    machine.write(compiled.input.address, format, &codes).expect("a tensor");
    machine.run(&compiled.program, 0).expect("a run");
    let output = machine.read(compiled.output.address, format, rows * cols).expect("a tensor");
    output.into_iter().map(|code| format.to_f64(code)).collect()
}

/// The sum of a stretch in the order of the array, each addition rounded to binary32, the end to
/// `format`: the definition in host numbers. Rows that fill no stretch stay.
fn by_hand(format: Format, side: usize, (rows, cols): (usize, usize), values: &[f64]) -> Vec<f64> {
    let mut out = values.to_vec();
    for stretch in 0..rows / side {
        for (j, c) in (0..side).flat_map(|j| (0..cols).map(move |c| (j, c))) {
            let mut sum = 0f32;
            for i in 0..side {
                let sign = if (i & j).count_ones() % 2 == 1 { -1.0 } else { 1.0 } * SIGNS[i % 16] / (side as f64).sqrt();
                // Exact in binary64; rounded once to binary32, as the array's fused MAC does.
                sum = (f64::from(sum) + values[(stretch * side + i) * cols + c] * sign) as f32;
            }
            out[(stretch * side + j) * cols + c] = format.to_f64(encode_f64(format, sum.into()));
        }
    }
    out
}

/// Numbers of few bits over some binades, zeros among them.
fn strewn(count: usize, bits: u64, binades: u64, mut state: u64) -> Vec<f64> {
    let mut draw = |n: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % n
    };
    (0..count)
        .map(|_| {
            let magnitude = draw(1 << bits) as f64 * f64::from(draw(binades) as i32 - binades as i32 / 2).exp2();
            if draw(2) == 1 { -magnitude } else { magnitude }
        })
        .collect()
}

#[test]
fn transforms_are_the_definition_to_the_bit() {
    for (name, format) in [("nvfp4", "bf16"), ("fp32", "fp32")] {
        let recipe = recipe(name, &[]);
        let design = design::find(&recipe.design).expect("a design");
        let format: Format = format.parse().expect("a format");
        for (side, extents) in [(16, (32, 10)), (16, (35, 3)), (4, (7, 5)), (64, (64, 2)), (16, (15, 4))] {
            // Eight significant bits: numbers of either format.
            let values = strewn(extents.0 * extents.1, 8, 20, side as u64);
            let expected = by_hand(format, side, extents, &values);
            for engine in [Engine::Fast, Engine::Ticked] {
                let ours = on_machine(&recipe, &design, side, extents, engine, &values);
                assert_eq!(ours, expected, "{name}, {side} of {extents:?}, {}", engine.name());
            }
            // Rows beyond the last whole stretch are not touched.
            let whole = extents.0 / side * side * extents.1;
            assert_eq!(values[whole..], expected[whole..]);
        }
    }
}

/// The sum over rows of products of two tensors.
fn product(rows: usize, left: &[f64], right: &[f64]) -> Vec<f64> {
    let (m, n) = (left.len() / rows, right.len() / rows);
    (0..m * n).map(|at| (0..rows).map(|r| left[r * m + at / n] * right[r * n + at % n]).sum()).collect()
}

#[test]
fn products_of_two_transformed_operands_are_unchanged() {
    let recipe = recipe("fp32", &[]);
    let design = design::find("fp32-16x16").expect("a design");
    for (side, rows) in [(16, 64), (16, 40), (4, 12), (64, 130)] {
        // Sums of so few bits are exact in fp32, their products in binary64.
        let [errors, activations] = [(6, 1), (9, 2)].map(|(cols, seed)| (cols, strewn(rows * cols, 6, 4, seed)));
        let [e, a] = [&errors, &activations].map(|(cols, values)| on_machine(&recipe, &design, side, (rows, *cols), Engine::Fast, values));
        assert_ne!((&e, &a), (&errors.1, &activations.1));
        assert_eq!(product(rows, &e, &a), product(rows, &errors.1, &activations.1), "{side} of {rows}");
    }
}

/// Beside a large value of its block a small one is 0 in FP4; spread over the block it is not.
/// Published quantiser, definition of the transform in host numbers. What the large values then
/// lose weighs more: the error of a product of independent values does not fall.
#[test]
fn small_values_survive_outliers_when_transformed() {
    let (rows, cols) = (256, 24);
    // Cubes of normal values have long tails.
    let outliers = |role| -> Vec<f64> {
        let drawn = Generator::Normal.generate(Format::FP32, rows as u32, cols as u32, role, 0);
        drawn.codes.iter().map(|code| Format::FP32.to_f64(code).powi(3)).collect()
    };
    let (e, a) = (outliers(Role::A), outliers(Role::B));
    let exact = product(rows, &e, &a);
    // Blocks run along the last axis, which must be the sum.
    let quantized = |values: &[f64]| -> Vec<f64> {
        let turned: Vec<f32> = (0..cols * rows).map(|at| values[at % rows * cols + at / rows] as f32).collect();
        let parameters = Parameters::of(Scheme::find("nvfp4").expect("a scheme"));
        let quantized = parameters.quantize(&Input::new(&[cols, rows], &turned)).expect("values").values;
        (0..rows * cols).map(|at| quantized[at % cols * rows + at / cols].into()).collect()
    };
    let vanished = |values: &[f64]| quantized(values).iter().filter(|v| **v == 0.0).count() as f64 / values.len() as f64;
    let norm = |values: &[f64]| values.iter().map(|v| v * v).sum::<f64>().sqrt();
    let error = |e: &[f64], a: &[f64]| -> f64 {
        let apart: Vec<f64> = product(rows, &quantized(e), &quantized(a)).iter().zip(&exact).map(|(x, y)| x - y).collect();
        norm(&apart) / norm(&exact)
    };
    let turned = |values: &[f64]| by_hand(Format::FP32, 16, (rows, cols), values);
    let (plain, transformed) = (vanished(&a), vanished(&turned(&a)));
    let (error_plain, error_transformed) = (error(&e, &a), error(&turned(&e), &turned(&a)));
    println!("values that vanish {plain:.3}, transformed {transformed:.3}; error of the product {error_plain:.3}, {error_transformed:.3}");
    assert!(plain > 0.4 && transformed < 0.1, "{plain} {transformed}");
    assert!(error_transformed < 0.25, "{error_transformed}");
}

fn digits(images: usize) -> Dataset {
    let data = data::load("digits", Some(images)).expect("embedded data");
    Dataset { test: Split { pixels: data.test.pixels[..8 * 64].to_vec(), labels: data.test.labels[..8].to_vec(), targets: 1 }, ..data }
}

fn run(recipe: &Recipe, model: &str, data: &Dataset, engine: Engine) -> Run {
    let design = design::find(&recipe.design).expect("a design");
    let mut machine = Machine::new(design, engine, KernelChoice::Auto).expect("a machine");
    let model = Model::builtin(model, data.shape, data.classes).expect("a model");
    let task = Task { model: &model, data, recipe, seed: 0 };
    train(&task, &mut machine, None, |_: Heard<'_>| Ok::<(), RunError>(())).unwrap_or_else(|e| panic!("{e}"))
}

/// In fp32 the transform changes gradients by their rounding alone, of vectors and of windows of
/// images; batches of 20 leave four rows as they are.
#[test]
fn gradients_in_fp32_stay_what_they_are() {
    let data = digits(40);
    for model in ["mlp", "cnn"] {
        let weights = |hadamard: &str| {
            let role = format!("{{\"format\":\"fp32\",\"hadamard\":{hadamard}}}");
            let settings = [("epochs", "1"), ("batch", "20"), ("roles.activations", role.as_str()), ("roles.errors", &role)];
            let run = run(&recipe("fp32", &settings), model, &data, Engine::Fast);
            let values = |w: &systole_trainer::training::Weights| w.codes.iter().map(|&c| w.format.to_f64(c)).collect::<Vec<_>>();
            (run.weights.iter().flat_map(values).collect::<Vec<f64>>(), run.progress.training.events.macs)
        };
        let ((plain, macs), (transformed, more)) = (weights("0"), weights("16"));
        assert!(plain != transformed && more > macs, "{model}: {macs} {more}");
        let apart = plain.iter().zip(&transformed).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(apart < 1e-5, "{model}: {apart}");
    }
}

#[test]
fn engines_agree_under_transforms() {
    let data = digits(16);
    for model in ["mlp", "cnn"] {
        let recipe = recipe("nvfp4", &[("epochs", "1"), ("batch", "16")]);
        let [fast, ticked] = [Engine::Fast, Engine::Ticked].map(|engine| run(&recipe, model, &data, engine));
        assert_eq!(fast.weights, ticked.weights, "{model}");
        assert_eq!(fast.progress, ticked.progress, "{model}");
    }
}

#[test]
fn transforms_that_do_not_fit_are_refused() {
    let refused = |name: &str, settings: &[(&str, &str)]| {
        Recipe::builtin(name).and_then(|r| r.with_overrides(settings)).expect_err("a refusal").to_string()
    };
    for (name, role, side, needle) in [
        ("nvfp4", "weights", "16", "is for activations and errors"),
        ("nvfp4", "errors", "8", "must be 4, 16 or 64"),
        ("te-delayed-fp8", "errors", "16", "needs a scale found from the tensor itself, not `delayed`"),
    ] {
        let path = format!("roles.{role}.hadamard");
        let message = refused(name, &[(&path, side)]);
        assert!(message.contains(&path) && message.contains(needle), "{message}");
    }
    let data = digits(32);
    let model = Model::builtin("mlp", data.shape, data.classes).expect("a model");
    let compiled = |settings: &[(&str, &str)], name: &str| {
        let recipe = recipe(name, settings);
        systole_trainer::lower::compile(&model, &recipe, &design::find(&recipe.design).expect("a design"))
            .expect_err("a refusal")
            .to_string()
    };
    let unequal = compiled(&[("roles.errors.hadamard", "0")], "nvfp4");
    assert!(unequal.contains("layer linear1: activations have hadamard 16, errors 0"), "{unequal}");
    let modeless = compiled(&[("roles.activations.hadamard", "16"), ("roles.errors.hadamard", "16")], "mxfp8");
    assert!(modeless.contains("no MAC mode for the Hadamard transform"), "{modeless}");
}
