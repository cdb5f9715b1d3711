//! A sweep's directory: its spec and plan, a file of results for each shard, and its lock.

use super::plan::Plan;
use super::record::RunRecord;
use crate::run::results::{self, ResultsError};
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

/// The spec as it was given.
const SPEC: &str = "sweep.ron";
/// The plan made of it.
const PLAN: &str = "plan.json";

/// A part of a sweep's runs: the `index`th of `count`, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which, from 1.
    pub index: u32,
    /// Of how many.
    pub count: u32,
}

impl Shard {
    /// All runs.
    pub const WHOLE: Self = Self { index: 1, count: 1 };

    /// True if the `ordinal`th run is this shard's.
    pub const fn has(self, ordinal: usize) -> bool {
        ordinal % self.count as usize == (self.index - 1) as usize
    }

    fn file(self) -> String {
        if self == Self::WHOLE { "runs.jsonl".to_owned() } else { format!("runs-{}-of-{}.jsonl", self.index, self.count) }
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('/').and_then(|(i, n)| Some((i.trim().parse().ok()?, n.trim().parse().ok()?)));
        match parsed {
            Some((index, count)) if 1 <= index && index <= count => Ok(Self { index, count }),
            _ => Err("a shard is I/N with I from 1 to N, for example 2/8".to_owned()),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

/// A sweep's directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory or one of its files.
    #[error("`{}`: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// Results are there already.
    #[error("`{}` holds results already; add --resume to go on from them, or give another directory", path.display())]
    Occupied {
        /// The file.
        path: PathBuf,
    },
    /// Results of another sweep are there.
    #[error("`{}` holds results of another sweep, `{name}`, or of another version of it: none of its runs is one of these; give another directory", path.display())]
    Other {
        /// The directory.
        path: PathBuf,
        /// The name of the sweep that is there.
        name: String,
    },
    /// Another process writes there.
    #[error("`{}` is being written by another process; wait for it, or give another directory or shard", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// No sweep is there.
    #[error("`{}` holds no sweep: there is no {PLAN}; give the --out directory of `systole sweep`", path.display())]
    NoSweep {
        /// The directory.
        path: PathBuf,
    },
    /// The plan is damaged.
    #[error("`{}`: {message}; run the sweep again with --resume to write it anew", path.display())]
    Plan {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// Directories of different sweeps.
    #[error("`{}` holds another sweep than `{}`: their points differ; merge directories of one sweep", other.display(), first.display())]
    Different {
        /// The first directory.
        first: PathBuf,
        /// The one that differs.
        other: PathBuf,
    },
    /// One run with two results.
    #[error(
        "`{point}`{}: two files hold different results of this run (key {key}); they were made by different programs, or one is damaged",
        seed.map(|seed| format!(", seed {seed}")).unwrap_or_default()
    )]
    Contradiction {
        /// The point.
        point: String,
        /// Its seed.
        seed: Option<u64>,
        /// The key.
        key: String,
    },
    /// A file of results.
    #[error(transparent)]
    Results(#[from] ResultsError),
}

fn failed(path: &Path) -> impl Fn(std::io::Error) -> StoreError + '_ {
    |source| StoreError::File { path: path.to_owned(), source }
}

/// Replaces a file at once: readers see the old contents or the new.
fn replace(path: &Path, contents: &[u8]) -> Result<(), StoreError> {
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    let written = File::create(&beside).and_then(|mut file| {
        file.write_all(contents)?;
        file.sync_all()
    });
    written.and_then(|()| std::fs::rename(&beside, path)).map_err(failed(path))
}

/// The directory of a sweep under way.
#[derive(Debug)]
pub struct Store {
    file: Mutex<File>,
    path: PathBuf,
    known: BTreeMap<String, RunRecord>,
}

impl Store {
    /// Opens, or makes, the directory of a plan for one shard of its runs. Every shard of the
    /// directory is read: what any has finished is known.
    ///
    /// # Errors
    /// A directory that cannot be used, is in use, or holds results of this shard though `resume` is false.
    pub fn open(directory: &Path, spec: &str, plan: &Plan, shard: Shard, resume: bool) -> Result<Self, StoreError> {
        std::fs::create_dir_all(directory).map_err(failed(directory))?;
        let path = directory.join(shard.file());
        let file = OpenOptions::new().create(true).append(true).read(true).open(&path).map_err(failed(&path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::Locked { path }),
            // A file system without locks: nothing to hold.
            Err(TryLockError::Error(_)) => {}
        }
        let taken = if shard == Shard::WHOLE { !files(directory)?.iter().all(|file| is_empty(file)) } else { !is_empty(&path) };
        if taken && !resume {
            return Err(StoreError::Occupied { path });
        }
        results::mend(&path)?;
        let known = read_results(directory)?;
        let keys: HashSet<&str> = plan.runs.iter().map(|run| run.key.as_str()).collect();
        if let (false, Ok(before)) = (known.is_empty(), read_plan(directory))
            && !before.runs.iter().any(|run| keys.contains(run.key.as_str()))
        {
            return Err(StoreError::Other { path: directory.to_owned(), name: before.name });
        }
        replace(&directory.join(SPEC), spec.as_bytes())?;
        let text = serde_json::to_string_pretty(plan).unwrap_or_default();
        replace(&directory.join(PLAN), format!("{text}\n").as_bytes())?;
        // The entry of a new file is on disk once its directory is.
        if let Ok(entries) = File::open(directory) {
            let _ = entries.sync_all();
        }
        Ok(Self { file: Mutex::new(file), path, known })
    }

