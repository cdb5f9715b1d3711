//! The codes of a format that a reader looks for first.

use systole_isa::format::{Decoded, Format, Specials, Subnormals};
use systole_isa::round::encode_f64;

/// A named code.
#[derive(Clone, Copy, Debug)]
pub struct Landmark {
    /// Its name.
    pub name: &'static str,
    /// The code.
    pub code: u64,
}

/// Landmarks of a format whose codes are stored.
pub fn landmarks(format: Format) -> Vec<Landmark> {
    let mut marks = Vec::new();
    let mut mark = |name, code| marks.push(Landmark { name, code });
    let one = encode_f64(format, 1.0);
    let has_one = format.to_f64(one) == 1.0;
    if let Format::Posit(p) = format {
        mark("maxpos", p.max_code());
        mark("one", one);
        mark("minpos", 1);
        mark("zero", 0);
        mark("largest negative", p.negate(1));
        mark("lowest", format.max_finite(true));
        mark("NaR", p.nar());
        return marks;
    }
    mark("largest finite", format.max_finite(false));
    if has_one {
        mark("one", one);
    }
    match format {
        Format::Float(f) => match f.subnormals {
            Subnormals::Gradual => {
                let smallest_normal = 1 << f.mantissa_bits;
                if smallest_normal <= f.max_finite_magnitude() {
                    mark("smallest normal", smallest_normal);
                }
                if f.mantissa_bits > 0 {
                    mark("smallest subnormal", 1);
                }
            }
            Subnormals::None if f.specials == Specials::E8m0 => mark("smallest", 0),
            Subnormals::None => mark("smallest positive", 1),
        },
        Format::Fixed(_) | Format::Quire(_) | Format::Posit(_) => mark("smallest positive", 1),
    }
    if format.is_zero(0) {
        mark("zero", 0);
    }
    if format.zero(true) != 0 {
        mark("negative zero", format.zero(true));
    }
    if format.max_finite(true) != format.max_finite(false) {
        mark("lowest finite", format.max_finite(true));
    }
    if let (Some(positive), Some(negative)) = (format.infinity(false), format.infinity(true)) {
        mark("infinity", positive);
        mark("negative infinity", negative);
    }
    if let Some(code) = format.canonical_nan() {
        mark(if matches!(format, Format::Quire(_)) { "NaR" } else { "canonical NaN" }, code);
    }
    marks
}

/// Codes that are NaN.
pub fn nan_codes(format: Format) -> u64 {
    match format {
        Format::Float(f) => match f.specials {
            Specials::Ieee => 2 * ((1 << f.mantissa_bits) - 1),
            Specials::Fn | Specials::MergedTop => 2,
            Specials::Fnuz | Specials::P3109e | Specials::P3109f | Specials::E8m0 => 1,
            Specials::F => 0,
        },
        Format::Fixed(_) => 0,
        Format::Posit(_) | Format::Quire(_) => 1,
    }
}

/// Binades from the smallest positive number to the largest, if they are few enough to say.
pub fn binades(format: Format) -> Option<f64> {
    let exponent = |code| match format.decode(code) {
        Decoded::Finite(x) if !x.is_zero() => {
            let top = x.magnitude_exponent();
            Some(f64::from(top) + x.scale(-top).to_f64().abs().log2())
        }
        _ => None,
    };
    Some(exponent(format.max_finite(false))? - exponent(format.smallest_positive())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use systole_isa::format::NAMED;

    #[test]
    fn nan_codes_are_counted() {
        let more = ["e3m0f", "e1m2f", "e1m1fn", "p3109_k6p3se", "posit6_1", "quire12_0", "fx9.4", "e4m3b-3"];
        let formats = NAMED.iter().map(|n| n.format).chain(more.map(|name| name.parse().unwrap()));
        for format in formats.filter(|f| f.bits() <= 16) {
            let counted = (0..=format.mask()).filter(|&code| format.is_nan(code)).count();
            assert_eq!(nan_codes(format), counted as u64, "{format}");
        }
    }

    #[test]
    fn landmarks_lie_where_their_names_say() {
        for named in NAMED {
            let format = named.format;
            for Landmark { name, code } in landmarks(format) {
                let value = format.to_f64(code);
                let holds = match name {
                    "one" => value == 1.0,
                    "zero" => value == 0.0 && value.is_sign_positive(),
                    "negative zero" => value == 0.0 && value.is_sign_negative(),
                    "infinity" => value == f64::INFINITY,
                    "negative infinity" => value == f64::NEG_INFINITY,
                    "canonical NaN" | "NaR" => value.is_nan(),
                    "lowest finite" | "lowest" | "largest negative" => value < 0.0 && value.is_finite(),
                    _ => value > 0.0 && value.is_finite(),
                };
                assert!(holds, "{format} {name} {value}");
            }
            assert!(binades(format).is_some_and(|binades| binades >= 0.0), "{format}");
        }
        let posit: Format = "posit16_2".parse().unwrap();
        assert_eq!(binades(posit), Some(112.0));
    }
}
