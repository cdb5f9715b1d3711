//! What a sweep spans: a RON file of axes and constraints.

use super::constraint::{Constraint, ConstraintError};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use systole_isa::overrides::ron_options;

/// A sweep that comes with the program.
#[derive(Clone, Copy, Debug)]
pub struct BuiltIn {
    /// Its name.
    pub name: &'static str,
    /// Its file.
    pub ron: &'static str,
}

/// Sweeps that come with the program.
pub const SWEEPS: &[BuiltIn] = &[
    BuiltIn { name: "eight-bits", ron: include_str!("../../sweeps/eight-bits.ron") },
    BuiltIn { name: "resnet18-arrays", ron: include_str!("../../sweeps/resnet18-arrays.ron") },
];

/// Points a sweep may have.
const MOST_POINTS: usize = 1_000_000;

/// Seeds a point may have.
const MOST_SEEDS: usize = 1000;

/// A sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// Short name, used in reports.
    pub name: String,
    /// One line on what it is for.
    #[serde(default)]
    pub summary: String,
    /// What every point does.
    pub task: Task,
    /// Built-in recipe or RON file that points start from; absent means fp8.
    #[serde(default)]
    pub recipe: Option<String>,
    /// Built-in design or RON file that points start from; absent means the recipe's own.
    #[serde(default)]
    pub design: Option<String>,
    /// Settings of every point, as `--set` takes them.
    #[serde(default)]
    pub set: Map<String, Value>,
    /// What differs between points: all combinations of the axes' alternatives.
    #[serde(default)]
    pub axes: Vec<Axis>,
    /// Points are those for which every one of these CEL expressions is true.
    #[serde(default)]
    pub constraints: Vec<String>,
}

/// What a point does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Trains a network, once for each seed.
    Train(Training),
    /// Costs a workload by its shapes.
    Workload(Workload),
}

/// What is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// Built-in model.
    #[serde(default = "default_model")]
    pub model: String,
    /// Embedded data or a directory.
    #[serde(default = "default_data")]
    pub data: String,
    /// Train on the first so many images or sequences only.
    #[serde(default)]
    pub limit: Option<usize>,
    /// How many seeds from 0 on, or which.
    #[serde(default)]
    pub seeds: Seeds,
}

/// What is costed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// Network by name, a topology file (.csv) or an ONNX graph (.onnx).
    pub name: String,
    /// Images, texts or products at once; absent means the network's own.
    #[serde(default)]
    pub batch: Option<u32>,
    /// Extents of a graph's named dimensions.
    #[serde(default)]
    pub dims: BTreeMap<String, NonZeroU32>,
    /// Forward alone rather than a step of training.
    #[serde(default)]
    pub forward_only: bool,
}

fn default_model() -> String {
    "mlp".to_owned()
}

fn default_data() -> String {
    "digits".to_owned()
}

/// Seeds of a training sweep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "seeds are how many from 0 on, such as 3, or which, such as [0, 7]")]
pub enum Seeds {
    /// 0 to N - 1.
    Count(u32),
    /// These.
    List(Vec<u64>),
}

impl Default for Seeds {
    fn default() -> Self {
        Self::Count(3)
    }
}

impl Seeds {
    fn count(&self) -> usize {
        match self {
            Self::Count(count) => *count as usize,
            Self::List(seeds) => seeds.len(),
        }
    }

    /// Every seed, in order.
    pub fn list(&self) -> Vec<u64> {
        match self {
            Self::Count(count) => (0..u64::from(*count)).collect(),
            Self::List(seeds) => seeds.clone(),
        }
    }
}

/// Alternatives of which each point takes one. A key may name several paths that take the same
/// value, joined by `+`; the key `label` names an alternative in place of its values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Axis {
    /// Every combination of the paths' values.
    Grid(Map<String, Value>),
    /// The paths' lists in step: first values together, then second ones.
    Zip(Map<String, Value>),
    /// Each map is one alternative.
    List(Vec<Map<String, Value>>),
}

/// A sweep cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// The text is not a sweep.
    #[error("{file}:{line}:{column}: {message}")]
    Syntax {
        /// File or built-in name.
        file: String,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong there.
        message: String,
    },
    /// The sweep contradicts itself.
    #[error("sweep `{file}`: {}", problems.join("\n  "))]
    Invalid {
        /// File or built-in name.
        file: String,
        /// Every problem found.
        problems: Vec<String>,
    },
    /// What its points start from cannot be loaded.
    #[error("sweep `{file}`, {place}: {message}")]
    Base {
        /// File or built-in name.
        file: String,
        /// The field.
        place: String,
        /// What is wrong.
        message: String,
    },
    /// A constraint cannot be evaluated.
    #[error("sweep `{file}`, {source}")]
    Constraint {
        /// File or built-in name.
        file: String,
        /// The cause.
        source: ConstraintError,
    },
}

/// One alternative of an axis: paths and values, `label` aside.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Alternative {
    pub settings: Vec<(String, Value)>,
    pub label: Option<String>,
}

