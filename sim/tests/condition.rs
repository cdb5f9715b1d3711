//! Precision by condition number: masks choose what the rule says, the ends of the scale are plain
//! products, and shares, errors and costs behave.

use systole::machine::{Engine, Machine};
use systole::run::dot_products;
use systole::run::figure::condition::{self, Chosen, Point, Sweep};
use systole_arrays::fast::KernelChoice;
use systole_isa::design::{self, Design};
use systole_isa::format::Format;
use systole_isa::round::encode_f64;
use systole_trainer::data::{self, Dataset, Split};
use systole_trainer::layer::{LayerSpec, Linear, Relu, Tanh};
use systole_trainer::model::Model;
use systole_trainer::recipe::{Recipe, Selection, Threshold};
use systole_trainer::training::{Checkpoint, Heard, Run, RunError, Task, answers, train};

const NAME: &str = "condition-number";
const THRESHOLD: &str = "recompute.rule.condition.threshold";

fn recipe(settings: &[(&str, &str)]) -> Recipe {
    Recipe::builtin(NAME).and_then(|r| r.with_overrides(settings)).unwrap_or_else(|e| panic!("{e}"))
}

fn hardware(settings: &[(&str, &str)]) -> Design {
    let settings: Vec<_> = settings.iter().map(|(path, value)| ((*path).to_owned(), (*value).to_owned())).collect();
    design::find("condition-16x16").expect("a built-in design").with_overrides(&settings).unwrap_or_else(|e| panic!("{e}"))
}

fn digits(train: usize, test: usize) -> Dataset {
    let data = data::load("digits", Some(train)).expect("embedded data");
    let test = Split { pixels: data.test.pixels[..test * 64].to_vec(), labels: data.test.labels[..test].to_vec(), targets: 1 };
    Dataset { test, ..data }
}

fn machine(design: &Design, engine: Engine) -> Machine {
    Machine::new(design.clone(), engine, KernelChoice::Auto).expect("a machine")
}

fn run_on(engine: Engine, design: &Design, recipe: &Recipe, model: &str, data: &Dataset) -> (Run, Checkpoint) {
    let model = Model::builtin(model, data.shape, data.classes).expect("a model");
    let task = Task { model: &model, data, recipe, seed: 0 };
    let mut last = None;
    let run = train(&task, &mut machine(design, engine), None, |heard| {
        if let Heard::Epoch { checkpoint, .. } = heard {
            last = Some(checkpoint.clone());
        }
        Ok::<(), RunError>(())
    });
    (run.unwrap_or_else(|e| panic!("{}: {e}", recipe.name)), last.expect("an epoch"))
}

fn run(recipe: &Recipe, model: &str, data: &Dataset) -> (Run, Checkpoint) {
    run_on(Engine::Fast, &hardware(&[]), recipe, model, data)
}

/// Threshold 0 behind tanh computes all again, and an infinite one nothing: then the steps are those of
/// the recipe with one product alone.
#[test]
fn the_ends_are_plain_products() {
    let data = digits(128, 64);
    for (model, converter) in [("mlp-tanh", &[][..]), ("cnn", &[]), ("mlp-tanh", &[("output.format", "bf16")])] {
        let design = hardware(converter);
        let weights = |recipe: &Recipe| run_on(Engine::Fast, &design, recipe, model, &data).0.weights;
        for numerator in ["exact", "row_bound"] {
            let all = recipe(&[("epochs", "1"), (THRESHOLD, "0"), ("recompute.rule.condition.numerator", numerator)]);
            let (computed, _) = run_on(Engine::Fast, &design, &all, model, &data);
            assert_eq!(computed.weights, weights(&all.all_fine()), "{model} {numerator}");
            let events = computed.progress.training.events;
            assert_eq!(events.macs, events.macs_spent, "{model}");
        }
        let none = recipe(&[("epochs", "1"), (THRESHOLD, "inf"), ("recompute.backward", "coarse"), ("roles.errors", "e4m3fn")]);
        let plain = Recipe { recompute: None, ..none.clone() };
        assert_eq!(weights(&none), weights(&plain), "{model}");
        let none = recipe(&[("epochs", "1"), (THRESHOLD, "inf")]);
        let (unmasked, _) = run_on(Engine::Fast, &design, &none, model, &data);
        assert_ne!(unmasked.weights, weights(&none.all_fine()), "{model}");
    }
}

