//! Specifications by name or file, and settings by what they belong to.

use crate::energy::{self, EnergyError};
use std::path::{Path, PathBuf};
use systole_isa::design::{DESIGNS, Design, DesignError};

/// `PATH=VALUE` settings, split at their equals signs.
pub type Settings = Vec<(String, String)>;

/// A specification cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SpecificationError {
    /// Neither built in nor a file.
    #[error("no {what} is called `{name}`{}", suggestion.map(|s| format!(" (did you mean `{s}`?)")).unwrap_or_default())]
    Unknown {
        /// `design`, ...
        what: &'static str,
        /// What was given.
        name: String,
        /// The closest name.
        suggestion: Option<&'static str>,
        /// Every name there is.
        known: Vec<&'static str>,
    },
    /// A file that cannot be read.
    #[error("{what} file `{name}` cannot be read: {source}")]
    Read {
        /// `design`, ...
        what: &'static str,
        /// The file.
        name: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A design that is none, or that settings make none.
    #[error(transparent)]
    Design(#[from] DesignError),
    /// A technology table that is none.
    #[error(transparent)]
    Energy(#[from] EnergyError),
}

/// Text of a specification file, for a name that is not built in.
///
/// # Errors
/// A name that looks like no file, with the closest of `known`; a file that cannot be read.
pub fn read(what: &'static str, name: &str, known: Vec<&'static str>) -> Result<String, SpecificationError> {
    let path = PathBuf::from(name);
    let looks_like_file = name.ends_with(".ron") || name.contains(['/', '\\']) || path.exists();
    if !looks_like_file {
        let closest = known.iter().map(|k| (strsim::damerau_levenshtein(k, name), *k)).min();
        let suggestion = closest.filter(|(distance, _)| *distance <= 3).map(|(_, k)| k);
        return Err(SpecificationError::Unknown { what, name: name.to_owned(), suggestion, known });
    }
    std::fs::read_to_string(&path).map_err(|source| SpecificationError::Read { what, name: name.to_owned(), source })
}

/// A built-in design or a RON file, with settings applied.
///
/// # Errors
/// As [`read`], and whatever is wrong with the design.
pub fn design(name: &str, settings: &[(String, String)]) -> Result<Design, SpecificationError> {
    let design = match systole_isa::design::find(name) {
        Some(design) => design,
        None => Design::from_ron(name, &read("design", name, DESIGNS.iter().map(|d| d.name).collect())?)?,
    };
    // A path in a design file begins where the file lies, one in a setting where the command runs.
    let set = settings.iter().any(|(path, _)| path == "energy.table" || path == "energy");
    let of_file = Path::new(name).parent().filter(|_| !set && systole_isa::design::find(name).is_none());
    Ok(energy::table::resolve(design.with_overrides(settings)?, of_file.unwrap_or(Path::new("")))?)
}

/// Settings that name a part of the design, and the others.
pub fn split_settings(settings: Settings) -> (Settings, Settings) {
    const DESIGN_PARTS: [&str; 9] = ["array", "mac", "modes", "output", "vector", "memory", "energy", "arithmetic", "seed"];
    settings.into_iter().partition(|(path, _)| DESIGN_PARTS.contains(&path.split('.').next().unwrap_or_default()))
}