/// The key of an alternative's name.
const LABEL: &str = "label";

impl Alternative {
    fn insert(&mut self, key: &str, value: &Value) {
        if key == LABEL {
            self.label = Some(text(value));
        } else {
            self.settings.extend(paths(key).map(|path| (path, value.clone())));
        }
    }

    /// Its name in a point's: its label, or each value once, numbers and switches with the last word of their path.
    pub fn name(&self) -> String {
        if let Some(label) = &self.label {
            return label.clone();
        }
        let mut parts: Vec<String> = Vec::new();
        for (path, value) in &self.settings {
            let word = path.rsplit('.').next().unwrap_or(path);
            let part = match value {
                Value::String(value) if value != "none" => value.clone(),
                value => format!("{word}={}", text(value)),
            };
            if !parts.contains(&part) {
                parts.push(part);
            }
        }
        parts.join(" ")
    }
}

/// A value as `--set` takes it.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "none".to_owned(),
        other => other.to_string(),
    }
}

fn paths(key: &str) -> impl Iterator<Item = String> + '_ {
    key.split('+').map(|path| path.trim().to_owned())
}

impl Axis {
    fn name(&self) -> &'static str {
        match self {
            Self::Grid(_) => "grid",
            Self::Zip(_) => "zip",
            Self::List(_) => "list",
        }
    }

    /// Everything wrong with it.
    fn problems(&self) -> Vec<String> {
        let mut found = Vec::new();
        let keys: Vec<&String> = match self {
            Self::Grid(lists) | Self::Zip(lists) => lists.keys().collect(),
            Self::List(maps) => maps.iter().flat_map(Map::keys).collect(),
        };
        if keys.iter().any(|key| paths(key).any(|path| path.is_empty())) {
            found.push("a path is empty; write for example \"mac.a + mac.b\"".to_owned());
        }
        match self {
            Self::Grid(lists) | Self::Zip(lists) => {
                for (key, values) in lists {
                    match values.as_array().map(Vec::len) {
                        None => found.push(format!("`{key}` takes a list of values, not `{}`", text(values))),
                        Some(0) => found.push(format!("`{key}` has no values")),
                        Some(_) => {}
                    }
                }
                if lists.is_empty() {
                    found.push("names no path".to_owned());
                }
            }
            Self::List(maps) => {
                if maps.is_empty() {
                    found.push("has no alternatives".to_owned());
                }
            }
        }
        let combined: Vec<Vec<&String>> = match self {
            Self::Grid(_) | Self::Zip(_) => vec![keys.clone()],
            Self::List(maps) => maps.iter().map(|map| map.keys().collect()).collect(),
        };
        let mut twice = BTreeSet::new();
        for keys in combined {
            let mut seen = BTreeSet::new();
            twice.extend(keys.into_iter().filter(|key| *key != LABEL).flat_map(|key| paths(key)).filter(|path| !seen.insert(path.clone())));
        }
        found.extend(twice.iter().map(|path| format!("`{path}` is set twice in one alternative")));
        if let (Self::Grid(lists), true) = (self, keys.iter().any(|key| *key == LABEL)) {
            let _ = lists;
            found.push("takes no `label`, which names one alternative; use `zip` or `list`".to_owned());
        }
        if let Self::Zip(lists) = self {
            let lengths: BTreeSet<usize> = lists.values().filter_map(Value::as_array).map(Vec::len).collect();
            if lengths.len() > 1 {
                let all: Vec<String> = lists.iter().map(|(key, v)| format!("`{key}` has {}", v.as_array().map_or(0, Vec::len))).collect();
                found.push(format!("lists go in step and must be equally long: {}", all.join(", ")));
            }
        }
        found
    }

    /// Its alternatives, those of a sound axis.
    pub(super) fn alternatives(&self) -> Vec<Alternative> {
        let list = |values: &Value| values.as_array().cloned().unwrap_or_default();
        match self {
            Self::Grid(lists) => lists.iter().fold(vec![Alternative::default()], |combinations, (key, values)| {
                let values = list(values);
                let with = |before: &Alternative, value: &Value| {
                    let mut next = before.clone();
                    next.insert(key, value);
                    next
                };
                combinations.iter().flat_map(|before| values.iter().map(move |value| with(before, value))).collect()
            }),
            Self::Zip(lists) => {
                let count = lists.values().filter_map(Value::as_array).map(Vec::len).min().unwrap_or(0);
                let alternative = |i: usize| {
                    let mut all = Alternative::default();
                    lists.iter().for_each(|(key, values)| all.insert(key, &values[i]));
                    all
                };
                (0..count).map(alternative).collect()
            }
            Self::List(maps) => {
                let alternative = |map: &Map<String, Value>| {
                    let mut all = Alternative::default();
                    map.iter().for_each(|(key, value)| all.insert(key, value));
                    all
                };
                maps.iter().map(alternative).collect()
            }
        }
    }

    /// How many alternatives it has.
    fn count(&self) -> usize {
        let lengths = |lists: &Map<String, Value>| lists.values().map(|v| v.as_array().map_or(0, Vec::len)).collect::<Vec<_>>();
        match self {
            Self::Grid(lists) => lengths(lists).into_iter().fold(1, usize::saturating_mul),
            Self::Zip(lists) => lengths(lists).into_iter().min().unwrap_or(0),
            Self::List(maps) => maps.len(),
        }
    }
}

