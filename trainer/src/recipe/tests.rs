use super::*;
use crate::layer::Shape;
use crate::lower::compile;
use crate::model::{MODELS, Model};
use systole_isa::design;
use systole_isa::format::Format;
use systole_isa::round::{Overflow, Rounding};

#[test]
fn every_built_in_is_sound_and_finds_its_modes() {
    for built_in in RECIPES {
        let recipe = Recipe::builtin(built_in.name).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(recipe.name, built_in.name);
        assert!(!recipe.summary.is_empty());
        if recipe.backend == Backend::Host {
            continue;
        }
        let design = design::find(&recipe.design).unwrap_or_else(|| panic!("{}: no design `{}`", recipe.name, recipe.design));
        let model = Model::builtin("cnn", Shape::new(8, 8, 1), 10).unwrap();
        compile(&model, &recipe, &design).unwrap_or_else(|e| panic!("{}: {e}", recipe.name));
    }
}

#[test]
fn roles_take_what_the_design_offers_unless_told() {
    let fp8 = design::find("fp8-16x16").unwrap();
    let recipe = Recipe::builtin("fp8")
        .unwrap()
        .with_overrides(&[("roles.weights", "design"), ("roles.momentum", "design"), ("roles.errors.rounding", "sr8")])
        .unwrap();
    let roles = recipe.roles.resolve(&fp8);
    assert_eq!(roles.weights.format, fp8.mac.b);
    assert_eq!(roles.momentum.format, fp8.vector.format);
    assert_eq!(Roles::default().resolve(&fp8).weight_gradients.format, Format::FP32);
    assert_eq!(
        (roles.errors.format.to_string(), roles.errors.rounding, roles.errors.overflow),
        ("e5m2".to_owned(), Rounding::Sr(8), Overflow::Saturate)
    );
}

#[test]
fn overrides_reach_every_field() {
    let base = Recipe::builtin("fp8").unwrap();
    let set = |path, value| base.with_overrides(&[(path, value)]).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(set("optimizer.learning_rate", "0.05").optimizer.learning_rate, 0.05);
    assert_eq!(set("optimizer.learning_rate", "1").optimizer.learning_rate, 1.0);
    assert_eq!(set("epochs", "3").epochs, 3);
    assert_eq!(set("loss_scale", "1e3").loss_scale, LossScale::Static(1000.0));
    assert_eq!(set("design", "e6m9-16x16").design, "e6m9-16x16");
    assert_eq!(set("roles.weights", "fp16").roles.weights, Role::Format(RoleFormat::new(Format::FP16)));
    let Role::Format(errors) = set("roles.errors.bias", "-3").roles.errors else { panic!("a format") };
    assert_eq!((errors.format.to_string(), errors.bias), ("e5m2".to_owned(), -3));
    let host = [
        ("backend", "host"),
        ("design", ""),
        ("loss_scale", "1"),
        ("roles.weights", "design"),
        ("roles.activations", "fp32"),
        ("roles.errors", "fp32"),
    ];
    assert_eq!(base.with_overrides(&host).unwrap().backend, Backend::Host);
    assert_eq!(base.with_overrides::<&str>(&[]).unwrap(), base);
}

#[test]
fn serialised_recipes_read_back() {
    for built_in in RECIPES {
        let recipe = Recipe::builtin(built_in.name).unwrap();
        let text = overrides::ron_options().to_string(&recipe).unwrap();
        assert_eq!(Recipe::from_ron("again", &text).unwrap(), recipe);
    }
}

/// Settings on the default recipe, and what the refusal must say.
#[test]
fn refusals_name_the_path_and_the_mend() {
    let base = Recipe::builtin("fp8").unwrap();
    type Settings = &'static [(&'static str, &'static str)];
    let cases: &[(Settings, &[&str])] = &[
        (&[("optimizer.learning_rate", "0")], &["optimizer.learning_rate: must be positive", "is 0"]),
        (&[("optimizer.learning_rate", "-0.1")], &["optimizer.learning_rate", "is -0.1"]),
        (&[("optimizer.learning_rate", "1e39")], &["optimizer.learning_rate", "finite"]),
        (&[("optimizer.learning_rate", "NaN")], &["--set optimizer.learning_rate=NaN"]),
        (&[("optimizer.learning_rate", "inf")], &["--set optimizer.learning_rate=inf"]),
        (&[("optimizer.momentum", "1")], &["optimizer.momentum: must be at least 0 and below 1, is 1"]),
        (&[("optimizer.weight_decay", "-1e-4")], &["optimizer.weight_decay"]),
        (&[("epochs", "0"), ("batch", "0")], &["epochs: must be 1 to 100000", "batch: must be 1 to 65536"]),
        (&[("epochs", "2.5")], &["--set epochs=2.5"]),
        (&[("batch", "-1")], &["--set batch=-1"]),
        (&[("loss_scale", "0")], &["loss_scale: must be positive"]),
        (&[("design", "")], &["design: must name"]),
        (&[("roles.weights", "e8m0")], &["roles.weights.format", "use a signed format"]),
        (&[("roles.weights", "e4m3fm")], &["--set roles.weights=e4m3fm", "did you mean `e4m3fn`"]),
        (&[("roles.weights.rounding", "nearest")], &["nearest", "use rne"]),
        (&[("roles.weights.overflow", "wrap")], &["--set roles.weights.overflow=wrap"]),
        (&[("roles.weights.bias", "5000")], &["roles.weights.bias: must be -1024 to 1024, is 5000"]),
        (&[("roles.weigths", "e5m2")], &["did you mean `weights`"]),
        (&[("roles.weights", "design"), ("roles.weights.bias", "1")], &["no field `bias`"]),
        (
            &[("backend", "host")],
            &["design: must be left out", "loss_scale: must be 1", "roles.weights.format: `backend: host` computes in fp32", "`e4m3fn`"],
        ),
    ];
    for (settings, needles) in cases {
        let error = base.with_overrides(settings).unwrap_err().to_string();
        for needle in *needles {
            assert!(error.contains(needle), "{settings:?}, wanted `{needle}`: {error}");
        }
    }
}

