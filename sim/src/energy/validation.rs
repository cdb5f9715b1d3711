//! The model held against its anchors, against published ratios and against published peaks.
//!
//! Only ratios are compared: absolute figures of other technologies and flows mean nothing
//! here. Of the published ratios, those of fixed-point accumulators are not independent:
//! the multiplexer's figures were chosen knowing them.

use super::cost_report;
use super::mac::MacCost;
use super::model::{Cost, Model, Switching};
use super::table::{HOROWITZ_45NM, JOUPPI_7NM, NAMES, named};
use systole_isa::design::{self, Addend, Aligned, Calibration, Design, MacMode, Product, Scaling, Unit};
use systole_isa::format::Format;
use systole_isa::round::{Overflow, Rounding, SubnormalPolicy};

fn model(calibration: Calibration) -> Model {
    Model::new(named(HOROWITZ_45NM).unwrap(), calibration)
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

/// At 7 nm the linear coefficient of the multiplier would be negative: a power law takes the
/// place, exact at the anchors and positive below them.
#[test]
fn anchors_of_7_nm_come_out_exactly_and_bf16_nearly() {
    let m = Model::new(named(JOUPPI_7NM).unwrap(), Calibration::Table);
    let cases = [
        (m.adder(8.0), 0.007),
        (m.adder(32.0), 0.03),
        (m.integer_multiplier(8.0, 8.0), 0.07),
        (m.integer_multiplier(32.0, 32.0), 1.48),
        (m.float_adder(5.0, 11.0), 0.16),
        (m.float_adder(8.0, 24.0), 0.38),
        (m.multiply_rounded(5.0, 11.0), 0.34),
        (m.multiply_rounded(8.0, 24.0), 1.31),
    ];
    for (i, (got, pj)) in cases.into_iter().enumerate() {
        near(got.pj, pj, 1e-9, &format!("energy {i}"));
    }
    for (i, check) in m.table.checks.iter().enumerate() {
        let got = if i == 0 { m.float_adder(check.exponent, check.precision) } else { m.multiply_rounded(check.exponent, check.precision) };
        near(got.pj, check.energy.value, 0.3, &check.name());
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
fn figures_say_where_they_stand() {
    let m = table_model();
    let cases: [(Cost, &str); 12] = [
        (m.adder(16.0), "table"),
        (m.adder(12.0), "interpolated"),
        (m.adder(48.0), "extrapolated"),
        (m.integer_multiplier(8.0, 8.0), "table"),
        (m.integer_multiplier(4.0, 16.0), "interpolated"),
        (m.integer_multiplier(4.0, 4.0), "extrapolated"),
        (m.float_adder(8.0, 24.0), "table"),
        (m.float_adder(8.0, 11.0), "interpolated"),
        (m.float_adder_of_width(8.0, 24.0, 48.0), "extrapolated"),
        (m.multiply_rounded(5.0, 11.0), "table"),
        (m.multiply_rounded(4.0, 4.0), "extrapolated"),
        (m.integer_multiplier(8.0, 8.0) + m.mux(8.0, 1.0), "table + components"),
    ];
    for (i, (cost, label)) in cases.into_iter().enumerate() {
        assert_eq!(cost.basis.to_string(), label, "case {i}");
    }
    assert_eq!(m.shifter(8.0, 1.0).basis, Cost::ZERO.basis, "no shifter, no components");
    assert_eq!(model(Calibration::Structural).float_adder(8.0, 24.0).basis.to_string(), "interpolated + components");

    let label = |design: &str, part: &str| cost_report(&built_in(design)).unwrap().json()["labels"][part].clone();
    assert_eq!(label("int8-16x16", "multipliers")["basis"], "table");
    assert!(label("int8-16x16", "multipliers").get("energy_band_percent").is_none());
    let fp8 = label("fp8-16x16", "multipliers");
    assert_eq!((&fp8["basis"], &fp8["energy_band_percent"]), (&"extrapolated".into(), &30.0.into()));
    assert_eq!(fp8["area_band_factor"], serde_json::json!([2.0, 3.0]));
    assert_eq!(label("fp8-16x16", "accumulator_memory"), serde_json::Value::Null, "what is not there has no label");
}

#[test]
fn costs_grow_with_every_width() {
    let tables = NAMES.iter().flat_map(|name| [Calibration::Table, Calibration::Structural].map(|calibration| (name, calibration)));
    for (table, calibration) in tables {
        let m = Model::new(named(table).unwrap(), calibration);
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
    let h100 = cost_report(&built_in("h100-sxm-fp8")).unwrap();
    let h100_unit = h100.energy_pj.multipliers + h100.energy_pj.adders + h100.energy_pj.rounding;
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
        ("H100 SXM, the same as 32-term aligned units", 0.707, h100_unit * to_7nm, 0.15, 0.6),
        ("H100 SXM, arrays and shared memory", 0.707, h100.energy_pj.total() * to_7nm, 0.3, 1.0),
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
fn units_are_priced_by_their_parts() {
    let m = table_model();
    let price = |name: &str, change: &dyn Fn(&mut MacMode)| {
        let mut design = built_in(name);
        change(&mut design.mac);
        MacCost::of(&m, &design, &design.mac)
    };
    let per_mac = |cost: MacCost| cost.multiplier.pj + cost.adder.pj + cost.rounding.pj;

    // 32 e4m3 products at 13 fraction bits: two bits before the point, five of carry; exponents of
    // 8 bits. Operands are not normalised, and truncation needs no rounder.
    let h100 = price("h100-fp8", &|_| ());
    near(h100.multiplier.pj, m.multiply_exact(4.0, 4.0).pj, 1e-12, "product");
    let mux = |bits: f64| 0.0014 * bits;
    let align = 2.0 * 0.03 + mux(8.0) + mux(15.0 * 15f64.log2());
    let tree = 0.05 + 4.0 * 0.003125;
    let normalise = tree + mux(20.0 * 20f64.log2()) + 0.03;
    near(h100.adder.pj, align + tree + (align + normalise) / 32.0, 1e-12, "sum");
    assert_eq!(h100.rounding, Cost::ZERO);
    near(price("h100-fp8", &|m| m.rounding = Rounding::Rne).rounding.pj, m.rounder(Rounding::Rne, 14.0).pj / 32.0, 1e-12, "rounding");
    // A unit shares what a chain of fused multiply-adds pays 32 times.
    let chain = price("h100-fp8", &|m| m.unit = Unit::Chain);
    assert!(per_mac(h100) < 0.75 * per_mac(chain), "{} {}", per_mac(h100), per_mac(chain));

    let aligned = |change: fn(&mut Aligned)| {
        price("h100-fp8", &|m| {
            if let Unit::Aligned(unit) = &mut m.unit {
                change(unit);
            }
        })
        .adder
    };
    let base = aligned(|_| ());
    type Change = fn(&mut Aligned);
    let dearer: [(&str, Change); 4] = [
        ("25 fraction bits", |u| u.fraction_bits = 25),
        ("an addition apart", |u| u.addend = Addend::Apart),
        ("groups", |u| (u.groups, u.addend) = (2, Addend::Apart)),
        ("two alignments", |u| u.addend = Addend::Aligned { sum_bits: 31, addend_bits: 24, reach: None }),
    ];
    for (what, change) in dearer {
        let cost = aligned(change);
        assert!(cost.pj > base.pj && cost.um2 > base.um2, "{what}: {cost:?} {base:?}");
    }
    let mut last = base;
    for bits in 14..=64 {
        let cost = price("h100-fp8", &|m| m.unit = Unit::Aligned(Aligned { fraction_bits: bits, ..plain(13) })).adder;
        assert!(cost.pj > last.pj && cost.um2 > last.um2, "{bits} bits");
        last = cost;
    }

    // The 36 places of a product of two e4m3, a sign, five bits of carry.
    let exact = price("h100-fp8", &|m| m.unit = Unit::Exact);
    let width = 36.0 + 1.0 + 5.0;
    near(
        exact.adder.um2,
        m.fixed_accumulator(width, 8.0, 29.0, Switching::Full).um2
            + m.float_adder_and_rounder(8.0, 14.0, width, Rounding::Rtz).0.um2 / 32.0,
        1e-12,
        "exact tree",
    );
    assert!(price("h100-fp8", &|m| m.unit = Unit::ExactApart).adder.um2 > m.fixed_accumulator(width, 8.0, 29.0, Switching::Full).um2);
    // bf16 products take 2^-266 to 2^256.
    assert!(price("amx-bf16", &|m| m.unit = Unit::Exact).adder.um2 > 3.0 * exact.adder.um2);
    // Integers need no shifters.
    let int8 = price("int8-16x16", &|m| (m.unit, m.lanes) = (Unit::Exact, 4));
    near(int8.adder.pj, m.adder(18.0).pj + m.adder(32.0).pj / 4.0, 1e-12, "int8 tree");

    let ways = price("amx-bf16", &|_| ());
    let single = price("amx-bf16", &|m| m.unit = Unit::Chain);
    near(
        ways.adder.pj - single.adder.pj,
        m.float_adder_and_rounder(8.0, 24.0, 24.0, Rounding::Rne).0.pj * 2.0 / 32.0,
        1e-12,
        "two chains joined",
    );
    assert_eq!(price("amx-bf16", &|m| m.unit = Unit::Descending).adder, single.adder);
}

fn plain(fraction_bits: u32) -> Aligned {
    Aligned {
        fraction_bits,
        term_truncation: design::Truncation::TowardZero,
        addend: Addend::Together,
        groups: 1,
        sum_truncation: design::Truncation::TowardZero,
        zero_exponent: None,
        infinite_from: None,
        negative_zero: false,
    }
}

#[test]
fn scales_posits_and_wide_accumulators_are_priced_by_their_parts() {
    let m = table_model();
    let price = |name: &str, change: &dyn Fn(&mut MacMode)| {
        let mut design = built_in(name);
        change(&mut design.mac);
        MacCost::of(&m, &design, &design.mac)
    };
    let mx = price("mxfp8-16x16", &|_| ());
    let bare = price("mxfp8-16x16", &|m| m.scale = Scaling::None);
    near(mx.multiplier.pj - bare.multiplier.pj, m.adder(9.0).pj, 1e-12, "an exponent of 8 bits added");
    near(mx.outer_adder.pj - bare.outer_adder.pj, m.adder(9.0).pj, 1e-12, "the scales' own sum");
    // Scaled sums of 13 bits times the product of two 4-bit significands, exponents of 9 bits.
    let nv = price("nvfp4-16x16", &|_| ());
    let multiply = m.integer_multiplier(4.0, 4.0) + m.integer_multiplier(8.0, 13.0) + m.adder(5.0) * 2.0;
    let add = m.float_adder_and_rounder(8.0, 24.0, 24.0, Rounding::Rne).0;
    near(nv.outer_adder.pj, (multiply + add).pj, 1e-12, "scaled chunk");
    let apart = price("nvfp4-16x16", &|m| m.scale = Scaling::ChunkRounded);
    assert!(apart.outer_rounding.pj > nv.outer_rounding.pj);
    let powers = price("bm8-16x16", &|_| ());
    near(
        powers.outer_adder.pj,
        (m.adder(9.0) * 2.0 + m.float_adder_and_rounder(9.0, 24.0, 24.0, Rounding::Rne).0).pj,
        1e-12,
        "powers of two",
    );
    // Longer blocks share their scales.
    let report = |chunk| {
        let mut design = built_in("nvfp4-16x16");
        design.mac.chunk = Some(chunk);
        cost_report(&design).unwrap().energy_pj
    };
    let (short, long) = (report(16), report(32));
    assert!(short.adders > long.adders && short.rounding > long.rounding && short.scratchpad > long.scratchpad);
    let registers = |name: &str, scale| {
        let mut design = built_in(name);
        design.mac.scale = scale;
        design.modes.clear();
        cost_report(&design).unwrap().area_um2.registers
    };
    near(registers("mxfp8-16x16", Scaling::Exponent) - registers("mxfp8-16x16", Scaling::None), 5.98 * 256.0 * 16.0, 1e-9, "scales held");

    // Two complements, two run counters, two shifters of 8 bits.
    let posit = price("posit8-16x16", &|_| ());
    let same_widths = price("posit8-16x16", &|m| (m.a, m.b) = (format("e3m5f"), format("e3m5f")));
    near(posit.multiplier.pj - same_widths.multiplier.pj, 2.0 * (2.0 * 0.03 + 0.0014 * 24.0), 1e-9, "decoders");
    assert!(posit.conversion.um2 > price("posit8-16x16", &|m| m.accumulator = format("fx56.12")).conversion.um2 - 1e-9);
    assert_eq!(posit.rounding, Cost::ZERO, "a quire loses nothing");

    // 512 bits: the adder's own law, the product's places bounded by its span.
    let wide = |name: &'static str| price("posit8-16x16", &move |m| m.accumulator = format(name)).adder;
    near(wide("quire32_2").pj - wide("quire8_0").pj, m.adder(512.0).pj - m.adder(56.0).pj, 1e-9, "512 bits");
    let bits = |name: &str| {
        let mut design = built_in("posit8-16x16");
        design.mac.accumulator = format(name);
        cost_report(&design).unwrap().area_um2.registers
    };
    assert!(bits("quire32_2") - bits("quire8_0") > 5.98 * 256.0 * (512.0 - 56.0));
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
