//! Checkpoints: the codes of every lasting tensor, and what determines the run.

use super::{Progress, Task};
use crate::lower::Tensor;
use crate::optimizer::Schedule;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::{Path, PathBuf};
use systole_isa::design::Design;

/// A checkpoint cannot be used or written.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file cannot be read or written.
    #[error("checkpoint `{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The text is no checkpoint.
    #[error("checkpoint `{}` is damaged ({message}); remove it to start over", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// It is another run's.
    #[error("the checkpoint was made with another {what}; give the same options as before, or another --out directory")]
    Another {
        /// What differs.
        what: &'static str,
    },
    /// Its tests of steps are not this recipe's.
    #[error("the checkpoint holds {found} tests of steps, which is not what this recipe keeps; remove it to start over")]
    Search {
        /// What it holds.
        found: &'static str,
    },
    /// The recipe follows scales that the run did not.
    #[error("the checkpoint follows {found} scales where the recipe follows {expected}; give roles without tracked or delayed scales")]
    Scales {
        /// What it follows.
        found: usize,
        /// What is needed.
        expected: usize,
    },
    /// Its tensors are not this model's.
    #[error("the checkpoint holds {found} where the model has {expected}; remove it to start over")]
    Tensors {
        /// What it holds.
        found: String,
        /// What is needed.
        expected: String,
    },
}

/// A run between two epochs. Going on from it gives the bits of an uninterrupted run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    model: String,
    data: String,
    recipe: serde_json::Value,
    design: serde_json::Value,
    seed: u64,
    /// Results so far.
    pub progress: Progress,
    /// Codes of master weights, momentum and buffers, in the order the run keeps them.
    pub(super) tensors: Vec<Vec<u64>>,
}

/// What of the recipe determines the steps done so far: under a constant rate a run may be
/// made longer.
fn recipe_identity(task: &Task<'_>) -> serde_json::Value {
    let mut recipe = serde_json::to_value(task.recipe).unwrap_or_default();
    if task.recipe.optimizer.schedule == Schedule::Constant
        && task.recipe.averaging.is_none()
        && let Some(fields) = recipe.as_object_mut()
    {
        fields.remove("epochs");
    }
    recipe
}

/// A design without fields that say nothing: what was added to designs since names no other run.
fn says(value: &serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Object(fields) => fields.iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.clone(), says(v))).collect(),
        Value::Array(items) => items.iter().map(says).collect(),
        other => other.clone(),
    }
}

fn data_identity(task: &Task<'_>) -> String {
    let data = task.data;
    format!("{} {} {}+{}", data.name, data.shape, data.train.len(), data.test.len())
}

impl Checkpoint {
    pub(super) fn new(task: &Task<'_>, design: &Design, progress: Progress, tensors: Vec<Vec<u64>>) -> Self {
        Self {
            model: task.model.name.clone(),
            data: data_identity(task),
            recipe: recipe_identity(task),
            design: serde_json::to_value(design).unwrap_or_default(),
            seed: task.seed,
            progress,
            tensors,
        }
    }

    pub(super) fn belongs_to(&self, task: &Task<'_>, design: &Design) -> Result<(), CheckpointError> {
        self.is_of(task, design, |recipe| recipe)
    }

    /// As [`Self::belongs_to`], but for the operands of products.
    pub(super) fn is_of_operands_alike(&self, task: &Task<'_>, design: &Design) -> Result<(), CheckpointError> {
        self.is_of(task, design, |mut recipe| {
            if let Some(fields) = recipe.as_object_mut() {
                fields.remove("recompute");
            }
            if let Some(roles) = recipe.get_mut("roles").and_then(serde_json::Value::as_object_mut) {
                roles.remove("weights");
                roles.remove("activations");
            }
            recipe
        })
    }

    /// Whether it is of this run, as far as `relevant` of the recipe goes.
    fn is_of(
        &self,
        task: &Task<'_>,
        design: &Design,
        relevant: impl Fn(serde_json::Value) -> serde_json::Value,
    ) -> Result<(), CheckpointError> {
        let fresh = Self::new(task, design, Progress::default(), Vec::new());
        for (same, what) in [
            (self.model == fresh.model, "model"),
            (self.data == fresh.data, "data set"),
            (relevant(self.recipe.clone()) == relevant(fresh.recipe), "recipe"),
            (says(&self.design) == says(&fresh.design), "design"),
            (self.seed == fresh.seed, "seed"),
        ] {
            if !same {
                return Err(CheckpointError::Another { what });
            }
        }
        Ok(())
    }

    pub(super) fn check_tensors(&self, tensors: &[Tensor]) -> Result<(), CheckpointError> {
        let found: Vec<usize> = self.tensors.iter().map(Vec::len).collect();
        let expected: Vec<usize> = tensors.iter().map(|t| t.elements()).collect();
        if found != expected {
            let (found, expected) = (format!("tensors of {found:?} elements"), format!("{expected:?}"));
            return Err(CheckpointError::Tensors { found, expected });
        }
        for (codes, tensor) in self.tensors.iter().zip(tensors) {
            if let Some(code) = codes.iter().find(|&&c| c & !tensor.format.mask() != 0) {
                let (found, expected) = (format!("code {code:#x}"), format!("{} codes", tensor.format));
                return Err(CheckpointError::Tensors { found, expected });
            }
        }
        Ok(())
    }

    /// `rungs`: how many the recipe's search has, if it searches.
    pub(super) fn check_search(&self, rungs: Option<usize>) -> Result<(), CheckpointError> {
        let found = match (&self.progress.search, rungs) {
            (None, Some(_)) => "no",
            (Some(_), None) => "superfluous",
            (Some(search), Some(rungs)) if !search.fits(rungs) => "other",
            _ => return Ok(()),
        };
        Err(CheckpointError::Search { found })
    }

    /// Reads a checkpoint; `None` if the file does not exist.
    ///
    /// # Errors
    /// An unreadable or damaged file.
    pub fn read(path: &Path) -> Result<Option<Self>, CheckpointError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(CheckpointError::Io { path: path.to_owned(), source }),
        };
        serde_json::from_str(&text).map(Some).map_err(|e| CheckpointError::Damaged { path: path.to_owned(), message: e.to_string() })
    }

    /// Writes the checkpoint so that the file is at all times whole: the old one or the new.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn write(&self, path: &Path) -> Result<(), CheckpointError> {
        let io = |source| CheckpointError::Io { path: path.to_owned(), source };
        let beside = path.with_extension("new");
        let mut file = std::fs::File::create(&beside).map_err(io)?;
        file.write_all(serde_json::to_string(self).unwrap_or_default().as_bytes()).map_err(io)?;
        file.sync_all().map_err(io)?;
        std::fs::rename(&beside, path).map_err(io)
    }
}
