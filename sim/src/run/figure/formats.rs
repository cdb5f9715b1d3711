//! Formats side by side: what their numbers are, and what arrays of them cost.

use crate::energy::{AreaParts, CostReport, EnergyError, cost_report};
use systole_isa::design::{DESIGNS, Design, DesignError, find};
use systole_isa::exact::Exact;
use systole_isa::format::{Decoded, FixedFormat, Format, Specials, Subnormals};

/// Formats that are shown unless others are asked for: the lecture's, then those of its methods
/// and two of other kinds.
pub const FORMATS: [&str; 16] = [
    "fp64",
    "fp32",
    "tf32",
    "bf16",
    "fp16",
    "dlfloat16",
    "e6m9",
    "e5m2",
    "e4m3fn",
    "e4m3b11fnuz",
    "e4m3f",
    "e3m4b7f",
    "e2m5b2f",
    "e2m1f",
    "posit8_0",
    "int8",
];

/// The design whose arrays, in number, make the whole chip that published peaks are of.
const CHIP: &str = "h100-sxm-fp8";
/// Designs of one such array each, or of the whole chip.
const UNITS: &str = "h100-";

/// Formats side by side.
#[derive(Clone, Debug)]
pub struct Table {
    /// The design whose array is the yardstick, and its cost.
    pub yardstick: CostReport,
    /// Its clock, MHz.
    pub clock_mhz: f64,
    /// What floats up to binary32 are summed in.
    pub narrow: Format,
    /// Cell area of its multipliers, adders, rounding and registers, um2.
    pub area_um2: f64,
    /// One for each format.
    pub rows: Vec<Row>,
}

/// One format.
#[derive(Clone, Debug)]
pub struct Row {
    /// The format.
    pub format: Format,
    /// Sign, exponent and mantissa bits, and bias, of a float.
    pub layout: Option<Layout>,
    /// Significant bits, the hidden one included; of a posit at 1.
    pub precision: u32,
    /// The largest number.
    pub largest: Exact,
    /// The least normal number of a float; of one without subnormals its least number.
    pub least_normal: Option<Exact>,
    /// The least number above 0, if it is another.
    pub least_subnormal: Option<Exact>,
    /// Half the distance of neighbours, over them at most: of floats, and of posits at 1.
    pub unit_roundoff: Option<f64>,
    /// What the array sums in.
    pub accumulator: Format,
    /// Cell area of the array's multipliers, adders, rounding and registers, um2.
    pub area_um2: f64,
    /// Peak of as many MACs as the yardstick's area holds, TFLOPS.
    pub tflops: f64,
    /// At full use, TFLOPS per watt.
    pub tflops_per_watt: f64,
    /// Peak of the tensor cores that take the format, TFLOPS.
    pub h100_tflops: Option<f64>,
}

/// Fields of a float's codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Sign bits.
    pub sign: u32,
    /// Exponent bits.
    pub exponent: u32,
    /// Mantissa bits, the hidden one left out.
    pub mantissa: u32,
    /// Exponent bias.
    pub bias: i32,
}