impl Spec {
    /// The built-in sweep of that name.
    ///
    /// # Errors
    /// Whatever is wrong with its file; `None` if there is none of that name.
    pub fn builtin(name: &str) -> Option<Result<Self, SpecError>> {
        SWEEPS.iter().find(|sweep| sweep.name == name).map(|sweep| Self::from_ron(sweep.name, sweep.ron))
    }

    /// Reads and checks RON text; `file` is named in errors.
    ///
    /// # Errors
    /// [`SpecError::Syntax`] with line and column, or [`SpecError::Invalid`] with every problem.
    pub fn from_ron(file: &str, text: &str) -> Result<Self, SpecError> {
        let spec: Self = ron_options().from_str(text).map_err(|e| SpecError::Syntax {
            file: file.to_owned(),
            line: e.span.start.line,
            column: e.span.start.col,
            message: match e.code {
                ron::Error::ExceededRecursionLimit => "brackets are nested too deep; a sweep needs few".to_owned(),
                code => code.to_string(),
            },
        })?;
        let problems = spec.problems();
        if problems.is_empty() { Ok(spec) } else { Err(SpecError::Invalid { file: file.to_owned(), problems }) }
    }

    fn problems(&self) -> Vec<String> {
        let mut found = Vec::new();
        if self.name.trim().is_empty() {
            found.push("`name` must not be empty".to_owned());
        }
        if let Task::Train(training) = &self.task {
            let count = training.seeds.count();
            if count == 0 {
                found.push("`task.seeds` must name at least one seed".to_owned());
            }
            if count > MOST_SEEDS {
                found.push(format!("`task.seeds` may be {MOST_SEEDS} at most, are {count}"));
            }
            let seeds = if count > MOST_SEEDS { Vec::new() } else { training.seeds.list() };
            if seeds.iter().collect::<BTreeSet<_>>().len() < seeds.len() {
                found.push("`task.seeds` names a seed twice".to_owned());
            }
        }
        let (own, other): (&str, &[&str]) = match &self.task {
            Task::Train(_) => ("train", &["workload"]),
            Task::Workload(_) => ("workload", &["model", "data"]),
        };
        for path in other.iter().filter(|path| self.varies(path) || self.set.contains_key(**path)) {
            found.push(format!("`{path}` has no effect on a task `{own}`: leave it out"));
        }
        let mut varied = BTreeSet::new();
        for (i, axis) in self.axes.iter().enumerate() {
            let place = format!("`axes[{i}]` ({})", axis.name());
            found.extend(axis.problems().into_iter().map(|problem| format!("{place}: {problem}")));
            let here: BTreeSet<String> = axis.paths().collect();
            for path in here {
                if !varied.insert(path.clone()) {
                    found.push(format!("{place}: `{path}` is varied by an axis before already"));
                }
            }
        }
        let count = self.points();
        if count > MOST_POINTS {
            found.push(format!("the axes span {count} points, {MOST_POINTS} are the most; take fewer values, or split the sweep"));
        }
        found.extend(self.constraints.iter().enumerate().filter_map(|(i, text)| Constraint::compile(i, text).err().map(|e| e.to_string())));
        found
    }

    /// Combinations of the axes' alternatives, before constraints.
    pub fn points(&self) -> usize {
        self.axes.iter().map(Axis::count).fold(1, usize::saturating_mul)
    }

    /// True if an axis varies the path.
    pub fn varies(&self, path: &str) -> bool {
        self.axes.iter().any(|axis| axis.paths().any(|varied| varied == path))
    }

    /// Every combination of the axes' alternatives; the last axis turns fastest.
    pub(super) fn combinations(&self) -> Vec<Vec<Alternative>> {
        self.axes.iter().map(Axis::alternatives).fold(vec![Vec::new()], |combinations, alternatives| {
            let with = |before: &Vec<Alternative>, next: &Alternative| [before.clone(), vec![next.clone()]].concat();
            combinations.iter().flat_map(|before| alternatives.iter().map(move |next| with(before, next))).collect()
        })
    }
}

impl Axis {
    /// Every path it varies, some perhaps more than once.
    fn paths(&self) -> impl Iterator<Item = String> + '_ {
        let keys: Box<dyn Iterator<Item = &String>> = match self {
            Self::Grid(lists) | Self::Zip(lists) => Box::new(lists.keys()),
            Self::List(maps) => Box::new(maps.iter().flat_map(Map::keys)),
        };
        keys.filter(|key| *key != LABEL).flat_map(|key| paths(key))
    }
}
