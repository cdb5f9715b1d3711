//! Lowered training steps compute what the host reference computes.

use systole::machine::{Engine, Machine};
use systole_arrays::fast::KernelChoice;
use systole_isa::device::Device;
use systole_trainer::data::{self, Dataset, Split};
use systole_trainer::host;
use systole_trainer::layer::{
    Add, Attention, AvgPool, BatchNorm, Convolution, Gelu, GlobalAvgPool, LayerNorm, LayerSpec, Linear, MaxPool, Positions, Relu, Shortcut,
    Tanh, Window,
};
use systole_trainer::model::{Graph, Model, Source};
use systole_trainer::recipe::Recipe;
use systole_trainer::training::{RunError, Task, train};

const fn conv(out_channels: usize, kernel: usize, stride: usize, padding: usize, bias: bool) -> LayerSpec {
    LayerSpec::Convolution(Convolution { out_channels, kernel, stride, padding, bias })
}

const fn linear(out: usize) -> LayerSpec {
    LayerSpec::Linear(Linear { out, bias: true })
}

const RELU: LayerSpec = LayerSpec::Relu(Relu);
const NORMAL: LayerSpec = LayerSpec::BatchNorm(BatchNorm);
const ADD: LayerSpec = LayerSpec::Add(Add);
const AVERAGE: LayerSpec = LayerSpec::GlobalAvgPool(GlobalAvgPool);

const fn shortcut(stride: usize, channels: usize) -> LayerSpec {
    LayerSpec::Shortcut(Shortcut { stride, channels })
}

/// A model for digits.
fn graph(name: &str, build: fn(&mut Graph)) -> Model {
    let mut graph = Graph::default();
    build(&mut graph);
    Model { layers: graph.finish(), ..Model::sequential(name, digits(1).shape, 10, Vec::new()) }
}

/// A residual block with a rectifier behind the sum, as in ResNet-20.
fn block(graph: &mut Graph, x: Source, stride: usize, channels: usize) -> Source {
    graph.of(conv(channels, 3, stride, 1, false), &[x]);
    graph.then(NORMAL);
    graph.then(RELU);
    graph.then(conv(channels, 3, 1, 1, false));
    let branch = graph.then(NORMAL);
    let past = if stride == 1 { x } else { graph.of(shortcut(stride, channels), &[x]) };
    graph.of(ADD, &[branch, past]);
    graph.then(RELU)
}

/// Networks with joins and branches.
fn residual_networks() -> Vec<Model> {
    vec![
        graph("residual blocks", |graph| {
            graph.then(conv(4, 3, 1, 1, false));
            let x = graph.then(RELU);
            let x = block(graph, x, 1, 4);
            block(graph, x, 2, 6);
            graph.then(AVERAGE);
            graph.then(linear(10));
        }),
        graph("an odd image, shrunk by three", |graph| {
            // 8x8, padded by more than the kernel less 1, becomes 11x11, then 4x4.
            graph.then(conv(3, 2, 1, 2, true));
            let x = graph.then(LayerSpec::Tanh(Tanh));
            let branch = graph.then(conv(5, 3, 3, 1, true));
            let past = graph.of(shortcut(3, 5), &[x]);
            graph.of(ADD, &[branch, past]);
            graph.then(LayerSpec::Flatten);
            graph.then(linear(10));
        }),
        graph("four readers of one tensor", |graph| {
            graph.then(conv(4, 3, 2, 1, true));
            let x = graph.then(RELU);
            let [a, b] = [conv(4, 3, 1, 1, true), conv(4, 1, 1, 0, true)].map(|layer| graph.of(layer, &[x]));
            let both = graph.of(ADD, &[a, b]);
            let twice = graph.of(ADD, &[x, x]);
            graph.of(ADD, &[twice, both]);
            graph.then(LayerSpec::Flatten);
            graph.then(linear(10));
        }),
        graph("two ways from the images to logits of averages", |graph| {
            graph.then(conv(10, 3, 2, 1, true));
            let x = graph.then(NORMAL);
            let past = graph.of(shortcut(2, 10), &[Source::Images]);
            graph.of(ADD, &[past, x]);
            graph.then(AVERAGE);
            graph.then(LayerSpec::Flatten);
        }),
    ]
}

