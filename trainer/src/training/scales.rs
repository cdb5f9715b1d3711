//! Scales the host follows from step to step.

use crate::lower::{Followed, top_exponent};
use crate::recipe::{Amax, Scale};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use systole_isa::format::Format;

/// Exponents of tracked scales stay within those of `e8m0`, their inverses too.
const LARGEST_EXPONENT: i32 = 126;

/// The state of one followed scale.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScaleState {
    /// Exponent of the top binade.
    Tracked(i32),
    /// Largest magnitudes of the latest steps, the newest first, and the factor in use.
    Delayed {
        /// Largest magnitudes; what is not finite reads back as NaN, which counts the same.
        #[serde(deserialize_with = "with_nan")]
        history: VecDeque<f32>,
        /// What values are multiplied by.
        scale: f32,
    },
}

/// JSON has `null` for numbers that are not finite.
fn with_nan<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<VecDeque<f32>, D::Error> {
    Ok(VecDeque::<Option<f32>>::deserialize(deserializer)?.into_iter().map(|x| x.unwrap_or(f32::NAN)).collect())
}

impl ScaleState {
    /// Before anything was seen.
    pub fn new(followed: &Followed) -> Self {
        match followed.scale_policy {
            Scale::Delayed { .. } => Self::Delayed { history: VecDeque::new(), scale: 1.0 },
            _ => Self::Tracked(0),
        }
    }

    /// Set from a first largest magnitude. Says whether that changed anything.
    pub fn calibrate(&mut self, followed: &Followed, amax: f64) -> bool {
        let (Self::Tracked(top), Scale::Tracked { room }) = (self, followed.scale_policy) else { return false };
        let Some(exponent) = exponent_once_rounded(amax, followed.format) else { return false };
        let wanted = bounded(exponent + room, followed.format);
        std::mem::replace(top, wanted) != wanted
    }

    /// After a step that saw this largest magnitude.
    pub fn update(&mut self, followed: &Followed, amax: f64) {
        match (self, followed.scale_policy) {
            (Self::Tracked(top), Scale::Tracked { room }) => {
                let next = match exponent_once_rounded(amax, followed.format) {
                    Some(exponent) if *top - exponent < room => *top + 1,
                    Some(exponent) if *top - exponent == room => *top,
                    Some(_) => *top - 1,
                    None if amax == 0.0 => *top - 1,
                    None => *top + 1,
                };
                *top = bounded(next, followed.format);
            }
            (Self::Delayed { history, scale }, Scale::Delayed { history: length, margin, amax: which }) => {
                history.push_front(amax as f32);
                history.truncate(length as usize);
                let seen = match which {
                    Amax::MostRecent => amax as f32,
                    Amax::Max => history.iter().copied().fold(0.0, |x, y| if y > x || y.is_nan() { y } else { x }),
                };
                if seen > 0.0 && seen.is_finite() {
                    let largest = followed.format.to_f64(followed.format.max_finite(false)) as f32;
                    // As Transformer Engine has it: two divisions in binary32, the second exact.
                    let next = (largest / seen) / power(margin) as f32;
                    *scale = if next.is_finite() { next } else { f32::MAX };
                }
            }
            _ => {}
        }
    }

    /// What the device is told: the scale, and its inverse where it is asked for.
    pub fn values(&self, followed: &Followed) -> [f64; 2] {
        match self {
            Self::Tracked(top) => [power(*top - top_exponent(followed.format)); 2],
            Self::Delayed { scale, .. } => [f64::from(*scale), f64::from(1.0 / scale)],
        }
    }

    /// The base-two logarithm of what values are divided by, for reports.
    pub fn logarithm(&self, followed: &Followed) -> f64 {
        match self {
            Self::Tracked(top) => f64::from(*top - top_exponent(followed.format)),
            Self::Delayed { scale, .. } => -f64::from(*scale).log2(),
        }
    }
}

fn bounded(top: i32, format: Format) -> i32 {
    let shift = top_exponent(format);
    (top - shift).clamp(-LARGEST_EXPONENT, LARGEST_EXPONENT) + shift
}

