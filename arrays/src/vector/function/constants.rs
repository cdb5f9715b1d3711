//! Constants of the elementary functions: series summed in integers, once, at first use.
//!
//! They are computed with 384 fraction bits, where every entry is within 2^-370 of the truth,
//! and cut to each working precision (at most 320 bits). So at a working precision each entry
//! is off by less than 1.01 ulp.

use super::fixed::Fixed;
use std::sync::LazyLock;

/// Steps per unit of the table of exponentials.
pub(super) const EXP_STEPS: u64 = 128;
/// Entries of the table of exponentials: j / 128 up to ln 2.
const EXP_ENTRIES: usize = 90;
/// Multipliers C / 256 whose logarithms are stored: 1/sqrt(2) to sqrt(2) and one to spare.
pub(super) const LOG_MULTIPLIERS: std::ops::RangeInclusive<u64> = 180..=364;
/// Reciprocals of the integers below this are stored.
const RECIPROCALS: u64 = 640;

/// The limbs of the precision in which constants are computed.
const MASTER: usize = 7;

/// What the series need, at one working precision.
pub(super) struct Constants<const N: usize> {
    /// ln 2.
    pub ln2: Fixed<N>,
    /// 1 / ln 2.
    pub log2_e: Fixed<N>,
    /// 2 / sqrt(pi).
    pub two_over_sqrt_pi: Fixed<N>,
    /// 1/k! for as many k as the exponential's series needs at arguments below 1/128.
    pub inverse_factorials: Vec<Fixed<N>>,
    /// exp(j / 128).
    pub exponentials: Vec<Fixed<N>>,
    /// ln(C / 256), signed, C over [`LOG_MULTIPLIERS`].
    pub logarithms: Vec<Fixed<N>>,
    /// 1/k; entry 0 is 0.
    pub reciprocals: Vec<Fixed<N>>,
}

/// Constants at 64 fraction bits.
pub(super) static BITS_64: LazyLock<Constants<2>> = LazyLock::new(|| MASTER_CONSTANTS.cut());
/// Constants at 128 fraction bits.
pub(super) static BITS_128: LazyLock<Constants<3>> = LazyLock::new(|| MASTER_CONSTANTS.cut());
/// Constants at 192 fraction bits.
pub(super) static BITS_192: LazyLock<Constants<4>> = LazyLock::new(|| MASTER_CONSTANTS.cut());
/// Constants at 320 fraction bits.
pub(super) static BITS_320: LazyLock<Constants<6>> = LazyLock::new(|| MASTER_CONSTANTS.cut());

static MASTER_CONSTANTS: LazyLock<Constants<MASTER>> = LazyLock::new(Constants::compute);

type Master = Fixed<MASTER>;

/// Sum over k of (numerator/denominator)^(2k+1) / (2k+1), the odd terms' signs alternating
/// where `alternating`: atan, else atanh, of a fraction below 1/2.
fn odd_series(numerator: u64, denominator: u64, alternating: bool) -> Master {
    let mut power = Master::integer(numerator).over_integer(denominator);
    let (numerator, denominator) = (numerator * numerator, denominator * denominator);
    let mut sum = Master::ZERO;
    for k in 0.. {
        if power.is_zero() {
            break;
        }
        let term = power.over_integer(2 * k + 1);
        sum = if alternating && k % 2 == 1 { sum.minus(term) } else { sum.plus(term) };
        power = power.times_integer(numerator).over_integer(denominator);
    }
    sum
}

impl Constants<MASTER> {
    fn compute() -> Self {
        // ln 2 = 2 atanh(1/3).
        let ln2 = odd_series(1, 3, false).times_integer(2);
        let (half_log2_e, _) = Master::ONE.over(ln2.times_integer(2));

        // Machin: pi/4 = 4 atan(1/5) - atan(1/239).
        let quarter_pi = odd_series(1, 5, true).times_integer(4).minus(odd_series(1, 239, true));
        // y <- y (3 - (pi/4) y^2) / 2 converges quadratically to 2/sqrt(pi), from below after y = 1.
        let mut two_over_sqrt_pi = Master::ONE;
        for _ in 0..10 {
            let square = two_over_sqrt_pi.times(two_over_sqrt_pi).times(quarter_pi);
            two_over_sqrt_pi = two_over_sqrt_pi.times(Master::integer(3).minus(square)).shift_right(1);
        }

        let mut inverse_factorials = vec![Master::ONE];
        let mut base = Master::ONE;
        let mut scaled = Master::ONE;
        for k in 1.. {
            let next = inverse_factorials[k as usize - 1].over_integer(k);
            inverse_factorials.push(next);
            scaled = scaled.over_integer(k * EXP_STEPS);
            if scaled.is_zero() {
                break;
            }
            base = base.plus(scaled);
        }
        let exponentials = std::iter::successors(Some(Master::ONE), |e| Some(e.times(base))).take(EXP_ENTRIES).collect();

        let logarithms = LOG_MULTIPLIERS
            .map(|c| {
                let magnitude = odd_series(c.abs_diff(256), c + 256, false).times_integer(2);
                if c < 256 { Master::ZERO.minus(magnitude) } else { magnitude }
            })
            .collect();
        let reciprocals = (0..RECIPROCALS).map(|k| if k == 0 { Master::ZERO } else { Master::ONE.over_integer(k) }).collect();
        Self { ln2, log2_e: half_log2_e.times_integer(2), two_over_sqrt_pi, inverse_factorials, exponentials, logarithms, reciprocals }
    }

    fn cut<const M: usize>(&self) -> Constants<M> {
        let all = |list: &[Master]| list.iter().map(|x| x.truncate()).collect::<Vec<Fixed<M>>>();
        // Terms below half an ulp at arguments of 1/128 are left out; the rest of the series
        // is below twice the first of them.
        let terms = self.inverse_factorials.iter().zip(0u32..).take_while(|(c, k)| !c.shift_right(7 * k).truncate::<M>().is_zero()).count();
        Constants {
            ln2: self.ln2.truncate(),
            log2_e: self.log2_e.truncate(),
            two_over_sqrt_pi: self.two_over_sqrt_pi.truncate(),
            inverse_factorials: all(&self.inverse_factorials[..terms]),
            exponentials: all(&self.exponentials),
            logarithms: all(&self.logarithms),
            reciprocals: all(&self.reciprocals),
        }
    }
}