/// Networks that between them use every layer, stride, padding and overlap.
fn networks() -> Vec<Model> {
    let flat = LayerSpec::Flatten;
    let max = |size, stride| LayerSpec::MaxPool(MaxPool(Window::unpadded(size, stride)));
    let average = |size, stride| LayerSpec::AvgPool(AvgPool(Window::unpadded(size, stride)));
    let chains = vec![
        ("linear", vec![flat, linear(10)]),
        ("two layers", vec![flat, linear(24), RELU, linear(10)]),
        ("tanh", vec![flat, linear(24), LayerSpec::Tanh(Tanh), linear(10)]),
        (
            "strided convolution below another",
            vec![conv(4, 3, 1, 1, true), LayerSpec::Tanh(Tanh), conv(6, 3, 2, 1, true), flat, linear(10)],
        ),
        ("stride that leaves a rest", vec![conv(3, 2, 1, 0, false), conv(5, 3, 3, 0, true), flat, linear(10)]),
        ("overlapping max pooling", vec![conv(4, 3, 1, 0, true), RELU, max(3, 2), flat, linear(10)]),
        (
            "average pooling",
            vec![conv(4, 3, 1, 1, true), LayerSpec::Tanh(Tanh), average(3, 2), conv(4, 2, 1, 0, true), average(2, 2), flat, linear(10)],
        ),
        (
            "padded pooling",
            vec![
                conv(4, 3, 1, 1, true),
                LayerSpec::Tanh(Tanh),
                LayerSpec::MaxPool(MaxPool(Window { size: 3, stride: 2, padding: 1 })),
                conv(4, 1, 1, 0, true),
                LayerSpec::AvgPool(AvgPool(Window { size: 3, stride: 1, padding: 2 })),
                flat,
                linear(10),
            ],
        ),
        (
            "batch normalisation",
            vec![
                conv(4, 3, 1, 1, false),
                LayerSpec::BatchNorm(BatchNorm),
                RELU,
                max(2, 2),
                conv(5, 3, 1, 1, true),
                LayerSpec::BatchNorm(BatchNorm),
                flat,
                linear(10),
            ],
        ),
    ];
    let shape = digits(1).shape;
    chains.into_iter().map(|(name, layers)| Model::sequential(name, shape, 10, layers)).chain(residual_networks()).collect()
}

fn digits(images: usize) -> Dataset {
    data::load("digits", Some(images)).expect("embedded data")
}

fn step(model: &Model, data: &Dataset, recipe: &Recipe) -> Vec<Vec<f64>> {
    let design = systole_isa::design::find(&recipe.design).expect("a built-in design");
    let mut machine = Machine::new(design, Engine::Fast, KernelChoice::Auto).expect("a machine");
    let task = Task { model, data, recipe, seed: 3 };
    let run = train(&task, &mut machine, None, |_| Ok::<(), RunError>(())).expect("a run");
    assert!(machine.design().name.contains("16x16"));
    run.weights.iter().map(|w| w.codes.iter().map(|&c| w.format.to_f64(c)).collect()).collect()
}

/// After one step without momentum at rate 1 the weights differ from the initial ones by the
/// gradient, so equal weights mean equal gradients, for every parameter of every layer.
#[test]
fn one_step_in_fp32_moves_every_weight_as_the_reference_does() {
    let data = digits(16);
    let settings = [
        ("batch", "16"),
        ("epochs", "1"),
        ("optimizer.learning_rate", "1"),
        ("optimizer.momentum", "0"),
        ("optimizer.weight_decay", "0.01"),
        ("optimizer.schedule", "constant"),
    ];
    let scaled = [&settings[..], &[("loss_scale", "256")]].concat();
    let recipe = Recipe::builtin("fp32").expect("a recipe").with_overrides(&scaled).expect("settings");
    for model in networks() {
        assert_moves_alike(&model, &data, &recipe);
    }
    // Rate times decay is 1, so weights become the gradient alone, a hundred times as large: those of
    // queries and keys are small at first. Sequences are shorter and longer than the array's side.
    let recipe = recipe.with_overrides(&[("batch", "6"), ("optimizer.learning_rate", "100")]).expect("settings");
    for length in [5, 20] {
        let data = characters(length, 6);
        let tiny = Model::builtin("transformer-tiny", data.shape, data.classes).expect("a model");
        for model in [tiny, attention_that_matters(&data)] {
            assert_moves_alike(&model, &data, &recipe);
        }
    }
}