/// The number of outputs computed again is what the formulas give on the host: products and sums are
/// nearly exact here, so that only condition numbers next to the threshold are in doubt.
#[test]
fn condition_numbers_are_those_of_the_formulas() {
    let data = digits(320, 96);
    let design = hardware(&[("mac.accumulator", "fp32")]);
    let linear = |out| LayerSpec::Linear(Linear { out, bias: true });
    type Slope = fn(f64) -> f64;
    let cases: [(&str, Vec<LayerSpec>, Slope); 3] = [
        ("none", vec![LayerSpec::Flatten, linear(10)], |_| 1.0),
        ("tanh", vec![LayerSpec::Flatten, linear(24), LayerSpec::Tanh(Tanh), linear(10)], |v| 2.0 * v.abs() / (2.0 * v.abs()).sinh()),
        ("relu", vec![LayerSpec::Flatten, linear(24), LayerSpec::Relu(Relu), linear(10)], |v| if v < 0.0 { 0.0 } else { 1.0 }),
    ];
    for (name, layers, slope) in cases {
        let model = Model::sequential(name, data.shape, data.classes, layers);
        let fine = recipe(&[("epochs", "4")]).all_fine();
        let task = Task { model: &model, data: &data, recipe: &fine, seed: 0 };
        let mut checkpoint = None;
        let run = train(&task, &mut machine(&design, Engine::Fast), None, |heard| {
            if let Heard::Epoch { checkpoint: new, .. } = heard {
                checkpoint = Some(new.clone());
            }
            Ok::<(), RunError>(())
        });
        let weights = run.unwrap_or_else(|e| panic!("{e}")).weights;
        let values = |at: usize| -> Vec<f64> { weights[at].codes.iter().map(|&code| weights[at].format.to_f64(code)).collect() };
        let narrow = |x: f64| Format::E4M3FN.to_f64(encode_f64(Format::E4M3FN, x));
        let (w, bias, outputs) = (values(0), values(1), weights[0].cols);
        let pixels = data.test.pixels.iter().map(|&p| f64::from(f32::from(p) / f32::from(data.full_scale)));
        let x: Vec<f64> = pixels.collect();
        for numerator in ["exact", "row_bound"] {
            let conditions: Vec<f64> = x
                .chunks(64)
                .flat_map(|x| (0..outputs).map(|j| (x.to_vec(), j)).collect::<Vec<_>>())
                .map(|(x, j)| {
                    let terms: Vec<f64> = x.iter().enumerate().map(|(k, x)| narrow(*x) * narrow(w[k * outputs + j])).collect();
                    let v = terms.iter().sum::<f64>() + bias[j];
                    let sum = match numerator {
                        "exact" => terms.iter().map(|t| t.abs()).sum::<f64>(),
                        _ => (0..64).map(|k| w[k * outputs + j].abs()).sum::<f64>() * x.iter().fold(0.0f64, |m, x| m.max(x.abs())),
                    };
                    (sum + bias[j].abs()) / v.abs() * slope(v)
                })
                .collect();
            for threshold in [0.5, 1.5, 3.0, 10.0] {
                let text = threshold.to_string();
                let recipe = recipe(&[("epochs", "4"), (THRESHOLD, &text), ("recompute.rule.condition.numerator", numerator)]);
                let task = Task { model: &model, data: &data, recipe: &recipe, seed: 0 };
                let answers = answers(&task, &mut machine(&design, Engine::Fast), checkpoint.as_ref().expect("an epoch"));
                let record = answers.unwrap_or_else(|e| panic!("{e}")).record;
                let count = dot_products::by_layer(&recipe, &design, &model, &record)[0].1;
                assert_eq!(count.computed, conditions.len() as u64);
                let above = |limit: f64| conditions.iter().filter(|c| **c > limit).count() as u64;
                let (least, most) = (above(threshold * 1.0001), above(threshold * 0.9999));
                assert!((least..=most).contains(&count.again), "{name} {numerator} {threshold}: {} not in {least}..={most}", count.again);
                // The threshold parts them.
                let parts = threshold == 3.0 && numerator == "exact";
                assert!(!parts || 0 < least && most < count.computed, "{name} {numerator} {threshold}: {least}..={most}");
            }
        }
    }
}

