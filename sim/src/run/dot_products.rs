//! How many dot products of a record stayed as first computed, and how many were computed again.

use std::ops::AddAssign;
use systole_isa::design::Design;
use systole_isa::device::Record;
use systole_trainer::model::Model;
use systole_trainer::recipe::Recipe;

/// Dot products of forward passes: outputs of products with weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// All of them.
    pub computed: u64,
    /// Those computed again.
    pub again: u64,
}

impl Count {
    /// Fraction that stayed in the precision of the first product.
    pub fn low_share(self) -> f64 {
        1.0 - self.again as f64 / self.computed.max(1) as f64
    }
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.computed += other.computed;
        self.again += other.again;
    }
}

/// Dot products of every layer whose outputs the recipe may have computed again, in the model's order.
pub fn by_layer(recipe: &Recipe, design: &Design, model: &Model, record: &Record) -> Vec<(String, Count)> {
    let layers = model.plan().unwrap_or_default();
    let events = |name: String| record.regions.iter().find(|region| region.name == name).map(|region| region.events).unwrap_or_default();
    let recomputing = recipe.recomputing(design, &layers);
    let of_layer = layers.iter().zip(recomputing).filter(|(_, recomputing)| *recomputing).map(|(layer, _)| {
        // Weights have a row for each term of a dot product.
        let terms = layer.parameters.first().map_or(1, |weights| weights.rows).max(1) as u64;
        let computed = events(format!("{} forward", layer.name)).macs / terms;
        let again = events(format!("{} recompute", layer.name)).macs_spent / terms;
        (layer.name.clone(), Count { computed, again })
    });
    of_layer.collect()
}

/// All layers together.
pub fn total(by_layer: &[(String, Count)]) -> Count {
    by_layer.iter().fold(Count::default(), |mut sum, (_, count)| {
        sum += *count;
        sum
    })
}
