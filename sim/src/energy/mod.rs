//! Energy, area and rates: what a design costs and what a run on it spent.
//!
//! A technology [`table`] of published figures, a circuit [`model`] solved from it, and an
//! [`account`](account::account) that prices the events of a record. Nothing here sees
//! values or engines, so figures can be recomputed from a stored record. Everything is in
//! pJ, um2 and MHz; comparisons between designs mean more than any absolute figure.

mod account;
mod assumptions;
mod basis;
mod labels;
pub mod mac;
pub mod memory;
pub mod model;
mod parts;
mod price;
mod report;
#[cfg(test)]
mod runs;
mod scaling;
mod switching;
pub mod table;
mod unit;
#[cfg(test)]
mod validation;
mod value;

pub use account::{CostReport, EnergyAccount, RegionEnergy, Throughput, account, cost_report};
pub use basis::{AREA_BAND_FACTORS, Basis, ENERGY_BAND_PERCENT, Place};
pub use parts::{AreaParts, EnergyParts, MacParts};
pub use price::{Prices, Registers, Widths};
pub use report::{table_json, table_text};
pub use scaling::NodeScaling;
pub use table::technology;

use systole_isa::design::{Design, Switching};

/// A design or record that cannot be priced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnergyError {
    /// `energy.table` names no table.
    #[error("energy.table: no technology table is called `{name}`; known: {known}, or the path of a RON file")]
    UnknownTable {
        /// What was given.
        name: String,
        /// Names that would do.
        known: String,
    },
    /// A table file cannot be used.
    #[error("energy.table: file `{file}` {message}")]
    TableFile {
        /// The file.
        file: String,
        /// What is wrong and what would be right.
        message: String,
    },
    /// A design's own table contradicts itself.
    #[error("energy.figures of design `{design}`: table `{table}` is not usable:{}", problems.iter().map(|p| format!("\n  {p}")).collect::<String>())]
    Contradiction {
        /// The design.
        design: String,
        /// The table.
        table: String,
        /// What contradicts what.
        problems: Vec<String>,
    },
    /// A table cannot be scaled so.
    #[error("{field}: {message}")]
    Scaling {
        /// The field.
        field: &'static str,
        /// What is wrong and what would be right.
        message: String,
    },
    /// An option that prices what values did, and no values.
    #[error(
        "{field}: {value} follows the values of operands, and engine timing computes none; use engine fast or ticked, or --set {field}={without}"
    )]
    NeedsValues {
        /// The field.
        field: &'static str,
        /// Its value.
        value: &'static str,
        /// The value that does without.
        without: &'static str,
    },
    /// A record has MACs of a mode the design lacks.
    #[error("the record has MACs of mode {mode}, but design `{design}` has {modes}; price it with the design that made it")]
    UnknownMode {
        /// The mode's index.
        mode: usize,
        /// The design.
        design: String,
        /// Modes it has.
        modes: usize,
    },
    /// A record's MACs do not add up over its modes.
    #[error("the record has {macs} MACs but gives {attributed} of them a mode; it is damaged or not complete")]
    Unattributed {
        /// Sum over modes.
        attributed: u64,
        /// MACs in all.
        macs: u64,
    },
}

/// Whether runs of a design can be priced: its table is there and fits together, and there are
/// `values` where an option needs them.
///
/// # Errors
/// What keeps them from being priced.
pub fn check(design: &Design, values: bool) -> Result<(), EnergyError> {
    let prices = Prices::of(design)?;
    if prices.gates_zeros() && !values {
        return Err(EnergyError::NeedsValues { field: "energy.gating", value: "zero_operand", without: "none" });
    }
    if design.energy.activity == Switching::Toggles && !values {
        return Err(EnergyError::NeedsValues { field: "energy.activity", value: "toggles", without: "table" });
    }
    Ok(())
}
