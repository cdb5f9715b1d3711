//! Foreign test vectors held against the truth.
//!
//! A file has one case per line: operands, expected result, and if it likes the exceptions, in
//! hexadecimal, as Berkeley TestFloat writes them. [`CaseFile`] reads it, [`Judge`]s say what
//! they make of the operands, and [`check`] counts where they differ from the file or from one
//! another. The [`Oracle`] is one judge; others come from outside, since golden knows no
//! implementation.

mod batch;
mod compare;
mod file;
mod judge;
mod operation;
mod registers;
mod settings;
pub mod show;
mod subject;

pub use batch::{Batch, Case};
pub use compare::{Difference, NanRule, Shown, Tally, Verdict};
pub use file::{Block, CaseFile, LineError, MAX_K};
pub use judge::{Answer, Judge, Kind, Oracle};
pub use operation::{Op, Operation, OperationError};
pub use registers::Registers;
pub use settings::{Settings, SettingsError};
pub use subject::{Dot, Subject};

use crate::gemm::GemmError;
use batch::Layout;
use compare::Comparison;
use rayon::prelude::*;
use std::io;

/// Cases read before they are judged.
const BLOCK: usize = 1 << 17;
/// Cases one thread judges at a time.
const GRAIN: usize = 1 << 11;

/// A file that cannot be checked.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// It cannot be read.
    #[error("{file}: cannot be read: {source}")]
    Io {
        /// The file.
        file: String,
        /// The cause.
        source: io::Error,
    },
    /// A line is wrong.
    #[error("{file}:{line}: {source}")]
    Line {
        /// The file.
        file: String,
        /// Line, from 1.
        line: u64,
        /// What is wrong there.
        source: LineError,
    },
    /// The mode makes no dot product.
    #[error(transparent)]
    Mode(#[from] GemmError),
}

/// How to compare.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// When NaNs agree.
    pub nan: NanRule,
    /// Differences kept for display.
    pub show: usize,
}

/// Judges every case of a file. The outcome does not depend on the number of threads.
///
/// Says also how C and results of dot products were written.
///
/// # Errors
/// A file that cannot be read, or a line that is no case; the first of them in the file.
pub fn check(file: &mut CaseFile, subject: &Subject, judges: &[&dyn Judge], options: Options) -> Result<(Tally, Registers), CheckError> {
    let name = file.name().to_owned();
    let comparison = Comparison { file: &name, subject, judges, nan: options.nan, show: options.show };
    let at = |(line, source)| CheckError::Line { file: name.clone(), line, source };
    let read = |block: &Block| -> Result<Vec<Result<Batch, CheckError>>, CheckError> {
        let k = match subject {
            Subject::Operation(_) => 0,
            Subject::Dot(_) => block.k.ok_or_else(|| at((block.cases(0..1).next().map_or(1, |(line, _)| line), LineError::NoK)))?,
        };
        let layout = Layout::new(subject, k, registers::bits(subject))?;
        let grains: Vec<_> = (0..block.len()).step_by(GRAIN).map(|start| start..block.len().min(start + GRAIN)).collect();
        Ok(grains.into_par_iter().map(|range| Batch::read(&layout, block, range).map_err(at)).collect())
    };
    let mut tally = Tally::default();
    let mut add = |parts: Vec<Tally>| parts.into_iter().for_each(|part| tally.merge(part, options.show));
    let mut registers = Registers::Unit;
    match subject {
        Subject::Operation(_) => {
            while let Some(block) = file.next_block(BLOCK)? {
                let batches: Vec<Batch> = read(&block)?.into_iter().collect::<Result<_, _>>()?;
                add(batches.par_iter().map(|batch| comparison.tally(batch)).collect());
            }
        }
        // How registers are written shows in the whole file only.
        Subject::Dot(_) => {
            let mut batches = Vec::new();
            while let Some(block) = file.next_block(BLOCK)? {
                for batch in read(&block)? {
                    batches.push(batch?);
                }
            }
            registers = registers::settle(subject, &name, &mut batches)?;
            add(batches.par_iter().map(|batch| comparison.tally(batch)).collect());
        }
    }
    Ok((tally, registers))
}
