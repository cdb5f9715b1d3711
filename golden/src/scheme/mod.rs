//! Published quantisers by definition: a binary32 tensor in, numbers on the quantiser's grid out.
//!
//! One file per scheme, each the definition itself on exact rationals, written for reading. A
//! scheme takes a tensor of up to four dimensions, possibly the values it gave before and
//! uniform random numbers, and [`Parameters`] with the published defaults. It gives values,
//! codes, scales and what else it would remember. Where a source computes in binary32 and the
//! roundings show, they are part of the definition; where sources are silent the file says
//! what was chosen. No function of the host's mathematics library is called: see [`power`].
//!
//! ```
//! use systole_golden::scheme::{Input, Parameters, Scheme};
//!
//! let x = [1.0f32, 0.3, -0.02, 0.0];
//! let swalp = Parameters::of(Scheme::Swalp);
//! let y = swalp.quantize(&Input::new(&[4], &x)).unwrap();
//! // One block: exponent 0, step 2^-6.
//! assert_eq!(y.values, [1.0, 0.296875, -0.015625, 0.0]);
//! ```

pub mod bm;
pub mod coat;
pub mod dynamic;
pub mod fp134;
mod grid;
pub mod mx;
mod number;
pub mod nvfp4;
pub mod power;
pub mod qpytorch_block;
pub mod qpytorch_float;
pub mod s2fp8;
pub mod seb;
mod significant;
pub mod swalp;
#[cfg(test)]
mod testing;

use grid::Element;
use number::Draw;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use systole_isa::overrides::{self, OverrideError};

/// What a scheme is, for lists and help.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// One line.
    pub summary: &'static str,
    /// Where it is defined.
    pub source: &'static str,
    /// What no published source states and is inferred or chosen here.
    pub inferred: &'static str,
    /// What previous values are to it.
    pub previous: &'static str,
    /// What uniform random numbers are to it.
    pub uniforms: &'static str,
    /// What its codes are.
    pub codes: &'static str,
    /// What its scales are.
    pub scales: &'static str,
    /// Every parameter and its meaning.
    pub fields: &'static [(&'static str, &'static str)],
}

/// For schemes that take no previous values.
const NO_PREVIOUS: &str = "not used";

/// For schemes without stochastic rounding.
const NO_UNIFORMS: &str = "not used";

/// Whether a rounding is stochastic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rounding {
    /// Stochastic where uniform numbers are given, else nearest.
    Auto,
    /// To the nearest, in the scheme's way at ties.
    Nearest,
    /// By uniform numbers.
    Stochastic,
}

const ROUNDING: (&str, &str) = ("rounding", "nearest, stochastic (by --uniforms), or auto: stochastic where uniforms are given");

impl Rounding {
    /// The uniform numbers to round by, if any.
    fn uniforms<'a>(self, input: &Input<'a>) -> Result<Option<&'a [f64]>, SchemeError> {
        match (self, input.uniforms) {
            (Self::Stochastic, None) => Err(SchemeError::NoUniforms),
            (Self::Nearest, Some(_)) => Err(SchemeError::IdleUniforms),
            (_, uniforms) => Ok(uniforms),
        }
    }
}

/// A tensor to quantise, row-major.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// Extents, up to four.
    pub shape: &'a [usize],
    /// The numbers.
    pub values: &'a [f32],
    /// The values this tensor was quantised to before, of the same shape.
    pub previous: Option<&'a [f32]>,
    /// A uniform number in [0, 1) for each element.
    pub uniforms: Option<&'a [f64]>,
}

impl<'a> Input<'a> {
    /// A tensor without history or random numbers.
    pub const fn new(shape: &'a [usize], values: &'a [f32]) -> Self {
        Self { shape, values, previous: None, uniforms: None }
    }

    /// With previous values.
    pub const fn previous(self, previous: &'a [f32]) -> Self {
        Self { previous: Some(previous), ..self }
    }

    /// With uniform numbers.
    pub const fn uniforms(self, uniforms: &'a [f64]) -> Self {
        Self { uniforms: Some(uniforms), ..self }
    }

    fn check(&self) -> Result<(), SchemeError> {
        let size: usize = self.shape.iter().product();
        if self.shape.len() > 4 {
            return Err(SchemeError::Rank { rank: self.shape.len() });
        }
        let lengths = [Some(self.values.len()), self.previous.map(<[f32]>::len), self.uniforms.map(<[f64]>::len)];
        if let Some(length) = lengths.into_iter().flatten().find(|&length| length != size) {
            return Err(SchemeError::Length { length, size });
        }
        if let Some((at, &u)) = self.uniforms.into_iter().flatten().enumerate().find(|(_, u)| !(0.0..1.0).contains(*u)) {
            return Err(SchemeError::Uniform { at, u });
        }
        Ok(())
    }
}

