//! exp, ln, tanh and erf from IEEE basic operations only.
//!
//! A system's mathematical library may differ from another's in the last bit; these do not,
//! so the reference trains to the same weights on every platform. Accuracy in binary64 is a few
//! units in the last place, far beyond the binary32 they serve. No simulated bit comes from here.

/// ln 2 in two parts: the first ends in 21 zero bits, so its product with a small
/// integer is exact.
const LN_2_HIGH: f64 = f64::from_bits(0x3fe6_2e42_fee0_0000);
const LN_2_LOW: f64 = f64::from_bits(0x3dea_39ef_3579_3c76);

/// e^x.
pub fn exp(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    if x > 709.7 {
        return f64::INFINITY;
    }
    if x < -708.0 {
        return 0.0;
    }
    let n = (x * std::f64::consts::LOG2_E).round();
    let r = (x - n * LN_2_HIGH) - n * LN_2_LOW;
    // |r| <= 0.35: Horner's scheme for the series to r^14 / 14!.
    let mut sum = 1.0;
    for k in (1..=14).rev() {
        sum = sum * r / f64::from(k) + 1.0;
    }
    sum * f64::from_bits(((1023 + n as i64) as u64) << 52)
}

/// ln x; NaN for negative numbers. Zero and subnormals give -infinity.
pub fn ln(x: f64) -> f64 {
    if x.is_nan() || x < 0.0 {
        return f64::NAN;
    }
    if x == f64::INFINITY {
        return x;
    }
    if x < f64::MIN_POSITIVE {
        return f64::NEG_INFINITY;
    }
    // x = m 2^n with m in [sqrt(1/2), sqrt(2)); ln m = 2 artanh((m - 1) / (m + 1)).
    let bits = x.to_bits();
    let mut n = (bits >> 52) as i64 - 1023;
    let mut m = f64::from_bits(bits & ((1 << 52) - 1) | 1023 << 52);
    if m > std::f64::consts::SQRT_2 {
        m *= 0.5;
        n += 1;
    }
    let s = (m - 1.0) / (m + 1.0);
    let square = s * s;
    let mut sum = 0.0;
    for k in (0..=11).rev() {
        sum = sum * square + 1.0 / f64::from(2 * k + 1);
    }
    n as f64 * LN_2_HIGH + (2.0 * s * sum + n as f64 * LN_2_LOW)
}

/// tanh x.
pub fn tanh(x: f64) -> f64 {
    let magnitude = x.abs();
    if magnitude < 1.0 {
        // Lambert's continued fraction x/(1 + x^2/(3 + x^2/(5 + ...))).
        let square = x * x;
        let mut denominator = 25.0;
        for odd in (0..12).rev() {
            denominator = f64::from(2 * odd + 1) + square / denominator;
        }
        return x / denominator;
    }
    let result = 1.0 - 2.0 / (exp(2.0 * magnitude) + 1.0);
    if x < 0.0 { -result } else { result }
}

/// The error function 2 / sqrt(pi) times the integral of e^-t^2 from 0 to x.
pub fn erf(x: f64) -> f64 {
    let magnitude = x.abs();
    // NaN takes the series, where it stays NaN.
    let result = if magnitude >= ERF_TAIL { 1.0 - erfc_fraction(magnitude) } else { erf_series(magnitude) };
    if x.is_sign_negative() { -result } else { result }
}

/// Where erf is computed as the distance from 1.
const ERF_TAIL: f64 = 2.5;

/// 2 / sqrt(pi) e^-x^2 times the series of 2^n x^(2n + 1) / (1 3 5 ... (2n + 1)), whose terms have one
/// sign (Abramowitz and Stegun, 7.1.6). Its 60 terms suffice to x = 3.5.
fn erf_series(x: f64) -> f64 {
    let square = x * x;
    let mut sum = 1.0;
    for n in (1..=60).rev() {
        sum = sum * (2.0 * square / f64::from(2 * n + 1)) + 1.0;
    }
    std::f64::consts::FRAC_2_SQRT_PI * exp(-square) * (x * sum)
}

