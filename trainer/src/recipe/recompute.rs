//! Forward products computed again, output by output, from more precise operands.

use super::{Role, RoleFormat};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use systole_isa::design::Problem;
use systole_isa::format::Specials;

/// Forward products of layers with weights are computed in the roles `weights` and `activations`,
/// and the outputs that a rule picks a second time in these, which take the place of the first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recompute {
    /// Which outputs.
    pub rule: Selection,
    /// Weights as operands of the second product.
    #[serde(deserialize_with = "named")]
    pub weights: RoleFormat,
    /// Activations as operands of the second product.
    #[serde(deserialize_with = "named")]
    pub activations: RoleFormat,
    /// Which operands the backward products take.
    #[serde(default)]
    pub backward: Backward,
}

/// Which outputs of a product are computed again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Selection {
    /// Those whose condition number exceeds a threshold: that of the dot product times that of
    /// the activation function behind it (El Arar et al. 2025). NaN exceeds every threshold.
    Condition {
        /// An output stays as it is if its condition number is at most this.
        threshold: Threshold,
        /// What is divided by the output's magnitude.
        #[serde(default)]
        numerator: Numerator,
    },
    /// Those that lots fall on, each by itself: what the rule above is measured against.
    Random {
        /// Probability that an output stays as it is: one for all layers that compute again, or
        /// one for each.
        low: Vec<f64>,
    },
}

/// How the sum of the magnitudes of a dot product's terms is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Numerator {
    /// By a product of magnitudes on the array, in the mode of the first product.
    #[default]
    Exact,
    /// The 1-norm of the weights times the largest magnitude they meet, a bound from above.
    RowBound,
}

/// Operands of the backward products.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backward {
    /// Those of the second product.
    #[default]
    Fine,
    /// Those of the first.
    Coarse,
}

/// A number from 0 on, or infinity, which JSON has no number for: there `"inf"`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold(pub f64);

impl Serialize for Threshold {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 == f64::INFINITY { serializer.serialize_str("inf") } else { serializer.serialize_f64(self.0) }
    }
}

impl<'de> Deserialize<'de> for Threshold {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ThresholdVisitor;

        impl Visitor<'_> for ThresholdVisitor {
            type Value = Threshold;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or \"inf\"")
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Threshold, E> {
                Ok(Threshold(value))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Threshold, E> {
                Ok(Threshold(value as f64))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Threshold, E> {
                Ok(Threshold(value as f64))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Threshold, E> {
                if text == "inf" { Ok(Threshold(f64::INFINITY)) } else { Err(E::custom(format!("`{text}` is neither a number nor inf"))) }
            }
        }

        deserializer.deserialize_any(ThresholdVisitor)
    }
}

/// A role that names its format.
fn named<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RoleFormat, D::Error> {
    match Role::deserialize(deserializer)? {
        Role::Format(role) => Ok(role),
        Role::Design => Err(D::Error::custom("name a format: what the design offers is the first product's")),
    }
}

impl Recompute {
    /// Whether no output can be computed again, whatever its value.
    pub fn is_idle(&self) -> bool {
        matches!(self.rule, Selection::Condition { threshold: Threshold(f64::INFINITY), .. })
    }

    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        let mut require = |holds: bool, path: String, message: String| {
            if !holds {
                found.push(Problem { path: format!("recompute.{path}"), message });
            }
        };
        match &self.rule {
            Selection::Condition { threshold: Threshold(threshold), .. } => require(
                *threshold >= 0.0,
                "rule.condition.threshold".to_owned(),
                format!("must be at least 0, or inf for no second product, is {threshold}"),
            ),
            Selection::Random { low } => {
                require(!low.is_empty(), "rule.random.low".to_owned(), "must give a probability, or one for each layer".to_owned());
                for (i, share) in low.iter().enumerate() {
                    let message = format!("must be a probability, 0 to 1, is {share}");
                    require((0.0..=1.0).contains(share), format!("rule.random.low.{i}"), message);
                }
            }
        }
        for (name, role) in [("weights", &self.weights), ("activations", &self.activations)] {
            let scale_only = role.format.as_float().is_some_and(|f| f.specials == Specials::E8m0);
            let message = format!("`{}` is a scale format without sign or zero; use a signed format", role.format);
            require(!scale_only, format!("{name}.format"), message);
            let message = "takes a format, rounding, overflow and bias alone; leave scale, expand and hysteresis out".to_owned();
            require(role.is_plain(), name.to_owned(), message);
            require((-1024..=1024).contains(&role.bias), format!("{name}.bias"), format!("must be -1024 to 1024, is {}", role.bias));
        }
        found
    }
}