#[test]
fn engines_agree_on_masks() {
    let data = digits(16, 8);
    for (model, numerator) in [("mlp-tanh", "exact"), ("mlp", "row_bound")] {
        let recipe = recipe(&[("epochs", "1"), ("batch", "8"), ("recompute.rule.condition.numerator", numerator)]);
        let [fast, ticked] = [Engine::Fast, Engine::Ticked].map(|engine| run_on(engine, &hardware(&[]), &recipe, model, &data).0);
        assert_eq!(fast.weights, ticked.weights, "{model}");
        assert_eq!(fast.progress, ticked.progress, "{model}");
    }
}

/// Every output is the first product's or the second's, and a larger threshold keeps what a smaller one keeps.
#[test]
fn outputs_above_the_threshold_are_replaced_and_no_others() {
    let data = digits(320, 96);
    let base = recipe(&[("epochs", "2")]);
    // The first product's operands meet errors where nothing is computed again.
    let modes = r#"[{"a":"fp16","b":"fp16","accumulator":"fp32"},{"a":"fp16","b":"e4m3fn","accumulator":"fp32"}]"#;
    let design = hardware(&[("modes", modes)]);
    let model = Model::builtin("mlp-tanh", data.shape, data.classes).expect("a model");
    // The first layer is left in the finer precision, so that the second reads the same under each.
    let last_only = |recipe: Recipe| {
        let ron = r#"[(layers: ["first"], roles: (weights: "fp16", activations: "fp16"))]"#;
        let exempt = systole_isa::overrides::ron_options().from_str(ron).expect("an exemption");
        Recipe { exempt, ..recipe }
    };
    let exempted = last_only(base.clone());
    let (_, checkpoint) = run_on(Engine::Fast, &design, &last_only(base.all_fine()), "mlp-tanh", &data);
    let logits = |recipe: &Recipe| {
        let task = Task { model: &model, data: &data, recipe, seed: 0 };
        let answers = answers(&task, &mut machine(&design, Engine::Fast), &checkpoint).unwrap_or_else(|e| panic!("{e}"));
        answers.logits
    };
    let rule = |threshold: f64| Selection::Condition { threshold: Threshold(threshold), numerator: Default::default() };
    let (low, high) = (logits(&exempted.with_rule(rule(f64::INFINITY))), logits(&exempted.all_fine()));
    assert_eq!(low, logits(&Recipe { recompute: None, ..exempted.clone() }));
    let mut before = low.clone();
    for threshold in [1e6, 16.0, 4.0, 1.0, 0.0] {
        let mixed = logits(&exempted.with_rule(rule(threshold)));
        for (i, value) in mixed.iter().enumerate() {
            assert!([low[i], high[i]].contains(value), "{threshold}, logit {i}: {value} is neither {} nor {}", low[i], high[i]);
            // What a larger threshold replaced, a smaller one does.
            assert!(before[i] == low[i] || *value == high[i], "{threshold}, logit {i}");
        }
        before = mixed;
    }
    assert_eq!(before, high);
    // A checkpoint knows its recipe's exemptions.
    let task = Task { model: &model, data: &data, recipe: &base, seed: 0 };
    let error = answers(&task, &mut machine(&design, Engine::Fast), &checkpoint).unwrap_err().to_string();
    assert!(error.contains("another recipe"), "{error}");
}

/// Behind ReLU, outputs below 0 have condition number 0, and stay at every threshold.
#[test]
fn negative_outputs_behind_relu_stay() {
    let data = digits(320, 96);
    let (_, checkpoint) = run(&recipe(&[("epochs", "1")]).all_fine(), "mlp", &data);
    let model = Model::builtin("mlp", data.shape, data.classes).expect("a model");
    let design = hardware(&[]);
    let recipe = recipe(&[("epochs", "1"), (THRESHOLD, "0")]);
    let task = Task { model: &model, data: &data, recipe: &recipe, seed: 0 };
    let answers = answers(&task, &mut machine(&design, Engine::Fast), &checkpoint).unwrap_or_else(|e| panic!("{e}"));
    let dots = dot_products::by_layer(&recipe, &design, &model, &answers.record);
    assert_eq!(dots.len(), 2);
    let (hidden, last) = (dots[0].1, dots[1].1);
    assert_eq!((hidden.computed, last.computed), (96 * 128, 96 * 10));
    assert!((0.1..0.9).contains(&hidden.low_share()), "{}", hidden.low_share());
    assert_eq!(last.again, last.computed);
}