/// Attention whose scores are far apart from the start: convolutions begin wider than projections.
fn attention_that_matters(data: &Dataset) -> Model {
    let mut graph = Graph::default();
    let normalise = LayerSpec::LayerNorm(LayerNorm);
    let x = graph.then(conv(16, 1, 1, 0, true));
    graph.then(normalise);
    graph.then(LayerSpec::Positions(Positions));
    graph.then(conv(48, 1, 1, 0, true));
    graph.then(LayerSpec::Attention(Attention { heads: 2 }));
    let branch = graph.then(LayerSpec::Gelu(Gelu));
    graph.of(ADD, &[branch, x]);
    graph.then(normalise);
    graph.then(conv(data.classes, 1, 1, 0, true));
    Model { layers: graph.finish(), ..Model::sequential("attention that matters", data.shape, data.classes, Vec::new()) }
}

fn assert_moves_alike(model: &Model, data: &Dataset, recipe: &Recipe) {
    let name = &model.name;
    let simulated = step(model, data, recipe);
    let reference = host::train(model, data, &recipe.hyperparameters(3), |_, _| ()).expect("a reference");
    let expected: Vec<&Vec<f32>> = reference.network.parameters.iter().flatten().map(|m| &m.values).collect();
    assert_eq!(simulated.len(), expected.len());
    for (i, (ours, theirs)) in simulated.iter().zip(expected).enumerate() {
        let largest = theirs.iter().fold(0.0f64, |m, v| m.max(f64::from(v.abs())));
        for (a, b) in ours.iter().zip(theirs) {
            let distance = (a - f64::from(*b)).abs();
            assert!(distance <= 2e-5 * largest.max(0.1), "{name}, parameter {i}: {a} against {b}");
        }
    }
}

/// The first sequences of the embedded text, of which the first few test too.
fn characters(length: usize, sequences: usize) -> Dataset {
    let mut data = data::load(&format!("chars:{length}"), Some(sequences)).expect("embedded data");
    let few = 4 * length;
    data.test.pixels.truncate(few);
    data.test.labels.truncate(few);
    data
}

/// Operands of attention in blocks, of sequences that are shorter than a block or hold several, and
/// with scales of whole tensors: training goes on as the reference's does.
#[test]
fn transformers_learn_in_narrow_formats() {
    for (name, length, tolerance) in [
        ("adam", 8, 0.002),
        ("adam8bit", 8, 0.02),
        ("mxfp8", 8, 0.03),
        ("mxfp8", 40, 0.03),
        ("nvfp4", 8, 0.08),
        ("te-current-fp8", 8, 0.03),
        ("te-delayed-fp8", 8, 0.03),
        ("fp8", 8, 0.03),
    ] {
        let data = characters(length, 160);
        let adam = Recipe::builtin("adam").expect("a recipe").optimizer;
        let recipe = Recipe { optimizer: adam, ..Recipe::builtin(name).expect("a recipe") };
        let settings = [("epochs", "4"), ("batch", "16"), ("optimizer.learning_rate", "0.01")];
        let recipe = recipe.with_overrides(&settings).expect("settings");
        let model = Model::builtin("transformer-tiny", data.shape, data.classes).expect("a model");
        let design = systole_isa::design::find(&recipe.design).expect("a built-in design");
        let mut machine = Machine::new(design, Engine::Fast, KernelChoice::Auto).expect("a machine");
        let task = Task { model: &model, data: &data, recipe: &recipe, seed: 0 };
        let run = train(&task, &mut machine, None, |_| Ok::<(), RunError>(())).expect("a run");
        let reference = host::train(&model, &data, &recipe.hyperparameters(0), |_, _| ()).expect("a reference");
        for (ours, theirs) in run.progress.epochs.iter().zip(&reference.epochs) {
            assert!((ours.loss - theirs.loss).abs() < tolerance * theirs.loss, "{name} {length}: {ours:?} {theirs:?}");
        }
        // From ln 70 = 4.25 of guessing.
        assert!(run.progress.epochs[3].loss < 3.3, "{name} {length}: {:?}", run.progress.epochs);
    }
}

