//! Names of formats: the grammar `e<E>m<M>[b<BIAS>][fn|fnuz|f]`, and the field's own names.

use super::{FixedFormat, FloatFormat, Format, PositFormat, Specials, Subnormals};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// A format known by a name of its own, with where it is defined.
#[derive(Clone, Copy, Debug)]
pub struct NamedFormat {
    /// The name `Display` prints.
    pub name: &'static str,
    /// Other accepted spellings.
    pub aliases: &'static [&'static str],
    /// The format.
    pub format: Format,
    /// Where it is defined.
    pub source: &'static str,
}

const fn float(exponent_bits: u32, mantissa_bits: u32, specials: Specials) -> FloatFormat {
    FloatFormat { specials, ..FloatFormat::ieee(exponent_bits, mantissa_bits) }
}

const fn named(name: &'static str, aliases: &'static [&'static str], format: FloatFormat, source: &'static str) -> NamedFormat {
    NamedFormat { name, aliases, format: Format::Float(format), source }
}

const fn integer(name: &'static str, width: u32) -> NamedFormat {
    NamedFormat { name, aliases: &[], format: Format::Fixed(FixedFormat { width, fraction_bits: 0 }), source: "two's complement" }
}

const fn posit(name: &'static str, width: u32, exponent_bits: u32, source: &'static str) -> NamedFormat {
    NamedFormat { name, aliases: &[], format: Format::Posit(PositFormat { width, exponent_bits }), source }
}

/// FP1<E><M> of Lee, Park, Jeon 2022 with its top binade at 2^0: a shared exponent bias moves it.
const fn fp1(name: &'static str, exponent_bits: u32, mantissa_bits: u32) -> NamedFormat {
    let float = FloatFormat { bias: (1 << exponent_bits) - 1, ..float(exponent_bits, mantissa_bits, Specials::F) };
    named(name, &[], float, "FP134 family, Lee et al. 2022: all codes finite, top binade 2^0")
}

/// A block-minifloat element, bias 2^(E-1), all codes finite.
const fn minifloat(name: &'static str, exponent_bits: u32, mantissa_bits: u32) -> NamedFormat {
    let float = FloatFormat { bias: 1 << (exponent_bits - 1), ..float(exponent_bits, mantissa_bits, Specials::F) };
    named(name, &[], float, "block minifloat, Fox et al. 2021")
}

const fn p3109(name: &'static str, width: u32, precision: u32, specials: Specials) -> NamedFormat {
    let exponent_bits = width - precision;
    let float = FloatFormat { bias: 1 << (exponent_bits - 1), ..float(exponent_bits, precision - 1, specials) };
    named(name, &[], float, "IEEE P3109 interim report")
}

/// The formats `systole list formats` shows; any other name of the grammar works as well.
pub const NAMED: &[NamedFormat] = &[
    named("e4m3fn", &["fp8_e4m3", "float8_e4m3fn"], float(4, 3, Specials::Fn), "OCP OFP8 v1.0"),
    named("e5m2", &["fp8_e5m2", "float8_e5m2"], float(5, 2, Specials::Ieee), "OCP OFP8 v1.0"),
    named("e4m3", &["float8_e4m3"], float(4, 3, Specials::Ieee), "IEEE 754 layout"),
    named("e3m4", &["float8_e3m4"], float(3, 4, Specials::Ieee), "IEEE 754 layout"),
    named("e4m3fnuz", &["float8_e4m3fnuz"], FloatFormat { bias: 8, ..float(4, 3, Specials::Fnuz) }, "Noune et al. 2022, arXiv 2206.02915"),
    named("e5m2fnuz", &["float8_e5m2fnuz"], FloatFormat { bias: 16, ..float(5, 2, Specials::Fnuz) }, "Noune et al. 2022, arXiv 2206.02915"),
    named("e4m3b11fnuz", &["float8_e4m3b11fnuz"], FloatFormat { bias: 11, ..float(4, 3, Specials::Fnuz) }, "HFP8, Sun et al. 2019"),
    named("e6m9", &[], float(6, 9, Specials::Ieee), "IEEE 754 layout, 16 bits"),
    named(
        "dlfloat16",
        &[],
        FloatFormat { subnormals: Subnormals::None, ..float(6, 9, Specials::MergedTop) },
        "Agrawal et al. 2019, DLFloat",
    ),
    named("e2m1f", &["float4_e2m1fn", "fp4_e2m1"], float(2, 1, Specials::F), "OCP MX v1.0"),
    named("e2m3f", &["float6_e2m3fn", "fp6_e2m3"], float(2, 3, Specials::F), "OCP MX v1.0"),
    named("e3m2f", &["float6_e3m2fn", "fp6_e3m2"], float(3, 2, Specials::F), "OCP MX v1.0"),
    NamedFormat { name: "e8m0", aliases: &["float8_e8m0fnu"], format: Format::E8M0, source: "OCP MX v1.0, scales" },
    p3109("p3109_k8p3se", 8, 3, Specials::P3109e),
    p3109("p3109_k8p3sf", 8, 3, Specials::P3109f),
    p3109("p3109_k8p4se", 8, 4, Specials::P3109e),
    p3109("p3109_k8p4sf", 8, 4, Specials::P3109f),
    p3109("p3109_k8p5se", 8, 5, Specials::P3109e),
    p3109("p3109_k8p5sf", 8, 5, Specials::P3109f),
    fp1("fp134", 3, 4),
    fp1("fp143", 4, 3),
    fp1("fp152", 5, 2),
    fp1("fp130", 3, 0),
    fp1("fp120", 2, 0),
    minifloat("e2m5b2f", 2, 5),
    minifloat("e4m3b8f", 4, 3),
    minifloat("e2m3b2f", 2, 3),
    minifloat("e3m2b4f", 3, 2),
    minifloat("e2m2b2f", 2, 2),
    minifloat("e3m1b4f", 3, 1),
    minifloat("e2m1b2f", 2, 1),
    minifloat("e3m0b4f", 3, 0),
    posit("posit8_0", 8, 0, "Gustafson and Yonemoto 2017"),
    posit("posit8_1", 8, 1, "Gustafson and Yonemoto 2017"),
    posit("posit8_2", 8, 2, "Standard for Posit Arithmetic 2022"),
    posit("posit16_1", 16, 1, "Gustafson and Yonemoto 2017"),
    posit("posit16_2", 16, 2, "Standard for Posit Arithmetic 2022"),
    posit("posit32_2", 32, 2, "Standard for Posit Arithmetic 2022"),
    named("fp16", &["float16", "half", "binary16", "e5m10"], float(5, 10, Specials::Ieee), "IEEE 754-2019 binary16"),
    named("bf16", &["bfloat16", "e8m7"], float(8, 7, Specials::Ieee), "bfloat16"),
    named("tf32", &["e8m10"], float(8, 10, Specials::Ieee), "NVIDIA TensorFloat-32, 19 bits used"),
    named("fp32", &["float32", "binary32", "e8m23"], float(8, 23, Specials::Ieee), "IEEE 754-2019 binary32"),
    named("fp64", &["float64", "binary64", "e11m52"], float(11, 52, Specials::Ieee), "IEEE 754-2019 binary64"),
    integer("int4", 4),
    integer("int8", 8),
    integer("int16", 16),
    integer("int32", 32),
    integer("int64", 64),
];

/// A format's name was not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatNameError {
    /// No such name.
    #[error(
        "`{name}` is no number format{}; names are e<E>m<M>[b<BIAS>][fn|fnuz|f] such as e4m3fn or e6m9, fx<WIDTH>.<FRACTION>, int<N>, p3109_k<K>p<P>s<e|f>, posit<N>_<ES>, quire<N>_<ES>, or one of `systole list formats`",
        suggestion.as_ref().map(|s| format!(" (did you mean `{s}`?)")).unwrap_or_default()
    )]
    Unknown {
        /// What was given.
        name: String,
        /// The closest known name.
        suggestion: Option<String>,
    },
    /// A field of the name is out of range.
    #[error("format `{name}`: {field} must be {range}")]
    OutOfRange {
        /// What was given.
        name: String,
        /// The offending field.
        field: &'static str,
        /// Its legal range.
        range: &'static str,
    },
}

