//! What conversions make of numbers that a format does not hold, by policy, with sources.
//!
//! Outcomes are those of the rounding that the simulator runs on; only words and sources are
//! written down here.

use super::describe;
use systole_isa::exact::Exact;
use systole_isa::format::{Decoded, Format, NAMED, Specials, Subnormals};
use systole_isa::round::{Flags, NanCode, NoInfinity, Overflow, Policy, Rounding, SubnormalPolicy, Tininess, decode_with, encode_decoded};

const IEEE_OVERFLOW: &str = "IEEE 754-2019, section 7.4";
const OFP8: &str = "OCP OFP8 v1.0, section 5.2";
const POSIT: &str = "Standard for Posit Arithmetic 2022, section 4";
const TWOS_COMPLEMENT: &str = "two's complement: an adder drops its carry";
const SATURATING: &str = "two's complement: a saturating adder";

/// What one overflow policy makes of numbers beyond the largest, and of infinities.
#[derive(Clone, Debug)]
pub struct OverflowRow {
    /// The policy's name.
    pub overflow: &'static str,
    /// Rounding modes in which it holds; empty for all.
    pub roundings: &'static str,
    /// The stand-in for infinity, where it matters.
    pub no_infinity: Option<&'static str>,
    /// Outcomes for a number above the largest, below the lowest, infinity, minus infinity.
    pub becomes: [String; 4],
    /// Where the policy comes from.
    pub source: String,
}

/// Rounding modes that overflow alike.
const DIRECTIONS: [(&str, Rounding); 4] =
    [("rne rmm sr", Rounding::Rne), ("rtz rod", Rounding::Rtz), ("rdn", Rounding::Rdn), ("rup", Rounding::Rup)];

const POLICIES: [(&str, Overflow); 4] =
    [("ieee", Overflow::Ieee), ("saturate", Overflow::Saturate), ("propagate", Overflow::Propagate), ("infinity", Overflow::Infinity)];

fn outcomes(format: Format, policy: Policy) -> [String; 4] {
    let beyond = |negative| match format.decode(format.max_finite(false)) {
        Decoded::Finite(x) => Decoded::Finite(Exact { negative, ..x }.scale(2)),
        special => special,
    };
    let wraps = matches!(format, Format::Fixed(_) | Format::Quire(_)) && !policy.overflow.saturates();
    let result = |value| describe(format, encode_decoded(format, value, policy, 0).0);
    let number = |negative| if wraps { "wraps".to_owned() } else { result(beyond(negative)) };
    let infinity = |negative| result(Decoded::Infinite { negative });
    [number(false), number(true), infinity(false), infinity(true)]
}

fn named_source(format: Format) -> Option<&'static str> {
    NAMED.iter().find(|n| n.format == format).map(|n| n.source)
}

fn overflow_source(format: Format, overflow: Overflow) -> String {
    let p3109 = |rule: &str| format!("IEEE P3109 interim report, {rule}");
    let projection = match overflow {
        Overflow::Saturate => p3109("SatFinite"),
        Overflow::Propagate => p3109("SatPropagate"),
        Overflow::Ieee | Overflow::Infinity => p3109("OvfInf"),
    };
    match format {
        Format::Posit(_) => POSIT.to_owned(),
        Format::Fixed(_) | Format::Quire(_) if overflow.saturates() => SATURATING.to_owned(),
        Format::Fixed(_) | Format::Quire(_) => TWOS_COMPLEMENT.to_owned(),
        Format::Float(f) => {
            let ocp = named_source(format).is_some_and(|source| source.contains("OFP8"));
            match (overflow, f.specials) {
                (Overflow::Ieee, Specials::Fn) if ocp => format!("{OFP8}, not saturating"),
                (Overflow::Ieee, Specials::Ieee) if ocp => format!("{IEEE_OVERFLOW}; {OFP8}"),
                (Overflow::Saturate, _) if ocp => format!("{OFP8}, saturating"),
                (Overflow::Ieee, Specials::MergedTop) => "Agrawal et al. 2019: NaN and infinity are one code".to_owned(),
                (Overflow::Ieee, Specials::Fnuz) => format!("Noune et al. 2022; directions as {IEEE_OVERFLOW}"),
                (_, Specials::F) => named_source(format).map_or_else(|| "every code finite: the largest".to_owned(), str::to_owned),
                (Overflow::Ieee, _) => IEEE_OVERFLOW.to_owned(),
                _ => projection,
            }
        }
    }
}