/// The same comparison through many steps: fp32 on the array ends where the host ends.
#[test]
fn fp32_on_the_array_learns_as_the_host_does() {
    let data = digits(640);
    for (model, epochs) in [("cnn", "4"), ("resnet8", "1")] {
        let recipe = Recipe::builtin("fp32").expect("a recipe").with_overrides(&[("epochs", epochs)]).expect("settings");
        let model = Model::builtin(model, data.shape, data.classes).expect("a model");
        let design = systole_isa::design::find(&recipe.design).expect("a built-in design");
        let mut machine = Machine::new(design, Engine::Fast, KernelChoice::Auto).expect("a machine");
        let task = Task { model: &model, data: &data, recipe: &recipe, seed: 0 };
        let run = train(&task, &mut machine, None, |_| Ok::<(), RunError>(())).expect("a run");
        let reference = host::train(&model, &data, &recipe.hyperparameters(0), |_, _| ()).expect("a reference");
        for (ours, theirs) in run.progress.epochs.iter().zip(&reference.epochs) {
            assert!((ours.loss - theirs.loss).abs() < 0.02 * theirs.loss.max(0.1), "{ours:?} {theirs:?}");
            assert!((ours.test_accuracy - theirs.test_accuracy).abs() < 0.02, "{ours:?} {theirs:?}");
        }
    }
}

/// Both engines train to the same bits and counts.
#[test]
fn ticked_and_fast_train_to_the_same_bits() {
    let data = digits(16);
    let recipe = Recipe::builtin("fp8").expect("a recipe").with_overrides(&[("epochs", "1"), ("batch", "8")]).expect("settings");
    for model in [Model::builtin("cnn", data.shape, data.classes).expect("a model"), residual_networks().remove(0)] {
        let runs = [Engine::Fast, Engine::Ticked].map(|engine| {
            let design = systole_isa::design::find("fp8-16x16").expect("a built-in design");
            let mut machine = Machine::new(design, engine, KernelChoice::Auto).expect("a machine");
            let small = Dataset {
                test: Split { pixels: data.test.pixels[..8 * 64].to_vec(), labels: data.test.labels[..8].to_vec(), targets: 1 },
                ..data.clone()
            };
            let task = Task { model: &model, data: &small, recipe: &recipe, seed: 0 };
            train(&task, &mut machine, None, |_| Ok::<(), RunError>(())).expect("a run")
        });
        assert_eq!(runs[0].weights, runs[1].weights);
        assert_eq!(runs[0].progress, runs[1].progress);
    }
}

/// The same of attention, with scales in blocks.
#[test]
fn ticked_and_fast_train_a_transformer_to_the_same_bits() {
    let data = characters(5, 4);
    let recipe = Recipe::builtin("mxfp8").expect("a recipe").with_overrides(&[("epochs", "1"), ("batch", "2")]).expect("settings");
    let model = Model::builtin("transformer-tiny", data.shape, data.classes).expect("a model");
    let runs = [Engine::Fast, Engine::Ticked].map(|engine| {
        let design = systole_isa::design::find(&recipe.design).expect("a built-in design");
        let mut machine = Machine::new(design, engine, KernelChoice::Auto).expect("a machine");
        let task = Task { model: &model, data: &data, recipe: &recipe, seed: 0 };
        train(&task, &mut machine, None, |_| Ok::<(), RunError>(())).expect("a run")
    });
    assert_eq!(runs[0].weights, runs[1].weights);
    assert_eq!(runs[0].progress, runs[1].progress);
}

