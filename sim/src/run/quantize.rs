//! One tensor through one published quantiser, from files to files.

use super::operands::TensorError;
use super::tensors::{Tensor, read_floats, write_numbers};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use systole_golden::scheme::{Input, Numbers, Parameters, Quantized, Scheme, SchemeError, dynamic};

/// The files of one run.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// Tensor to quantise.
    pub input: Option<PathBuf>,
    /// Values it was quantised to before.
    pub previous: Option<PathBuf>,
    /// Uniform numbers in [0, 1).
    pub uniforms: Option<PathBuf>,
    /// Where values go.
    pub out: Option<PathBuf>,
    /// Where codes go.
    pub codes: Option<PathBuf>,
    /// Where scales go.
    pub scales: Option<PathBuf>,
}

/// Files or parameters that make no run.
#[derive(Debug, thiserror::Error)]
pub enum QuantizeError {
    /// A file cannot be used.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// The scheme refuses.
    #[error("scheme {scheme}: {source}")]
    Scheme {
        /// Its name.
        scheme: &'static str,
        /// Why.
        source: SchemeError,
    },
    /// A second tensor of another shape.
    #[error("`{}` has shape {shape:?} and the tensor has {expected:?}; they must be the same", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// Its extents.
        shape: Vec<usize>,
        /// The tensor's.
        expected: Vec<usize>,
    },
    /// No tensor, and no constants to print.
    #[error("scheme {scheme} has no constants of its own: give a tensor with --in X.npy")]
    NoInput {
        /// Its name.
        scheme: &'static str,
    },
    /// An output that a map has not.
    #[error("without --in there is only the map itself, for --out; {option} needs a tensor")]
    OnlyMap {
        /// The option.
        option: &'static str,
    },
}

/// A quantised tensor with its shape.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Extents of the tensor.
    pub shape: Vec<usize>,
    /// What the scheme gave.
    pub quantized: Quantized,
}

/// SHA-256 of binary32 numbers, little-endian.
fn digest(values: &[f32]) -> String {
    let mut hash = Sha256::new();
    for value in values {
        hash.update(value.to_bits().to_le_bytes());
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Outcome {
    /// SHA-256 of the values, row-major, four little-endian bytes each.
    pub fn digest(&self) -> String {
        digest(&self.quantized.values)
    }
}

/// A second tensor, of the first one's shape.
fn beside(path: &Path, shape: &[usize]) -> Result<Tensor, QuantizeError> {
    let tensor = read_floats(path)?;
    if tensor.shape != shape {
        return Err(QuantizeError::Shape { path: path.to_owned(), shape: tensor.shape, expected: shape.to_vec() });
    }
    Ok(tensor)
}

/// Reads the tensors, quantises, writes what is asked for.
///
/// # Errors
/// Unreadable or unfit files, shapes that differ, or whatever the scheme refuses.
pub fn run(parameters: &Parameters, files: &Files) -> Result<Outcome, QuantizeError> {
    let scheme = parameters.scheme().name();
    let Some(path) = &files.input else { return Err(QuantizeError::NoInput { scheme }) };
    let tensor = read_floats(path)?;
    let values = tensor.binary32(path)?;
    let previous = match &files.previous {
        Some(path) => Some(beside(path, &tensor.shape)?.binary32(path)?),
        None => None,
    };
    let uniforms = match &files.uniforms {
        Some(path) => Some(beside(path, &tensor.shape)?.values),
        None => None,
    };
    let input = Input { shape: &tensor.shape, values: &values, previous: previous.as_deref(), uniforms: uniforms.as_deref() };
    let quantized = parameters.quantize(&input).map_err(|source| QuantizeError::Scheme { scheme, source })?;
    if let Some(path) = &files.out {
        write_numbers(path, &tensor.shape, &Numbers::F32(quantized.values.clone()))?;
    }
    if let Some(path) = &files.codes {
        write_numbers(path, &tensor.shape, &quantized.codes)?;
    }
    if let Some(path) = &files.scales {
        write_numbers(path, &quantized.scales_shape, &quantized.scales)?;
    }
    Ok(Outcome { shape: tensor.shape, quantized })
}

/// The constants of a scheme that has some: a dynamic map, and its digest.
///
/// # Errors
/// The scheme has none, files besides `out` are named, or `out` cannot be written.
pub fn constants(parameters: &Parameters, files: &Files) -> Result<([f32; 256], String), QuantizeError> {
    let map = match parameters {
        Parameters::DynamicSigned(p) => dynamic::map(true, p.linspace),
        Parameters::DynamicUnsigned(p) => dynamic::map(false, p.linspace),
        _ => return Err(QuantizeError::NoInput { scheme: parameters.scheme().name() }),
    };
    let others = [("--prev", &files.previous), ("--uniforms", &files.uniforms), ("--codes", &files.codes), ("--scales", &files.scales)];
    if let Some((option, _)) = others.into_iter().find(|(_, path)| path.is_some()) {
        return Err(QuantizeError::OnlyMap { option });
    }
    if let Some(path) = &files.out {
        write_numbers(path, &[256], &Numbers::F32(map.to_vec()))?;
    }
    Ok((map, digest(&map)))
}

/// Everything a user can say about a scheme, for help and lists.
pub fn describe(scheme: Scheme) -> Vec<(String, String)> {
    let about = scheme.about();
    let mut lines: Vec<(String, String)> = [
        ("source", about.source),
        ("ours", about.inferred),
        ("--prev", about.previous),
        ("--uniforms", about.uniforms),
        ("--codes", about.codes),
        ("--scales", about.scales),
    ]
    .map(|(name, text)| (name.to_owned(), text.to_owned()))
    .into();
    lines.extend(scheme.fields().into_iter().map(|(name, default, meaning)| (format!("--set {name}={default}"), meaning.to_owned())));
    lines
}