/// Digits followed by the rest of the string.
fn number(s: &str) -> Option<(u32, &str)> {
    let end = s.find(|c: char| !c.is_ascii_digit()).unwrap_or(s.len());
    if end == 0 || end > 4 || (end > 1 && s.starts_with('0')) {
        return None;
    }
    Some((s[..end].parse().ok()?, &s[end..]))
}

impl FloatFormat {
    /// The grammar's default bias.
    const fn default_bias(exponent_bits: u32, specials: Specials) -> i32 {
        let half = 1 << (exponent_bits - 1);
        match specials {
            Specials::Fnuz | Specials::P3109e | Specials::P3109f => half,
            _ => half - 1,
        }
    }

    fn parse(name: &str) -> Option<Result<Self, FormatNameError>> {
        let (exponent_bits, rest) = number(name.strip_prefix('e')?)?;
        let (mantissa_bits, rest) = number(rest.strip_prefix('m')?)?;
        let (bias, rest) = match rest.strip_prefix('b') {
            None => (None, rest),
            Some(rest) => {
                let (sign, digits) = rest.strip_prefix('-').map_or((1, rest), |d| (-1, d));
                let (magnitude, rest) = number(digits)?;
                (Some(sign * magnitude as i32), rest)
            }
        };
        let specials = match rest {
            "" => Specials::Ieee,
            "fn" => Specials::Fn,
            "fnuz" => Specials::Fnuz,
            "f" => Specials::F,
            _ => return None,
        };
        let out_of_range = |field, range| Some(Err(FormatNameError::OutOfRange { name: name.to_owned(), field, range }));
        if !(1..=11).contains(&exponent_bits) {
            return out_of_range("the exponent width", "1 to 11 bits");
        }
        if mantissa_bits > 52 {
            return out_of_range("the mantissa width", "0 to 52 bits");
        }
        if mantissa_bits == 0 && specials == Specials::Ieee {
            return out_of_range(
                "the mantissa width",
                "at least 1 bit where infinities and NaNs share an exponent (or add the suffix fn, fnuz or f)",
            );
        }
        let bias = bias.unwrap_or(Self::default_bias(exponent_bits, specials));
        if !(-1023..=2047).contains(&bias) {
            return out_of_range("the exponent bias", "-1023 to 2047");
        }
        Some(Ok(Self { signed: true, exponent_bits, mantissa_bits, bias, subnormals: Subnormals::Gradual, specials }))
    }

