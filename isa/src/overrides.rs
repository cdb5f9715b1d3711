//! `PATH=VALUE` overrides on any serialisable specification.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// An override does not fit the specification.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OverrideError {
    /// No field of that name.
    #[error("--set {path}: the {what} has no field `{field}`{}; {known}", suggestion.as_ref().map(|s| format!(" (did you mean `{s}`?)")).unwrap_or_default())]
    UnknownField {
        /// `design` or `recipe`.
        what: String,
        /// Full path given.
        path: String,
        /// Part of it that does not exist.
        field: String,
        /// Closest existing field.
        suggestion: Option<String>,
        /// What exists there.
        known: String,
    },
    /// The value does not fit the field.
    #[error("--set {path}={value}: {message}")]
    BadValue {
        /// Full path given.
        path: String,
        /// Value given.
        value: String,
        /// Why it does not fit.
        message: String,
    },
}

/// RON with `Some(..)` and the inner parentheses of `variant((..))` left implicit, as every
/// file of ours is read.
pub fn ron_options() -> ron::Options {
    use ron::extensions::Extensions;
    ron::Options::default().with_default_extension(Extensions::IMPLICIT_SOME | Extensions::UNWRAP_VARIANT_NEWTYPES)
}

/// Splits `PATH=VALUE`; `None` without an equals sign or with an empty path.
pub fn split(setting: &str) -> Option<(String, String)> {
    let (path, value) = setting.split_once('=')?;
    let path = path.trim();
    (!path.is_empty()).then(|| (path.to_owned(), value.trim().to_owned()))
}

fn locate<'v>(what: &str, root: &'v mut Value, path: &str) -> Result<&'v mut Value, OverrideError> {
    let mut here = root;
    for field in path.split('.') {
        let unknown = |here: &Value| {
            let names: Vec<String> = match here {
                Value::Object(map) => map.keys().cloned().collect(),
                Value::Array(items) => (0..items.len()).map(|i| i.to_string()).collect(),
                _ => Vec::new(),
            };
            let suggestion = names
                .iter()
                .map(|n| (strsim::damerau_levenshtein(n, field), n))
                .min()
                .filter(|(distance, _)| *distance <= 2)
                .map(|(_, n)| n.clone());
            let known = if names.is_empty() { "there is nothing below it".to_owned() } else { format!("it has {}", names.join(", ")) };
            OverrideError::UnknownField { what: what.to_owned(), path: path.to_owned(), field: field.to_owned(), suggestion, known }
        };
        let exists = match &*here {
            Value::Object(map) => map.contains_key(field),
            Value::Array(items) => field.parse::<usize>().is_ok_and(|i| i < items.len()),
            _ => false,
        };
        if !exists {
            return Err(unknown(here));
        }
        here = match here {
            Value::Object(map) => &mut map[field],
            Value::Array(items) => &mut items[field.parse::<usize>().unwrap_or_default()],
            _ => unreachable!("checked above"),
        };
    }
    Ok(here)
}

/// Applies settings in order. A value is tried as a number, boolean or JSON object
/// (`mac.entropy={"lfsr":{"width":16,"taps":46080}}`), as a word, and `none` as an absent field.
/// `True`, `False` and `None`, as Python prints them, are booleans and `none` where no word fits.
///
/// # Errors
/// The first setting that names no field or does not fit, with the reason.
pub fn apply<T: Serialize + DeserializeOwned>(what: &str, base: &T, settings: &[(String, String)]) -> Result<T, OverrideError> {
    let bad =
        |path: &str, value: &str, message: String| OverrideError::BadValue { path: path.to_owned(), value: value.to_owned(), message };
    let mut tree = serde_json::to_value(base).map_err(|e| bad("", "", e.to_string()))?;
    for (path, text) in settings {
        let mut candidates = Vec::new();
        if let Ok(literal @ (Value::Number(_) | Value::Bool(_) | Value::Object(_) | Value::Array(_))) = serde_json::from_str(text) {
            candidates.push(literal);
        }
        candidates.push(Value::String(text.clone()));
        match text.as_str() {
            "none" | "None" => candidates.push(Value::Null),
            "True" => candidates.push(Value::Bool(true)),
            "False" => candidates.push(Value::Bool(false)),
            _ => {}
        }
        let mut first_error = None;
        let mut accepted = None;
        for candidate in candidates {
            let mut trial = tree.clone();
            *locate(what, &mut trial, path)? = candidate;
            match T::deserialize(&trial) {
                Ok(_) => {
                    accepted = Some(trial);
                    break;
                }
                Err(e) => {
                    first_error.get_or_insert_with(|| e.to_string());
                }
            }
        }
        tree = accepted.ok_or_else(|| {
            let not_finite = text.parse::<f64>().is_ok_and(|x| !x.is_finite());
            let reason = if not_finite { "a number here must be finite".to_owned() } else { first_error.unwrap_or_default() };
            bad(path, text, reason)
        })?;
    }
    T::deserialize(&tree).map_err(|e| bad("", "", e.to_string()))
}
