//! One training step of LeNet-5, 32 images of 28 x 28, by recipe: on the machine, with values and
//! without, and its reference on the host. Learning rates are 0, so that every step computes the same.
//!
//! `RAYON_NUM_THREADS=1 cargo bench -p systole` gives figures of one core.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use systole::machine::{Engine, Machine};
use systole_arrays::fast::KernelChoice;
use systole_isa::design;
use systole_isa::device::Device;
use systole_trainer::data::{self, Dataset, Split};
use systole_trainer::host::{Network, State, cross_entropy};
use systole_trainer::layer::{Pass, Shape};
use systole_trainer::lower::compile;
use systole_trainer::model::Model;
use systole_trainer::recipe::Recipe;
use systole_trainer::training::{RunError, Task, train};

const BATCH: usize = 32;

/// The embedded digits, enlarged three times, with a margin of two pixels.
fn images() -> Dataset {
    let digits = data::load("digits", Some(BATCH)).expect("embedded data");
    let enlarge = |split: &Split| {
        let mut large = Split { pixels: Vec::new(), labels: split.labels[..BATCH].to_vec(), targets: 1 };
        for image in split.pixels.chunks(64).take(BATCH) {
            for (y, x) in (0..28_usize).flat_map(|y| (0..28_usize).map(move |x| (y, x))) {
                let inside = (2..26).contains(&y) && (2..26).contains(&x);
                large.pixels.push(if inside { image[(y - 2) / 3 * 8 + (x - 2) / 3] } else { 0 });
            }
        }
        large
    };
    Dataset { shape: Shape::new(28, 28, 1), train: enlarge(&digits.train), test: enlarge(&digits.test), ..digits }
}

fn step(c: &mut Criterion) {
    let data = images();
    let model = Model::builtin("lenet5", data.shape, data.classes).expect("a built-in model");
    let mut group = c.benchmark_group("lenet5");
    group.throughput(Throughput::Elements(BATCH as u64)).sample_size(10);
    for name in ["fp8", "bf16"] {
        let recipe = Recipe::builtin(name).and_then(|r| r.with_overrides(&[("epochs", "1")])).expect("a built-in recipe");
        let design = design::find(&recipe.design).expect("its design");
        let mut machine = Machine::new(design, Engine::Fast, KernelChoice::Auto).expect("a machine");
        // One step and an evaluation leave weights, images and constants in memory.
        let task = Task { model: &model, data: &data, recipe: &recipe, seed: 0 };
        train(&task, &mut machine, None, |_| Ok::<(), RunError>(())).expect("a step");
        let compiled = compile(&model, &recipe, machine.design()).expect("programs");
        // A rate of 0 leaves the weights as they are.
        for (_, scalar) in &compiled.scalars {
            machine.write(scalar.address, scalar.format, &[0]).expect("a place in memory");
        }
        let step = compiled.step.whole.as_ref().expect("one program");
        group.bench_function(format!("{name} step"), |bench| {
            bench.iter(|| rayon::scope(|_| machine.run(black_box(step), 0)));
        });
        group.bench_function(format!("{name} evaluation"), |bench| {
            bench.iter(|| rayon::scope(|_| machine.run(black_box(&compiled.evaluate), 0)));
        });
    }
    let recipe = Recipe::builtin("fp8").expect("a built-in recipe");
    let design = design::find(&recipe.design).expect("its design");
    let mut machine = Machine::new(design, Engine::Timing, KernelChoice::Auto).expect("a machine");
    let compiled = compile(&model, &recipe, machine.design()).expect("programs");
    let step = compiled.step.whole.as_ref().expect("one program");
    group.bench_function("fp8 step without values", |bench| bench.iter(|| machine.run(black_box(step), 0)));
    let optimizer = Recipe::builtin("fp8").expect("a built-in recipe").optimizer;
    let mut network = Network::<f32>::new(&model, 0).expect("a network");
    let mut state = State::new(&network.parameters);
    let indices: Vec<usize> = (0..BATCH).collect();
    group.bench_function("reference step", |bench| {
        bench.iter(|| {
            let trace = network.forward(data.rows(&data.train, &indices), Pass::Training);
            let loss = cross_entropy(trace.logits(), &data.train.labels_of(&indices));
            let gradients = network.backward(&trace, loss.gradient);
            state.step(&optimizer, 0.0, &mut network.parameters, &gradients);
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(std::time::Duration::from_millis(300)).measurement_time(std::time::Duration::from_secs(3));
    targets = step
}
criterion_main!(benches);
