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
const BLOCK: usize = 1 << 18;
/// Cases one thread judges at a time.
const GRAIN: usize = 1 << 13;

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

#[cfg(test)]
mod tests {
    use super::*;
    use systole_isa::round::Flags;

    /// Answers with the oracle's code moved by a step, on every `period`-th line.
    struct Liar {
        oracle: Oracle,
        period: u64,
        flags: bool,
    }

    impl Judge for Liar {
        fn kind(&self) -> Kind {
            Kind::Fast
        }

        fn judge(&self, batch: &Batch) -> Vec<Option<Answer>> {
            let answers = self.oracle.judge(batch);
            batch.cases().zip(answers).map(|(case, answer)| answer.map(|answer| self.lie(case.line, answer))).collect()
        }
    }

    impl Liar {
        fn lie(&self, line: u64, answer: Answer) -> Answer {
            let wrong = line.is_multiple_of(self.period);
            let flags = if wrong && self.flags { Some(Flags::DIVIDE_BY_ZERO) } else { answer.flags };
            Answer { code: if wrong && !self.flags { answer.code ^ 1 } else { answer.code }, flags, by: "liar" }
        }
    }

    fn report(text: &str, more: &[&dyn Judge]) -> Tally {
        let mut file = CaseFile::open("text", io::Cursor::new(text.to_owned().into_bytes())).unwrap();
        let subject = Subject::Operation(file.header().operation().unwrap());
        let oracle = Oracle { subject: subject.clone() };
        let judges: Vec<&dyn Judge> = [&oracle as &dyn Judge].into_iter().chain(more.iter().copied()).collect();
        check(&mut file, &subject, &judges, Options { nan: NanRule::Any, show: 5 }).unwrap().0
    }

    /// A judge who differs from another makes a difference, whatever the file expects.
    #[test]
    fn judges_are_held_against_each_other() {
        let header = "#! op=add in=fp16 out=fp16 round=rne\n";
        let text = header.to_owned() + &"3c00 3c00 4000\n".repeat(5000);
        let settings = {
            let mut settings = Settings::default();
            settings.read_header(&header[2..]).unwrap();
            settings
        };
        let oracle = || Oracle { subject: Subject::Operation(settings.operation().unwrap()) };
        let honest = report(&text, &[]);
        assert_eq!((honest.checked, honest.differ, honest.disagree), (5000, 0, 0));
        // The header is line 1: lines 7, 14, ..., 4998 are cases.
        for flags in [false, true] {
            let tally = report(&text, &[&Liar { oracle: oracle(), period: 7, flags }]);
            assert_eq!((tally.checked, tally.differ, tally.disagree), (5000, 714, 714), "flags {flags}");
            assert_eq!(tally.first.iter().map(|d| d.line).collect::<Vec<_>>(), [7, 14, 21, 28, 35]);
            assert!(tally.first[0].to_string().contains("the judges disagree"));
        }
        // The liar confirms a wrong file: the oracle does not.
        let tally = report(&text.replace("4000", "4001"), &[&Liar { oracle: oracle(), period: 1, flags: false }]);
        assert_eq!((tally.differ, tally.disagree), (5000, 5000));
    }

    #[test]
    fn lines_are_numbered_through_comments_and_lengths() {
        let text = "\n# first\n#k 2\n1 2 3 4 5 6 # tail\n\n#k 1\n1 2 3 4\n# last\n9 9 9 9";
        let mut file = CaseFile::open("text", io::Cursor::new(text)).unwrap();
        let mut seen = Vec::new();
        while let Some(block) = file.next_block(10).unwrap() {
            let cases = block.cases(0..block.len());
            seen.extend(cases.map(|(line, text)| (block.k, line, String::from_utf8_lossy(text).trim().to_owned())));
        }
        let expected = [(Some(2), 4, "1 2 3 4 5 6"), (Some(1), 7, "1 2 3 4"), (Some(1), 9, "9 9 9 9")];
        assert_eq!(seen, expected.map(|(k, line, text)| (k, line, text.to_owned())));
    }
}
