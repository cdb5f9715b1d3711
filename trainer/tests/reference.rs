//! The host reference learns, and learns the same on every machine.

use systole_trainer::data::{self, Dataset};
use systole_trainer::host::{self, Hyperparameters, Run};
use systole_trainer::layer::Shape;
use systole_trainer::model::Model;
use systole_trainer::optimizer::{Optimizer, Schedule};
use systole_trainer::recipe::Recipe;

fn run(model: &str, data: &Dataset, hyper: &Hyperparameters) -> Run {
    let model = Model::builtin(model, data.shape, data.classes).unwrap();
    host::train(&model, data, hyper, |_, _| ()).unwrap()
}

#[test]
fn the_default_run_reaches_96_percent_on_digits() {
    let digits = data::load("digits", None).unwrap();
    let hyper = Recipe::builtin("fp32-host").unwrap().hyperparameters(0);
    let run = run("mlp", &digits, &hyper);
    let last = run.epochs.last().unwrap();
    assert!(last.test_accuracy >= 0.96, "{last:?}");
    assert_eq!(run.epochs.len(), 20);
    assert_eq!(host::evaluate(&run.network, &digits, &digits.test, 7), last.test_accuracy);
}

#[test]
fn every_model_for_digits_learns() {
    let digits = data::load("digits", None).unwrap();
    let hyper = Hyperparameters { epochs: 3, ..Recipe::builtin("fp32-host").unwrap().hyperparameters(0) };
    for (model, least) in [("mlp", 0.93), ("mlp-tanh", 0.93), ("cnn", 0.9), ("resnet8", 0.9)] {
        let accuracy = run(model, &digits, &hyper).epochs[2].test_accuracy;
        assert!(accuracy >= least, "{model}: {accuracy}");
    }
}

/// LeNet-5 reads 28x28: digits enlarged three times, with a margin of two.
#[test]
fn both_lenets_learn() {
    let small = data::load("digits", Some(512)).unwrap();
    let enlarge = |split: &data::Split| {
        let mut large = data::Split { pixels: Vec::new(), labels: split.labels.clone(), targets: 1 };
        for image in split.pixels.chunks(64) {
            for y in 0..28_usize {
                for x in 0..28_usize {
                    let inside = (2..26).contains(&y) && (2..26).contains(&x);
                    large.pixels.push(if inside { image[(y - 2) / 3 * 8 + (x - 2) / 3] } else { 0 });
                }
            }
        }
        large
    };
    let large = Dataset { shape: Shape::new(28, 28, 1), train: enlarge(&small.train), test: enlarge(&small.test), ..small };
    let base = Recipe::builtin("fp32-host").unwrap().hyperparameters(0);
    let hyper = Hyperparameters { epochs: 3, batch: 16, optimizer: Optimizer { learning_rate: 0.02, ..base.optimizer }, ..base };
    for model in ["lenet5", "lenet5-tanh"] {
        let accuracy = run(model, &large, &hyper).epochs[2].test_accuracy;
        assert!(accuracy >= 0.8, "{model}: {accuracy}");
    }
}

/// Bits that must be the same on every platform and must never change unnoticed.
#[test]
fn trained_weights_have_known_bits() {
    let digits = data::load("digits", Some(320)).unwrap();
    let base = Recipe::builtin("fp32-host").unwrap().hyperparameters(0);
    let hyper = Hyperparameters { epochs: 2, optimizer: Optimizer { schedule: Schedule::Constant, ..base.optimizer }, ..base };
    for (model, expected) in [
        ("mlp", 0x8faa_e637_1e94_8e09),
        ("mlp-tanh", 0x2dbd_94cf_d777_a5aa),
        ("cnn", 0xaed6_c108_0c2c_fe03),
        ("resnet8", 0xd599_eac8_4ac4_f8fb),
    ] {
        let run = run(model, &digits, &hyper);
        // FNV-1a over the weights' bits.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for value in run.network.parameters.iter().flatten().flat_map(|m| &m.values) {
            for byte in value.to_bits().to_le_bytes() {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
            }
        }
        assert_eq!(hash, expected, "{model}: {hash:#x}");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let digits = data::load("digits", Some(16)).unwrap();
    let hyper = Recipe::builtin("fp32-host").unwrap().hyperparameters(0);
    for (shape, classes, batch, needles) in [
        (Shape::new(28, 28, 1), 10, 8, ["28x28x1", "8x8x1"]),
        (digits.shape, 11, 8, ["11 classes", "has 10"]),
        (digits.shape, 10, 32, ["16 training images", "a batch takes 32"]),
        (digits.shape, 10, 0, ["a batch takes 0", "1 to 16"]),
    ] {
        let model = Model::builtin("mlp", shape, classes).unwrap();
        let error = host::train(&model, &digits, &Hyperparameters { batch, ..hyper.clone() }, |_, _| ()).unwrap_err().to_string();
        for needle in needles {
            assert!(error.contains(needle), "wanted `{needle}`: {error}");
        }
    }
}