    fn parse_p3109(name: &str) -> Option<Result<Self, FormatNameError>> {
        let (width, rest) = number(name.strip_prefix("p3109_k")?)?;
        let (precision, rest) = number(rest.strip_prefix('p')?)?;
        let specials = match rest {
            "se" => Specials::P3109e,
            "sf" => Specials::P3109f,
            _ => return None,
        };
        if !(3..=15).contains(&width) || precision < 1 || precision >= width {
            return Some(Err(FormatNameError::OutOfRange {
                name: name.to_owned(),
                field: "K and P",
                range: "3 <= K <= 15 and 1 <= P < K",
            }));
        }
        let exponent_bits = width - precision;
        if exponent_bits > 11 {
            return Some(Err(FormatNameError::OutOfRange {
                name: name.to_owned(),
                field: "the exponent width K - P",
                range: "1 to 11 bits",
            }));
        }
        Some(Ok(Self {
            signed: true,
            exponent_bits,
            mantissa_bits: precision - 1,
            bias: Self::default_bias(exponent_bits, specials),
            subnormals: Subnormals::Gradual,
            specials,
        }))
    }
}

impl FixedFormat {
    fn parse(name: &str) -> Option<Result<Self, FormatNameError>> {
        let (width, fraction_bits) = if let Some(rest) = name.strip_prefix("int") {
            let (width, "") = number(rest)? else { return None };
            (width, 0)
        } else {
            let (width, rest) = number(name.strip_prefix("fx")?)?;
            let rest = rest.strip_prefix('.')?;
            let (sign, digits) = rest.strip_prefix('-').map_or((1, rest), |d| (-1, d));
            let (fraction, "") = number(digits)? else { return None };
            (width, sign * fraction as i32)
        };
        let out_of_range = |field, range| Some(Err(FormatNameError::OutOfRange { name: name.to_owned(), field, range }));
        if !(2..=4096).contains(&width) {
            return out_of_range("the width", "2 to 4096 bits (64 where codes are stored)");
        }
        if !(-1023..=2200).contains(&fraction_bits) {
            return out_of_range("the number of fraction bits", "-1023 to 2200");
        }
        Some(Ok(Self { width, fraction_bits }))
    }

    /// `quire<N>_<ES>`, wide enough for 2^31 - 1 products of posit<N, ES> (the 16 N bits of the
    /// 2022 standard for its es = 2), or `quire<WIDTH>.<FRACTION>`.
    fn parse_quire(name: &str) -> Option<Result<Self, FormatNameError>> {
        let rest = name.strip_prefix("quire")?;
        if let Some(posit) = PositFormat::parse_fields(name, rest) {
            return Some(posit.map(Self::quire));
        }
        Self::parse(&format!("fx{rest}")).map(|r| {
            r.map_err(|e| match e {
                FormatNameError::OutOfRange { field, range, .. } => FormatNameError::OutOfRange { name: name.to_owned(), field, range },
                other @ FormatNameError::Unknown { .. } => other,
            })
        })
    }

    /// The quire of a posit format: its lowest bit is minpos squared.
    pub const fn quire(posit: PositFormat) -> Self {
        let span = posit.max_exponent();
        Self { width: 4 * span as u32 + 32, fraction_bits: 2 * span }
    }
}

impl PositFormat {
    /// `<N>_<ES>`.
    fn parse_fields(name: &str, rest: &str) -> Option<Result<Self, FormatNameError>> {
        let (width, rest) = number(rest)?;
        let (exponent_bits, "") = number(rest.strip_prefix('_')?)? else { return None };
        let out_of_range = |field, range| Some(Err(FormatNameError::OutOfRange { name: name.to_owned(), field, range }));
        if !(3..=32).contains(&width) {
            return out_of_range("the posit's width", "3 to 32 bits");
        }
        if exponent_bits > 3 {
            return out_of_range("the posit's exponent width", "0 to 3 bits");
        }
        Some(Ok(Self { width, exponent_bits }))
    }
}

