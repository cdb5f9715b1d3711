//! What the products of a graph leave out of it.

use std::collections::BTreeMap;

/// The extent that a named dimension is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Name of the dimension.
    pub name: String,
    /// Its extent.
    pub extent: u32,
}

/// What was taken of a graph, and what was not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Extents of named dimensions.
    pub dims: Vec<Extent>,
    /// Nodes that are not costed, by operator.
    pub not_costed: BTreeMap<String, u64>,
    /// Layers whose images are listed with their borders, which differ along height and width.
    pub bordered: Vec<String>,
    /// Convolutions read as stored matrices: no view describes their windows.
    pub unfolded: Vec<String>,
    /// Transposed convolutions.
    pub scattered: Vec<String>,
    /// Results of the graph whose shapes are others than the file tells.
    pub contradicted: Vec<String>,
}

impl Coverage {
    /// Sentences for a report's assumptions.
    pub fn assumptions(&self) -> Vec<String> {
        let mut all = Vec::new();
        if !self.not_costed.is_empty() {
            let kinds: Vec<String> = self.not_costed.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
            all.push(format!("nodes not costed, by kind: {}", kinds.join(", ")));
        }
        if !self.bordered.is_empty() {
            all.push(format!("images read with their borders, which differ along height and width: {}", names(&self.bordered)));
        }
        if !self.unfolded.is_empty() {
            all.push(format!("windows read as matrices stored in DRAM, since no view describes them: {}", names(&self.unfolded)));
        }
        if !self.contradicted.is_empty() {
            all.push(format!("results of other shapes than the file tells, which follow from its nodes: {}", names(&self.contradicted)));
        }
        if !self.scattered.is_empty() {
            all.push(format!(
                "transposed convolutions are products of each pixel with whole filters; adding up what overlaps is not costed: {}",
                names(&self.scattered)
            ));
        }
        all
    }
}

/// The first of several names.
pub(super) fn names(all: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown = all.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if all.len() > SHOWN { format!("{shown} and {} more", all.len() - SHOWN) } else { shown }
}