/// 1 - erf x = e^-x^2 / sqrt(pi) times the continued fraction 1/(x + (1/2)/(x + 1/(x + (3/2)/(x + ...))))
/// (Abramowitz and Stegun, 7.1.14). Its 80 terms suffice from x = 2 on.
fn erfc_fraction(x: f64) -> f64 {
    let mut denominator = x;
    for n in (1..=80).rev() {
        denominator = x + 0.5 * f64::from(n) / denominator;
    }
    0.5 * std::f64::consts::FRAC_2_SQRT_PI * exp(-(x * x)) / denominator
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn erf_has_its_values() {
        for (x, expected) in [
            (1e-300, 1.128_379_167_095_512_6e-300),
            (0.1, 0.112_462_916_018_284_89),
            (0.5, 0.520_499_877_813_046_5),
            (1.0, 0.842_700_792_949_714_9),
            (2.0, 0.995_322_265_018_952_7),
            (3.0, 0.999_977_909_503_001_4),
            (5.0, 0.999_999_999_998_462_5),
            (7.0, 1.0),
            (f64::INFINITY, 1.0),
        ] {
            for (x, expected) in [(x, expected), (-x, -expected)] {
                assert!((erf(x) - expected).abs() <= 8e-16 * expected.abs(), "{x}: {} and {expected}", erf(x));
            }
        }
        assert_eq!((erf(0.0).to_bits(), erf(-0.0).to_bits()), (0, (-0.0_f64).to_bits()));
        assert!(erf(f64::NAN).is_nan());
    }

    /// Both ways to erf hold on either side of where they meet.
    #[test]
    fn series_and_fraction_of_erf_agree() {
        for i in 0..1500 {
            let x = 2.0 + f64::from(i) / 1000.0;
            let (series, fraction) = (erf_series(x), 1.0 - erfc_fraction(x));
            assert!((series - fraction).abs() < 4e-15, "{x}: {series} and {fraction}");
        }
    }

    /// This machine's library is right to an ulp or so; ours must be within a few.
    #[test]
    fn agrees_with_the_system_library() {
        let close = |ours: f64, theirs: f64, at: f64| {
            assert!((ours - theirs).abs() <= 1e-15 * theirs.abs().max(f64::MIN_POSITIVE), "{at}: {ours} and {theirs}");
        };
        for i in -40_000..40_000 {
            let x = f64::from(i) / 997.0;
            close(exp(x), x.exp(), x);
            close(tanh(x), x.tanh(), x);
            close(exp(x * 17.0), (x * 17.0).exp(), x * 17.0);
            close(tanh(x * 1e-5), (x * 1e-5).tanh(), x * 1e-5);
            if x > 0.0 {
                close(ln(x), x.ln(), x);
                close(ln(x * 1e-30), (x * 1e-30).ln(), x);
                close(ln(1.0 + x * 1e-6), (1.0 + x * 1e-6).ln(), x);
            }
        }
    }

    #[test]
    fn limits() {
        for (ours, expected) in [
            (exp(f64::NEG_INFINITY), 0.0),
            (exp(f64::INFINITY), f64::INFINITY),
            (exp(0.0), 1.0),
            (ln(1.0), 0.0),
            (ln(0.0), f64::NEG_INFINITY),
            (ln(f64::INFINITY), f64::INFINITY),
            (tanh(0.0), 0.0),
            (tanh(f64::INFINITY), 1.0),
            (tanh(-1000.0), -1.0),
        ] {
            assert_eq!(ours, expected);
        }
        assert!(exp(f64::NAN).is_nan() && ln(f64::NAN).is_nan() && ln(-1.0).is_nan() && tanh(f64::NAN).is_nan());
        assert!(tanh(-0.0).is_sign_negative());
    }
}
