//! Evidence of a run's steps as a file: a line of JSON for each observed step.

mod summary;

pub use summary::{Counts, LayerSummary, Mean, ModeSummary, Share, SumSummary, Summary};

use super::train::Specification;
use crate::energy::{self, EnergyError};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use systole_isa::design::Design;
use systole_isa::device::Record;
use systole_trainer::training::Evidence;

/// Name of the file in an output directory.
pub const EVIDENCE: &str = "evidence.jsonl";

/// A line of the file: one observed step, and the run it is of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// The run.
    pub run: RunName,
    /// What the step did to its numbers; its fields are the line's own.
    #[serde(flatten)]
    pub evidence: Evidence,
    /// What the step cost.
    pub cost: Cost,
}

/// What a run is told from others by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunName {
    /// Name of the recipe.
    pub recipe: String,
    /// Name of the design.
    pub design: String,
    /// Name of the model.
    pub model: String,
    /// Name of the data set.
    pub data: String,
    /// Seed.
    pub seed: u64,
}

impl std::fmt::Display for RunName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} on {}, recipe {}, design {}, seed {}", self.model, self.data, self.recipe, self.design, self.seed)
    }
}

/// What a step cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Cycles.
    pub cycles: u64,
    /// MACs asked for.
    pub macs: u64,
    /// MACs spent: fewer where masks leave outputs out.
    pub macs_spent: u64,
    /// MACs spent by MAC mode of the design, in ascending order, modes without any left out.
    pub modes: Vec<ModeMacs>,
    /// Energy, pJ.
    pub energy_pj: f64,
}

/// MACs of one mode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModeMacs {
    /// The mode's index in the design.
    pub mode: usize,
    /// Its operands.
    pub operands: String,
    /// MACs spent.
    pub macs: u64,
}

impl Cost {
    /// Prices a step's record.
    ///
    /// # Errors
    /// What `energy::account` refuses.
    pub fn new(design: &Design, record: &Record) -> Result<Self, EnergyError> {
        let modes = design.mac_modes();
        let of_mode = |(&mode, &macs): (&usize, &u64)| ModeMacs {
            mode,
            operands: modes.get(mode).map(ToString::to_string).unwrap_or_default(),
            macs,
        };
        Ok(Self {
            cycles: record.cycles.total,
            macs: record.events.macs,
            macs_spent: record.events.macs_spent,
            modes: record.macs_by_mode.iter().filter(|(_, macs)| **macs > 0).map(of_mode).collect(),
            energy_pj: energy::account(design, record)?.energy_pj.total(),
        })
    }
}

/// A file of evidence cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// The file.
    #[error("evidence `{}`: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A line of it.
    #[error("evidence `{}`, line {line}: {message}; remove the line, or give another file", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// Nothing was observed.
    #[error("evidence `{}` holds no observed step; make some with `systole train --evidence EVERY --out DIR`, EVERY at most the steps of the run", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A step cannot be priced.
    #[error(transparent)]
    Energy(#[from] EnergyError),
}

/// Reads a file of evidence, or the one in a directory. A last line without an end, as a killed run
/// leaves it, is left out.
///
/// # Errors
/// An unreadable file, a line that is no evidence or of another run than the first, or no line.
pub fn read(path: &Path) -> Result<Vec<Line>, EvidenceError> {
    let path = if path.is_dir() { path.join(EVIDENCE) } else { path.to_owned() };
    let lines: Vec<Line> = parse(&path)?.into_iter().map(|(_, line)| line).collect();
    if lines.is_empty() { Err(EvidenceError::Empty { path }) } else { Ok(lines) }
}

/// Lines with their texts.
fn parse(path: &Path) -> Result<Vec<(String, Line)>, EvidenceError> {
    let text = std::fs::read_to_string(path).map_err(|source| EvidenceError::File { path: path.to_owned(), source })?;
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let mut lines: Vec<(String, Line)> = Vec::new();
    for (i, text) in whole.lines().enumerate() {
        let wrong = |message: String| EvidenceError::Line { path: path.to_owned(), line: i + 1, message };
        let line: Line = serde_json::from_str(text).map_err(|e| wrong(format!("is no evidence of a step ({e})")))?;
        if let Some((_, first)) = lines.first()
            && first.run != line.run
        {
            return Err(wrong(format!("is of another run ({}) than the first ({})", line.run, first.run)));
        }
        lines.push((text.to_owned(), line));
    }
    Ok(lines)
}

/// Where the evidence of a run goes: into a summary, and into a file if there is one.
#[derive(Debug)]
pub struct Recorder {
    run: RunName,
    file: Option<(File, PathBuf)>,
    summary: Summary,
}

impl Recorder {
    /// For a run that has done some steps already: of a file in `directory`, lines up to there stay,
    /// and what follows is written behind them.
    ///
    /// # Errors
    /// A file that cannot be read or written, or holds something else.
    pub fn new(spec: &Specification<'_>, directory: Option<&Path>, steps_done: u64) -> Result<Self, EvidenceError> {
        let run = RunName {
            recipe: spec.recipe.name.clone(),
            design: spec.design.name.clone(),
            model: spec.model.name.clone(),
            data: spec.data.name.clone(),
            seed: spec.seed,
        };
        let mut summary = Summary::default();
        let Some(directory) = directory else { return Ok(Self { run, file: None, summary }) };
        let path = directory.join(EVIDENCE);
        let io = |source| EvidenceError::File { path: path.clone(), source };
        let mut kept = String::new();
        if steps_done > 0 && path.exists() {
            for (text, line) in parse(&path)?.into_iter().filter(|(_, line)| line.evidence.step <= steps_done) {
                if line.run != run {
                    return Err(EvidenceError::Line {
                        path,
                        line: 1,
                        message: format!("is of another run ({}) than this one ({run})", line.run),
                    });
                }
                summary.add(&line);
                kept += &text;
                kept.push('\n');
            }
        }
        // The old file or the new, whenever the run is killed.
        let beside = path.with_extension("new");
        std::fs::write(&beside, kept).and_then(|()| std::fs::rename(&beside, &path)).map_err(io)?;
        let file = OpenOptions::new().append(true).open(&path).map_err(io)?;
        Ok(Self { run, file: Some((file, path)), summary })
    }

    /// Takes the evidence of a step.
    ///
    /// # Errors
    /// What cannot be priced or written.
    pub fn take(&mut self, design: &Design, evidence: &Evidence, record: &Record) -> Result<(), EvidenceError> {
        let line = Line { run: self.run.clone(), evidence: evidence.clone(), cost: Cost::new(design, record)? };
        self.summary.add(&line);
        if let Some((file, path)) = &mut self.file {
            let text = format!("{}\n", serde_json::to_string(&line).unwrap_or_default());
            file.write_all(text.as_bytes()).map_err(|source| EvidenceError::File { path: path.clone(), source })?;
        }
        Ok(())
    }

    /// What was seen.
    pub fn finish(self) -> Summary {
        self.summary
    }
}
