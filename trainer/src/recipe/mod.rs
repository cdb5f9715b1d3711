//! Recipes: in which formats a training step computes, and how its optimizer works.
//!
//! A recipe is RON, built in or read from a file, overridden by path, validated as a whole.
//! It names formats by the role a tensor plays; the design then offers a MAC mode for each
//! product's operand formats, or the recipe does not fit it.

mod averaging;
mod exemption;
mod loss_scale;
mod precision;
mod recompute;
mod role;
mod scale;

pub use averaging::{Averaging, Drawn};
pub use exemption::Exemption;
pub use loss_scale::{Dynamic, LossScale, Scaler};
pub use precision::Precision;
pub(crate) use precision::roundoffs;
pub use recompute::{Backward, Numerator, Recompute, Selection, Threshold};
pub use role::{Role, RoleFormat, Roles};
pub use scale::{Amax, Blocks, Scale};

use crate::data::Augment;
use crate::host::Hyperparameters;
use crate::model::Layer;
use crate::optimizer::{Compensation, Optimizer, Rule};
use crate::search::{Ladder, Policy, Rules};
use serde::{Deserialize, Serialize};
use std::path::Path;
use systole_isa::design::{Design, Problem};
use systole_isa::overrides::{self, OverrideError};

/// How a network is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Short name, used in reports.
    pub name: String,
    /// One line on what it is.
    #[serde(default)]
    pub summary: String,
    /// The publication or program it follows, and how far that was checked.
    #[serde(default)]
    pub source: String,
    /// Where the step is computed.
    #[serde(default)]
    pub backend: Backend,
    /// Name of the design used when none is asked for; empty for recipes of the host.
    #[serde(default)]
    pub design: String,
    /// Formats by role.
    #[serde(default)]
    pub roles: Roles,
    /// Layers that have other roles.
    #[serde(default)]
    pub exempt: Vec<Exemption>,
    /// Which outputs of forward products are computed again, in which operands.
    #[serde(default)]
    pub recompute: Option<Recompute>,
    /// Factor of the loss.
    #[serde(default)]
    pub loss_scale: LossScale,
    /// The optimizer.
    pub optimizer: Optimizer,
    /// Averages of the weights, where they are what is evaluated.
    #[serde(default)]
    pub averaging: Option<Averaging>,
    /// Precisions among which each step chooses, where there are several.
    #[serde(default)]
    pub precision: Option<Precision>,
    /// Passes over the training images.
    pub epochs: u32,
    /// Images in one step.
    pub batch: u32,
    /// What is done to training images first.
    #[serde(default)]
    pub augment: Augment,
}

/// Where a training step is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    /// On simulated hardware.
    #[default]
    Device,
    /// By [`crate::host`], in binary32, with nothing simulated.
    Host,
}

/// A built-in recipe: its name and RON text.
#[derive(Clone, Copy, Debug)]
pub struct BuiltIn {
    /// Name `--recipe` takes.
    pub name: &'static str,
    /// RON source, as a user would write it.
    pub ron: &'static str,
}

macro_rules! recipes {
    ($($name:literal),* $(,)?) => {
        /// Every built-in recipe; the first is the default.
        pub const RECIPES: &[BuiltIn] =
            &[$(BuiltIn { name: $name, ron: include_str!(concat!("../../recipes/", $name, ".ron")) }),*];
    };
}

recipes![
    "fp8",
    "fp16",
    "bf16",
    "fp32",
    "narrow",
    "narrow-chunked",
    "fp32-host",
    "fp16-mixed",
    "amp-o1",
    "amp-o2",
    "amp-o3",
    "bf16-mixed",
    "swalp",
    "s2fp8",
    "wang-fp8",
    "hfp8",
    "bm8",
    "bm6",
    "bm5",
    "fp8-seb",
    "fp134",
    "fp134-nearest",
    "fp134-log4",
    "qpytorch-compat",
    "mptorch-compat",
    "sgd-quantized",
    "error-feedback",
    "adam",
    "adam8bit",
    "mixed-adam",
    "trust-region",
    "dynamic-precision-tr",
    "storm",
    "mp-sgd",
    "te-delayed-fp8",
    "te-current-fp8",
    "mxfp8",
    "deepseek-fp8",
    "nvfp4",
    "coat",
    "condition-number",
];

