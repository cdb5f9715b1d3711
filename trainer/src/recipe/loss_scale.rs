//! The factor of the loss that keeps small errors representable.

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use systole_isa::design::Problem;

/// Factor of the loss's gradient before it is rounded to the errors' format; weight gradients
/// are divided by it before the optimizer's step. In RON a number, or
/// `(initial: 65536, growth: 2, backoff: 0.5, interval: 2000)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LossScale {
    /// The same in every step. A power of two changes nothing but the range; other factors add
    /// roundings of their own.
    Static(f64),
    /// Found by trying.
    Dynamic(Dynamic),
}

/// A loss scale that grows until gradients overflow (PyTorch's `GradScaler`): a step whose
/// gradients are not all finite is skipped and the scale multiplied by `backoff`; after
/// `interval` steps without it is multiplied by `growth`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dynamic {
    /// The first scale.
    #[serde(default = "initial")]
    pub initial: f64,
    /// Factor after `interval` steps without overflow.
    #[serde(default = "growth")]
    pub growth: f64,
    /// Factor after an overflow.
    #[serde(default = "backoff")]
    pub backoff: f64,
    /// Steps without overflow before the scale grows.
    #[serde(default = "interval")]
    pub interval: u32,
    /// The scale grows no further than this.
    #[serde(default)]
    pub largest: Option<f64>,
}

const fn initial() -> f64 {
    65_536.0
}

const fn growth() -> f64 {
    2.0
}

const fn backoff() -> f64 {
    0.5
}

const fn interval() -> u32 {
    2000
}

impl Default for LossScale {
    fn default() -> Self {
        Self::Static(1.0)
    }
}

impl LossScale {
    /// The scale of the first step.
    pub const fn initial(&self) -> f64 {
        match self {
            Self::Static(scale) => *scale,
            Self::Dynamic(dynamic) => dynamic.initial,
        }
    }

    /// Whether no scaling is done at all.
    pub const fn is_one(&self) -> bool {
        matches!(self, Self::Static(1.0))
    }

    /// Everything that makes it unusable.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        let mut require = |holds: bool, path: &str, message: String| {
            if !holds {
                found.push(Problem { path: path.to_owned(), message });
            }
        };
        let scale = |x: f64| x.is_finite() && x > 0.0 && x <= f64::from(f32::MAX);
        match self {
            Self::Static(s) => require(scale(*s), "loss_scale", format!("must be positive and finite, is {s}")),
            Self::Dynamic(d) => {
                require(scale(d.initial), "loss_scale.initial", format!("must be positive and finite, is {}", d.initial));
                require(d.growth >= 1.0 && d.growth <= 65_536.0, "loss_scale.growth", format!("must be 1 to 65536, is {}", d.growth));
                require(d.backoff > 0.0 && d.backoff < 1.0, "loss_scale.backoff", format!("must be above 0 and below 1, is {}", d.backoff));
                require(d.interval >= 1, "loss_scale.interval", "must be at least 1".to_owned());
                let largest = d.largest.unwrap_or(d.initial);
                require(scale(largest) && largest >= d.initial, "loss_scale.largest", format!("must be at least `initial`, is {largest}"));
            }
        }
        found
    }
}

/// The state of a dynamic loss scale.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scaler {
    /// The scale of the next step.
    pub scale: f32,
    /// Steps without overflow since it last changed.
    pub steps: u32,
}

impl Scaler {
    /// Before the first step.
    pub const fn new(dynamic: &Dynamic) -> Self {
        Self { scale: dynamic.initial as f32, steps: 0 }
    }

    /// What gradients are multiplied by: 1 / scale, by way of binary64 as PyTorch has it.
    pub fn inverse(&self) -> f32 {
        (1.0 / f64::from(self.scale)) as f32
    }

    /// After a step: `found` says whether a gradient was not finite.
    pub fn update(&mut self, dynamic: &Dynamic, found: bool) {
        if found {
            self.scale = (f64::from(self.scale) * dynamic.backoff) as f32;
            self.steps = 0;
            return;
        }
        self.steps += 1;
        if self.steps == dynamic.interval {
            let grown = (f64::from(self.scale) * dynamic.growth) as f32;
            if grown.is_finite() {
                self.scale = dynamic.largest.map_or(grown, |largest| grown.min(largest as f32));
            }
            self.steps = 0;
        }
    }
}

impl Serialize for LossScale {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Static(scale) => serializer.serialize_f64(*scale),
            Self::Dynamic(dynamic) => dynamic.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for LossScale {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LossScaleVisitor;

        impl<'de> Visitor<'de> for LossScaleVisitor {
            type Value = LossScale;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or (initial: 65536, growth: 2, backoff: 0.5, interval: 2000)")
            }

            fn visit_f64<E: Error>(self, scale: f64) -> Result<LossScale, E> {
                Ok(LossScale::Static(scale))
            }

            fn visit_u64<E: Error>(self, scale: u64) -> Result<LossScale, E> {
                Ok(LossScale::Static(scale as f64))
            }

            fn visit_i64<E: Error>(self, scale: i64) -> Result<LossScale, E> {
                Ok(LossScale::Static(scale as f64))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<LossScale, A::Error> {
                Dynamic::deserialize(MapAccessDeserializer::new(map)).map(LossScale::Dynamic)
            }
        }

        deserializer.deserialize_any(LossScaleVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DYNAMIC: Dynamic = Dynamic { initial: 65_536.0, growth: 2.0, backoff: 0.5, interval: 3, largest: None };

    /// Scale and steps after each update, by PyTorch's rule worked by hand.
    #[test]
    fn a_trace() {
        let mut scaler = Scaler::new(&DYNAMIC);
        let mut trace = Vec::new();
        for found in [false, false, true, false, false, false, true, true, false] {
            scaler.update(&DYNAMIC, found);
            trace.push((scaler.scale, scaler.steps));
        }
        let expected = [
            (65_536.0, 1),
            (65_536.0, 2),
            (32_768.0, 0),
            (32_768.0, 1),
            (32_768.0, 2),
            (65_536.0, 0),
            (32_768.0, 0),
            (16_384.0, 0),
            (16_384.0, 1),
        ];
        assert_eq!(trace, expected);
    }

    #[test]
    fn scales_end_at_the_largest_and_never_overflow_but_fall_without_end() {
        let every = Dynamic { interval: 1, ..DYNAMIC };
        let mut scaler = Scaler::new(&every);
        (0..200).for_each(|_| scaler.update(&every, false));
        assert_eq!(scaler.scale, 2f32.powi(127));
        let capped = Dynamic { largest: Some(131_072.0), ..every };
        let mut scaler = Scaler::new(&capped);
        (0..9).for_each(|_| scaler.update(&capped, false));
        assert_eq!(scaler.scale, 131_072.0);
        (0..20).for_each(|_| scaler.update(&capped, true));
        assert_eq!(scaler.scale, 0.125);
    }

    #[test]
    fn inverses_are_rounded_once() {
        for scale in [1000.0f32, 3.0, 65_536.0] {
            assert_eq!(Scaler { scale, steps: 0 }.inverse(), 1.0 / scale);
        }
    }
}
