//! A whole matrix product as vectors: operands by the generators of `gemm`, results by the oracle.

use super::golden::site_of;
use super::operands::{Generator, Matrix, Role};
use rayon::prelude::*;
use std::path::Path;
use systole_arrays::dataflow::separate_fold_length;
use systole_golden::gemm::{self, Folds, Gemm};
use systole_golden::vectors::VectorsError;
use systole_golden::vectors::memh::{Manifest, Words, create_directory};
use systole_isa::codes::Codes;
use systole_isa::design::{Arithmetic, Design, EntropySource, Scaling};
use systole_isa::entropy::{Site, Stage};
use systole_isa::format::Format;

/// A product that cannot be written as vectors.
#[derive(Debug, thiserror::Error)]
pub enum ProductError {
    /// The design's values are not known.
    #[error("the arithmetic of design `{0}` is not modelled: costs and cycles only")]
    CostOnly(String),
    /// Operands with block scales.
    #[error("mac.scale: a product with block scales has no `$readmemh` layout here; set mac.scale=none")]
    Scaled,
    /// Random bits that depend on the schedule.
    #[error("mac.entropy: the oracle has no LFSR; set mac.entropy=counter, or another mac.rounding")]
    Lfsr,
    /// Files or oracle.
    #[error(transparent)]
    Vectors(#[from] VectorsError),
}

/// Extents and operands of the product.
#[derive(Clone, Copy, Debug)]
pub struct Product {
    /// Rows of A and D.
    pub m: u32,
    /// Columns of B and D.
    pub n: u32,
    /// Columns of A, rows of B.
    pub k: u32,
    /// What A, B and C hold.
    pub generator: Generator,
    /// Whether there is a C; otherwise sums start at +0.
    pub addend: bool,
}

/// D by the oracle, in the order of sums of the design's array: what its first matrix
/// instruction in step 0 gives.
fn result(design: &Design, product: &Product, a: &Matrix, b: &Matrix, c: Option<&Matrix>) -> Result<Codes, VectorsError> {
    let mode = &design.mac;
    let output = (design.output_format(mode), design.output.policy());
    let fold = separate_fold_length(&design.array, mode);
    let (n, k) = (product.n as usize, product.k as usize);
    let [a, b] = [a, b].map(|matrix| matrix.codes.iter().collect::<Vec<_>>());
    let c = c.map(|matrix| matrix.codes.iter().collect::<Vec<_>>());
    let site = Site { seed: design.seed, step: 0, instruction: matrix_instruction(product.addend), ..Site::default() };
    let row = |row: usize| {
        let random = |at: gemm::Site| {
            let Some((stage, index)) = site_of(at.step, fold, k) else { return 0 };
            let rounding = if stage == Stage::Output { output.1.rounding } else { mode.rounding_of(stage) };
            site.random(rounding.random_bits(), row as u32, at.column as u32, stage, index)
        };
        let gemm = Gemm {
            mode,
            folds: fold.map_or(Folds::Chain, |rows| Folds::Outside { rows: rows as usize }),
            output,
            shape: [1, n, k],
            a: &a[row * k..(row + 1) * k],
            b: &b,
            c: c.as_ref().map(|c| &c[row * n..(row + 1) * n]),
            c_format: Some(design.addend_format(mode)),
            scales: None,
        };
        gemm.run(random)
    };
    let rows: Vec<Vec<u64>> = (0..product.m as usize).into_par_iter().map(row).collect::<Result<_, _>>()?;
    let codes = rows.concat();
    Ok(Codes::from_fn(output.0, codes.len(), |i| codes[i]))
}

/// Ordinal of the matrix instruction in the program that [`super::gemm`] runs: mode and output
/// come first, and a format and a tensor for each matrix.
const fn matrix_instruction(addend: bool) -> u32 {
    2 + 2 * if addend { 4 } else { 3 }
}

/// Writes `a.memh`, `b.memh`, `c.memh`, `d.memh` and `manifest.json`.
///
/// # Errors
/// Designs whose values the oracle does not know, and files that cannot be written.
pub fn write(
    design: &Design,
    product: &Product,
    generator: &str,
    settings: Vec<String>,
    directory: &Path,
) -> Result<Manifest, ProductError> {
    let mode = &design.mac;
    if let Arithmetic::CostOnly(_) = design.arithmetic {
        return Err(ProductError::CostOnly(design.name.clone()));
    }
    if mode.scale != Scaling::None {
        return Err(ProductError::Scaled);
    }
    if mode.random_bits() > 0 && mode.entropy != EntropySource::Counter {
        return Err(ProductError::Lfsr);
    }
    let &Product { m, n, k, generator: data, addend } = product;
    let a = data.generate(mode.a, m, k, Role::A, design.seed);
    let b = data.generate(mode.b, k, n, Role::B, design.seed);
    let c_format = design.addend_format(mode);
    let c = addend.then(|| data.generate(c_format, m, n, Role::C, design.seed));
    let d = Matrix { rows: m, cols: n, codes: result(design, product, &a, &b, c.as_ref())? };
    create_directory(directory)?;
    let matrix = |name: &str, format: Format, matrix: &Matrix| {
        let mut words = Words::of_format(directory, name, format, &[matrix.rows.into(), matrix.cols.into()])?;
        matrix.codes.iter().try_for_each(|code| words.push(code))?;
        words.finish()
    };
    let mut files = vec![matrix("a", mode.a, &a)?, matrix("b", mode.b, &b)?];
    files.extend(c.as_ref().map(|c| matrix("c", c_format, c)).transpose()?);
    files.push(matrix("d", design.output_format(mode), &d)?);
    let sum = if addend { "A B + C" } else { "A B" };
    let manifest = Manifest {
        generator: generator.to_owned(),
        subject: format!("gemm D = {sum} of {m} x {n} x {k} (M x N x K) on {}", design.name),
        settings,
        cases: None,
        k: Some(k as usize),
        seed: design.seed,
        files,
    };
    manifest.write(directory)?;
    Ok(manifest)
}
