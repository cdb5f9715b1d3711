//! Precisions that a run may choose among, step by step.

use super::{Role, RoleFormat, Roles, Scale};
use crate::search::{Estimate, Ladder, Of, Policy};
use serde::{Deserialize, Serialize};
use systole_isa::design::{Design, Problem};

/// A ladder of precisions and the rule that chooses among them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Precision {
    /// What each rung has instead of the recipe's `weights`, `activations`, `errors` and
    /// `weight_gradients`, the cheapest first; `()` is the recipe as it stands. Exempt layers
    /// are exempt on every rung.
    pub rungs: Vec<Roles<Option<Role>>>,
    /// What the error of a loss is held against.
    pub policy: Policy,
    /// How that error is found.
    #[serde(default)]
    pub error: Estimate,
    /// Whether it is that of a loss or of a decrease.
    #[serde(default)]
    pub of: Of,
}

impl Precision {
    /// The choice among rungs.
    pub(crate) fn ladder(&self) -> Ladder {
        Ladder { policy: self.policy, error: self.error.clone(), of: self.of }
    }

    pub(super) fn problems(&self, region: bool) -> Vec<Problem> {
        let mut found = Vec::new();
        let rungs = self.rungs.len();
        if !(1..=8).contains(&rungs) {
            found.push(Problem { path: "precision.rungs".to_owned(), message: format!("must be 1 to 8, are {rungs}") });
        }
        for (i, rung) in self.rungs.iter().enumerate() {
            let operands = ["weights", "activations", "errors", "weight_gradients"];
            for (name, _) in rung.iter().filter(|(name, role)| role.is_some() && !operands.contains(name)) {
                let path = format!("precision.rungs[{i}].{name}");
                let message = format!("must be the same on all rungs; only {} may differ: say it in `roles`", operands.join(", "));
                found.push(Problem { path, message });
            }
            let given = Roles::default().overridden(rung);
            let of_roles = given.problems(super::Backend::Device).into_iter();
            let below = |path: &str| format!("precision.rungs[{i}].{}", path.trim_start_matches("roles."));
            found.extend(of_roles.map(|p| Problem { path: below(&p.path), ..p }));
            found.extend(followed(&given).map(|(name, role)| unfit(&format!("precision.rungs[{i}].{name}"), role)));
        }
        found.extend(self.ladder().problems(rungs, region));
        found
    }
}

/// Roles whose scales or values remember earlier steps.
fn followed(roles: &Roles) -> impl Iterator<Item = (&'static str, RoleFormat)> + use<> {
    let remembers = |role: &RoleFormat| role.hysteresis || matches!(role.scale, Scale::Tracked { .. } | Scale::Delayed { .. });
    let formats = roles.iter().filter_map(|(name, role)| match role {
        Role::Format(format) => Some((name, format)),
        Role::Design => None,
    });
    formats.filter(move |(_, role)| remembers(role))
}

fn unfit(path: &str, role: RoleFormat) -> Problem {
    let (field, name) = if role.hysteresis { ("hysteresis", "true") } else { ("scale", role.scale.name()) };
    let message = format!("`{name}` goes by earlier steps, of which some are taken back here; use a scale of the present tensor, or none");
    Problem { path: format!("{path}.{field}"), message }
}

/// What roles cannot be where steps are tried and taken back.
pub(super) fn problems_of_trials(roles: &Roles) -> Vec<Problem> {
    let mut found: Vec<Problem> = followed(roles).map(|(name, role)| unfit(&format!("roles.{name}"), role)).collect();
    for (name, role) in [("master_weights", roles.master_weights), ("momentum", roles.momentum)] {
        if let Role::Format(role) = role
            && !(role.is_plain() && role.bias == 0)
        {
            let message = "must be a format without scale and bias, as steps are taken back to the bit".to_owned();
            found.push(Problem { path: format!("roles.{name}"), message });
        }
    }
    found
}

/// Unit roundoff of the coarser of weights and activations as operands.
pub(crate) fn roundoff(roles: &Roles<RoleFormat>) -> f64 {
    let precision = roles.weights.format.precision().min(roles.activations.format.precision());
    (-f64::from(precision)).exp2()
}

/// Unit roundoffs of a recipe's rungs on a design.
pub(crate) fn roundoffs(recipe: &super::Recipe, design: &Design) -> Vec<f64> {
    let of = |rung: &Roles<Option<Role>>| roundoff(&recipe.roles.overridden(rung).resolve(design));
    match &recipe.precision {
        Some(precision) => precision.rungs.iter().map(of).collect(),
        None => vec![roundoff(&recipe.roles.resolve(design))],
    }
}