/// Every overflow policy on a format; rows that would be equal are one.
pub fn overflows(format: Format) -> Vec<OverflowRow> {
    let mut rows: Vec<OverflowRow> = Vec::new();
    for (name, overflow) in POLICIES {
        for (word, no_infinity) in [("nan", NoInfinity::Nan), ("max", NoInfinity::Max)] {
            let becomes = |rounding| outcomes(format, Policy { no_infinity, ..Policy::new(rounding).overflow(overflow) });
            let all = DIRECTIONS.map(|(roundings, rounding)| (roundings, becomes(rounding)));
            let source = overflow_source(format, overflow);
            let alike = all.iter().all(|(_, becomes)| *becomes == all[0].1);
            for (roundings, becomes) in all {
                let roundings = if alike { "" } else { roundings };
                let seen = rows
                    .iter()
                    .any(|r| (r.overflow, &r.becomes) == (name, &becomes) && (r.roundings == roundings || r.roundings.is_empty()));
                if !seen {
                    let no_infinity = Some(word).filter(|_| no_infinity == NoInfinity::Max);
                    rows.push(OverflowRow { overflow: name, roundings, no_infinity, becomes, source: source.clone() });
                }
            }
        }
    }
    rows
}

/// What becomes of a number or code that is special or small.
#[derive(Clone, Debug)]
pub struct Case {
    /// What comes.
    pub comes: String,
    /// What it becomes.
    pub becomes: String,
    /// Where that is said.
    pub source: &'static str,
}

/// Outcomes of a number by rounding mode, equal ones together.
fn by_rounding(format: Format, value: Exact) -> String {
    let result = |rounding, random| describe(format, encode_decoded(format, Decoded::Finite(value), Policy::new(rounding), random).0);
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    let mut add = |outcome: String, mode: String| match groups.iter_mut().find(|(known, _)| *known == outcome) {
        Some((_, modes)) => modes.push(mode),
        None => groups.push((outcome, vec![mode])),
    };
    for rounding in Rounding::DETERMINISTIC {
        add(result(rounding, 0), rounding.to_string());
    }
    let (down, up) = (result(Rounding::Sr(8), 0), result(Rounding::Sr(8), 0xff));
    add(if down == up { down } else { "either".to_owned() }, "sr".to_owned());
    match &groups[..] {
        [(outcome, _)] => outcome.clone(),
        _ => groups.iter().map(|(outcome, modes)| format!("{outcome} ({})", modes.join(" "))).collect::<Vec<_>>().join(", "),
    }
}

