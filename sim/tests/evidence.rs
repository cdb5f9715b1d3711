//! Evidence of training steps: what it counts, and that nobody notices it.

use std::num::NonZeroU64;
use systole::machine::{Engine, Machine};
use systole_arrays::fast::KernelChoice;
use systole_isa::design;
use systole_trainer::data::{self, Batches, Dataset};
use systole_trainer::model::Model;
use systole_trainer::recipe::Recipe;
use systole_trainer::training::{Evidence, Heard, Run, RunError, Task, TensorEvidence, train_with_evidence};

fn digits(images: usize) -> Dataset {
    data::load("digits", Some(images)).expect("embedded data")
}

fn recipe(name: &str, settings: &[(&str, &str)]) -> Recipe {
    Recipe::builtin(name).and_then(|r| r.with_overrides(settings)).unwrap_or_else(|e| panic!("{e}"))
}

fn run(recipe: &Recipe, model: &str, data: &Dataset, every: u64) -> (Run, Vec<Evidence>) {
    let design = design::find(&recipe.design).expect("a built-in design");
    let mut machine = Machine::new(design, Engine::Fast, KernelChoice::Auto).expect("a machine");
    let model = Model::builtin(model, data.shape, data.classes).expect("a model");
    let task = Task { model: &model, data, recipe, seed: 0 };
    let mut seen = Vec::new();
    let run = train_with_evidence(&task, &mut machine, None, NonZeroU64::new(every), |heard| {
        if let Heard::Evidence { evidence, .. } = heard {
            seen.push(evidence.clone());
        }
        Ok::<(), RunError>(())
    });
    (run.unwrap_or_else(|e| panic!("{}: {e}", recipe.name)), seen)
}

fn of_role<'a>(evidence: &'a Evidence, role: &'a str) -> impl Iterator<Item = &'a TensorEvidence> {
    evidence.tensors.iter().filter(move |tensor| tensor.role == role)
}

#[test]
fn a_run_that_is_watched_ends_in_the_same_bits_at_the_same_cost() {
    for (name, model) in [("fp8", "mlp"), ("fp16-mixed", "mlp"), ("fp134", "cnn"), ("adam8bit", "mlp"), ("coat", "mlp"), ("nvfp4", "cnn")] {
        let data = digits(128);
        let recipe = recipe(name, &[("epochs", "2"), ("batch", "16")]);
        let (alone, nothing) = run(&recipe, model, &data, 0);
        let (watched, seen) = run(&recipe, model, &data, 3);
        assert_eq!(alone.weights, watched.weights, "{name}");
        assert_eq!(alone.progress, watched.progress, "{name}");
        assert_eq!((nothing.len(), seen.iter().map(|e| e.step).collect::<Vec<_>>()), (0, vec![3, 6, 9, 12, 15]), "{name}");
    }
}

/// Operands that lose nothing give the exact gradient but for the array's sums, through windows of
/// images, branches and heads alike.
#[test]
fn gradients_in_fp32_point_where_exact_ones_do() {
    let text = data::load("chars:16", Some(16)).expect("embedded data");
    for (model, data) in [("mlp", digits(16)), ("cnn", digits(16)), ("resnet20", digits(16)), ("transformer", text)] {
        let (_, seen) = run(&recipe("fp32", &[("epochs", "2"), ("batch", "8")]), model, &data, 2);
        assert!(seen.len() > 1 && seen.iter().all(|e| e.gradients.len() > 1), "{model}");
        for evidence in seen {
            for gradient in &evidence.gradients {
                let [error, of_array] = [gradient.error, gradient.array_error].map(|error| error.unwrap_or(f64::NAN));
                assert!(gradient.cosine > Some(1.0 - 1e-10) && error < 1e-5 && of_array == error, "{model}: {gradient:?}");
            }
            for tensor in evidence.tensors.iter().filter(|t| t.role != "weight_gradients") {
                assert_eq!((tensor.error, tensor.underflows, tensor.saturated), (Some(0.0), 0, Some(0)), "{model}: {tensor:?}");
            }
        }
    }
}

/// What is read as operands is what the array multiplied, however they are scaled: nothing but
/// the rounding of its sums separates the gradient from their product.
#[test]
fn operands_are_read_as_the_array_took_them() {
    // Sums are rounded to 24 significant bits, but for one design that cuts them to 14.
    for (name, sums) in [
        ("te-current-fp8", 1e-5),
        ("te-delayed-fp8", 1e-5),
        ("mxfp8", 1e-5),
        ("nvfp4", 1e-5),
        ("deepseek-fp8", 4e-3),
        ("fp134", 1e-5),
        ("s2fp8", 1e-5),
    ] {
        // Of the stages behind the product only the first is seen.
        let plain = recipe(name, &[("epochs", "1"), ("batch", "16"), ("roles.weight_gradients", "fp32")]);
        let (_, seen) = run(&plain, "cnn", &digits(48), 1);
        for gradient in seen.iter().flat_map(|evidence| &evidence.gradients) {
            assert!(gradient.array_error < Some(sums), "{name}: {gradient:?}");
        }
        // Some recipes exempt the last layer.
        let lossy = |evidence: &Evidence| evidence.gradients.iter().any(|g| g.error > Some(1e-3) && g.cosine < Some(1.0));
        assert!(seen.iter().all(lossy), "{name}");
    }
}

