//! The roles tensors play in a training step, and the format of each.

use super::Backend;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use systole_isa::design::{Design, Problem};
use systole_isa::format::{Format, Specials};
use systole_isa::round::{Overflow, Policy, Rounding};

/// A format with the conversion into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleFormat {
    /// Number format.
    pub format: Format,
    /// Rounding into it.
    #[serde(default = "rne")]
    pub rounding: Rounding,
    /// What overflows become.
    #[serde(default)]
    pub overflow: Overflow,
    /// Shared exponent bias, added to the format's own: +b divides the values by 2^b.
    #[serde(default)]
    pub bias: i32,
}

const fn rne() -> Rounding {
    Rounding::Rne
}

impl RoleFormat {
    /// The format with nearest-even rounding and IEEE overflow.
    pub const fn new(format: Format) -> Self {
        Self { format, rounding: Rounding::Rne, overflow: Overflow::Ieee, bias: 0 }
    }

    /// Policy of the conversion.
    pub const fn policy(&self) -> Policy {
        Policy::new(self.rounding).overflow(self.overflow)
    }
}

/// What a recipe says of one role: in RON `"design"`, a format's name, or
/// `(format: "e5m2", rounding: "sr8", overflow: saturate, bias: 0)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// What the design offers, see [`Roles::resolve`].
    #[default]
    Design,
    /// This format.
    Format(RoleFormat),
}

impl Serialize for Role {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Design => serializer.serialize_str("design"),
            Self::Format(format) => format.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Role {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RoleVisitor;

        impl<'de> Visitor<'de> for RoleVisitor {
            type Value = Role;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"design\", a format's name in quotes (\"e4m3fn\"), or (format: \"e4m3fn\", rounding: \"rne\", overflow: saturate, bias: 0)")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Role, E> {
                if name == "design" {
                    return Ok(Role::Design);
                }
                name.parse()
                    .map(|format| Role::Format(RoleFormat::new(format)))
                    .map_err(|e| E::custom(format!("a role is \"design\" or a format: {e}")))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Role, A::Error> {
                RoleFormat::deserialize(MapAccessDeserializer::new(map)).map(Role::Format)
            }
        }

        deserializer.deserialize_any(RoleVisitor)
    }
}

/// Declares the roles as the fields of a record of any content.
macro_rules! roles {
    ($($(#[$doc:meta])* $role:ident),* $(,)?) => {
        /// What is said of each role.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields, bound(deserialize = "T: Deserialize<'de> + Default"))]
        pub struct Roles<T = Role> { $($(#[$doc])* pub $role: T),* }

        impl<T: Copy> Roles<T> {
            /// Every role with its name, in declaration order.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, T)> + use<T> {
                [$((stringify!($role), self.$role)),*].into_iter()
            }

            /// The same record of other contents.
            fn zip_map<U: Copy, V>(&self, other: &Roles<U>, f: impl Fn(T, U) -> V) -> Roles<V> {
                Roles { $($role: f(self.$role, other.$role)),* }
            }
        }
    };
}

roles! {
    /// Weights as operands of the products, forward and backward.
    weights,
    /// Activations as operands: layer inputs, forward and for the weight gradients.
    activations,
    /// Errors as operands: derivatives by layer outputs, backward.
    errors,
    /// Weight gradients as they leave the array.
    weight_gradients,
    /// The copy of the weights the optimizer updates.
    master_weights,
    /// The optimizer's momentum.
    momentum,
    /// Everything else that is computed value by value: biases, activation functions,
    /// normalisation, loss, the optimizer's arithmetic.
    vector,
}

impl Roles {
    /// The formats on `design`. Where the recipe says `design`, weights are mode 0's operand b,
    /// activations and errors operand a, with the mode's shared biases; weight gradients have
    /// the format results leave the array in; the rest is the vector unit's. All of these
    /// are rounded as the design's results are.
    pub fn resolve(&self, design: &Design) -> Roles<RoleFormat> {
        let at = |format, bias| RoleFormat { format, rounding: design.output.rounding, overflow: design.output.overflow, bias };
        let (a, b) = (at(design.mac.a, design.mac.bias_a), at(design.mac.b, design.mac.bias_b));
        let vector = at(design.vector.format, 0);
        let offered = Roles {
            weights: b,
            activations: a,
            errors: a,
            weight_gradients: at(design.output_format(&design.mac), 0),
            master_weights: vector,
            momentum: vector,
            vector,
        };
        self.zip_map(&offered, |role, offered| match role {
            Role::Design => offered,
            Role::Format(format) => format,
        })
    }

    pub(super) fn problems(&self, backend: Backend) -> Vec<Problem> {
        let mut found = Vec::new();
        for (name, role) in self.iter() {
            let Role::Format(role) = role else { continue };
            let mut require = |holds: bool, field: &str, message: String| {
                if !holds {
                    found.push(Problem { path: format!("roles.{name}.{field}"), message });
                }
            };
            let scale_only = role.format.as_float().is_some_and(|f| f.specials == Specials::E8m0);
            require(!scale_only, "format", format!("`{}` is a scale format without sign or zero; use a signed format", role.format));
            require((-1024..=1024).contains(&role.bias), "bias", format!("must be -1024 to 1024, is {}", role.bias));
            if backend == Backend::Host {
                require(
                    role == RoleFormat::new(Format::FP32),
                    "format",
                    format!(
                        "`backend: host` computes in fp32, rne, without bias; say \"fp32\", or \"design\", or use `backend: device` for `{}`",
                        role.format
                    ),
                );
            }
        }
        found
    }
}