/// The table could not be made.
#[derive(Debug, thiserror::Error)]
pub enum FormatsError {
    /// A format no array multiplies.
    #[error("{0} is no format of operands: {1}; leave it out")]
    NoOperand(Format, &'static str),
    /// The yardstick with operands of that format is no design.
    #[error("an array of {format} in place of the operands of `{design}`: {source}")]
    Design {
        /// The format.
        format: Format,
        /// The yardstick.
        design: String,
        /// The cause.
        source: Box<DesignError>,
    },
    /// It cannot be priced.
    #[error(transparent)]
    Energy(#[from] EnergyError),
}

fn number(format: Format, code: u64) -> Exact {
    match format.decode(code) {
        Decoded::Finite(x) => x,
        Decoded::Nan | Decoded::Infinite { .. } => Exact::zero(false),
    }
}

/// What a sum of products is kept in: `narrow` for floats of at most binary32's precision and range,
/// the format itself for wider ones, a posit's quire, four times an integer's bits.
fn accumulator(format: Format, narrow: Format) -> Format {
    match format {
        Format::Float(f) if f.precision() <= 24 && f.exponent_bits <= 8 => narrow,
        Format::Float(_) | Format::Quire(_) => format,
        Format::Fixed(f) => Format::Fixed(FixedFormat { width: (4 * f.width).min(64), fraction_bits: 2 * f.fraction_bits }),
        Format::Posit(p) => Format::Quire(FixedFormat::quire(p)),
    }
}

/// What of a design is its array.
fn array_um2(area: &AreaParts) -> f64 {
    area.multipliers + area.adders + area.rounding + area.registers
}

/// `yardstick` with MACs of `format` in place of its own.
fn design_of(yardstick: &Design, format: Format, sum: Format) -> Result<Design, FormatsError> {
    let operands = match format {
        Format::Float(f) if f.specials == Specials::E8m0 || !f.signed => Some("it has no sign"),
        Format::Quire(_) => Some("it is a posit's accumulator"),
        _ if format.is_wide() => Some("it is wider than 64 bits"),
        _ => None,
    };
    if let Some(reason) = operands {
        return Err(FormatsError::NoOperand(format, reason));
    }
    let a = format.to_string();
    let mut settings = vec![("mac.a", a.clone()), ("mac.b", a.clone()), ("mac.accumulator", sum.to_string())];
    if sum.is_wide() || matches!(sum, Format::Quire(_)) {
        settings.push(("output.format", a));
    }
    let settings: Vec<(String, String)> = settings.into_iter().map(|(path, value)| (path.to_owned(), value)).collect();
    yardstick.with_overrides(&settings).map_err(|source| FormatsError::Design {
        format,
        design: yardstick.name.clone(),
        source: Box::new(source),
    })
}

/// Peak of a whole chip of the tensor cores that multiply the format, TFLOPS.
fn h100(format: Format) -> Option<f64> {
    let chip = find(CHIP)?;
    let takes = |design: &Design| design.mac_modes().iter().any(|mode| mode.a == format && mode.b == format);
    let unit = DESIGNS.iter().filter(|d| d.name.starts_with(UNITS)).filter_map(|d| find(d.name)).find(takes)?;
    let macs = unit.peak_macs_per_cycle() / f64::from(unit.array.count) * f64::from(chip.array.count);
    Some(2.0 * macs * chip.array.clock_mhz / 1e6)
}

fn row(yardstick: &Design, area_um2: f64, format: Format, narrow: Format) -> Result<Row, FormatsError> {
    let accumulator = accumulator(format, narrow);
    let report = cost_report(&design_of(yardstick, format, accumulator)?)?;
    let least = number(format, if format.is_zero(0) { 1 } else { 0 });
    let float = format.as_float();
    let gradual = float.filter(|f| f.subnormals == Subnormals::Gradual);
    let own = array_um2(&report.area_um2);
    let precision = format.precision();
    Ok(Row {
        format,
        layout: float.map(|f| Layout { sign: u32::from(f.signed), exponent: f.exponent_bits, mantissa: f.mantissa_bits, bias: f.bias }),
        precision,
        largest: number(format, format.max_finite(false)),
        least_normal: match gradual {
            Some(f) => Some(1u64 << f.mantissa_bits).filter(|&code| code <= f.max_finite_magnitude()).map(|code| number(format, code)),
            None => float.map(|_| least),
        },
        least_subnormal: match (gradual, float) {
            (Some(f), _) => (f.mantissa_bits > 0).then_some(least),
            (None, Some(_)) => None,
            (None, None) => Some(least),
        },
        unit_roundoff: (!matches!(format, Format::Fixed(_))).then(|| (-f64::from(precision)).exp2()),
        accumulator,
        area_um2: own,
        tflops: report.tflops.peak * area_um2 / own,
        tflops_per_watt: report.tflops.per_watt,
        h100_tflops: h100(format),
    })
}

/// Formats side by side, `yardstick`'s array filled with MACs of each; floats up to binary32 are
/// summed in `narrow`.
///
/// # Errors
/// A format that is no operand, and a yardstick that cannot be priced or cannot take its MACs.
pub fn table(yardstick: &Design, formats: &[Format], narrow: Format) -> Result<Table, FormatsError> {
    let cost = cost_report(yardstick)?;
    let area_um2 = array_um2(&cost.area_um2);
    let rows = formats.iter().map(|&format| row(yardstick, area_um2, format, narrow)).collect::<Result<_, _>>()?;
    Ok(Table { yardstick: cost, narrow, clock_mhz: yardstick.array.clock_mhz, area_um2, rows })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Row> {
        let formats: Vec<Format> = FORMATS.iter().map(|name| name.parse().unwrap()).collect();
        table(&find("fp32-16x16").unwrap(), &formats, Format::FP32).unwrap().rows
    }

    /// Fields, limits and unit roundoffs by hand.
    #[test]
    fn numbers_by_hand() {
        let power = |e: i32| f64::from(e).exp2();
        let rows = rows();
        for (name, layout, largest, normal, subnormal, roundoff) in [
            ("fp64", (1, 11, 52, 1023), f64::MAX, power(-1022), Some(f64::from_bits(1)), power(-53)),
            ("fp32", (1, 8, 23, 127), f64::from(f32::MAX), power(-126), Some(power(-149)), power(-24)),
            ("tf32", (1, 8, 10, 127), 2047.0 * power(117), power(-126), Some(power(-136)), power(-11)),
            ("bf16", (1, 8, 7, 127), 255.0 * power(120), power(-126), Some(power(-133)), power(-8)),
            ("fp16", (1, 5, 10, 15), 65504.0, power(-14), Some(power(-24)), power(-11)),
            ("dlfloat16", (1, 6, 9, 31), power(33) - power(24), 513.0 * power(-40), None, power(-10)),
            ("e6m9", (1, 6, 9, 31), 4_290_772_992.0, power(-30), Some(power(-39)), power(-10)),
            ("e5m2", (1, 5, 2, 15), 57344.0, power(-14), Some(power(-16)), power(-3)),
            ("e4m3fn", (1, 4, 3, 7), 448.0, power(-6), Some(power(-9)), power(-4)),
            ("e4m3b11fnuz", (1, 4, 3, 11), 30.0, power(-10), Some(power(-13)), power(-4)),
            ("e3m4b7f", (1, 3, 4, 7), 1.9375, power(-6), Some(power(-10)), power(-5)),
            ("e2m5b2f", (1, 2, 5, 2), 3.9375, 0.5, Some(power(-6)), power(-6)),
            ("e2m1f", (1, 2, 1, 1), 6.0, 1.0, Some(0.5), 0.25),
        ] {
            let row = rows.iter().find(|row| row.format == name.parse().unwrap()).unwrap();
            let (sign, exponent, mantissa, bias) = layout;
            assert_eq!(row.layout, Some(Layout { sign, exponent, mantissa, bias }), "{name}");
            assert_eq!(row.largest.to_f64(), largest, "{name}");
            assert_eq!(row.least_normal.map(Exact::to_f64), Some(normal), "{name}");
            assert_eq!(row.least_subnormal.map(Exact::to_f64), subnormal, "{name}");
            assert_eq!(row.unit_roundoff, Some(roundoff), "{name}");
        }
    }

    /// Narrower significands are smaller and cost less; the tensor cores halve with every
    /// doubling of the operands' bits.
    #[test]
    fn arrays_of_narrow_formats_reach_more() {
        let rows = rows();
        let of = |name: &str| rows.iter().find(|row| row.format == name.parse().unwrap()).unwrap();
        for pair in ["fp64", "fp32", "tf32", "bf16", "e5m2"].windows(2) {
            let (wide, narrow) = (of(pair[0]), of(pair[1]));
            assert!(wide.tflops < narrow.tflops && wide.tflops_per_watt < narrow.tflops_per_watt, "{pair:?}");
        }
        // The yardstick itself: 256 MACs a cycle at 1 GHz.
        assert!((of("fp32").tflops - 0.512).abs() < 1e-12);
        let published = [("tf32", 494.7), ("fp16", 989.4), ("bf16", 989.4), ("e4m3fn", 1978.9), ("e5m2", 1978.9)];
        for (name, tflops) in published {
            assert!((of(name).h100_tflops.unwrap() - tflops).abs() < 0.1, "{name}: {:?}", of(name).h100_tflops);
        }
        assert!(of("fp64").h100_tflops.is_none() && of("int8").h100_tflops.is_none());
    }

    #[test]
    fn what_no_array_multiplies_is_refused() {
        let yardstick = find("fp32-16x16").unwrap();
        for (name, reason) in [("e8m0", "no sign"), ("quire8_0", "accumulator"), ("fx96.32", "64 bits")] {
            let refusal = table(&yardstick, &[name.parse().unwrap()], Format::FP32).unwrap_err().to_string();
            assert!(refusal.contains(reason), "{refusal}");
        }
    }
}
