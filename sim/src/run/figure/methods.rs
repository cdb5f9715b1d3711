//! Methods side by side: what recipe and design make of each role, and how well they train.

use crate::run::compare::Row;
use crate::run::train::paired_difference;
use systole_isa::design::{Design, MacMode};
use systole_trainer::lower::{LowerError, compile, product_mode};
use systole_trainer::model::Model;
use systole_trainer::recipe::{Recipe, RoleFormat, Roles};

/// The methods of the lecture's table.
pub const METHODS: [&str; 6] = ["swalp", "s2fp8", "hfp8", "bm8", "fp8-seb", "fp134"];

/// Top-1 accuracies of ResNet-18 on ImageNet, percent, as published.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Published {
    /// The recipe here.
    pub recipe: &'static str,
    /// In binary32.
    pub fp32: f64,
    /// By the method.
    pub low: f64,
}

/// What others published and nobody here measured: the lecture's table; all but FP8-SEB's and
/// FP134's rows, and those of BM6 and BM5, also in table 3 of Fox et al. 2021.
pub const PUBLISHED: [Published; 8] = [
    Published { recipe: "swalp", fp32: 70.3, low: 65.8 },
    Published { recipe: "s2fp8", fp32: 70.3, low: 69.6 },
    Published { recipe: "hfp8", fp32: 69.4, low: 69.4 },
    Published { recipe: "bm8", fp32: 69.7, low: 69.8 },
    Published { recipe: "bm6", fp32: 69.7, low: 69.0 },
    Published { recipe: "bm5", fp32: 69.7, low: 66.8 },
    Published { recipe: "fp8-seb", fp32: 69.7, low: 69.0 },
    Published { recipe: "fp134", fp32: 69.8, low: 69.8 },
];

/// Layers of a model that compute alike.
#[derive(Clone, Debug)]
pub struct Group {
    /// Their names.
    pub layers: Vec<String>,
    /// Formats by role.
    pub roles: Roles<RoleFormat>,
    /// The design's modes of the forward, the error and the weight-gradient product.
    pub modes: [MacMode; 3],
}

/// One method.
#[derive(Clone, Debug)]
pub struct Method {
    /// The recipe.
    pub recipe: String,
    /// Its design.
    pub design: String,
    /// Layers with weights in the model, together.
    pub layers: usize,
    /// Those that compute alike, in the model's order.
    pub groups: Vec<Group>,
    /// What others published.
    pub published: Option<Published>,
    /// What training gave here, unless nothing was trained.
    pub trained: Option<Row>,
}

impl Method {
    /// Mean accuracy of binary32 on the host and its standard error.
    pub fn host(&self) -> Option<(f64, Option<f64>)> {
        let row = self.trained.as_ref()?;
        Some(paired_difference(&row.by_seed.iter().map(|(_, _, host, _)| (*host, 0.0)).collect::<Vec<_>>()))
    }
}

fn groups(model: &Model, recipe: &Recipe, design: &Design) -> Result<Vec<Group>, LowerError> {
    // Refuses products without a mode, as training would.
    compile(model, recipe, design)?;
    let layers = model.plan()?;
    let resolved = recipe.resolve(design, &layers);
    let modes = design.mac_modes();
    let mut groups: Vec<Group> = Vec::new();
    for (layer, roles) in layers.iter().zip(resolved).filter(|(layer, _)| layer.spec.takes_weights()) {
        if let Some(group) = groups.iter_mut().find(|group| group.roles == roles) {
            group.layers.push(layer.name.clone());
            continue;
        }
        let mode = |a: &RoleFormat, b: &RoleFormat| modes[product_mode(design, a, b).unwrap_or_default()].clone();
        let Roles { weights, activations, errors, .. } = &roles;
        let modes = [mode(activations, weights), mode(errors, weights), mode(errors, activations)];
        groups.push(Group { layers: vec![layer.name.clone()], roles, modes });
    }
    Ok(groups)
}

/// What each recipe computes in on its design, layer by layer of the model.
///
/// # Errors
/// A recipe that fits neither its design nor the model.
pub fn methods(model: &Model, contenders: &[(Recipe, Design)]) -> Result<Vec<Method>, LowerError> {
    let method = |(recipe, design): &(Recipe, Design)| {
        let groups = groups(model, recipe, design)?;
        Ok(Method {
            recipe: recipe.name.clone(),
            design: design.name.clone(),
            layers: groups.iter().map(|group| group.layers.len()).sum(),
            groups,
            published: PUBLISHED.into_iter().find(|p| p.recipe == recipe.name),
            trained: None,
        })
    };
    contenders.iter().map(method).collect()
}
