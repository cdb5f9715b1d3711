//! Recipes train, their failures are the published ones, and their mechanisms keep their promises.

use systole::machine::{Engine, Machine};
use systole_arrays::fast::KernelChoice;
use systole_isa::design;
use systole_isa::format::Format;
use systole_isa::round::{Policy, encode_f64};
use systole_trainer::data::{self, Dataset, Split};
use systole_trainer::model::Model;
use systole_trainer::recipe::{Backend, RECIPES, Recipe};
use systole_trainer::training::{Checkpoint, Heard, Run, RunError, Task, train};

fn digits(images: usize) -> Dataset {
    data::load("digits", Some(images)).expect("embedded data")
}

fn recipe(name: &str, settings: &[(&str, &str)]) -> Recipe {
    Recipe::builtin(name).and_then(|r| r.with_overrides(settings)).unwrap_or_else(|e| panic!("{e}"))
}

fn run_on(engine: Engine, recipe: &Recipe, model: &str, data: &Dataset, resume: Option<&Checkpoint>) -> (Run, Vec<Checkpoint>) {
    let design = design::find(&recipe.design).expect("a built-in design");
    let mut machine = Machine::new(design, engine, KernelChoice::Auto).expect("a machine");
    let model = Model::builtin(model, data.shape, data.classes).expect("a model");
    let task = Task { model: &model, data, recipe, seed: 0 };
    let mut checkpoints = Vec::new();
    let run = train(&task, &mut machine, resume, |heard| {
        if let Heard::Epoch { checkpoint, .. } = heard {
            checkpoints.push(checkpoint.clone());
        }
        Ok::<(), RunError>(())
    });
    (run.unwrap_or_else(|e| panic!("{}: {e}", recipe.name)), checkpoints)
}

fn run(recipe: &Recipe, model: &str, data: &Dataset) -> Run {
    run_on(Engine::Fast, recipe, model, data, None).0
}

fn accuracy(run: &Run) -> f64 {
    run.progress.epochs.last().map_or(0.0, |e| e.averaged_test_accuracy.unwrap_or(e.test_accuracy))
}

#[test]
fn every_recipe_learns() {
    let data = digits(960);
    for built_in in RECIPES {
        let recipe = recipe(built_in.name, &[("epochs", "3")]);
        if recipe.backend == Backend::Host || recipe.name.starts_with("narrow") {
            continue;
        }
        let run = run(&recipe, "mlp", &data);
        let losses: Vec<f64> = run.progress.epochs.iter().map(|e| e.loss).collect();
        assert!(losses.iter().all(|l| l.is_finite()) && losses[2] < 0.8 * losses[0], "{}: {losses:?}", recipe.name);
    }
}

/// Convolutions, normalisation and pooling with operands in blocks, followed scales, stored states.
#[test]
fn mechanisms_work_in_convolutional_networks() {
    let data = digits(256);
    for name in ["bm8", "mxfp8", "nvfp4", "fp8-seb", "fp134", "te-delayed-fp8", "swalp", "adam8bit", "coat", "hfp8", "s2fp8"] {
        let recipe = recipe(name, &[("epochs", "2"), ("batch", "16")]);
        let run = run(&recipe, "cnn", &data);
        let losses: Vec<f64> = run.progress.epochs.iter().map(|e| e.loss).collect();
        assert!(losses[1] < losses[0], "{name}: {losses:?}");
    }
}

#[test]
fn ticked_and_fast_agree_under_scales() {
    let data = digits(16);
    let small =
        Dataset { test: Split { pixels: data.test.pixels[..8 * 64].to_vec(), labels: data.test.labels[..8].to_vec(), targets: 1 }, ..data };
    for name in ["fp8-seb", "nvfp4", "te-current-fp8", "hfp8"] {
        let recipe = recipe(name, &[("epochs", "1"), ("batch", "8")]);
        let [fast, ticked] = [Engine::Fast, Engine::Ticked].map(|engine| run_on(engine, &recipe, "mlp", &small, None).0);
        assert_eq!(fast.weights, ticked.weights, "{name}");
        assert_eq!(fast.progress, ticked.progress, "{name}");
    }
}

/// Interrupted between epochs and resumed, every kind of state comes back.
#[test]
fn resumed_runs_end_in_the_same_bits() {
    let data = digits(128);
    for name in ["te-delayed-fp8", "fp8-seb", "fp134", "swalp", "adam8bit", "coat", "hfp8", "error-feedback", "mixed-adam"] {
        let recipe = recipe(name, &[("epochs", "3"), ("batch", "16")]);
        let (whole, checkpoints) = run_on(Engine::Fast, &recipe, "mlp", &data, None);
        let (resumed, _) = run_on(Engine::Fast, &recipe, "mlp", &data, Some(&checkpoints[0]));
        assert_eq!(whole.weights, resumed.weights, "{name}");
        assert_eq!(whole.progress, resumed.progress, "{name}");
    }
}