fn sweep(model: &str, data: &Dataset, thresholds: &[f64], seeds: u32, settings: &[(&str, &str)]) -> Vec<Point> {
    let (recipe, design) = (recipe(settings), hardware(&[]));
    let model = Model::builtin(model, data.shape, data.classes).expect("a model");
    let sweep =
        Sweep { model: &model, data, recipe: &recipe, design: &design, thresholds, first_seed: 0, seeds, kernel: KernelChoice::Auto };
    condition::run(&sweep, None, |_| ()).unwrap_or_else(|e| panic!("{e}"))
}

fn chosen(points: &[Point], chosen: Chosen, seed: u64) -> Vec<&Point> {
    points.iter().filter(|p| p.chosen == chosen && p.seed == seed).collect()
}

/// More stays in low precision under a larger threshold, and at small ones what the condition number
/// picks errs less than what lots pick.
#[test]
fn shares_are_monotone_and_condition_numbers_beat_lots() {
    let data = digits(960, 360);
    let points = sweep("mlp-tanh", &data, &[0.0, 0.5, 1.0, 2.0, 8.0, f64::INFINITY], 3, &[("epochs", "6")]);
    for seed in 0..3 {
        let (by_condition, random) = (chosen(&points, Chosen::Condition, seed), chosen(&points, Chosen::Random, seed));
        assert!(by_condition.windows(2).all(|pair| pair[0].low_share <= pair[1].low_share));
        assert_eq!((by_condition[0].low_share, by_condition[5].low_share), (0.0, 1.0));
        assert_eq!(by_condition[0].logit_error, Some(0.0));
        // Lots alone pick as many, and at the ends the same.
        for (c, r) in by_condition.iter().zip(&random) {
            assert!((c.low_share - r.low_share).abs() < 0.02, "{} {}", c.low_share, r.low_share);
        }
        assert_eq!(by_condition[5].logit_error, random[5].logit_error);
        for (at, part) in [(1, 0.8), (2, 0.8), (3, 1.0)] {
            let (c, r) = (by_condition[at].logit_error.unwrap(), random[at].logit_error.unwrap());
            assert!(by_condition[at].low_share > 0.0, "{}", by_condition[at].low_share);
            assert!(c < part * r, "seed {seed}, threshold {}: {c} by condition, {r} by lot", by_condition[at].threshold.0);
        }
        // Every product is asked for three times; what is spent falls with the share.
        let fine = chosen(&points, Chosen::AllFine, seed)[0];
        assert_eq!(by_condition[2].macs_per_batch, 3.0 * fine.macs_per_batch);
        assert!(by_condition.windows(2).all(|pair| pair[0].macs_spent_per_batch >= pair[1].macs_spent_per_batch));
        assert_eq!(by_condition[5].macs_spent_per_batch, fine.macs_per_batch);
    }
}

