//! The roles tensors play in a training step, and the format of each.

use super::{Backend, Scale};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use systole_isa::design::{Design, Problem};
use systole_isa::format::{Format, Specials};
use systole_isa::round::{Overflow, Policy, Rounding};

/// A format with the conversion into it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
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
    /// What values are divided by before they are rounded, beside the bias.
    #[serde(default)]
    pub scale: Scale,
    /// Operands are taken back out of their codes into this format before a product takes
    /// them, as simulations in software do; absent: the array takes codes and scales.
    #[serde(default)]
    pub expand: Option<Format>,
    /// Weights only: values are rounded up where their last quantised value was larger, else
    /// down, whatever `rounding` says (Lee et al. 2022).
    #[serde(default)]
    pub hysteresis: bool,
    /// Activations and errors only: before the weight-gradient product rounds them, every so many
    /// values along its sum pass a Hadamard transform with fixed signs; 0 for none. Both operands
    /// have the same, so that the product stays what it is but for rounding.
    #[serde(default)]
    pub hadamard: u32,
}

const fn rne() -> Rounding {
    Rounding::Rne
}

impl RoleFormat {
    /// The format with nearest-even rounding and IEEE overflow.
    pub const fn new(format: Format) -> Self {
        Self::rounded(format, Rounding::Rne, Overflow::Ieee, 0)
    }

    const fn rounded(format: Format, rounding: Rounding, overflow: Overflow, bias: i32) -> Self {
        Self { format, rounding, overflow, bias, scale: Scale::None, expand: None, hysteresis: false, hadamard: 0 }
    }

    /// Format of the operands that products take.
    pub fn operand(&self) -> Format {
        self.expand.unwrap_or(self.format)
    }

    /// Whether codes stand for their own values, but for a constant bias.
    pub fn is_plain(&self) -> bool {
        self.scale == Scale::None && self.expand.is_none() && !self.hysteresis
    }

    /// Policy of the conversion.
    pub const fn policy(&self) -> Policy {
        Policy::new(self.rounding).overflow(self.overflow)
    }
}

/// What a recipe says of one role: in RON `"design"`, a format's name, or
/// `(format: "e5m2", rounding: "sr8", overflow: saturate, bias: 0)`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
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
        #[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
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
    /// The optimizer's momentum, or first moment.
    momentum,
    /// The optimizer's second moment.
    variance,
    /// What compensates the rounding of the weights.
    compensation,
    /// Steps of the weights under error feedback.
    steps,
    /// The optimizer's arithmetic between reading its states and writing them.
    update,
    /// Normalisation, softmax and loss.
    statistics,
    /// Everything else that is computed value by value: biases, activation functions, sums of
    /// branches.
    vector,
}

impl Roles {
    /// These roles, but for those that `others` give.
    #[must_use]
    pub fn overridden(&self, others: &Roles<Option<Role>>) -> Self {
        self.zip_map(others, |role, other| other.unwrap_or(role))
    }

    /// The formats on `design`. Where the recipe says `design`, weights are mode 0's operand b,
    /// activations and errors operand a, with the mode's shared biases; weight gradients have
    /// the format results leave the array in; `update` and `statistics` follow `vector`; the rest
    /// has the vector unit's format. All of these are rounded as the design's results are.
    pub fn resolve(&self, design: &Design) -> Roles<RoleFormat> {
        let at = |format, bias| RoleFormat::rounded(format, design.output.rounding, design.output.overflow, bias);
        let (a, b) = (at(design.mac.a, design.mac.bias_a), at(design.mac.b, design.mac.bias_b));
        let unit = at(design.vector.format, 0);
        let vector = match self.vector {
            Role::Design => unit,
            Role::Format(format) => format,
        };
        let offered = Roles {
            weights: b,
            activations: a,
            errors: a,
            weight_gradients: at(design.output_format(&design.mac), 0),
            master_weights: unit,
            momentum: unit,
            variance: unit,
            compensation: unit,
            steps: unit,
            update: vector,
            statistics: vector,
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
            let kind = Kind::of(name);
            require(
                kind.allows(role.scale),
                "scale",
                format!("`{}` is not for this role, which takes {}", role.scale.name(), kind.scales()),
            );
            require(
                kind != Kind::Operand || role.scale.is_for_operands() || role.expand.is_some(),
                "expand",
                format!("must name the format that products take, as no product takes codes scaled by `{}`", role.scale.name()),
            );
            require(role.expand.is_none() || kind == Kind::Operand, "expand", "is for operands of products only; leave it out".to_owned());
            require(!role.hysteresis || name == "weights", "hysteresis", "is for weights only; leave it out".to_owned());
            let power = matches!(role.scale, Scale::None | Scale::Present { .. } | Scale::Tracked { .. } | Scale::Current { powers: true });
            require(
                !role.hysteresis || power,
                "hysteresis",
                format!("needs a power of two of the whole tensor as its scale, not `{}`", role.scale.name()),
            );
            require(
                role.hadamard == 0 || matches!(name, "activations" | "errors"),
                "hadamard",
                "is for activations and errors, the operands of the weight-gradient product; leave it out".to_owned(),
            );
            require(
                matches!(role.hadamard, 0 | 4 | 16 | 64),
                "hadamard",
                format!("must be 4, 16 or 64, whose matrices hold powers of two, or 0 for none, is {}", role.hadamard),
            );
            require(
                role.hadamard == 0 || !role.scale.is_followed(),
                "hadamard",
                format!("needs a scale found from the tensor itself, not `{}`", role.scale.name()),
            );
            require(
                role.scale == Scale::None || role.bias == 0,
                "bias",
                format!("must be 0 beside a scale, is {}; use `room` or `margin`", role.bias),
            );
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
            found.extend(role.scale.problems(&format!("roles.{name}"), role.format));
        }
        found
    }
}

/// What tensors of a role are, which decides how they may be scaled.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Operands of products.
    Operand,
    /// Weight gradients, and what is made of them.
    Gradient,
    /// What the optimizer keeps from step to step.
    State,
    /// Its moments.
    Moment,
    /// Everything on its way.
    Passing,
}

impl Kind {
    fn of(role: &str) -> Self {
        match role {
            "weights" | "activations" | "errors" => Self::Operand,
            "weight_gradients" | "steps" => Self::Gradient,
            "master_weights" | "compensation" => Self::State,
            "momentum" | "variance" => Self::Moment,
            _ => Self::Passing,
        }
    }

    const fn allows(self, scale: Scale) -> bool {
        match scale {
            Scale::None => true,
            Scale::Present { .. } | Scale::Blocks(_) => !matches!(self, Self::Passing),
            Scale::Tracked { .. } | Scale::Delayed { .. } | Scale::Current { .. } | Scale::Squeeze => {
                matches!(self, Self::Operand | Self::Gradient)
            }
            Scale::Map { .. } | Scale::Expansion { .. } => matches!(self, Self::Moment),
        }
    }

    const fn scales(self) -> &'static str {
        match self {
            Self::Operand | Self::Gradient => "none, present, tracked, delayed, current, blocks or squeeze",
            Self::State => "none, present or blocks",
            Self::Moment => "none, present, blocks, map or expansion",
            Self::Passing => "none",
        }
    }
}
