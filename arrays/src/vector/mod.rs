//! The vector unit: what it computes on codes, element by element.

pub mod function;
