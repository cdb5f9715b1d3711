//! A node with its operands and parameters at hand.

use super::Refusal;
use super::proto::{AttributeProto, NodeProto, attribute_type};
use super::tensor::{Data, Tensor};
use std::rc::Rc;

/// What is known of a value.
#[derive(Clone, Debug)]
pub enum Known {
    /// Its shape.
    Shape(Tensor),
    /// Nothing, and why: the first reason of what follows from it.
    Nothing(Rc<str>),
}

/// A node, what it reads, and the version of its operator.
#[derive(Debug)]
pub struct Node<'a> {
    /// As the file has it.
    pub proto: &'a NodeProto,
    /// What is known of each operand; none of those left out.
    pub operands: Vec<Option<&'a Known>>,
    /// Version of ONNX's operators.
    pub opset: i64,
}

impl<'a> Node<'a> {
    /// The operator's name.
    pub fn operator(&self) -> &'a str {
        &self.proto.op_type
    }

    /// Number of results.
    pub const fn results(&self) -> usize {
        self.proto.output.len()
    }

    /// True if an operand is given.
    pub fn has(&self, index: usize) -> bool {
        matches!(self.operands.get(index), Some(Some(_)))
    }

    /// An operand that must be there.
    pub fn operand(&self, index: usize) -> Result<&'a Tensor, Refusal> {
        self.optional(index)?.ok_or_else(|| Refusal::wrong(format!("operand {} is missing", index + 1)))
    }

    /// An operand that may be left out.
    pub fn optional(&self, index: usize) -> Result<Option<&'a Tensor>, Refusal> {
        match self.operands.get(index).copied().flatten() {
            None => Ok(None),
            Some(Known::Shape(tensor)) => Ok(Some(tensor)),
            Some(Known::Nothing(why)) => {
                Err(Refusal::unknown(format!("the shape of its operand `{}` is not known: {why}", self.name(index))))
            }
        }
    }

    /// All operands, each of which must be there.
    pub fn all(&self) -> Result<Vec<&'a Tensor>, Refusal> {
        (0..self.operands.len().max(1)).map(|index| self.operand(index)).collect()
    }

    fn name(&self, index: usize) -> &str {
        self.proto.input.get(index).map_or("", String::as_str)
    }

    /// Values of an operand that may be left out.
    pub fn values(&self, index: usize) -> Result<Option<&'a Data>, Refusal> {
        let Some(tensor) = self.optional(index)? else { return Ok(None) };
        tensor.data().map(Some).ok_or_else(|| {
            Refusal::unknown(format!(
                "the shape of its result follows from the values of `{}`, which shapes do not tell; make it a constant of the graph",
                self.name(index)
            ))
        })
    }

    /// Integers of an operand that may be left out.
    pub fn ints(&self, index: usize) -> Result<Option<&'a [i64]>, Refusal> {
        match self.values(index)? {
            None => Ok(None),
            Some(Data::Ints(values)) => Ok(Some(values)),
            Some(Data::Floats(_)) => Err(Refusal::wrong(format!("its operand `{}` must be integers", self.name(index)))),
        }
    }

    fn attribute(&self, name: &str, kind: i32) -> Result<Option<&'a AttributeProto>, Refusal> {
        match self.proto.attribute.iter().find(|attribute| attribute.name == name) {
            // Files of the first version do not tell the kind.
            Some(found) if found.r#type == kind || found.r#type == 0 => Ok(Some(found)),
            Some(found) => Err(Refusal::wrong(format!("its attribute `{name}` is of type {}, not {kind}", found.r#type))),
            None => Ok(None),
        }
    }

    /// A whole number, if given.
    pub fn given(&self, name: &str) -> Result<Option<i64>, Refusal> {
        Ok(self.attribute(name, attribute_type::INT)?.map(|attribute| attribute.i))
    }

    /// A whole number, or its default.
    pub fn int(&self, name: &str, default: i64) -> Result<i64, Refusal> {
        Ok(self.given(name)?.unwrap_or(default))
    }

    /// Whole numbers, if given.
    pub fn list(&self, name: &str) -> Result<Option<&'a [i64]>, Refusal> {
        Ok(self.attribute(name, attribute_type::INTS)?.map(|attribute| &attribute.ints[..]))
    }

    /// Numbers, if given.
    pub fn floats(&self, name: &str) -> Result<Option<&'a [f32]>, Refusal> {
        Ok(self.attribute(name, attribute_type::FLOATS)?.map(|attribute| &attribute.floats[..]))
    }

    /// A number, if given.
    pub fn float(&self, name: &str) -> Result<Option<f32>, Refusal> {
        Ok(self.attribute(name, attribute_type::FLOAT)?.map(|attribute| attribute.f))
    }

    /// A text, or its default.
    pub fn text(&self, name: &str, default: &'a str) -> Result<&'a str, Refusal> {
        match self.attribute(name, attribute_type::STRING)? {
            None => Ok(default),
            Some(found) => str::from_utf8(&found.s).map_err(|_| Refusal::wrong(format!("its attribute `{name}` is no text"))),
        }
    }

    /// A tensor, if given.
    pub fn tensor(&self, name: &str) -> Result<Option<Tensor>, Refusal> {
        let found = self.attribute(name, attribute_type::TENSOR)?;
        found.and_then(|attribute| attribute.t.as_ref()).map(Tensor::of_proto).transpose()
    }

    /// Whole numbers that early versions of an operator have as an attribute, later ones as an operand.
    pub fn list_or_ints(&self, name: &str, index: usize) -> Result<Option<&'a [i64]>, Refusal> {
        match self.list(name)? {
            Some(list) => Ok(Some(list)),
            None => self.ints(index),
        }
    }

    /// An axis of `rank`, negative ones counted from the end.
    pub fn axis(&self, axis: i64, rank: usize) -> Result<usize, Refusal> {
        let signed = rank as i64;
        let counted = if axis < 0 { axis.saturating_add(signed) } else { axis };
        match usize::try_from(counted) {
            Ok(found) if found < rank => Ok(found),
            _ => Err(Refusal::wrong(format!("there is no axis {axis} in a tensor of {rank} axes"))),
        }
    }
}