/// Where the array rounds products too, and the batch is a power of two, binary32 on the array and
/// on the host are the same operations in the same order: the errors of a tensor with several
/// readers come together in the documented order, and every bit shows it.
#[test]
fn errors_of_several_readers_are_added_in_one_order() {
    let data = digits(64);
    let model = graph("three readers", |graph| {
        graph.then(LayerSpec::Flatten);
        graph.then(linear(24));
        let x = graph.then(RELU);
        let [a, b] = [24, 24].map(|out| graph.of(linear(out), &[x]));
        let both = graph.of(ADD, &[a, b]);
        graph.of(ADD, &[both, x]);
        graph.then(RELU);
        graph.then(linear(10));
    });
    let settings = [
        ("batch", "16"),
        ("epochs", "1"),
        ("optimizer.learning_rate", "1"),
        ("optimizer.momentum", "0"),
        ("optimizer.schedule", "constant"),
    ];
    let recipe = Recipe::builtin("fp32").expect("a recipe").with_overrides(&settings).expect("settings");
    let design = systole_isa::design::find(&recipe.design).expect("a built-in design");
    let design = design.with_overrides(&[("mac.product".to_owned(), "fp32".to_owned())]).expect("settings");
    let mut machine = Machine::new(design, Engine::Fast, KernelChoice::Auto).expect("a machine");
    let task = Task { model: &model, data: &data, recipe: &recipe, seed: 3 };
    let run = train(&task, &mut machine, None, |_| Ok::<(), RunError>(())).expect("a run");
    let reference = host::train(&model, &data, &recipe.hyperparameters(3), |_, _| ()).expect("a reference");
    for (ours, theirs) in run.weights.iter().zip(reference.network.parameters.iter().flatten()) {
        let theirs: Vec<u64> = theirs.values.iter().map(|v| v.to_bits().into()).collect();
        let differing = ours.codes.iter().zip(&theirs).filter(|(a, b)| a != b).count();
        assert_eq!(differing, 0, "{} of {}", ours.name, theirs.len());
    }
}

/// Augmented images are the same on the device and on the host, and not the plain ones.
#[test]
fn augmented_runs_see_the_same_pixels() {
    let data = digits(256);
    let model = Model::builtin("mlp", data.shape, data.classes).expect("a model");
    let losses = ["none", "crop_flip"].map(|augment| {
        let settings = [("epochs", "2"), ("augment", augment), ("optimizer.schedule", "constant")];
        let recipe = Recipe::builtin("fp32").expect("a recipe").with_overrides(&settings).expect("settings");
        let design = systole_isa::design::find(&recipe.design).expect("a built-in design");
        let mut machine = Machine::new(design, Engine::Fast, KernelChoice::Auto).expect("a machine");
        let task = Task { model: &model, data: &data, recipe: &recipe, seed: 0 };
        let run = train(&task, &mut machine, None, |_| Ok::<(), RunError>(())).expect("a run");
        let reference = host::train(&model, &data, &recipe.hyperparameters(0), |_, _| ()).expect("a reference");
        for (ours, theirs) in run.progress.epochs.iter().zip(&reference.epochs) {
            assert!((ours.loss - theirs.loss).abs() < 1e-4 * theirs.loss, "{augment}: {ours:?} {theirs:?}");
        }
        run.progress.epochs[1].loss
    });
    // Moved and mirrored digits are harder.
    assert!(losses[1] > 1.2 * losses[0], "{losses:?}");
}

/// A narrow accumulator breaks training, and the same accumulator in chunks repairs it.
#[test]
fn chunks_repair_training_on_a_narrow_accumulator() {
    let data = data::load("digits", None).expect("embedded data");
    let model = Model::builtin("mlp", data.shape, data.classes).expect("a model");
    let accuracy = |name: &str| {
        let recipe = Recipe::builtin(name).expect("a recipe").with_overrides(&[("epochs", "6")]).expect("settings");
        let design = systole_isa::design::find(&recipe.design).expect("a built-in design");
        let mut machine = Machine::new(design, Engine::Fast, KernelChoice::Auto).expect("a machine");
        let task = Task { model: &model, data: &data, recipe: &recipe, seed: 0 };
        let run = train(&task, &mut machine, None, |_| Ok::<(), RunError>(())).expect("a run");
        run.progress.epochs.last().map_or(0.0, |e| e.test_accuracy)
    };
    let (broken, repaired, wide) = (accuracy("narrow"), accuracy("narrow-chunked"), accuracy("fp8"));
    assert!(broken < wide - 0.05, "{broken} {wide}");
    assert!((repaired - wide).abs() < 0.015, "{repaired} {wide}");
}