/// Files: text, and what the refusal must say.
#[test]
fn files_are_refused_with_their_place() {
    let with = |line: &str| {
        format!(
            "(\n  name: \"mine\", design: \"fp8-16x16\", epochs: 1, batch: 1,\n  optimizer: (learning_rate: 0.1, momentum: 0, weight_decay: 0),\n  {line}\n)"
        )
    };
    assert!(Recipe::from_ron("mine.ron", &with("")).is_ok());
    for (text, needles) in [
        (with("losscale: 2,"), ["mine.ron:4:", "losscale"]),
        (with("roles: (weights: (format: \"e4m3fn\", round: \"rne\")),"), ["mine.ron:4:", "round"]),
        (with("roles: (weights: desing),"), ["mine.ron:4:", "\"design\""]),
        (with("roles: (weights: \"e99m3\"),"), ["mine.ron:4:", "1 to 11 bits"]),
        (with("loss_scale: NaN,"), ["loss_scale", "is NaN"]),
        (with("loss_scale: inf,"), ["loss_scale", "is inf"]),
        ("(name: \"mine\")".to_owned(), ["mine.ron:1:", "optimizer"]),
        (String::new(), ["mine.ron:1:1", "xpected"]),
    ] {
        let error = Recipe::from_ron("mine.ron", &text).unwrap_err().to_string();
        for needle in needles {
            assert!(error.contains(needle), "wanted `{needle}`: {error}");
        }
    }
    for (name, needle) in [
        ("fp9", "did you mean `fp8`"),
        ("quantum", "there are fp8, fp16, bf16, fp32, narrow, narrow-chunked, fp32-host,"),
        ("absent.ron", "absent.ron: "),
    ] {
        let error = Recipe::load(name).unwrap_err().to_string();
        assert!(error.contains(needle), "{name}: {error}");
    }
}

/// Thresholds are numbers or infinity, in RON as on the command line.
#[test]
fn thresholds_may_be_infinite() {
    let base = Recipe::builtin("condition-number").unwrap();
    let path = "recompute.rule.condition.threshold";
    let infinite = base.with_overrides(&[(path, "inf")]).unwrap();
    assert!(infinite.recompute.as_ref().unwrap().is_idle());
    let built_in = RECIPES.iter().find(|r| r.name == base.name).unwrap().ron;
    for text in ["inf", "\"inf\""] {
        let ron = built_in.replace("threshold: 1,", &format!("threshold: {text},"));
        assert_eq!(Recipe::from_ron("infinite", &ron).unwrap(), infinite);
    }
    let text = overrides::ron_options().to_string(&infinite).unwrap();
    assert_eq!(Recipe::from_ron("again", &text).unwrap(), infinite);
    for (settings, needles) in [
        (&[(path, "-1")][..], &["recompute.rule.condition.threshold: must be at least 0", "is -1"][..]),
        (&[(path, "NaN")], &["--set recompute.rule.condition.threshold=NaN"]),
        (&[("recompute.weights", "design")], &["name a format"]),
        (&[("recompute.weights.hysteresis", "true")], &["recompute.weights: takes a format"]),
        (&[("recompute.activations", "e8m0")], &["recompute.activations.format", "use a signed format"]),
        (&[("recompute.rule", r#"{"random":{"low":[0.5,2]}}"#)], &["recompute.rule.random.low.1: must be a probability, 0 to 1, is 2"]),
        (&[("recompute.rule", r#"{"random":{"low":[]}}"#)], &["recompute.rule.random.low: must give"]),
        (&[("recompute.backward", "both")], &["--set recompute.backward=both"]),
    ] {
        let error = base.with_overrides(settings).unwrap_err().to_string();
        for needle in needles {
            assert!(error.contains(needle), "{settings:?}, wanted `{needle}`: {error}");
        }
    }
}

#[test]
fn every_layer_of_every_model_can_be_exempt() {
    for (built_in, input) in MODELS.iter().flat_map(|m| [(m, Shape::new(32, 32, 3)), (m, Shape::new(1, 16, 27))]) {
        let Ok(model) = Model::builtin(built_in.name, input, if input.height == 1 { 27 } else { 10 }) else { continue };
        let layers = model.plan().unwrap();
        for (index, layer) in layers.iter().enumerate() {
            for name in [layer.name.as_str(), layer.spec.kind()] {
                let exemption = Exemption { layers: vec![name.to_owned()], roles: Roles::default() };
                assert_eq!(exemption.problems(0), [], "{} {name}", built_in.name);
                assert!(exemption.is_about(&layers, index));
            }
        }
    }
}
