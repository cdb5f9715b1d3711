//! RON text of a recipe, or overrides of a built-in recipe.

use crate::Case;
use crate::source::Source;
use std::fmt;
use systole_isa::design::find;
use systole_isa::overrides::split;
use systole_trainer::recipe::{Recipe, RecipeError};

/// Recipes that overrides are applied to: one of simulated hardware, one of the host.
const BASES: [&str; 2] = ["fp8", "fp32-host"];

/// A text that may be a recipe, or lines of `PATH=VALUE`.
#[derive(Debug)]
pub struct Text(String);

impl Case for Text {
    fn read(source: &mut Source<'_>) -> Self {
        Self(String::from_utf8_lossy(source.rest()).into_owned())
    }

    fn check(&self) {
        match Recipe::from_ron("fuzz", &self.0) {
            Ok(recipe) => self.check_usable(&recipe),
            Err(error) => self.check_named(&error),
        }
        let settings: Option<Vec<_>> = self.0.lines().filter(|line| !line.is_empty()).map(split).collect();
        let Some(settings) = settings else { return };
        for base in BASES {
            let base = Recipe::builtin(base).unwrap_or_else(|e| panic!("{e}"));
            match base.with_overrides(&settings) {
                Ok(recipe) => self.check_usable(&recipe),
                Err(error) => assert!(!error.to_string().is_empty(), "{self}"),
            }
        }
    }
}

impl Text {
    /// A usable recipe survives being written and read, and its roles resolve on any design.
    fn check_usable(&self, recipe: &Recipe) {
        assert_eq!(recipe.problems(), [], "{self}");
        match recipe.with_overrides::<&str>(&[]) {
            Ok(again) => assert_eq!(&again, recipe, "written, read: {self}"),
            Err(e) => panic!("written, not read: {e}: {self}"),
        }
        if let Some(design) = find("fp8-16x16") {
            let roles = recipe.roles.resolve(&design);
            assert_eq!(roles.iter().count(), recipe.roles.iter().count(), "{self}");
        }
    }

    fn check_named(&self, error: &RecipeError) {
        let lines = self.0.lines().count().max(1) + 1;
        match error {
            RecipeError::Syntax { line, column, message, .. } => {
                assert!((1..=lines).contains(line) && *column > 0 && !message.is_empty(), "{error}: {self}");
            }
            RecipeError::Invalid { problems, .. } => {
                assert!(!problems.is_empty() && problems.iter().all(|p| !p.path.is_empty() && !p.message.is_empty()), "{error}: {self}");
            }
            other => panic!("{other:?}: {self}"),
        }
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