/// Numbers of whichever type holds them.
#[derive(Clone, Debug, PartialEq)]
pub enum Numbers {
    /// Codes of up to 8 bits.
    U8(Vec<u8>),
    /// Codes of up to 16 bits.
    U16(Vec<u16>),
    /// Codes of up to 32 bits.
    U32(Vec<u32>),
    /// Small integers.
    I8(Vec<i8>),
    /// Integers of up to 16 bits.
    I16(Vec<i16>),
    /// Integers, exponents.
    I32(Vec<i32>),
    /// Binary32.
    F32(Vec<f32>),
    /// Binary64.
    F64(Vec<f64>),
}

impl Numbers {
    /// Unsigned codes of `bits` bits, in the narrowest type.
    fn codes(bits: u32, codes: impl Iterator<Item = i64>) -> Self {
        match bits {
            0..=8 => Self::U8(codes.map(|c| c as u8).collect()),
            9..=16 => Self::U16(codes.map(|c| c as u16).collect()),
            _ => Self::U32(codes.map(|c| c as u32).collect()),
        }
    }

    /// Integers of `bits` bits with sign, in the narrowest type.
    fn integers(bits: u32, integers: impl Iterator<Item = i64>) -> Self {
        match bits {
            0..=8 => Self::I8(integers.map(|c| c as i8).collect()),
            9..=16 => Self::I16(integers.map(|c| c as i16).collect()),
            _ => Self::I32(integers.map(|c| c as i32).collect()),
        }
    }
}

/// What happened, over the whole tensor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Elements of the tensor.
    pub elements: usize,
    /// Blocks of it, each with a scale.
    pub blocks: usize,
    /// Blocks in which every number is zero.
    pub zero_blocks: usize,
    /// Elements cut to the largest number of their block.
    pub saturated: usize,
    /// Elements other than zero that became zero.
    pub flushed: usize,
    /// Elements that are NaN afterwards.
    pub nan: usize,
}

/// A quantised tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantized {
    /// The numbers the codes and scales stand for, of the input's shape.
    pub values: Vec<f32>,
    /// Codes, of the input's shape.
    pub codes: Numbers,
    /// Scales, one or a few to a block.
    pub scales: Numbers,
    /// Extents of the scales.
    pub scales_shape: Vec<usize>,
    /// What happened.
    pub counts: Counts,
    /// What the scheme would remember, by name.
    pub state: Map<String, Json>,
}

/// Scales with their extents.
type Scales = (Vec<usize>, Numbers);

impl Quantized {
    /// Quantises element by element, in parallel.
    fn each(
        input: &Input<'_>,
        blocks: (usize, usize),
        scales: Scales,
        codes: impl Fn(&mut dyn Iterator<Item = i64>) -> Numbers,
        element: impl Fn(usize) -> Element + Send + Sync,
    ) -> Self {
        let elements: Vec<Element> = (0..input.values.len()).into_par_iter().map(element).collect();
        let count = |wanted: &dyn Fn(&Element, f32) -> bool| elements.iter().zip(input.values).filter(|(e, x)| wanted(e, **x)).count();
        let counts = Counts {
            elements: elements.len(),
            blocks: blocks.0,
            zero_blocks: blocks.1,
            saturated: count(&|e, _| e.saturated),
            flushed: count(&|e, x| e.value == 0.0 && x != 0.0 && !x.is_nan()),
            nan: count(&|e, _| e.value.is_nan()),
        };
        Self {
            values: elements.iter().map(|e| if e.value.is_nan() { f32::NAN } else { e.value }).collect(),
            codes: codes(&mut elements.iter().map(|e| e.code)),
            scales: scales.1,
            scales_shape: scales.0,
            counts,
            state: Map::new(),
        }
    }

    fn with_state(mut self, name: &str, value: impl Into<Json>) -> Self {
        self.state.insert(name.to_owned(), value.into());
        self
    }
}