#[test]
fn every_role_that_is_rounded_is_seen() {
    let (_, seen) = run(&recipe("adam8bit", &[("epochs", "1"), ("batch", "32")]), "mlp", &digits(64), 2);
    let evidence = &seen[0];
    let layers: Vec<&str> = of_role(evidence, "weights").map(|t| t.layer.as_str()).collect();
    assert_eq!(layers.len(), 2);
    for role in ["activations", "errors"] {
        assert_eq!(of_role(evidence, role).map(|t| t.layer.as_str()).filter(|layer| layers.contains(layer)).count(), 2, "{role}");
    }
    // Weights and biases.
    assert_eq!(of_role(evidence, "weight_gradients").count(), 4);
    for role in ["momentum", "variance"] {
        let large: Vec<_> = of_role(evidence, role).filter(|t| t.format == "int8").collect();
        assert!(!large.is_empty(), "{role}");
        for tensor in large {
            assert!(tensor.pass == "update" && tensor.saturated.is_none() && tensor.scale.is_some(), "{tensor:?}");
            assert!(tensor.error > Some(0.0) && tensor.error < Some(0.2), "{tensor:?}");
        }
    }
    let (_, seen) = run(&recipe("coat", &[("epochs", "1"), ("batch", "32")]), "mlp", &digits(64), 2);
    for tensor in ["momentum", "variance"].into_iter().flat_map(|role| of_role(&seen[0], role)) {
        assert!(tensor.error > Some(0.0) && tensor.error < Some(0.1), "{tensor:?}");
    }
}

/// A rectifier that rounds at once hides nothing: the error is that of its input's positive part.
#[test]
fn operands_that_a_rectifier_rounded_have_their_error() {
    let (_, seen) = run(&recipe("fp8", &[("epochs", "1"), ("batch", "32")]), "mlp", &digits(64), 1);
    for evidence in &seen {
        let hidden = of_role(evidence, "activations").last().expect("two layers");
        // e4m3: at most 2^-4 of normal numbers, some 2.6 % as the root of mean squares.
        assert!(hidden.error > Some(0.01) && hidden.error < Some(0.05), "{hidden:?}");
        assert!(hidden.amax > Some(0.0) && hidden.elements > 0, "{hidden:?}");
    }
}

/// Where gradients are noise above all, weights rounded with hysteresis change at most half as often
/// as those rounded to nearest, and hardly ever back. (Momentum makes of noise a drift, which moves
/// both alike.)
#[test]
fn hysteresis_halves_the_flips() {
    const SETTLED: usize = 4 * 80;
    let data = digits(320);
    let plain = [
        ("epochs", "6"),
        ("batch", "4"),
        ("optimizer.momentum", "0"),
        ("optimizer.learning_rate", "0.02"),
        ("optimizer.schedule", "constant"),
    ];
    let nearest_log4 = [&plain[..], &[("roles.weights.hysteresis", "false")]].concat();
    for (with, without) in
        [(recipe("fp134", &plain), recipe("fp134-nearest", &plain)), (recipe("fp134-log4", &plain), recipe("fp134-log4", &nearest_log4))]
    {
        let [with, without] = [with, without].map(|recipe| {
            let (_, seen) = run(&recipe, "mlp", &data, 1);
            assert!(of_role(&seen[0], "weights").all(|t| t.flips.is_none()), "nothing lies before the first step");
            let weights = || seen[SETTLED..].iter().flat_map(|e| of_role(e, "weights"));
            let sum = |of: fn(&TensorEvidence) -> Option<u64>| weights().map(|t| of(t).expect("seen")).sum::<u64>();
            (sum(|t| t.flips), sum(|t| t.reversals))
        });
        assert!(with.0 > 0 && 2 * with.0 <= without.0, "{with:?} with, {without:?} without");
        assert!(5 * with.1 <= without.1, "{with:?} with, {without:?} without");
    }
}

/// Flips are from one step to the very next, however often somebody looks.
#[test]
fn flips_do_not_depend_on_how_often_one_looks() {
    let (data, recipe) = (digits(256), recipe("fp8", &[("epochs", "1"), ("batch", "16")]));
    let [all, some] = [1, 5].map(|every| run(&recipe, "mlp", &data, every).1);
    assert_eq!(some.len(), 3);
    for evidence in some {
        assert_eq!(evidence, all[evidence.step as usize - 1]);
        assert!(of_role(&evidence, "weights").all(|t| t.flips.is_some() && t.reversals.is_some()));
    }
}

/// An amax that jumps saturates one step under delayed scaling, and not the next.
#[test]
fn delayed_scales_saturate_for_one_step() {
    const JUMP: usize = 4;
    let mut data = digits(256);
    let recipe = recipe("te-delayed-fp8", &[("epochs", "1"), ("batch", "32")]);
    let size = data.shape.elements();
    for indices in Batches::new(data.train.len(), 32, 0, 0).iter().take(JUMP) {
        for &i in indices {
            data.train.pixels[i * size..(i + 1) * size].iter_mut().for_each(|pixel| *pixel = (*pixel).min(1));
        }
    }
    let (_, seen) = run(&recipe, "mlp", &data, 1);
    let images: Vec<&TensorEvidence> = seen.iter().map(|e| of_role(e, "activations").next().expect("images")).collect();
    let saturated: Vec<bool> = images.iter().map(|t| t.saturated.expect("counted") > 0).collect();
    assert_eq!(saturated, (0..8).map(|step| step == JUMP).collect::<Vec<_>>());
    // What values are divided by: 1 at first, then amax / 448 of the steps before.
    let scales: Vec<f64> = images.iter().map(|t| t.scale.expect("one")[0] * 448.0).collect();
    let [dim, bright] = [1.0 / 16.0, 1.0].map(|amax| (0.999_999 * amax, 1.000_001 * amax));
    for (step, scale) in scales.into_iter().enumerate() {
        let (low, high) = match step {
            0 => (448.0, 448.0),
            1..=JUMP => dim,
            _ => bright,
        };
        assert!((low..=high).contains(&scale), "step {step}: {scale}");
    }
}