    /// The record of that key, if there is one.
    pub fn known(&self, key: &str) -> Option<&RunRecord> {
        self.known.get(key)
    }

    /// Appends a record; it is on disk when this returns.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn append(&self, record: &RunRecord) -> Result<(), StoreError> {
        let line = format!("{}\n", serde_json::to_string(record).unwrap_or_default());
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(line.as_bytes()).and_then(|()| file.sync_data()).map_err(failed(&self.path))
    }
}

fn is_empty(path: &Path) -> bool {
    std::fs::metadata(path).map_or(true, |found| found.len() == 0)
}

/// The files of results in a directory, by name.
fn files(directory: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed(directory))? {
        let path = entry.map_err(failed(directory))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name == "runs.jsonl" || (name.starts_with("runs-") && name.ends_with(".jsonl")) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn insert(all: &mut BTreeMap<String, RunRecord>, record: RunRecord) -> Result<(), StoreError> {
    match all.get(&record.key) {
        Some(known) if !known.agrees(&record) => Err(StoreError::Contradiction { point: record.point, seed: record.seed, key: record.key }),
        Some(_) => Ok(()),
        None => {
            all.insert(record.key.clone(), record);
            Ok(())
        }
    }
}

/// Every record of a directory, by key. A last line that has no end is being written, or was cut off.
fn read_results(directory: &Path) -> Result<BTreeMap<String, RunRecord>, StoreError> {
    let mut all = BTreeMap::new();
    for path in files(directory)? {
        for record in results::read_lines::<RunRecord>(&path)? {
            insert(&mut all, record)?;
        }
    }
    Ok(all)
}

fn read_plan(directory: &Path) -> Result<Plan, StoreError> {
    let path = directory.join(PLAN);
    let text = match std::fs::read_to_string(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(StoreError::NoSweep { path: directory.to_owned() }),
        text => text.map_err(failed(&path))?,
    };
    serde_json::from_str(&text).map_err(|e| StoreError::Plan { path, message: e.to_string() })
}

/// The plan and the records of one or more directories of one sweep.
///
/// # Errors
/// Directories that cannot be read, hold no sweep, or do not belong together.
pub fn read(directories: &[PathBuf]) -> Result<(Plan, BTreeMap<String, RunRecord>), StoreError> {
    let mut all: BTreeMap<String, RunRecord> = BTreeMap::new();
    let mut plan: Option<(&PathBuf, Plan)> = None;
    for directory in directories {
        let found = read_plan(directory)?;
        match &plan {
            Some((first, known)) if known.points != found.points || known.runs != found.runs => {
                return Err(StoreError::Different { first: (*first).clone(), other: directory.clone() });
            }
            Some(_) => {}
            None => plan = Some((directory, found)),
        }
        for record in read_results(directory)?.into_values() {
            insert(&mut all, record)?;
        }
    }
    match plan {
        Some((_, plan)) => Ok((plan, all)),
        None => Err(StoreError::NoSweep { path: PathBuf::new() }),
    }
}

/// Writes the records of a plan into a directory as one file, in the plan's order, with the spec
/// found in `from`. Files of shards that are there stay.
///
/// # Errors
/// What the file system refuses.
pub fn write_merged(directory: &Path, from: &Path, plan: &Plan, records: &BTreeMap<String, RunRecord>) -> Result<usize, StoreError> {
    std::fs::create_dir_all(directory).map_err(failed(directory))?;
    let mut text = String::new();
    let mut written = 0;
    for record in plan.runs.iter().filter_map(|run| records.get(&run.key)) {
        text += &serde_json::to_string(record).unwrap_or_default();
        text.push('\n');
        written += 1;
    }
    replace(&directory.join(Shard::WHOLE.file()), text.as_bytes())?;
    if let Ok(spec) = std::fs::read(from.join(SPEC)) {
        replace(&directory.join(SPEC), &spec)?;
    }
    let plan = serde_json::to_string_pretty(plan).unwrap_or_default();
    replace(&directory.join(PLAN), format!("{plan}\n").as_bytes())?;
    Ok(written)
}
