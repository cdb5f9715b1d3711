//! How energy and area are priced.

use super::{Technology, unless_default};
use serde::{Deserialize, Serialize};

/// How energy and area are priced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EnergySpec {
    /// Technology table by name (`horowitz-45nm`, `jouppi-7nm`), or the path of a RON file.
    pub table: String,
    /// How floating-point adders are priced.
    pub calibration: Calibration,
    /// Die temperature for leakage, degrees Celsius.
    pub temperature_c: f64,
    /// Node the table is scaled to, nm; its own where absent.
    pub node_nm: Option<u32>,
    /// Supply it is scaled to, V.
    pub voltage_v: Option<f64>,
    /// What a zero operand saves.
    #[serde(with = "unless_default")]
    pub gating: Gating,
    /// How far operands change their bits.
    #[serde(with = "unless_default")]
    pub activity: Switching,
    /// The table itself where it is not built in: what a file of `table` held when it was read.
    pub figures: Option<Box<Technology>>,
}

impl Default for EnergySpec {
    fn default() -> Self {
        Self {
            table: "horowitz-45nm".to_owned(),
            calibration: Calibration::Table,
            temperature_c: 25.0,
            node_nm: None,
            voltage_v: None,
            gating: Gating::None,
            activity: Switching::Table,
            figures: None,
        }
    }
}

/// Source of the floating-point adder's cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Calibration {
    /// Exact at the table's anchors.
    #[default]
    Table,
    /// From gate counts alone (matches gate-count papers, 3 to 4 times below the table's FP adders).
    Structural,
}

/// What a MAC saves that has a zero among its operands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gating {
    /// Nothing.
    #[default]
    None,
    /// Its arithmetic: detectors look at every operand.
    ZeroOperand,
}

/// Which changes of operand bits are priced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Switching {
    /// Those of random data, as the table's figures have them.
    #[default]
    Table,
    /// Those that were counted; the table's are reported beside them.
    Toggles,
}
