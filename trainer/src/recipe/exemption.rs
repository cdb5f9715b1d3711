//! Layers that are computed otherwise than the rest.

use super::{Role, Roles};
use crate::layer::LayerSpec;
use crate::model::Layer;
use serde::{Deserialize, Serialize};
use systole_isa::design::Problem;

/// Roles that some layers have instead of the recipe's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exemption {
    /// Which layers: `first` and `last` of those that multiply matrices, a layer's name
    /// (`conv2`), or a kind of layer (`batch_norm`).
    pub layers: Vec<String>,
    /// What they have instead; what is left out they have as the rest.
    pub roles: Roles<Option<Role>>,
}

/// Whether a layer has products.
const fn multiplies(layer: &Layer) -> bool {
    matches!(layer.spec, LayerSpec::Linear(_) | LayerSpec::Convolution(_) | LayerSpec::Project(_) | LayerSpec::Attention(_))
}

impl Exemption {
    /// Whether it is about `layers[index]`.
    pub fn is_about(&self, layers: &[Layer], index: usize) -> bool {
        let layer = &layers[index];
        let first = layers.iter().position(multiplies) == Some(index);
        let last = layers.iter().rposition(multiplies) == Some(index);
        self.layers.iter().any(|name| match name.as_str() {
            "first" => first,
            "last" => last,
            name => name == layer.name || name == layer.spec.kind(),
        })
    }

    pub(super) fn problems(&self, at: usize) -> Vec<Problem> {
        let mut found = Vec::new();
        if self.layers.is_empty() {
            let message = "must name layers: `first`, `last`, a layer's name or a kind of layer".to_owned();
            found.push(Problem { path: format!("exempt[{at}].layers"), message });
        }
        for name in &self.layers {
            let kind = name.trim_end_matches(|c: char| c.is_ascii_digit());
            if !["first", "last"].contains(&name.as_str()) && !LayerSpec::KINDS.contains(&kind) {
                let message =
                    format!("`{name}` is no layer: give `first`, `last`, a kind ({}) or a name such as conv2", LayerSpec::KINDS.join(", "));
                found.push(Problem { path: format!("exempt[{at}].layers"), message });
            }
        }
        let given = Roles::default().overridden(&self.roles);
        found.extend(given.problems(super::Backend::Device).into_iter().map(|p| Problem { path: format!("exempt[{at}].{}", p.path), ..p }));
        found
    }
}
