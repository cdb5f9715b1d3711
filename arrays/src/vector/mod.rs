//! The vector unit: what its instructions compute on codes.
//!
//! [`elementwise`], [`reduce`], [`codebook_into`] and [`pool`] are pure functions from gathered operand buffers to
//! a result buffer and counts. [`apply`] is the definition of one element: decode, take the
//! exact result, round once with the contract's `encode_decoded`. Everything faster
//! states the domain in which it gives the same bits and is tested against that definition.
//! [`work`] tells what an instruction costs from its shapes alone.

mod adder;
mod blocks;
mod codebook;
mod decoder;
mod elementwise;
mod exact;
mod fixed;
pub mod function;
mod native;
mod operation;
mod order;
mod pool;
mod power;
mod random;
mod reduce;
mod rounder;
mod selection;
#[cfg(test)]
mod tests;
mod wide;
mod work;

pub use codebook::{check_indices, codebook_into, nearest};
pub use elementwise::{elementwise, elementwise_into};
pub use exact::apply;
pub use operation::{Blocks, Codebook, Elementwise, Operand, Pool, Reduction, Target, VectorError};
pub use pool::{pool, pool_into};
pub use reduce::reduce;
pub use work::{Operation, VectorWork, work};

use systole_isa::codes::Codes;
use systole_isa::device::Activity;
use systole_isa::format::Format;
use systole_isa::round::Flags;

/// Elements below which an instruction is computed on one thread.
const PARALLEL_ELEMENTS: usize = 1 << 15;

/// Counts one rounding's overflow and underflow.
#[inline]
const fn count_rounding(flags: Flags, activity: &mut Activity) {
    activity.vector_overflows += flags.contains(Flags::OVERFLOW) as u64;
    activity.vector_underflows += flags.contains(Flags::UNDERFLOW) as u64;
}

/// Counts one finished result: its rounding, and whether it is NaN.
#[inline]
const fn count_result(format: Format, code: u64, flags: Flags, activity: &mut Activity) {
    count_rounding(flags, activity);
    activity.vector_nans += format.is_nan(code) as u64;
}

/// The sum of two counts.
fn total(mut a: Activity, b: Activity) -> Activity {
    a += b;
    a
}

/// A word of a buffer of codes.
trait Word: Copy + Send + Sync {
    /// The word of a code, which fits.
    fn of(code: u64) -> Self;
}

macro_rules! words {
    ($($word:ident)*) => {$(
        impl Word for $word {
            #[inline(always)]
            fn of(code: u64) -> Self {
                code as Self
            }
        }
    )*};
}
words!(u8 u16 u32 u64);

/// Evaluates `$body` with the words of a buffer of codes in `$words`.
macro_rules! with_words {
    ($codes:expr, |$words:ident| $body:expr) => {
        match $codes {
            Codes::U8($words) => $body,
            Codes::U16($words) => $body,
            Codes::U32($words) => $body,
            Codes::U64($words) => $body,
        }
    };
}
use with_words;

/// Makes `codes` a buffer for `len` codes of `format`, of whatever value.
fn fit(codes: &mut Codes, format: Format, len: usize) {
    let empty = Codes::zeros(format, 0);
    if codes.bytes_per_code() != empty.bytes_per_code() {
        *codes = empty;
    }
    with_words!(codes, |words| words.resize(len, 0));
}
