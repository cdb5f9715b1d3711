//! Chains of additions in the result's format: by definition, in binary64, or in the host's binary32.

use super::decoder::{Decoder, within_fp32};
use super::operation::Target;
use super::rounder::Rounder;
use super::wide::add_to_odd;
use super::{count_rounding, native};
use crate::datapath::Register;
use systole_isa::codes::Codes;
use systole_isa::device::Activity;
use systole_isa::exact::Exact;
use systole_isa::format::{Decoded, Format};
use systole_isa::round::{Policy, decode_with};

/// An adder whose running sum is always a value of the result's format.
pub(super) trait Adder: Sync {
    /// An addend.
    type Term: Copy + Send + Sync;
    /// A running sum.
    type Sum: Copy + Send + Sync;

    /// The addend +0.
    const NOTHING: Self::Term;

    /// The sum every chain starts from: +0 of the result's format.
    fn zero(&self) -> Self::Sum;

    /// The addends of `out.len()` codes from `start` on.
    fn terms(&self, codes: &Codes, start: usize, out: &mut [Self::Term]);

    /// One addition, rounded to the result's format; counts overflow and underflow.
    fn add(&self, sum: Self::Sum, term: Self::Term, random: u64, activity: &mut Activity) -> Self::Sum;

    /// The sum's code; counts a NaN.
    fn finish(&self, sum: Self::Sum, activity: &mut Activity) -> u64;
}

/// The definition.
pub(super) struct ExactAdder {
    pub input: Format,
    pub output: Format,
    pub policy: Policy,
}

impl Adder for ExactAdder {
    type Term = Decoded;
    type Sum = u64;
    const NOTHING: Decoded = Decoded::Finite(Exact::zero(false));

    fn zero(&self) -> u64 {
        self.output.zero(false)
    }

    fn terms(&self, codes: &Codes, start: usize, out: &mut [Decoded]) {
        for (i, term) in out.iter_mut().enumerate() {
            *term = decode_with(self.input, codes.get(start + i), self.policy.subnormals);
        }
    }

    fn add(&self, sum: u64, term: Decoded, random: u64, activity: &mut Activity) -> u64 {
        let (sum, flags) = Register::Narrow(sum).add(self.output, term.into(), self.policy, random);
        count_rounding(flags, activity);
        sum.code()
    }

    fn finish(&self, sum: u64, activity: &mut Activity) -> u64 {
        activity.vector_nans += u64::from(self.output.is_nan(sum));
        sum
    }
}

/// Sums to odd in binary64, in the domain of [`Decoder`] (both formats) and [`Rounder`].
pub(super) struct WideAdder {
    input: Decoder,
    output: Decoder,
    rounder: Rounder,
    format: Format,
}

impl WideAdder {
    pub fn new(input: Format, target: &Target) -> Option<Self> {
        // The sum must start from a zero, which every format of the rounder's domain has.
        Some(Self {
            input: Decoder::new(input)?,
            output: Decoder::new(target.format)?,
            rounder: Rounder::new(target.format, target.policy)?,
            format: target.format,
        })
    }
}

impl Adder for WideAdder {
    type Term = f64;
    type Sum = (u64, f64);
    const NOTHING: f64 = 0.0;

    fn zero(&self) -> (u64, f64) {
        (0, 0.0)
    }

    fn terms(&self, codes: &Codes, start: usize, out: &mut [f64]) {
        self.input.fill(codes, start, out);
    }

    #[inline]
    fn add(&self, (_, sum): (u64, f64), term: f64, random: u64, activity: &mut Activity) -> (u64, f64) {
        let rounding = self.rounder.rounding();
        let exact = if rounding.cancels_to_negative_zero() { add_to_odd::<true>(sum, term) } else { add_to_odd::<false>(sum, term) };
        // NaNs are counted when the chain ends.
        let nans = activity.vector_nans;
        let code = self.rounder.round(rounding, exact, random, activity);
        activity.vector_nans = nans;
        (code, self.output.decode(code))
    }

    fn finish(&self, (code, _): (u64, f64), activity: &mut Activity) -> u64 {
        activity.vector_nans += u64::from(self.format.is_nan(code));
        code
    }
}

/// The host's binary32 addition, in the domain of [`native`]; sums that leave the finite
/// numbers are taken by definition.
pub(super) struct NativeAdder {
    decoder: Decoder,
    exact: ExactAdder,
}

impl NativeAdder {
    pub fn new(input: Format, target: &Target) -> Option<Self> {
        if !native::within(target.format, target.policy) || !within_fp32(input) {
            return None;
        }
        let exact = ExactAdder { input: Format::FP32, output: target.format, policy: target.policy };
        Some(Self { decoder: Decoder::new(input)?, exact })
    }

    #[cold]
    fn by_definition(&self, sum: f32, term: f32, activity: &mut Activity) -> f32 {
        let term = Format::FP32.decode(term.to_bits().into());
        f32::from_bits(self.exact.add(sum.to_bits().into(), term, 0, activity) as u32)
    }
}

impl Adder for NativeAdder {
    type Term = f32;
    type Sum = f32;
    const NOTHING: f32 = 0.0;

    fn zero(&self) -> f32 {
        0.0
    }

    fn terms(&self, codes: &Codes, start: usize, out: &mut [f32]) {
        if let (Decoder::Fp32, Codes::U32(v)) = (&self.decoder, codes) {
            for (term, &code) in out.iter_mut().zip(&v[start..]) {
                *term = f32::from_bits(code);
            }
        } else {
            for (i, term) in out.iter_mut().enumerate() {
                *term = self.decoder.decode(codes.get(start + i)) as f32;
            }
        }
    }

    #[inline]
    fn add(&self, sum: f32, term: f32, _random: u64, activity: &mut Activity) -> f32 {
        let next = sum + term;
        if next.is_finite() { next } else { self.by_definition(sum, term, activity) }
    }

    fn finish(&self, sum: f32, activity: &mut Activity) -> u64 {
        activity.vector_nans += u64::from(sum.is_nan());
        sum.to_bits().into()
    }
}

/// Calls `$body` with the fastest adder whose domain holds the input format and the target.
macro_rules! with_adder {
    ($input:expr, $target:expr, |$adder:ident| $body:expr) => {
        if let Some($adder) = $crate::vector::adder::NativeAdder::new($input, $target) {
            $body
        } else if let Some($adder) = $crate::vector::adder::WideAdder::new($input, $target) {
            $body
        } else {
            let $adder = $crate::vector::adder::ExactAdder { input: $input, output: $target.format, policy: $target.policy };
            $body
        }
    };
}
pub(super) use with_adder;