/// What becomes of NaNs, zeros, and numbers near the smallest.
pub fn cases(format: Format) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut case = |comes: String, becomes: String, source| cases.push(Case { comes, becomes, source });
    let digits = (format.bits() as usize).div_ceil(4);
    let coded = |code: u64| format!("{} (0x{code:0digits$x})", describe(format, code));
    let nan = |nan| encode_decoded(format, Decoded::Nan, Policy { nan, ..Policy::RNE }, 0).0;
    let nan_source = match format {
        Format::Float(f) if f.specials == Specials::F => "no NaN: this project's choice, raising invalid",
        Format::Float(_) => "IEEE 754-2019, section 6.2; one NaN, as RISC-V has it",
        Format::Fixed(_) => "no NaN: this project's choice, raising invalid",
        Format::Posit(_) | Format::Quire(_) => "Standard for Posit Arithmetic 2022, section 4",
    };
    case("NaN".to_owned(), coded(nan(NanCode::Canonical)), nan_source);
    if nan(NanCode::AllOnes) != nan(NanCode::Canonical) {
        case("NaN, mac.nan all_ones".to_owned(), coded(nan(NanCode::AllOnes)), "NVIDIA tensor cores, as MMA-Sim models them");
    }
    let zero = |negative| encode_decoded(format, Decoded::Finite(Exact::zero(negative)), Policy::RNE, 0).0;
    let zero_source = match format {
        Format::Float(f) if f.specials == Specials::E8m0 => "OCP MX v1.0: no zero; the smallest stands in",
        Format::Float(_) if format.zero(true) != 0 => "IEEE 754-2019, section 6.3",
        Format::Float(_) => "no -0: its code is NaN",
        Format::Fixed(_) | Format::Posit(_) | Format::Quire(_) => "one zero",
    };
    if zero(false) != 0 || !format.is_zero(0) {
        case("0".to_owned(), coded(zero(false)), zero_source);
    } else {
        case("-0".to_owned(), coded(zero(true)), zero_source);
    }
    let Decoded::Finite(smallest) = format.decode(format.smallest_positive()) else { return cases };
    let small_source = match format {
        Format::Posit(_) => POSIT,
        Format::Float(f) if f.subnormals == Subnormals::Gradual => "IEEE 754-2019, section 7.5: gradual underflow",
        Format::Float(f) if f.specials == Specials::E8m0 => "OCP MX v1.0: no zero; the smallest stands in",
        Format::Float(_) => "Agrawal et al. 2019: no subnormals; 0 or the smallest",
        Format::Fixed(_) | Format::Quire(_) => "rounding, once, to the lowest bit",
    };
    let signed = !matches!(format, Format::Float(f) if !f.signed);
    for (name, quarters) in [("half the smallest", 2), ("a quarter of it", 1)] {
        let value = Exact { significand: smallest.significand * quarters, ..smallest }.scale(-2);
        case(name.to_owned(), by_rounding(format, value), small_source);
        if signed {
            case(format!("minus {name}"), by_rounding(format, Exact { negative: true, ..value }), small_source);
        }
    }
    if let Format::Float(f) = format
        && f.subnormals == Subnormals::Gradual
        && f.mantissa_bits > 0
        && 1 << f.mantissa_bits <= f.max_finite_magnitude()
    {
        let read = |subnormals| match decode_with(format, 1, subnormals) {
            Decoded::Finite(x) if x.is_zero() => "0".to_owned(),
            _ => describe(format, 1),
        };
        let written = |subnormals| {
            let policy = Policy::RNE.subnormals(subnormals);
            describe(format, encode_decoded(format, Decoded::Finite(smallest), policy, 0).0)
        };
        use SubnormalPolicy::{Daz, DazFtz, Ftz, Gradual};
        let by_policy = |outcome: &dyn Fn(SubnormalPolicy) -> String| {
            [("gradual", Gradual), ("daz", Daz), ("ftz", Ftz), ("daz_ftz", DazFtz)]
                .map(|(name, policy)| format!("{} ({name})", outcome(policy)))
                .join(", ")
        };
        case("smallest subnormal, read".to_owned(), by_policy(&read), "x86 MXCSR.DAZ");
        case("smallest subnormal, written".to_owned(), by_policy(&written), "x86 MXCSR.FTZ");
        // In the format's precision, halfway between the number below and the smallest normal.
        let below = Exact { negative: false, significand: (4 << f.mantissa_bits) - 1, exponent: f.min_quantum_exponent() - 2 };
        let underflows = |tininess| {
            let (_, flags) = encode_decoded(format, Decoded::Finite(below), Policy { tininess, ..Policy::RNE }, 0);
            if flags.contains(Flags::UNDERFLOW) { "underflow" } else { "no underflow" }
        };
        case(
            "just below the smallest normal".to_owned(),
            format!("{} (tininess before), {} (after)", underflows(Tininess::Before), underflows(Tininess::After)),
            "IEEE 754-2019, section 7.5 allows both: Arm before, x86 and RISC-V after",
        );
    }
    cases
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_of_a_direction_overflow_alike() {
        for named in NAMED {
            for (_, overflow) in POLICIES {
                for (group, of) in [(Rounding::Rmm, Rounding::Rne), (Rounding::Sr(8), Rounding::Rne), (Rounding::Rod, Rounding::Rtz)] {
                    let outcome = |rounding| outcomes(named.format, Policy::new(rounding).overflow(overflow));
                    assert_eq!(outcome(group), outcome(of), "{} {group}", named.name);
                }
            }
        }
    }

    #[test]
    fn policies_by_hand() {
        type Row<'a> = (&'a str, &'a str, &'a str, Option<&'a str>, [&'a str; 4]);
        let rows: [Row<'_>; 16] = [
            ("e4m3fn", "ieee", "rne rmm sr", None, ["NaN", "NaN", "NaN", "NaN"]),
            ("e4m3fn", "ieee", "rtz rod", None, ["448", "-448", "NaN", "NaN"]),
            ("e4m3fn", "ieee", "rup", None, ["NaN", "-448", "NaN", "NaN"]),
            ("e4m3fn", "ieee", "", Some("max"), ["448", "-448", "448", "-448"]),
            ("e4m3fn", "saturate", "", None, ["448", "-448", "448", "-448"]),
            ("e4m3fn", "propagate", "", None, ["448", "-448", "NaN", "NaN"]),
            ("e5m2", "ieee", "rdn", None, ["57344", "-inf", "inf", "-inf"]),
            ("e5m2", "infinity", "", None, ["inf", "-inf", "inf", "-inf"]),
            ("e5m2", "propagate", "", None, ["57344", "-57344", "inf", "-inf"]),
            ("e2m1f", "ieee", "", None, ["6", "-6", "6", "-6"]),
            ("int8", "ieee", "", None, ["wraps", "wraps", "127", "-128"]),
            ("int8", "saturate", "", None, ["127", "-128", "127", "-128"]),
            ("posit8_0", "ieee", "", None, ["64", "-64", "NaR", "NaR"]),
            ("posit8_0", "saturate", "", None, ["64", "-64", "64", "-64"]),
            ("e8m0", "saturate", "", None, ["1.70141e38", "NaN", "1.70141e38", "NaN"]),
            ("p3109_k8p3se", "infinity", "", None, ["inf", "-inf", "inf", "-inf"]),
        ];
        for (name, overflow, roundings, no_infinity, becomes) in rows {
            let format: Format = name.parse().unwrap();
            let found =
                overflows(format).into_iter().find(|r| (r.overflow, r.roundings, r.no_infinity) == (overflow, roundings, no_infinity));
            assert_eq!(found.unwrap_or_else(|| panic!("{name} {overflow} {roundings}")).becomes, becomes, "{name} {overflow} {roundings}");
        }
    }

    #[test]
    fn cases_by_hand() {
        let rows = [
            ("e4m3fn", "NaN", "NaN (0x7f)"),
            ("e5m2", "NaN", "NaN (0x7e)"),
            ("e5m2", "NaN, mac.nan all_ones", "NaN (0x7f)"),
            ("e2m1f", "NaN", "6 (0x7)"),
            ("int8", "NaN", "0 (0x00)"),
            ("posit8_0", "NaN", "NaR (0x80)"),
            ("e4m3fn", "-0", "-0 (0x80)"),
            ("e4m3fnuz", "-0", "0 (0x00)"),
            ("e8m0", "0", "5.87747e-39 (0x00)"),
            ("e4m3fn", "half the smallest", "0 (rne rtz rdn), 0.001953125 (rmm rup rod), either (sr)"),
            ("e4m3fn", "minus a quarter of it", "-0 (rne rmm rtz rup), -0.001953125 (rdn rod), either (sr)"),
            ("posit8_0", "a quarter of it", "0.015625"),
            ("dlfloat16", "half the smallest", "0 (rne rtz rdn), 4.66571e-10 (rmm rup rod), either (sr)"),
            ("e5m2", "smallest subnormal, read", "1.52588e-5 (gradual), 0 (daz), 1.52588e-5 (ftz), 0 (daz_ftz)"),
            ("e5m2", "smallest subnormal, written", "1.52588e-5 (gradual), 1.52588e-5 (daz), 0 (ftz), 0 (daz_ftz)"),
            ("fp32", "just below the smallest normal", "underflow (tininess before), no underflow (after)"),
        ];
        for (name, comes, becomes) in rows {
            let found = cases(name.parse().unwrap()).into_iter().find(|c| c.comes == comes);
            assert_eq!(found.unwrap_or_else(|| panic!("{name} {comes}")).becomes, becomes, "{name} {comes}");
        }
    }
}