/// A tensor or parameters that a scheme cannot take.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SchemeError {
    /// Too many dimensions.
    #[error("a tensor of {rank} dimensions; schemes are defined for up to 4")]
    Rank {
        /// Dimensions.
        rank: usize,
    },
    /// Lengths and shape disagree.
    #[error("{length} numbers where the shape has {size}; tensor, previous values and uniforms have one shape")]
    Length {
        /// Numbers given.
        length: usize,
        /// Elements of the shape.
        size: usize,
    },
    /// Not in [0, 1).
    #[error("uniform number {u} at element {at}; each must be at least 0 and below 1")]
    Uniform {
        /// Where.
        at: usize,
        /// What.
        u: f64,
    },
    /// Stochastic rounding without random numbers.
    #[error("rounding=stochastic needs uniform numbers: give --uniforms, or set rounding=nearest")]
    NoUniforms,
    /// Random numbers that nothing would use.
    #[error("uniform numbers are given but rounding=nearest would not use them; leave --uniforms out, or set rounding=stochastic")]
    IdleUniforms,
    /// An input the scheme has no use for.
    #[error("scheme `{scheme}` takes no {what}; leave {option} out")]
    Unused {
        /// The scheme.
        scheme: &'static str,
        /// What was given.
        what: &'static str,
        /// By which option.
        option: &'static str,
    },
    /// Previous values and random numbers both.
    #[error("hysteresis by --prev and stochastic rounding by --uniforms exclude each other; give one of them")]
    Both,
    /// A parameter out of its range.
    #[error("{field}={value}: {reason}")]
    Parameter {
        /// Its name.
        field: &'static str,
        /// What was given.
        value: String,
        /// What would be right.
        reason: String,
    },
}

/// An error unless `value` lies within `range`.
fn within(field: &'static str, value: i64, range: std::ops::RangeInclusive<i64>) -> Result<(), SchemeError> {
    if range.contains(&value) {
        return Ok(());
    }
    let reason = format!("must be {} to {}", range.start(), range.end());
    Err(SchemeError::Parameter { field, value: value.to_string(), reason })
}

macro_rules! schemes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal: $parameters:path, $about:path, $quantize:path;)*) => {
        /// A scheme by name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Scheme { $($(#[$doc])* $variant,)* }

        /// A scheme's parameters, each with its published default.
        #[derive(Clone, Debug, PartialEq, Serialize)]
        #[serde(untagged)]
        pub enum Parameters { $($(#[$doc])* $variant($parameters),)* }

        impl Scheme {
            /// Every scheme.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What it is.
            pub const fn about(self) -> &'static About {
                match self { $(Self::$variant => &$about,)* }
            }
        }

        impl Parameters {
            /// The defaults of a scheme.
            pub fn of(scheme: Scheme) -> Self {
                match scheme { $(Scheme::$variant => Self::$variant(Default::default()),)* }
            }

            /// Whose they are.
            pub const fn scheme(&self) -> Scheme {
                match self { $(Self::$variant(_) => Scheme::$variant,)* }
            }

            /// With settings applied in order.
            ///
            /// # Errors
            /// The first that names no parameter or does not fit it.
            pub fn with_overrides(&self, settings: &[(String, String)]) -> Result<Self, OverrideError> {
                match self { $(Self::$variant(p) => overrides::apply(concat!("scheme ", $name), p, settings).map(Self::$variant),)* }
            }

            /// Quantises a tensor.
            ///
            /// # Errors
            /// Lengths that disagree with the shape, more than four dimensions, uniforms outside
            /// [0, 1), inputs the scheme has no use for, or parameters out of range.
            pub fn quantize(&self, input: &Input<'_>) -> Result<Quantized, SchemeError> {
                let (scheme, about) = (self.scheme().name(), self.scheme().about());
                if input.previous.is_some() && about.previous == NO_PREVIOUS {
                    return Err(SchemeError::Unused { scheme, what: "previous values", option: "--prev" });
                }
                if input.uniforms.is_some() && about.uniforms == NO_UNIFORMS {
                    return Err(SchemeError::Unused { scheme, what: "uniform numbers", option: "--uniforms" });
                }
                input.check()?;
                match self { $(Self::$variant(p) => $quantize(p, input),)* }
            }
        }
    };
}

schemes! {
    /// SWALP's small-block floating point.
    Swalp = "swalp": swalp::Parameters, swalp::ABOUT, swalp::quantize;
    /// Block minifloat.
    Bm = "bm": bm::Parameters, bm::ABOUT, bm::quantize;
    /// Formats given as significant bits per binade, with hysteresis.
    Fp134 = "fp134": fp134::Parameters, fp134::ABOUT, fp134::quantize;
    /// Block-wise 8 bit on the signed dynamic map.
    DynamicSigned = "dynamic_signed": dynamic::Signed, dynamic::ABOUT_SIGNED, dynamic::quantize_signed;
    /// Block-wise 8 bit on the unsigned dynamic map.
    DynamicUnsigned = "dynamic_unsigned": dynamic::Unsigned, dynamic::ABOUT_UNSIGNED, dynamic::quantize_unsigned;
    /// QPyTorch's float_quantize.
    QpytorchFloat = "qpytorch_float": qpytorch_float::Parameters, qpytorch_float::ABOUT, qpytorch_float::quantize;
    /// QPyTorch's block_quantize.
    QpytorchBlock = "qpytorch_block": qpytorch_block::Parameters, qpytorch_block::ABOUT, qpytorch_block::quantize;
    /// Shifted and squeezed FP8.
    S2fp8 = "s2fp8": s2fp8::Parameters, s2fp8::ABOUT, s2fp8::quantize;
    /// OCP microscaling formats.
    Mx = "mx": mx::Parameters, mx::ABOUT, mx::quantize;
    /// NVIDIA's two-level 4-bit blocks.
    Nvfp4 = "nvfp4": nvfp4::Parameters, nvfp4::ABOUT, nvfp4::quantize;
    /// FP8 with a tracked exponent bias shared by a tensor.
    Seb = "seb": seb::Parameters, seb::ABOUT, seb::quantize;
    /// FP8 optimiser states with dynamic range expansion.
    Coat = "coat": coat::Parameters, coat::ABOUT, coat::quantize;
}

impl Scheme {
    /// The scheme of that name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|scheme| scheme.name() == name)
    }

    /// Every parameter: its name, its default as `--set` takes it, its meaning.
    pub fn fields(self) -> Vec<(&'static str, String, &'static str)> {
        let defaults = serde_json::to_value(Parameters::of(self)).expect("parameters are plain data");
        let shown = |value: &Json| match value {
            Json::Null => "none".to_owned(),
            Json::String(word) => word.clone(),
            other => other.to_string(),
        };
        self.about().fields.iter().map(|&(name, meaning)| (name, shown(&defaults[name]), meaning)).collect()
    }
}

