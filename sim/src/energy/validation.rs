//! The model held against its anchors, against published ratios and against published peaks.
//!
//! Only ratios are compared: absolute figures of other technologies and flows mean nothing
//! here. Of the published ratios, those of fixed-point accumulators are not independent:
//! the multiplexer's figures were chosen knowing them.

use super::cost_report;
use super::mac::MacCost;
use super::model::{Cost, Model, Switching};
use super::table::{HOROWITZ_45NM, Table};
use systole_isa::design::{self, Calibration, Design, MacMode, Product};
use systole_isa::format::Format;
use systole_isa::round::{Overflow, Rounding, SubnormalPolicy};

fn model(calibration: Calibration) -> Model {
    Model::new(Table::named(HOROWITZ_45NM).unwrap(), calibration)
}

fn table_model() -> Model {
    model(Calibration::Table)
}

pub(super) fn built_in(name: &str) -> Design {
    design::find(name).unwrap_or_else(|| panic!("no design {name}"))
}

fn format(name: &str) -> Format {
    name.parse().unwrap_or_else(|e| panic!("{e}"))
}

pub(super) fn near(got: f64, wanted: f64, tolerance: f64, what: &str) {
    assert!((got / wanted - 1.0).abs() <= tolerance, "{what}: {got} is not within {tolerance} of {wanted}");
}

/// Exact float product added to a fixed-point accumulator that holds it exactly.
fn kulisch(m: &Model, e: f64, p: f64, range: f64, width: f64, switching: Switching) -> Cost {
    m.multiply_exact(e, p) + m.fixed_accumulator(width, 2.0 * p, range - 2.0 * p + 1.0, switching)
}

#[test]
fn anchors_come_out_exactly() {
    let m = table_model();
    let cases: [(Cost, f64, f64); 9] = [
        (m.adder(8.0), 0.03, 36.0),
        (m.adder(16.0), 0.05, 67.0),
        (m.adder(32.0), 0.1, 137.0),
        (m.integer_multiplier(8.0, 8.0), 0.2, 282.0),
        (m.integer_multiplier(32.0, 32.0), 3.1, 3495.0),
        (m.float_adder(5.0, 11.0), 0.4, 1360.0),
        (m.float_adder(8.0, 24.0), 0.9, 4184.0),
        (m.multiply_rounded(5.0, 11.0), 1.1, 1640.0),
        (m.multiply_rounded(8.0, 24.0), 3.7, 7700.0),
    ];
    for (i, (got, pj, um2)) in cases.into_iter().enumerate() {
        near(got.pj, pj, 1e-9, &format!("energy {i}"));
        near(got.um2, um2, 1e-9, &format!("area {i}"));
    }
}

#[test]
fn off_anchor_predictions() {
    // (e, p, rounded product, exact product, sum): pJ and um2 of independent evaluations of the laws.
    let m = table_model();
    type Row = (f64, f64, [f64; 2], [f64; 2], [f64; 2]);
    let cases: [Row; 7] = [
        (4.0, 4.0, [0.251, 269.0], [0.0896, 137.0], [0.165, 425.0]),
        (5.0, 3.0, [0.178, 186.0], [0.0751, 114.0], [0.137, 334.0]),
        (3.0, 5.0, [0.336, 377.0], [0.110, 166.0], [0.193, 526.0]),
        (2.0, 2.0, [0.088, 92.0], [0.0366, 61.0], [0.096, 235.0]),
        (6.0, 10.0, [0.961, 1376.0], [0.362, 477.0], [0.369, 1205.0]),
        (8.0, 8.0, [0.706, 926.0], [0.265, 362.0], [0.309, 921.0]),
        (11.0, 53.0, [13.6, 38_600.0], [8.5, 9300.0], [2.13, 15_000.0]),
    ];
    for (e, p, rounded, exact, sum) in cases {
        for (got, wanted) in [(m.multiply_rounded(e, p), rounded), (m.multiply_exact(e, p), exact), (m.float_adder(e, p), sum)] {
            near(got.pj, wanted[0], 0.01, &format!("energy e={e} p={p}"));
            near(got.um2, wanted[1], 0.01, &format!("area e={e} p={p}"));
        }
    }
}