impl FromStr for Format {
    type Err = FormatNameError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        if let Some(known) = NAMED.iter().find(|n| n.name == name || n.aliases.contains(&name)) {
            return Ok(known.format);
        }
        FloatFormat::parse(name)
            .or_else(|| FloatFormat::parse_p3109(name))
            .map(|r| r.map(Self::Float))
            .or_else(|| FixedFormat::parse(name).map(|r| r.map(Self::Fixed)))
            .or_else(|| PositFormat::parse_fields(name, name.strip_prefix("posit")?).map(|r| r.map(Self::Posit)))
            .or_else(|| FixedFormat::parse_quire(name).map(|r| r.map(Self::Quire)))
            .unwrap_or_else(|| {
                let suggestion = NAMED
                    .iter()
                    .flat_map(|n| std::iter::once(&n.name).chain(n.aliases))
                    .map(|known| (strsim::damerau_levenshtein(known, &name.to_lowercase()), *known))
                    .min()
                    .filter(|(distance, _)| *distance <= 2)
                    .map(|(_, known)| known.to_owned());
                Err(FormatNameError::Unknown { name: name.to_owned(), suggestion })
            })
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(known) = NAMED.iter().find(|n| n.format == *self) {
            return f.write_str(known.name);
        }
        match self {
            Self::Fixed(x) if x.fraction_bits == 0 => write!(f, "int{}", x.width),
            Self::Fixed(x) => write!(f, "fx{}.{}", x.width, x.fraction_bits),
            Self::Quire(x) => write!(f, "quire{}.{}", x.width, x.fraction_bits),
            Self::Posit(x) => write!(f, "posit{}_{}", x.width, x.exponent_bits),
            Self::Float(x) => {
                let suffix = match x.specials {
                    Specials::Ieee => "",
                    Specials::Fn => "fn",
                    Specials::Fnuz => "fnuz",
                    Specials::F => "f",
                    Specials::P3109e | Specials::P3109f => {
                        let domain = if x.specials == Specials::P3109e { 'e' } else { 'f' };
                        return write!(f, "p3109_k{}p{}s{domain}", x.magnitude_bits() + 1, x.precision());
                    }
                    // These two conventions have one named format each.
                    Specials::MergedTop => "merged_top",
                    Specials::E8m0 => "e8m0",
                };
                write!(f, "e{}m{}", x.exponent_bits, x.mantissa_bits)?;
                if x.bias != FloatFormat::default_bias(x.exponent_bits, x.specials) {
                    write!(f, "b{}", x.bias)?;
                }
                f.write_str(suffix)
            }
        }
    }
}

impl Serialize for Format {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Format {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for name in [
            "e4m3fn",
            "e5m2",
            "e2m5b2f",
            "e4m3b-3",
            "e6m9f",
            "e3m4fnuz",
            "e8m13",
            "fx46.18",
            "int12",
            "p3109_k8p4se",
            "p3109_k8p3sf",
            "p3109_k5p2sf",
            "posit8_0",
            "posit13_3",
            "fx96.32",
            "quire512.240",
            "dlfloat16",
            "e8m0",
        ] {
            assert_eq!(name.parse::<Format>().unwrap().to_string(), name);
        }
        for n in NAMED {
            assert_eq!(n.name.parse::<Format>().unwrap(), n.format);
            assert_eq!(n.format.to_string(), n.name);
            for alias in n.aliases {
                assert_eq!(alias.parse::<Format>().unwrap(), n.format, "{alias}");
            }
        }
    }

    #[test]
    fn quires_by_posit() {
        for (name, same) in [("quire32_2", "quire512.240"), ("quire16_1", "quire144.56"), ("quire8_0", "quire56.12")] {
            assert_eq!(name.parse::<Format>(), same.parse());
        }
    }

    #[test]
    fn refusals_name_the_mend() {
        for (name, needle) in [
            ("e4m3fm", "did you mean `e4m3fn`"),
            ("e12m3", "1 to 11"),
            ("e4m53", "0 to 52"),
            ("e0m3", "1 to 11"),
            ("e5m0", "at least 1 bit"),
            ("int1", "2 to 4096"),
            ("posit2_0", "3 to 32"),
            ("posit8_4", "0 to 3"),
            ("quire5000.3", "2 to 4096"),
            ("fp9", "did you mean `fp16`"),
            ("", "is no number format"),
            ("e04m3", "is no number format"),
        ] {
            let error = name.parse::<Format>().unwrap_err().to_string();
            assert!(error.contains(needle), "{name}: {error}");
        }
    }
}
