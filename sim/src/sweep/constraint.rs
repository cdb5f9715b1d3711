//! Constraints on points: expressions of the Common Expression Language over their fields.

use cel::extractors::This;
use cel::{Context, ExecutionError, Program, Value};
use serde_json::Value as Json;
use std::sync::Arc;
use systole_isa::format::Format;

/// A constraint cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
#[error("`constraints[{index}]` (`{text}`): {message}")]
pub struct ConstraintError {
    /// Which.
    pub index: usize,
    /// Its text.
    pub text: String,
    /// What is wrong, and the mend.
    pub message: String,
}

/// A compiled expression.
pub(super) struct Constraint {
    index: usize,
    text: String,
    program: Program,
}

impl Constraint {
    pub fn compile(index: usize, text: &str) -> Result<Self, ConstraintError> {
        let error = |message: String| ConstraintError { index, text: text.to_owned(), message };
        match std::panic::catch_unwind(|| Program::compile(text)) {
            Ok(Ok(program)) => Ok(Self { index, text: text.to_owned(), program }),
            Ok(Err(e)) => Err(error(e.to_string().trim().to_owned())),
            Err(_) => Err(error("is no expression".to_owned())),
        }
    }

    /// Whether it holds for a point of these fields.
    pub fn holds(&self, fields: &Json) -> Result<bool, ConstraintError> {
        let error = |message: String| ConstraintError { index: self.index, text: self.text.clone(), message };
        let mut context = Context::default();
        // Names of ours cannot clash with those of the language.
        let _ = context.add_function("bits", |This(name): This<Arc<String>>| of_format("bits", &name, Format::bits));
        let _ = context.add_function("significand", |This(name): This<Arc<String>>| of_format("significand", &name, Format::precision));
        for (name, value) in fields.as_object().into_iter().flatten() {
            context.add_variable_from_value(name.as_str(), value_of(value));
        }
        match self.program.execute(&context) {
            Ok(Value::Bool(holds)) => Ok(holds),
            Ok(other) => Err(error(format!("must be true or false, is {other:?}"))),
            Err(ExecutionError::UnsupportedBinaryOperator(operator, a, b)) => {
                Err(error(format!("cannot {operator} {a:?} and {b:?}; whole numbers and others mix by `double(x)`")))
            }
            Err(ExecutionError::NoSuchKey(key)) => {
                Err(error(format!("there is no field `{key}` there; fields are those that --set takes: see a design's or recipe's file")))
            }
            Err(e) => Err(error(e.to_string())),
        }
    }
}

fn of_format(function: &str, name: &str, of: impl Fn(Format) -> u32) -> Result<Value, ExecutionError> {
    let format = name.parse::<Format>().map_err(|e| ExecutionError::function_error(function, format!("`{name}`: {e}")))?;
    Ok(Value::Int(of(format).into()))
}

/// JSON as an expression sees it; whole numbers are all of one kind.
fn value_of(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(b) => Value::Bool(*b),
        Json::Number(n) => match n.as_i64() {
            Some(whole) => Value::Int(whole),
            None => Value::Float(n.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::from(text.clone()),
        Json::Array(items) => Value::from(items.iter().map(value_of).collect::<Vec<_>>()),
        Json::Object(fields) => {
            let fields: std::collections::HashMap<String, Value> = fields.iter().map(|(k, v)| (k.clone(), value_of(v))).collect();
            Value::from(fields)
        }
    }
}
