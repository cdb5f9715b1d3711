//! Vectors as Verilog's `$readmemh` reads them: one file per column, one word per line, every
//! word as many digits as its width asks for, and a manifest in JSON.

use super::{Plan, VectorsError};
use crate::check::Settings;
use crate::check::show::hex_digits;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use systole_isa::codes::Codes;
use systole_isa::format::Format;

/// One file of words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Column {
    /// File name.
    pub file: String,
    /// Extents, row-major, the last one fastest: cases, then terms; or rows and columns.
    pub shape: Vec<u64>,
    /// Format of the words, or what else they are.
    pub format: String,
    /// Bits of a word.
    pub bits: u32,
    /// Hexadecimal digits of a word.
    pub digits: usize,
    /// SHA-256 of the words, little-endian in 1, 2, 4 or 8 bytes each.
    pub digest: String,
}

/// What `manifest.json` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Manifest {
    /// Program and version.
    pub generator: String,
    /// What is computed, in one line.
    pub subject: String,
    /// The settings, as the `#!` lines of a text file have them.
    pub settings: Vec<String>,
    /// Cases; absent for whole matrices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cases: Option<u64>,
    /// Products of a dot product, or of one output of a matrix product.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub k: Option<usize>,
    /// Seed of the operands.
    pub seed: u64,
    /// The files.
    pub files: Vec<Column>,
}

/// A file of words being written.
pub struct Words {
    path: PathBuf,
    out: BufWriter<File>,
    column: Column,
    digest: Sha256,
    word: Codes,
}

impl Words {
    /// Starts `directory/name.memh`, words of `bits` bits.
    ///
    /// # Errors
    /// A file that cannot be made.
    pub fn create(directory: &Path, name: &str, what: &str, bits: u32, shape: &[u64]) -> Result<Self, VectorsError> {
        let file = format!("{name}.memh");
        let path = directory.join(&file);
        let fail = |source| VectorsError::Io { file: path.display().to_string(), source };
        let mut out = BufWriter::new(File::create(&path).map_err(fail)?);
        let extents: Vec<String> = shape.iter().map(u64::to_string).collect();
        writeln!(out, "// {name}: {what}, {bits} bits, {}", extents.join(" x ")).map_err(fail)?;
        let column =
            Column { file, shape: shape.to_vec(), format: what.to_owned(), bits, digits: bits.div_ceil(4) as usize, digest: String::new() };
        // Any format of this width: what matters are the bytes of a word.
        let word = Codes::zeros(Format::Fixed(systole_isa::format::FixedFormat { width: bits.max(2), fraction_bits: 0 }), 1);
        Ok(Self { path, out, column, digest: Sha256::new(), word })
    }

    /// Of codes of a format.
    ///
    /// # Errors
    /// A file that cannot be made.
    pub fn of_format(directory: &Path, name: &str, format: Format, shape: &[u64]) -> Result<Self, VectorsError> {
        debug_assert_eq!(hex_digits(format), format.bits().div_ceil(4) as usize);
        Self::create(directory, name, &format.to_string(), format.bits(), shape)
    }

    /// Appends a word.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn push(&mut self, word: u64) -> Result<(), VectorsError> {
        let width = self.column.digits;
        self.word.set(0, word);
        self.digest.update(self.word.to_le_bytes());
        writeln!(self.out, "{word:0width$x}").map_err(|source| VectorsError::Io { file: self.path.display().to_string(), source })
    }

    /// Closes the file and says what is in it.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn finish(mut self) -> Result<Column, VectorsError> {
        self.out.flush().map_err(|source| VectorsError::Io { file: self.path.display().to_string(), source })?;
        let digest = self.digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Column { digest, ..self.column })
    }
}

impl Manifest {
    /// Writes `directory/manifest.json`.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self, directory: &Path) -> Result<(), VectorsError> {
        let path = directory.join("manifest.json");
        let fail = |source| VectorsError::Io { file: path.display().to_string(), source };
        let text = serde_json::to_string_pretty(self).map_err(|e| fail(e.into()))?;
        std::fs::write(&path, text + "\n").map_err(fail)
    }
}

/// Makes a directory if there is none.
///
/// # Errors
/// A directory that cannot be made.
pub fn create_directory(directory: &Path) -> Result<(), VectorsError> {
    std::fs::create_dir_all(directory).map_err(|source| VectorsError::Io { file: directory.display().to_string(), source })
}

/// Writes every case: `a.memh`, `b.memh`, `c.memh` as the operation has them, `r.memh` where
/// rounding is stochastic, `result.memh`, `flags.memh`, and the manifest.
///
/// # Errors
/// A mode the oracle refuses, or files that cannot be written.
pub fn write(plan: &Plan, settings: &Settings, generator: &str, directory: &Path) -> Result<Manifest, VectorsError> {
    create_directory(directory)?;
    let subject = &plan.subject;
    let (cases, k) = (plan.len(), plan.k);
    let count = subject.operand_count(k);
    // Operands that share a file: the K terms of a dot product.
    let groups: Vec<(&str, std::ops::Range<usize>)> = match k {
        0 => ["a", "b", "c"].into_iter().zip((0..count).map(|i| i..i + 1)).collect(),
        k => vec![("a", 0..k), ("b", k..2 * k), ("c", 2 * k..count)],
    };
    let shape = |per_case: usize| if per_case == 1 { vec![cases] } else { vec![cases, per_case as u64] };
    let mut operands = Vec::new();
    for (name, range) in &groups {
        operands.push(Words::of_format(directory, name, subject.operand_format(range.start, k), &shape(range.len()))?);
    }
    let bits = subject.random_bits();
    let mut random = match plan.randoms {
        0 => None,
        n => Some(Words::create(directory, "r", &format!("{bits} random bits"), bits, &shape(n))?),
    };
    let mut result = Words::of_format(directory, "result", subject.result(), &[cases])?;
    let mut flags = Words::create(directory, "flags", "1 inexact, 2 underflow, 4 overflow, 8 divide by zero, 10 invalid", 5, &[cases])?;
    plan.for_each(|vector| {
        for (words, (_, range)) in operands.iter_mut().zip(&groups) {
            vector.operands[range.clone()].iter().try_for_each(|&code| words.push(code))?;
        }
        if let Some(words) = &mut random {
            vector.random.iter().try_for_each(|&r| words.push(r))?;
        }
        result.push(vector.result)?;
        flags.push(vector.flags.0.into())
    })?;
    let files = operands.into_iter().chain(random).chain([result, flags]).map(Words::finish).collect::<Result<_, _>>()?;
    let manifest = Manifest {
        generator: generator.to_owned(),
        subject: subject.to_string(),
        settings: settings.header(),
        cases: Some(cases),
        k: (k > 0).then_some(k),
        seed: plan.seed,
        files,
    };
    manifest.write(directory)?;
    Ok(manifest)
}
