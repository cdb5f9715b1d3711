//! One tensor into a role's codes and back, as a program of its own.

use super::coded::Place;
use super::{Context, Followed, Tensor};
use crate::recipe::{Recipe, RoleFormat};
use systole_isa::design::Design;
use systole_isa::format::Format;
use systole_isa::program::Program;
use systole_isa::round::Policy;

/// A program that codes a tensor as a role would, and what surrounds it.
#[derive(Clone, Debug)]
pub struct RoundTrip {
    /// Codes the tensor and takes the codes back.
    pub program: Program,
    /// The tensor, in binary32.
    pub input: Tensor,
    /// Its codes.
    pub codes: Tensor,
    /// Scales beside them, if any.
    pub scales: Vec<Tensor>,
    /// The values the codes stand for, in binary32.
    pub values: Tensor,
    /// Scales that the host writes first.
    pub followed: Vec<Followed>,
    /// Constants with their values.
    pub constants: Vec<(Tensor, Vec<f64>)>,
}

/// Compiles it for a tensor of `rows` x `cols` in the role called `name`, which decides the
/// direction of its blocks: those of `activations` and `errors` run along columns, of parameters and
/// their states along rows.
pub fn round_trip(recipe: &Recipe, design: &Design, name: &'static str, role: &RoleFormat, rows: usize, cols: usize) -> RoundTrip {
    let base = recipe.roles.resolve(design);
    let mut cx = Context::new(design, recipe, base);
    let input = cx.memory.tensor(Format::FP32, rows, cols);
    let place = Place { role: name, index: 0 };
    let coded = cx.coded(rows, cols, role, place);
    cx.encode_into(&coded, input.view(), role, place);
    let values = cx.decode(&coded, Format::FP32, Policy::RNE);
    let mut tensors = coded.tensors();
    let codes = tensors.remove(0);
    RoundTrip { program: cx.finish(), input, codes, scales: tensors, values, followed: cx.followed, constants: cx.memory.constants() }
}