/// The draw of one element.
fn draw(uniforms: Option<&[f64]>, at: usize) -> Draw {
    uniforms.map_or(Draw::Nearest, |u| Draw::Uniform(number::exact64(u[at])))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The help speaks of every parameter there is and of no other.
    #[test]
    fn every_parameter_is_described() {
        for &scheme in Scheme::ALL {
            let json = serde_json::to_value(Parameters::of(scheme)).unwrap();
            let names: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
            let described: Vec<&str> = scheme.about().fields.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, described, "{}", scheme.name());
        }
    }

    /// A caller in Python prints its own words.
    #[test]
    fn pythons_words_are_understood() {
        use super::testing::parameters;
        for (scheme, theirs, ours) in [
            ("seb", "tracking=False", "tracking=false"),
            ("seb", "scale=None", "scale=none"),
            ("dynamic_signed", "sign_fix=True", "sign_fix=true"),
            ("swalp", "small_block=None", "small_block=none"),
            ("bm", "tensor=x", "tensor=activation"),
        ] {
            assert_eq!(parameters(scheme, &[theirs]), parameters(scheme, &[ours]), "{scheme} {theirs}");
        }
    }

    #[test]
    fn lengths_ranks_and_uniforms_are_checked() {
        let swalp = Parameters::of(Scheme::Swalp);
        let refused = |input: Input<'_>| swalp.quantize(&input).unwrap_err().to_string();
        assert!(refused(Input::new(&[2, 2], &[0.0; 3])).contains("3 numbers where the shape has 4"));
        assert!(refused(Input::new(&[1; 5], &[0.0])).contains("5 dimensions"));
        assert!(refused(Input::new(&[1], &[0.0]).uniforms(&[1.0])).contains("uniform number 1 at element 0"));
        assert!(refused(Input::new(&[1], &[0.0]).uniforms(&[f64::NAN])).contains("uniform number NaN"));
        assert!(refused(Input::new(&[1], &[0.0]).previous(&[0.0])).contains("takes no previous values"));
        let settings = [("rounding".to_owned(), "stochastic".to_owned())];
        let stochastic = swalp.with_overrides(&settings).unwrap();
        assert_eq!(stochastic.quantize(&Input::new(&[1], &[0.0])).unwrap_err(), SchemeError::NoUniforms);
        let unknown = swalp.with_overrides(&[("bitz".to_owned(), "4".to_owned())]).unwrap_err().to_string();
        assert!(unknown.contains("the scheme swalp has no field `bitz` (did you mean `bits`?)"), "{unknown}");
    }
}