/// A recipe cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    /// Neither a built-in recipe nor a file.
    #[error("no recipe `{name}`{}; there are {}, or give a RON file", suggestion.map(|s| format!(" (did you mean `{s}`?)")).unwrap_or_default(), RECIPES.iter().map(|r| r.name).collect::<Vec<_>>().join(", "))]
    Unknown {
        /// What was given.
        name: String,
        /// The closest name.
        suggestion: Option<&'static str>,
    },
    /// The file cannot be read.
    #[error("{file}: {source}; check that the file exists and can be read")]
    Read {
        /// The file.
        file: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The text is not a recipe.
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
    /// An override does not fit.
    #[error(transparent)]
    Override(#[from] OverrideError),
    /// The recipe contradicts itself.
    #[error("recipe `{name}` is not usable:{}", problems.iter().map(|p| format!("\n  {p}")).collect::<String>())]
    Invalid {
        /// Name of the recipe.
        name: String,
        /// Every problem found.
        problems: Vec<Problem>,
    },
}

impl Recipe {
    /// The built-in recipe of that name.
    ///
    /// # Errors
    /// [`RecipeError::Unknown`].
    pub fn builtin(name: &str) -> Result<Self, RecipeError> {
        match RECIPES.iter().find(|r| r.name == name) {
            Some(built_in) => Self::from_ron(built_in.name, built_in.ron),
            None => Err(RecipeError::Unknown {
                name: name.to_owned(),
                suggestion: RECIPES
                    .iter()
                    .map(|r| (strsim::damerau_levenshtein(r.name, name), r.name))
                    .min()
                    .filter(|(distance, _)| *distance <= 2)
                    .map(|(_, name)| name),
            }),
        }
    }

    /// The built-in recipe of that name, else the RON file of that path.
    ///
    /// # Errors
    /// [`RecipeError::Unknown`] if there is neither; what is wrong with the file.
    pub fn load(name_or_path: &str) -> Result<Self, RecipeError> {
        match Self::builtin(name_or_path) {
            Err(RecipeError::Unknown { .. }) if Path::new(name_or_path).exists() || name_or_path.ends_with(".ron") => {
                let text =
                    std::fs::read_to_string(name_or_path).map_err(|source| RecipeError::Read { file: name_or_path.to_owned(), source })?;
                Self::from_ron(name_or_path, &text)
            }
            other => other,
        }
    }

    /// Reads and validates RON text; `file` is named in errors.
    ///
    /// # Errors
    /// [`RecipeError::Syntax`] with line and column, or [`RecipeError::Invalid`].
    pub fn from_ron(file: &str, text: &str) -> Result<Self, RecipeError> {
        let recipe: Self = overrides::ron_options().from_str(text).map_err(|e| RecipeError::Syntax {
            file: file.to_owned(),
            line: e.span.start.line,
            column: e.span.start.col,
            message: e.code.to_string(),
        })?;
        recipe.validated()
    }

    /// Applies `(path, value)` overrides in order and validates the result.
    ///
    /// # Errors
    /// An unknown path, a value of the wrong kind, or a recipe that contradicts itself.
    pub fn with_overrides<S: AsRef<str>>(&self, settings: &[(S, S)]) -> Result<Self, RecipeError> {
        let settings: Vec<(String, String)> =
            settings.iter().map(|(path, value)| (path.as_ref().to_owned(), value.as_ref().to_owned())).collect();
        let recipe: Self = overrides::apply("recipe", self, &settings)?;
        recipe.validated()
    }

    fn validated(self) -> Result<Self, RecipeError> {
        let problems = self.problems();
        if problems.is_empty() { Ok(self) } else { Err(RecipeError::Invalid { name: self.name, problems }) }
    }

    /// Everything that makes the recipe unusable; empty when it is sound.
    pub fn problems(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        let mut require = |holds: bool, path: &str, message: String| {
            if !holds {
                found.push(Problem { path: path.to_owned(), message });
            }
        };
        require(!self.name.is_empty(), "name", "must not be empty".to_owned());
        require((1..=100_000).contains(&self.epochs), "epochs", format!("must be 1 to 100000, is {}", self.epochs));
        require((1..=65_536).contains(&self.batch), "batch", format!("must be 1 to 65536, is {}", self.batch));
        match self.backend {
            Backend::Device => {
                require(!self.design.is_empty(), "design", "must name the design to use when none is asked for (`fp8-16x16`)".to_owned());
            }
            Backend::Host => {
                require(self.design.is_empty(), "design", "must be left out: `backend: host` simulates no hardware".to_owned());
                require(
                    self.loss_scale.is_one(),
                    "loss_scale",
                    format!("must be 1 under `backend: host`, whose binary32 needs none, is {}", self.loss_scale.initial()),
                );
                require(self.exempt.is_empty(), "exempt", "must be left out: `backend: host` computes all in fp32".to_owned());
                require(self.recompute.is_none(), "recompute", "must be left out: `backend: host` computes all in fp32".to_owned());
                require(self.averaging.is_none(), "averaging", "must be left out: `backend: host` does not average".to_owned());
                require(self.precision.is_none(), "precision", "must be left out: `backend: host` computes all in fp32".to_owned());
            }
        }
        if self.searches() {
            let adam = matches!(self.optimizer.rule, Rule::Adam { .. });
            require(!adam, "optimizer.rule", "must be `sgd` or `trust_region(...)` beside `precision`".to_owned());
            require(
                matches!(self.loss_scale, LossScale::Static(_)),
                "loss_scale",
                "must be a number where steps are tried: one that overflows is computed on a finer rung or not at all".to_owned(),
            );
            require(
                self.optimizer.compensation == Compensation::None,
                "optimizer.compensation",
                "must be `none` beside `precision`, where steps are tried".to_owned(),
            );
            found.extend(precision::problems_of_trials(&self.roles));
        }
        found.extend(self.precision.iter().flat_map(|precision| precision.problems(self.region().is_some())));
        found.extend(self.optimizer.problems());
        found.extend(self.loss_scale.problems());
        found.extend(self.roles.problems(self.backend));
        found.extend(self.exempt.iter().enumerate().flat_map(|(i, e)| e.problems(i)));
        found.extend(self.recompute.iter().flat_map(Recompute::problems));
        let rate = self.optimizer.learning_rate;
        found.extend(self.averaging.iter().flat_map(|averaging| averaging.problems(self.precision_share(), rate)));
        found
    }

    /// The trust region its steps stay in, if they do.
    pub const fn region(&self) -> Option<crate::optimizer::TrustRegion> {
        match self.optimizer.rule {
            Rule::TrustRegion(region) => Some(region),
            Rule::Sgd | Rule::Adam { .. } => None,
        }
    }

    /// The part of a step's decrease that its precision may spend.
    const fn precision_share(&self) -> f64 {
        match &self.precision {
            Some(Precision { policy: Policy::GradientNorm { share, .. }, .. }) => *share,
            _ => 0.0,
        }
    }

    /// The step whose weights are the result of a run of `steps`, where one is drawn.
    pub(crate) fn drawn(&self, seed: u64, steps: u64) -> Option<u64> {
        let drawn = self.averaging?.drawn?;
        let rates = (0..steps).map(|step| self.optimizer.rate(step, steps, self.epochs));
        Some(drawn.step(self.precision_share(), seed, rates))
    }

    /// Whether steps are tried, in one precision or another, before they are taken.
    pub const fn searches(&self) -> bool {
        self.region().is_some() || self.precision.is_some()
    }

    /// Format of the weights on every rung it may choose, the cheapest first; one if it does not choose.
    pub fn rungs(&self) -> Vec<String> {
        let name = |role: Role| match role {
            Role::Format(role) => role.format.to_string(),
            Role::Design => "design".to_owned(),
        };
        match &self.precision {
            Some(precision) => precision.rungs.iter().map(|rung| name(rung.weights.unwrap_or(self.roles.weights))).collect(),
            None => vec![name(self.roles.weights)],
        }
    }

    /// What decides on such steps, with the choice among rungs and their roundoffs.
    pub(crate) const fn rules<'a>(&self, ladder: Option<&'a Ladder>, roundoffs: &'a [f64]) -> Rules<'a> {
        Rules { region: self.region(), ladder, roundoffs }
    }

    /// The formats on `design` in each of a model's layers.
    pub fn resolve(&self, design: &Design, layers: &[Layer]) -> Vec<Roles<RoleFormat>> {
        self.resolve_with(&Roles::default(), design, layers)
    }

    /// The same where some roles are others.
    pub(crate) fn resolve_with(&self, others: &Roles<Option<Role>>, design: &Design, layers: &[Layer]) -> Vec<Roles<RoleFormat>> {
        let base = self.roles.overridden(others);
        let roles = |index| {
            let about = self.exempt.iter().filter(|e| e.is_about(layers, index));
            about.fold(base, |roles, exemption| roles.overridden(&exemption.roles)).resolve(design)
        };
        (0..layers.len()).map(roles).collect()
    }

    /// Which of a model's layers compute outputs again on `design`, if the rule picks any: those with
    /// weights, unless the operands would be those of the first product.
    pub fn recomputing(&self, design: &Design, layers: &[Layer]) -> Vec<bool> {
        let Some(recompute) = &self.recompute else { return vec![false; layers.len()] };
        let differs = |roles: &Roles<RoleFormat>| roles.weights != recompute.weights || roles.activations != recompute.activations;
        let roles = self.resolve(design, layers);
        layers.iter().zip(&roles).map(|(layer, roles)| layer.spec.takes_weights() && differs(roles)).collect()
    }

    /// The recipe with every forward product computed once, from the operands that [`Recompute`] names.
    #[must_use]
    pub fn all_fine(&self) -> Self {
        let Some(Recompute { weights, activations, .. }) = self.recompute.clone() else { return self.clone() };
        let roles = Roles { weights: Role::Format(weights), activations: Role::Format(activations), ..self.roles };
        Self { roles, recompute: None, ..self.clone() }
    }

    /// The recipe with another rule of what is computed again, if it has one.
    #[must_use]
    pub fn with_rule(&self, rule: Selection) -> Self {
        Self { recompute: self.recompute.clone().map(|recompute| Recompute { rule, ..recompute }), ..self.clone() }
    }

    /// What a run of this recipe needs beside model and data.
    pub fn hyperparameters(&self, seed: u64) -> Hyperparameters {
        Hyperparameters { optimizer: self.optimizer.clone(), epochs: self.epochs, batch: self.batch as usize, augment: self.augment, seed }
    }
}

#[cfg(test)]
mod tests;
