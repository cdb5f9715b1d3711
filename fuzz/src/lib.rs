//! Properties that must hold for any bytes, one a module; each fuzz target feeds one of them.
//!
//! Bytes decode to a [`Case`]: operands, formats, a design, a text. [`TARGETS`] lists them
//! with what holds. The seeds under `seeds/` are replayed by an ordinary test, as are cases
//! drawn there; the example `explain` prints what a file decodes to.
#![forbid(unsafe_code)]

pub mod assembly;
pub mod chain;
pub mod convert;
pub mod design;
mod draw;
pub mod fma;
pub mod gemm;
pub mod idx;
pub mod npy;
pub mod onnx;
pub mod program;
pub mod recipe;
mod source;
mod sum;
pub mod sweep;
mod text;
mod truth;
pub mod unit;
pub mod vectors;

pub use source::Source;
use std::fmt::Display;

/// What a fuzzer's bytes decode to. Its `Display` is for the person who reads a crash: every
/// operand decoded and, where `systole golden check` has the operation, its command and case.
pub trait Case: Display {
    /// The case that the bytes stand for; every sequence of bytes is one.
    fn read(source: &mut Source<'_>) -> Self;

    /// Holds the case to the property.
    ///
    /// # Panics
    /// If the property fails.
    fn check(&self);
}

/// Decodes the bytes and holds the case to its property.
///
/// # Panics
/// If the property fails.
pub fn check<C: Case>(bytes: &[u8]) {
    C::read(&mut Source::new(bytes)).check();
}

fn explain<C: Case>(bytes: &[u8]) -> String {
    C::read(&mut Source::new(bytes)).to_string()
}

/// A fuzz target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Name, as `cargo fuzz run` takes it and `seeds/` spells it.
    pub name: &'static str,
    /// What holds for every case.
    pub property: &'static str,
    /// Holds bytes to it.
    pub check: fn(&[u8]),
    /// The case that bytes decode to, in words.
    pub explain: fn(&[u8]) -> String,
    /// Cases drawn by the ordinary test.
    pub drawn: u32,
}

const fn target<C: Case>(name: &'static str, drawn: u32, property: &'static str) -> Target {
    Target { name, property, check: check::<C>, explain: explain::<C>, drawn }
}

/// Every target.
pub const TARGETS: &[Target] = &[
    target::<convert::Convert>("convert", 100_000, "a conversion is the oracle's, flags included"),
    target::<fma::Fma>("fma", 50_000, "add, sub, mul and fma of the vector unit and the MAC are the oracle's, flags included"),
    target::<chain::Chain>("chain", 4_000, "a chain of MACs with chunks, folds and rounded products is the oracle's"),
    target::<unit::Unit>("unit", 4_000, "blocks of an n-term dot-product unit, with block scales, are the oracle's"),
    target::<gemm::Gemm>("gemm", 1_000, "ticked, every kernel of fast, and the oracle agree; ticked counts the closed forms"),
    target::<assembly::Assembly>("assembly", 2_000, "text and words assemble, or name their errors; what assembles round-trips"),
    target::<design::Text>("design", 300, "text is a design or a located error; an accepted override leaves a design usable"),
    target::<recipe::Text>("recipe", 300, "text is a recipe or a located error; an accepted override leaves a recipe usable"),
    target::<sweep::Text>("sweep", 300, "text is a sweep or a located error; a sweep is planned, or says what it lacks"),
    target::<idx::Files>("idx", 200, "IDX files are read as their headers say, or refused with the file's name"),
    target::<npy::File>("npy", 200, "a .npy file is a matrix of codes of its format that round-trips, or is refused with its name"),
    target::<onnx::File>("onnx", 2_000, "an ONNX graph is lowered to the products its layers tell of, or refused with a reason"),
    target::<vectors::File>("vectors", 300, "a file of vectors is judged case by case, or refused with its line"),
    target::<program::Run>("program", 500, "a program ends alike under every engine, in records, errors and memory"),
];
