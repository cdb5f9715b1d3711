use super::*;
use crate::testing::{self, Pattern, Problem};
use crate::ticked;
use proptest::prelude::*;
use systole_isa::codes::Codes;
use systole_isa::design::{ArraySpec, MacMode, Preload};
use systole_isa::entropy::Site;
use systole_isa::format::Format;

fn check(problem: &Problem) {
    let counted = ticked::gemm_with_toggles(&problem.setup, problem.shape, &problem.operands(), &mut ()).unwrap();
    let predicted = count(&problem.setup, problem.shape, &problem.operands());
    for ((name, counted), (_, predicted)) in counted.2.iter().zip(predicted.iter()) {
        assert_eq!(predicted, counted, "{name}");
    }
    // Meters change nothing, and see as many elements as there are events.
    let (values, cost) = ticked::gemm(&problem.setup, problem.shape, &problem.operands()).unwrap();
    assert_eq!((&counted.0, counted.1), (&values, cost));
    let mode = &problem.setup.mode;
    let (moving, resting) = if problem.setup.array.dataflow == Dataflow::Is { (mode.b, mode.a) } else { (mode.a, mode.b) };
    assert_eq!(predicted.streaming_register_bits, cost.events.streaming_register_writes * u64::from(moving.bits()));
    assert_eq!(predicted.stationary_register_bits, cost.events.stationary_register_writes * u64::from(resting.bits()));
    assert_eq!(predicted.partial_product_cells, cost.events.macs_spent * u64::from(mode.a.precision() * mode.b.precision()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn passes_over_operands_count_what_registers_count(problem in testing::problem()) {
        check(&problem);
    }

    #[test]
    fn of_units_and_lanes_too(problem in testing::problem_of(testing::unit_mode())) {
        check(&problem);
    }

    #[test]
    fn and_under_masks(problem in prop_oneof![
        2 => testing::masked_problem_of(testing::mode()),
        1 => testing::masked_problem_of(testing::unit_mode()),
    ]) {
        check(&problem);
    }
}

/// A product by hand on one PE, 2 x 1 x 2: int4 operands of all bits or none.
#[test]
fn one_pe_by_hand() {
    let int4: Format = "int4".parse().unwrap();
    let mode = MacMode::fused(int4, int4, "int16".parse().unwrap());
    let (a, b) = (Codes::from_fn(int4, 4, |i| [15, 0, 15, 15][i]), Codes::from_fn(int4, 2, |i| [15, 15][i]));
    let shape = Shape { m: 2, n: 1, k: 2 };
    let output = crate::datapath::Output { format: mode.accumulator, policy: systole_isa::round::Policy::new(mode.rounding) };
    for (dataflow, streaming, stationary, products) in [
        // A: 15 0 15 15; B: 15 15 15 15. Partial products: 16 on, off, on, on.
        (Dataflow::Os, 12, 4, 48),
        // Folds k = 0, 1. A: 15 15, then 0 15; B: 15, 15, shadow and active. 16 on, on, off, on.
        (Dataflow::Ws, 12, 8, 48),
    ] {
        let array = ArraySpec { dataflow, preload: Preload::Double, ..ArraySpec::output_stationary(1, 1) };
        let setup = Setup { array, mode: mode.clone(), bias_a: 0, bias_b: 0, output, site: Site::default() };
        let toggles = count(&setup, shape, &Operands::new(&a, &b, None));
        assert_eq!(
            (toggles.streaming_register_toggles, toggles.stationary_register_toggles, toggles.partial_product_toggles),
            (streaming, stationary, products),
            "{dataflow:?}"
        );
        // One skew register at either edge sees what the PE sees; B once under `ws`.
        assert_eq!(toggles.skew_register_toggles, 16, "{dataflow:?}");
    }
}

/// Random data changes half of the bits it is written over, and three eighths of partial products.
#[test]
fn random_data_changes_what_tables_take_for_granted() {
    let int8: Format = "int8".parse().unwrap();
    let mode = MacMode::fused(int8, int8, "int32".parse().unwrap());
    let shape = Shape { m: 64, n: 64, k: 64 };
    let codes = |seed| testing::codes(int8, 64 * 64, Pattern::Uniform, seed);
    let output = crate::datapath::Output { format: mode.accumulator, policy: systole_isa::round::Policy::new(mode.rounding) };
    let setup = Setup { array: ArraySpec::output_stationary(16, 16), mode, bias_a: 0, bias_b: 0, output, site: Site::default() };
    let toggles = count(&setup, shape, &Operands::new(&codes(1), &codes(2), None));
    let near = |toggles: u64, of: u64, share: f64| assert!((toggles as f64 / of as f64 / share - 1.0).abs() < 0.02, "{toggles} of {of}");
    near(toggles.streaming_register_toggles, toggles.streaming_register_bits, 0.5);
    near(toggles.stationary_register_toggles, toggles.stationary_register_bits, 0.5);
    near(toggles.skew_register_toggles, toggles.skew_register_bits, 0.5);
    near(toggles.partial_product_toggles, toggles.partial_product_cells, 0.375);
}