/// Errors 2^-20 of their size vanish in e5m2; scaling the loss back, or squeezing logarithms,
/// saves them.
#[test]
fn small_errors_need_a_loss_scale_or_a_squeeze() {
    let data = digits(960);
    let trained = |name: &str, scale: &str| accuracy(&run(&recipe(name, &[("epochs", "3"), ("loss_scale", scale)]), "mlp", &data));
    let (small, usual) = ("9.5367431640625e-7", "1024");
    let (lost, kept) = (trained("fp8", small), trained("fp8", usual));
    assert!(lost < 0.3 && kept > 0.85, "{lost} {kept}");
    let squeezed = trained("s2fp8", small);
    assert!(squeezed > kept - 0.05, "{squeezed} {kept}");
}

/// Steps below half a unit in the last place are lost to nearest rounding; stochastic rounding
/// and compensation keep them.
#[test]
fn narrow_weights_freeze_without_stochastic_rounding_or_compensation() {
    let data = digits(960);
    let trained = |rounding: &str, compensation: &str| {
        let settings = [
            ("epochs", "6"),
            ("optimizer.learning_rate", "0.02"),
            ("optimizer.momentum", "0"),
            ("optimizer.compensation", compensation),
            ("roles.master_weights", &format!("{{\"format\":\"e6m5f\",\"rounding\":\"{rounding}\"}}")),
        ];
        accuracy(&run(&recipe("fp32", &settings), "mlp", &data))
    };
    let (frozen, stochastic, kahan) = (trained("rne", "none"), trained("sr16", "none"), trained("rne", "kahan"));
    assert!(frozen < stochastic - 0.3 && frozen < kahan - 0.3, "{frozen} {stochastic} {kahan}");
}

/// A scale that overflows fp16 is halved, its steps skipped, until gradients are finite.
#[test]
fn overflowing_steps_are_skipped_and_the_scale_backs_off() {
    let data = digits(640);
    let recipe = recipe("amp-o1", &[("epochs", "2"), ("loss_scale.largest", "1e30"), ("loss_scale.initial", "1e12")]);
    let run = run(&recipe, "mlp", &data);
    let progress = &run.progress;
    let skipped = progress.steps - progress.updates;
    let scale = progress.scaler.map_or(0.0, |s| f64::from(s.scale));
    assert!((1..30).contains(&skipped), "{skipped}");
    assert_eq!(scale, f64::from(1e12f32) * 0.5f64.powi(skipped as i32));
    assert!(progress.epochs[1].loss < progress.epochs[0].loss);
}

/// Truncated gradients lose what is below their grid; rounded without bias they do not, nor do
/// truncated steps whose loss is fed back.
#[test]
fn biased_steps_stall_and_feedback_repairs_them() {
    let data = digits(960);
    let trained =
        |name: &str, settings: &[(&str, &str)]| accuracy(&run(&recipe(name, &[&[("epochs", "4")], settings].concat()), "mlp", &data));
    let truncated = trained(
        "sgd-quantized",
        &[("roles.weight_gradients.format", "fx8.4"), ("roles.weight_gradients.rounding", "rtz"), ("optimizer.learning_rate", "0.1")],
    );
    let unbiased = trained("sgd-quantized", &[("roles.weight_gradients.format", "fx8.4"), ("optimizer.learning_rate", "0.1")]);
    let feedback = trained("error-feedback", &[]);
    assert!(truncated < unbiased - 0.1 && truncated < feedback - 0.1, "{truncated} {unbiased} {feedback}");
}

/// A weight kept as its FP8 operand and a 16-bit rest is the 16-bit weight to the bit.
#[test]
fn residuals_and_operands_are_the_master_weight() {
    let run = run(&recipe("hfp8", &[("epochs", "1"), ("exempt", "[]")]), "mlp", &digits(128));
    let dlfloat: Format = "dlfloat16".parse().expect("a format");
    let mut checked = 0;
    for pair in run.weights.windows(2).filter(|pair| pair[1].name == format!("{}.1", pair[0].name)) {
        let [weight, rest] = pair else { continue };
        for (&w, &r) in weight.codes.iter().zip(&rest.codes) {
            let whole = weight.format.to_f64(w) + rest.format.to_f64(r);
            assert_eq!(dlfloat.to_f64(encode_f64(dlfloat, whole)), whole, "{}", weight.name);
            let operand =
                systole_isa::round::encode(weight.format, systole_isa::exact::Exact::from_f64(whole).expect("finite"), SATURATING, 0).0;
            assert_eq!(weight.format.to_f64(operand), weight.format.to_f64(w), "{}: {whole}", weight.name);
            checked += 1;
        }
    }
    assert!(checked > 9000, "{checked}");
}

const SATURATING: Policy = Policy::RNE.overflow(systole_isa::round::Overflow::Saturate);