#[test]
fn costs_grow_with_every_width() {
    for calibration in [Calibration::Table, Calibration::Structural] {
        let m = model(calibration);
        type Law<'a> = (&'a str, &'a dyn Fn(f64, f64) -> Cost);
        let laws: [Law<'_>; 6] = [
            ("exact product", &|e, p| m.multiply_exact(e, p)),
            ("rounded product", &|e, p| m.multiply_rounded(e, p)),
            ("sum", &|e, p| m.float_adder(e, p)),
            ("sum without rounding", &|e, p| m.float_adder_and_rounder(e, p, p, Rounding::Rtz).0),
            ("wide sum", &|e, p| m.float_adder_of_width(e, p, 2.0 * p)),
            ("fixed-point sum", &|e, p| m.fixed_accumulator(2.0 * p + e, 2.0 * p, 4.0 * e, Switching::Active)),
        ];
        for (name, law) in laws {
            for e in 1..=11 {
                for p in 1..=60 {
                    let (e, p) = (f64::from(e), f64::from(p));
                    let here = law(e, p);
                    assert!(here.pj > 0.0 && here.um2 > 0.0, "{name} e={e} p={p}: {here:?}");
                    for (next, axis) in [(law(e + 1.0, p), "e"), (law(e, p + 1.0), "p")] {
                        assert!(next.pj >= here.pj && next.um2 >= here.um2, "{name} falls along {axis} at e={e} p={p}");
                    }
                }
            }
        }
    }
}

#[test]
fn structural_adders_match_minimal_gate_counts() {
    let m = model(Calibration::Structural);
    for (e, p, pj, um2) in [(5.0, 11.0, 0.29, 454.0), (8.0, 24.0, 0.63, 976.0)] {
        near(m.float_adder(e, p).pj, pj, 0.05, "energy");
        near(m.float_adder(e, p).um2, um2, 0.05, "area");
    }
}

#[test]
fn published_ratios() {
    let m = table_model();
    let gates = model(Calibration::Structural);
    let int8 = m.integer_multiplier(8.0, 8.0) + m.adder(32.0);
    let fp32_fma = m.multiply_rounded(8.0, 24.0) + m.float_adder(8.0, 24.0);
    // BM6 as E2M3 products in a 22-bit accumulator, all bits switching.
    let bm6 = kulisch(&m, 2.0, 4.0, 12.0, 22.0, Switching::Full);
    let fp8_fp16 = m.multiply_exact(5.0, 4.0) + m.float_adder(5.0, 11.0);
    let e4m3_fp16 = m.multiply_exact(4.0, 4.0) + m.float_adder(5.0, 11.0);
    let e4m3_fp22 = m.multiply_exact(4.0, 4.0) + m.float_adder(8.0, 14.0);
    let int4_24 = m.integer_multiplier(4.0, 4.0) + m.adder(24.0);
    // fp32 multiplication falls from 3.7 to 1.31 pJ between 45 and 7 nm (Jouppi et al. 2021).
    let to_7nm = 1.31 / 3.7;
    // (source, published ratio, ours, smallest and largest of ours over published)
    let cases = [
        ("Jouppi et al. 2021, bf16/fp16 multiply", 0.62, m.multiply_rounded(8.0, 8.0).pj / 1.1, 0.85, 1.15),
        ("Jouppi et al. 2021, bf16/fp16 add", 0.69, m.float_adder(8.0, 8.0).pj / 0.4, 0.8, 1.2),
        ("Jouppi et al. 2021, fp32/int8 multiply", 18.7, m.multiply_rounded(8.0, 24.0).pj / 0.2, 0.85, 1.15),
        ("Block Minifloat, fp32/BM6 energy", 16.1, fp32_fma.pj / bm6.pj, 1.0 / 1.5, 1.5),
        ("Block Minifloat, fp32/BM6 area", 23.9, fp32_fma.um2 / bm6.um2, 1.0 / 1.75, 1.75),
        ("Block Minifloat, fp8/BM6 energy", 2.3, fp8_fp16.pj / bm6.pj, 0.75, 1.25),
        ("Block Minifloat, fp8/BM6 area", 4.1, fp8_fp16.um2 / bm6.um2, 0.75, 1.25),
        ("RaPiD, compute share of HFP8 chip energy", 0.571, e4m3_fp16.pj * to_7nm, 0.15, 0.6),
        ("RaPiD, HFP8/INT4 energy", 4.7, e4m3_fp16.pj / int4_24.pj, 1.0 / 1.5, 1.5),
        ("H100 SXM, compute share of FP8 board energy", 0.707, e4m3_fp22.pj * to_7nm, 0.15, 0.6),
    ];
    for (source, published, ours, low, high) in cases {
        let over = ours / published;
        assert!((low..=high).contains(&over), "{source}: published {published}, ours {ours}");
    }
    // van Baalen et al. 2023: FP8 takes 1.5 to 2.8 times INT8's gates.
    let e4m3 = gates.multiply_exact(4.0, 4.0).um2;
    for (what, um2) in [
        ("E4M3 fixed point", kulisch(&m, 4.0, 4.0, 36.0, 46.0, Switching::Full).um2),
        ("E5M2 fixed point", kulisch(&m, 5.0, 3.0, 64.0, 74.0, Switching::Full).um2),
        ("E4M3 into fp16", e4m3 + gates.float_adder(5.0, 11.0).um2),
        ("E4M3 into fp32", e4m3 + gates.float_adder(8.0, 24.0).um2),
    ] {
        assert!((1.3..=3.1).contains(&(um2 / int8.um2)), "{what}: {}", um2 / int8.um2);
    }
    // ELMA's 8-bit log multiply-add with a 38-bit accumulator takes 0.84 to 0.96 of INT8's power.
    assert!(kulisch(&m, 4.0, 4.0, 36.0, 46.0, Switching::Active).pj / int8.pj <= 1.4);
}