#[test]
fn what_cannot_be_computed_again_is_refused() {
    let data = digits(32, 8);
    let model = Model::builtin("cnn", data.shape, data.classes).expect("a model");
    let refused = |recipe: &Recipe, design: &[(&str, &str)]| {
        let task = Task { model: &model, data: &data, recipe, seed: 0 };
        train(&task, &mut machine(&hardware(design), Engine::Fast), None, |_| Ok::<(), RunError>(())).unwrap_err().to_string()
    };
    let no_mode = refused(&recipe(&[("recompute.weights", "bf16")]), &[]);
    assert!(no_mode.contains("computed again") && no_mode.contains("bf16"), "{no_mode}");
    let lots = recipe(&[("recompute.rule", r#"{"random":{"low":[0.5,0.25]}}"#)]);
    let error = refused(&lots, &[]);
    assert!(error.contains("2 probabilities") && error.contains("conv1"), "{error}");
    let scaled = recipe(&[("roles.weights.scale", r#"{"current":{}}"#)]);
    let error = refused(&scaled, &[("output.format", "bf16")]);
    assert!(error.contains("weights") && error.contains("output.format"), "{error}");
}

fn systole(args: &[&str]) -> std::process::Output {
    std::process::Command::new(env!("CARGO_BIN_EXE_systole")).args(args).env_remove("SYSTOLE_KERNEL").output().expect("systole runs")
}

fn report(args: &[&str]) -> serde_json::Value {
    let output = systole(&[args, &["--json"]].concat());
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

#[test]
fn the_figure_is_made_once_and_drawn() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let out = directory.path().to_string_lossy().into_owned();
    let figure = ["figure", "condition", "--model", "mlp-tanh", "--limit", "160", "--epochs", "1", "--thresholds", "1,inf", "--seeds", "2"];
    let kept = [&figure[..], &["--out", &out]].concat();
    let first = report(&kept);
    let results = directory.path().join("runs.jsonl");
    let made = std::fs::read_to_string(&results).expect("results");
    // All fine, and two thresholds by condition number and by lot, for each seed.
    assert_eq!(made.lines().count(), 10);
    assert_eq!(report(&kept), first);
    assert_eq!(std::fs::read_to_string(&results).expect("results"), made);
    // What was cut off is measured again, on the networks that are there, in the order seeds end.
    std::fs::write(&results, &made[..made.len() - 20]).expect("a file");
    assert_eq!(report(&kept), first);
    assert_eq!(report(&figure), first);
    let svg = std::fs::read_to_string(directory.path().join("condition.svg")).expect("a plot");
    assert!(svg.contains("by condition number") && svg.ends_with("</svg>\n"));
    let table = std::fs::read_to_string(directory.path().join("condition.md")).expect("a table");
    assert!(table.lines().any(|line| line.starts_with("| inf | 100.0 | ")), "{table}");
}

#[test]
fn shares_and_macs_are_reported() {
    let settings = ["--recipe", NAME, "--model", "mlp-tanh", "--limit", "160", "--epochs", "1"];
    let trained = report(&[&["train"][..], &settings].concat());
    let dots = &trained["dot_products"];
    let number = |value: &serde_json::Value| value.as_f64().unwrap_or_else(|| panic!("a number: {value}"));
    let (asked, spent) = (number(&trained["events"]["macs"]), number(&trained["events"]["macs_spent"]));
    let share = number(&dots["low_share"]);
    // Five steps of 32 images.
    assert_eq!(number(&dots["computed"]), 5.0 * 32.0 * 138.0);
    assert!((0.001..0.99).contains(&share) && spent < asked, "{share} {spent} {asked}");
    let unspent: f64 = dots["layers"]
        .as_array()
        .expect("layers")
        .iter()
        .zip([64.0, 128.0])
        .map(|(layer, terms)| (number(&layer["computed"]) - number(&layer["again"])) * terms)
        .sum();
    assert_eq!(asked - spent, unspent);
    let text = String::from_utf8(systole(&[&["train"][..], &settings].concat()).stdout).expect("text");
    assert!(text.contains("forward dot products: ") && text.contains(" asked for, "), "{text}");
    let compared = report(&["compare", NAME, "--model", "mlp-tanh", "--limit", "160", "--epochs", "1", "--seeds", "1"]);
    let row = &compared["recipes"][0];
    assert_eq!(number(&row["low_share"]), share);
    assert_eq!((number(&row["macs_per_step"]), number(&row["macs_spent_per_step"])), (asked / 5.0, spent / 5.0));
}

#[test]
fn refusals_name_the_mend() {
    for (args, needle) in [
        (&["figure"][..], "condition"),
        (&["figure", "condition", "--recipe", "fp8"], "condition-number"),
        (&["figure", "condition", "--thresholds", "1,-2"], "from 0 on"),
        (&["figure", "condition", "--thresholds", "one"], "--thresholds"),
        (&["figure", "condition", "--model", "lenet6"], "lenet5"),
        (&["figure", "condition", "--design", "fp8-16x16"], "no MAC mode"),
    ] {
        let output = systole(args);
        let text = String::from_utf8_lossy(&output.stderr).replace("\n  │ ", " ");
        assert_eq!(output.status.code(), Some(2), "{args:?}: {text}");
        assert!(text.contains(needle), "{args:?}, wanted `{needle}`: {text}");
    }
}
