//! The points of a sweep and the runs they ask for, as its directory keeps them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a sweep's directory says of it: enough to report on results without the files it was made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The sweep's name.
    pub name: String,
    /// What it is for.
    pub summary: String,
    /// Version of the program that planned it.
    pub version: String,
    /// What every point does, in words.
    pub task: String,
    /// True if runs train, and so have accuracies.
    pub trains: bool,
    /// The recipe that points start from; absent of files of layers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<String>,
    /// The design; absent where it is each recipe's own.
    pub design: Option<String>,
    /// Settings of every point.
    pub set: Map<String, Value>,
    /// The command that planned it.
    pub command: String,
    /// Every point.
    pub points: Vec<PlannedPoint>,
    /// Every run, in the order in which they are made.
    pub runs: Vec<PlannedRun>,
}

/// A point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedPoint {
    /// Its name, no other point's.
    pub name: String,
    /// What its axes set.
    pub settings: Map<String, Value>,
    /// Why it cannot be run, if it cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// A run of a point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedRun {
    /// Its point, by index.
    pub point: usize,
    /// Seed of initial weights and shuffles; absent where nothing is trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// SHA-256 of everything that determines the result.
    pub key: String,
}
