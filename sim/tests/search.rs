//! Steps that are tried before they are taken, on the machine.

use systole::machine::{Engine, Machine};
use systole_arrays::fast::KernelChoice;
use systole_isa::design;
use systole_trainer::data::{self, Dataset};
use systole_trainer::host;
use systole_trainer::model::Model;
use systole_trainer::recipe::Recipe;
use systole_trainer::search::{Decision, Search};
use systole_trainer::training::{Checkpoint, Heard, Run, RunError, Task, train};

const ADAPTIVE: [&str; 3] = ["dynamic-precision-tr", "storm", "mp-sgd"];

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

fn run(recipe: &Recipe, data: &Dataset) -> Run {
    run_on(Engine::Fast, recipe, "mlp", data, None).0
}

fn search(run: &Run) -> &Search {
    run.progress.search.as_ref().expect("a search")
}

fn weights(run: &Run) -> Vec<&Vec<u64>> {
    run.weights.iter().map(|w| &w.codes).collect()
}

/// The host's search sees losses and norms of other roundings, and decides alike all the same.
#[test]
fn the_device_goes_the_host_s_way() {
    let data = digits(640);
    for settings in [
        vec![("epochs", "3")],
        vec![("epochs", "3"), ("optimizer.momentum", "0.5"), ("optimizer.weight_decay", "0.01")],
        vec![("epochs", "3"), ("optimizer.rule.trust_region.tests", "2"), ("optimizer.rule.trust_region.memory", "3")],
    ] {
        let recipe = recipe("trust-region", &settings);
        let ours = run(&recipe, &data);
        let model = Model::builtin("mlp", data.shape, data.classes).expect("a model");
        let theirs = host::train(&model, &data, &recipe.hyperparameters(0), |_, _| ()).expect("a run");
        for (a, b) in ours.progress.epochs.iter().zip(&theirs.epochs) {
            assert!((a.loss - b.loss).abs() < 1e-3 * b.loss, "{settings:?}: {} {}", a.loss, b.loss);
        }
        assert!(ours.progress.epochs[2].loss < ours.progress.epochs[0].loss);
    }
}

/// What a rung's inequality asks for holds at every test, and rungs are never left downwards.
#[test]
fn promotions_obey_the_rule() {
    let data = digits(640);
    for of in ["absolute", "difference"] {
        let recipe = recipe("dynamic-precision-tr", &[("epochs", "8"), ("precision.of", of)]);
        let run = run(&recipe, &data);
        let decisions = &search(&run).decisions;
        let tested: Vec<&Decision> = decisions.iter().filter(|d| d.ratio.is_some()).collect();
        assert!(tested.len() > 30, "{}", tested.len());
        for d in &tested {
            let (Some(error), Some(allowed), Some(predicted)) = (d.error, d.allowed, d.predicted) else { panic!("{d:?}") };
            assert_eq!(allowed, 0.05 * predicted);
            assert!(error < allowed || d.floor && d.rung == 2, "{d:?}");
            assert_eq!(d.accepted, d.ratio >= Some(0.1), "{d:?}");
        }
        assert!(decisions.is_sorted_by_key(|d| d.rung));
        if of == "absolute" {
            assert!(decisions.last().expect("tests").rung > 0, "e4m3fn is left in the end");
        }
    }
}

/// With errors that are given as none, the finest rung alone is the plain trust region.
#[test]
fn a_ladder_of_one_rung_is_no_ladder() {
    let data = digits(384);
    let plain = run(&recipe("trust-region", &[("epochs", "2")]), &data);
    let precision = r#"{"rungs": [{}, {}], "policy": {"decrease": {}}, "error": {"fixed": [0.0, 0.0]}}"#;
    let ladder = run(&recipe("trust-region", &[("epochs", "2"), ("precision", precision)]), &data);
    assert_eq!(weights(&plain), weights(&ladder));
    assert_eq!(plain.progress.training.cycles, ladder.progress.training.cycles);
    let ratios = |run: &Run| search(run).decisions.iter().map(|d| d.ratio).collect::<Vec<_>>();
    assert_eq!(ratios(&plain), ratios(&ladder));
}

/// A power of two multiplies errors and is taken off gradients: nothing changes but the range.
#[test]
fn decisions_do_not_depend_on_the_loss_scale() {
    let data = digits(384);
    let [one, scaled] = ["1", "1024"].map(|s| run(&recipe("trust-region", &[("epochs", "2"), ("loss_scale", s)]), &data));
    assert_eq!(weights(&one), weights(&scaled));
    assert_eq!(search(&one), search(&scaled));
}

#[test]
fn macs_are_counted_for_each_precision() {
    let data = digits(640);
    for name in ADAPTIVE {
        let run = run(&recipe(name, &[("epochs", "3")]), &data);
        let record = &run.progress.training;
        assert_eq!(record.macs_by_mode.values().sum::<u64>(), record.events.macs, "{name}");
        let used: Vec<usize> = record.macs_by_mode.keys().copied().collect();
        assert!(used.contains(&0) && used.len() > 1, "{name}: {used:?}");
    }
}

#[test]
fn interrupted_searches_end_in_the_same_bits() {
    let data = digits(384);
    for name in ["trust-region", "dynamic-precision-tr", "storm", "mp-sgd"] {
        let recipe = recipe(name, &[("epochs", "3"), ("batch", "32")]);
        let (whole, checkpoints) = run_on(Engine::Fast, &recipe, "cnn", &data, None);
        let (resumed, _) = run_on(Engine::Fast, &recipe, "cnn", &data, Some(&checkpoints[0]));
        assert_eq!(weights(&whole), weights(&resumed), "{name}");
        assert_eq!(whole.progress, resumed.progress, "{name}");
    }
}

#[test]
fn ticked_searches_as_fast_does() {
    let data = digits(24);
    let recipe = recipe("dynamic-precision-tr", &[("epochs", "1"), ("batch", "8")]);
    let [fast, ticked] = [Engine::Fast, Engine::Ticked].map(|engine| run_on(engine, &recipe, "mlp", &data, None).0);
    assert_eq!(weights(&fast), weights(&ticked));
    assert_eq!(fast.progress, ticked.progress);
}

/// The result of `mp-sgd` is the network before one step, which the seed draws.
#[test]
fn the_result_is_the_network_of_the_drawn_step() {
    let data = digits(384);
    let settings = [("epochs", "4"), ("precision.policy.gradient_norm.tests", "0")];
    let run_of = |settings: &[(&str, &str)]| run(&recipe("mp-sgd", settings), &data);
    let whole = run_of(&settings);
    let of_epoch: Vec<Option<f64>> = whole.progress.epochs.iter().map(|e| e.averaged_test_accuracy).collect();
    assert_eq!(of_epoch.iter().filter(|a| a.is_some()).count(), 1);
    assert!(of_epoch[3].is_some() && whole.progress.averaged == 1);
}