/// 2^n for exponents of normal binary64s.
fn power(n: i32) -> f64 {
    f64::from_bits(((n + 1023) as u64) << 52)
}

/// The exponent of a magnitude once it is rounded to a format's significand; `None` of zeros
/// and what is not finite.
fn exponent_once_rounded(amax: f64, format: Format) -> Option<i32> {
    if !(amax.is_finite() && amax > 0.0) {
        return None;
    }
    // Normal: recorded in binary32.
    let exponent = ((amax.to_bits() >> 52) & 0x7ff) as i32 - 1023;
    let significand = amax / power(exponent);
    let steps = power(format.precision() as i32 - 1);
    let carries = (significand * steps).round_ties_even() >= 2.0 * steps;
    Some(exponent + i32::from(carries))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lower::Tensor;

    fn followed(format: &str, scale_policy: Scale) -> Followed {
        let nowhere = Tensor { address: 0, format: Format::FP32, rows: 1, cols: 1 };
        Followed {
            layer: 0,
            role: "errors",
            index: 0,
            format: format.parse().unwrap(),
            scale_policy,
            amax: nowhere,
            scale: nowhere,
            inverse: nowhere,
        }
    }

    /// A tensor that grows by 2^6 stops saturating after exactly six steps; a steady one stays.
    #[test]
    fn tracked_scales_follow_by_one_binade_a_step() {
        let followed = followed("e4m3f", Scale::Tracked { room: 1 });
        let mut state = ScaleState::new(&followed);
        assert!(state.calibrate(&followed, 1.5) && state == ScaleState::Tracked(1));
        assert!(!state.calibrate(&followed, 1.5));
        for _ in 0..3 {
            state.update(&followed, 1.5);
            assert_eq!(state, ScaleState::Tracked(1));
        }
        let mut steps = 0;
        while state != ScaleState::Tracked(7) {
            state.update(&followed, 96.0);
            steps += 1;
        }
        assert_eq!(steps, 6);
        for expected in [6, 5] {
            state.update(&followed, 0.0);
            assert_eq!(state, ScaleState::Tracked(expected));
        }
        state.update(&followed, f64::INFINITY);
        assert_eq!(state, ScaleState::Tracked(6));
        // e4m3f ends in binade 8, so values are divided by 2^(6 - 8).
        assert_eq!(state.values(&followed)[0], 0.25);
    }

    /// 1.97 rounds to 2 in four significant bits, and counts as that.
    #[test]
    fn exponents_count_once_rounded() {
        let format = "e4m3f".parse().unwrap();
        assert_eq!(exponent_once_rounded(1.93, format), Some(0));
        assert_eq!(exponent_once_rounded(1.97, format), Some(1));
        assert_eq!(exponent_once_rounded(1.9375, format), Some(1));
        assert_eq!(exponent_once_rounded(0.0, format), None);
    }

    /// An amax that jumps saturates for one step: the scale in use is that of the steps before.
    #[test]
    fn delayed_scales_are_the_history_s() {
        let policy = |which| Scale::Delayed { history: 2, margin: 1, amax: which };
        let followed_max = followed("e4m3fn", policy(Amax::Max));
        let mut state = ScaleState::new(&followed_max);
        let mut scales = Vec::new();
        for amax in [4.0, 0.0, 0.0, 448.0, f64::INFINITY, 1e-45] {
            scales.push(state.values(&followed_max)[0]);
            state.update(&followed_max, amax);
        }
        // The history of two steps forgets 4 after the third.
        assert_eq!(scales, [1.0, 56.0, 56.0, 56.0, 0.5, 0.5]);
        let latest = followed("e4m3fn", policy(Amax::MostRecent));
        let mut state = ScaleState::new(&latest);
        state.update(&latest, 4.0);
        state.update(&latest, 8.0);
        assert_eq!(state.values(&latest), [28.0, f64::from(1.0f32 / 28.0)]);
        state.update(&latest, 1e-40);
        assert_eq!(state.values(&latest)[0], f64::from(f32::MAX));
    }
}
