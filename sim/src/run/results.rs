//! Results that a file keeps from run to run, one JSON object a line.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// A file of results cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    /// The file itself.
    #[error("results `{}`: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// One of its lines.
    #[error("results `{}`, line {line}: {message}; remove the line, and what it told is computed again", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
}

/// Results by key: those of earlier runs, and a file to which new ones are appended.
#[derive(Debug)]
pub struct Results<T> {
    known: BTreeMap<String, T>,
    file: Option<(Mutex<File>, PathBuf)>,
}

impl<T: Clone + Serialize + DeserializeOwned> Results<T> {
    /// Reads the results of a file, made if absent; without one nothing is kept. A last line without
    /// its end was cut off while it was written, and is taken off the file.
    ///
    /// # Errors
    /// A file that cannot be read or written, or a line that is no result.
    pub fn open(path: Option<&Path>, key: impl Fn(&T) -> String) -> Result<Self, ResultsError> {
        let Some(path) = path else { return Ok(Self { known: BTreeMap::new(), file: None }) };
        let failed = |source| ResultsError::File { path: path.to_owned(), source };
        mend(path)?;
        let known = read_lines::<T>(path)?.into_iter().map(|result| (key(&result), result)).collect();
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(failed)?;
        Ok(Self { known, file: Some((Mutex::new(file), path.to_owned())) })
    }

    /// The result of that key from an earlier run.
    pub fn known(&self, key: &str) -> Option<T> {
        self.known.get(key).cloned()
    }

    /// Keeps a result: it is on disk when this returns.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn append(&self, result: &T) -> Result<(), ResultsError> {
        let Some((file, path)) = &self.file else { return Ok(()) };
        let line = format!("{}\n", serde_json::to_string(result).unwrap_or_default());
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(line.as_bytes()).and_then(|()| file.sync_data()).map_err(|source| ResultsError::File { path: path.clone(), source })
    }
}

/// Takes a last line without its end, which was cut off while it was written, off a file.
///
/// # Errors
/// A file that cannot be read or written; one that is absent is well.
pub fn mend(path: &Path) -> Result<(), ResultsError> {
    let failed = |source| ResultsError::File { path: path.to_owned(), source };
    let text = match std::fs::read(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        text => text.map_err(failed)?,
    };
    let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    if whole < text.len() {
        OpenOptions::new().write(true).open(path).and_then(|file| file.set_len(whole as u64)).map_err(failed)?;
    }
    Ok(())
}

/// The results in a file, in its order; none if it is absent. A last line without its end is left out.
///
/// # Errors
/// A file that cannot be read, or a line that is no result.
pub fn read_lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, ResultsError> {
    let failed = |source| ResultsError::File { path: path.to_owned(), source };
    let text = match std::fs::read(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        text => text.map_err(failed)?,
    };
    let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    let line = |(i, line): (usize, &[u8])| {
        let damaged = |message| ResultsError::Line { path: path.to_owned(), line: i + 1, message };
        serde_json::from_slice(line).map_err(|e| damaged(e.to_string()))
    };
    text[..whole].split(|&byte| byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty()).map(line).collect()
}

/// What a value says, as JSON, but for fields that say nothing: a field that is added to a recipe
/// or design later names no other run where it is absent.
pub fn identity<T: Serialize>(value: &T) -> String {
    fn without_nulls(value: Value) -> Value {
        match value {
            Value::Object(fields) => fields.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k, without_nulls(v))).collect(),
            Value::Array(items) => items.into_iter().map(without_nulls).collect(),
            other => other,
        }
    }
    serde_json::to_value(value).map(without_nulls).unwrap_or_default().to_string()
}