#[test]
fn modes_are_priced_by_their_datapaths() {
    let m = table_model();
    let price = |change: fn(&mut MacMode)| {
        let mut design = built_in("e6m9-16x16");
        change(&mut design.mac);
        MacCost::of(&m, &design, &design.mac)
    };
    let base = price(|_| ());
    let normalise = 2.0 * m.subnormal_shifter(4.0).pj;
    near(base.multiplier.pj, m.multiply_exact(4.0, 4.0).pj + normalise, 1e-12, "product");
    near(base.adder.pj + base.rounding.pj, m.float_adder(6.0, 10.0).pj, 1e-12, "sum");
    near(base.rounding.pj, m.adder(10.0).pj / 2.0 + 0.007, 1e-12, "nearest-even");
    near(price(|m| m.subnormals = SubnormalPolicy::Daz).multiplier.pj, m.multiply_exact(4.0, 4.0).pj, 1e-12, "daz");

    let roundings = [Rounding::Rtz, Rounding::Rod, Rounding::Rmm, Rounding::Rne];
    let mut last = -1.0;
    for rounding in roundings {
        let mut design = built_in("e6m9-16x16");
        design.mac.rounding = rounding;
        let cost = MacCost::of(&m, &design, &design.mac);
        assert_eq!(cost.adder, base.adder, "the adder does not know how its sum is rounded");
        assert!(cost.rounding.pj > last, "{rounding}");
        last = cost.rounding.pj;
    }
    let sr = price(|m| m.rounding = Rounding::Sr(8));
    near(sr.rounding.pj, 0.03 + 8.0 * 0.0014 + 8.0 * (0.0038 + 0.5 * 0.0005), 1e-12, "stochastic");

    // The exact product of two e4m3 spans 36 bits.
    let fixed = price(|m| m.accumulator = format("fx46.18"));
    near(fixed.multiplier.pj + fixed.adder.pj, 0.342, 0.002, "fixed-point accumulator");
    near(fixed.multiplier.um2 + fixed.adder.um2, 760.0, 0.002, "fixed-point accumulator area");
    assert_eq!(fixed.rounding, Cost::ZERO, "nothing is lost, nothing is rounded");
    assert!(price(|m| m.accumulator = format("fx46.12")).rounding.pj > 0.0, "6 bits of the product fall off");

    let saturating = price(|m| (m.accumulator, m.overflow) = (format("fx46.18"), Overflow::Saturate));
    near(saturating.adder.pj - fixed.adder.pj, 46.0 * 0.0014, 1e-9, "saturation");

    let rounded = price(|m| m.product = Product::Rounded(Format::E4M3FN));
    assert!(rounded.rounding.pj > base.rounding.pj);
    let int8 = built_in("int8-16x16");
    let int8 = MacCost::of(&m, &int8, &int8.mac);
    near(int8.multiplier.pj + int8.adder.pj + int8.rounding.pj, 0.3, 1e-12, "int8");
    let fp32 = built_in("fp32-16x16");
    let fp32 = MacCost::of(&m, &fp32, &fp32.mac);
    assert!(fp32.adder.pj + fp32.rounding.pj > 0.9, "one rounding of a 48-bit product needs a wider adder");
}

#[test]
fn area_is_the_union_of_modes() {
    let mut both = built_in("fp8-16x16");
    let all = cost_report(&both).unwrap().area_um2;
    let singles: Vec<_> = both
        .mac_modes()
        .into_iter()
        .map(|mode| {
            let mut single = both.clone();
            (single.mac, single.modes) = (mode, Vec::new());
            cost_report(&single).unwrap().area_um2
        })
        .collect();
    for single in &singles {
        for ((name, union), (_, one)) in all.iter().zip(single.iter()) {
            assert!(union >= one, "{name}: {union} below {one}");
        }
    }
    let sum: f64 = singles.iter().map(|s| s.multipliers).sum();
    assert!(all.multipliers < sum, "one shared multiplier, not three");
    both.modes.clear();
    assert!(cost_report(&both).unwrap().area_um2.multipliers < all.multipliers, "e5m2 widens the exponents");
}

#[test]
fn published_peaks() {
    for (name, published) in
        [("tpu-v1", 91.75), ("tpu-v3", 123.2), ("tpu-v4", 275.3), ("h100-sxm-fp8", 1978.9), ("rapid-hfp8", 26.2), ("gemmini-16x16", 0.512)]
    {
        near(cost_report(&built_in(name)).unwrap().tflops.peak, published, 0.01, name);
    }
}
