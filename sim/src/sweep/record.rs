//! The line a finished run leaves.

use crate::lint::Note;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use systole_isa::design::{ArraySpec, Dataflow, Design};
use systole_isa::device::SumCounts;

/// A run that ended, well or not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// SHA-256 of everything that determines the result.
    pub key: String,
    /// The point's name.
    pub point: String,
    /// Seed; absent where nothing was trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Version of the program.
    pub version: String,
    /// SHA-256 of the complete design.
    pub design_sha256: String,
    /// What of the design reports draw on.
    pub hardware: Hardware,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Wall time, seconds: of no consequence to the result.
    pub seconds: f64,
}

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It ended.
    Report(Box<Report>),
    /// It could not be made.
    Error(String),
}

impl RunRecord {
    /// The report of a run that ended well.
    pub fn report(&self) -> Option<&Report> {
        match &self.outcome {
            Outcome::Report(report) => Some(report),
            Outcome::Error(_) => None,
        }
    }

    /// The reason of one that did not.
    pub fn error(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Report(_) => None,
            Outcome::Error(error) => Some(error),
        }
    }

    /// True if both tell the same result, however long they took.
    pub fn agrees(&self, other: &Self) -> bool {
        Self { seconds: 0.0, ..self.clone() } == Self { seconds: 0.0, ..other.clone() }
    }
}

/// The part of a design that reports draw on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hardware {
    /// The arrays.
    pub array: ArraySpec,
    /// MAC lanes of a PE.
    pub lanes: u32,
    /// DRAM bytes per array clock.
    pub dram_bytes_per_cycle: f64,
}

impl Hardware {
    /// That of a design.
    pub const fn of(design: &Design) -> Self {
        Self { array: design.array, lanes: design.mac.lanes, dram_bytes_per_cycle: design.memory.dram_bytes_per_cycle }
    }

    /// MACs that all lanes could form in a cycle.
    pub fn mac_slots_per_cycle(&self) -> f64 {
        f64::from(self.array.rows) * f64::from(self.array.cols) * f64::from(self.array.count) * f64::from(self.lanes)
    }

    /// MACs in a cycle at full use.
    pub fn peak_macs_per_cycle(&self) -> f64 {
        self.mac_slots_per_cycle() / f64::from(self.array.issue_interval())
    }
}

/// An epoch of training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Mean loss; absent where it is not finite.
    pub loss: Option<f64>,
    /// Test accuracy, a fraction.
    pub test_accuracy: f64,
}

/// Cycles by what the array did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cycles {
    /// All.
    pub total: u64,
    /// Those of the arrays' work.
    pub compute: u64,
    /// Idle ones by reason.
    pub stall: BTreeMap<String, u64>,
}

/// What a layer and pass moved.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LayerEvents {
    /// Bytes from DRAM.
    pub dram_read_bytes: u64,
    /// Bytes to DRAM.
    pub dram_write_bytes: u64,
    /// Folds walked.
    pub folds: u64,
}

/// A layer in one pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    /// The layer.
    pub name: String,
    /// `forward`, `error`, `weight gradient`, `update`, ...
    pub pass: String,
    /// MACs asked for.
    pub macs: u64,
    /// MACs spent.
    pub macs_spent: u64,
    /// Its cycles.
    pub cycles: Cycles,
    /// MACs over MAC slots.
    pub utilisation: f64,
    /// What it moved.
    pub events: LayerEvents,
    /// Its energy.
    pub energy_pj: f64,
}

/// Rates, TFLOPS and so on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// At full use.
    pub peak: f64,
    /// Over the run.
    pub achieved: f64,
    /// Over all energy.
    pub per_watt: f64,
    /// Peak over placed area.
    pub per_mm2: f64,
}

/// MAC slots of a fold shape: the corner of `rows` x `cols` PEs is busy for `cycles` cycles of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoldShape {
    /// PE rows.
    pub rows: u32,
    /// PE columns.
    pub cols: u32,
    /// Cycles of a step, over all arrays.
    pub cycles: u64,
}

/// Values of a role in the last step, of all layers, as they were before they were rounded to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// The role.
    pub role: String,
    /// Its format.
    pub format: String,
    /// Numbers of values by exponent, floor(log2 |x|), ascending; zeros are left out.
    pub exponents: Vec<(i32, u64)>,
    /// Exponents of the least positive and the largest number of the format, in units of one.
    pub reach: [i32; 2],
    /// Exponents of the least and the largest scale, where values are scaled: the reach moves by them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scales: Option<[i32; 2]>,
}

/// Partial sums of some outputs of each product of a part of the last step, over all layers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassSums {
    /// The part: `forward`, `error`, `gradient`, ...
    pub pass: String,
    /// Its sums in one place and format.
    #[serde(flatten)]
    pub sums: SumCounts,
}

/// What `train --json` or `workload --json` says, as far as sweeps compare it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Name of the design.
    pub design: String,
    /// Epochs, where something was trained.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub epochs: Vec<Epoch>,
    /// Epochs of the reference.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reference: Vec<Epoch>,
    /// Steps the counts are of.
    #[serde(default = "one")]
    pub steps: u64,
    /// Test accuracy after the last epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_accuracy: Option<f64>,
    /// The same of the reference in binary32 on the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference_test_accuracy: Option<f64>,
    /// Cycles.
    pub cycles: Cycles,
    /// Events, all of them.
    pub events: BTreeMap<String, u64>,
    /// Counts that depend on values, where there were some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activity: Option<BTreeMap<String, u64>>,
    /// Energy by part, pJ, with its `total`.
    pub energy_pj: Map<String, Value>,
    /// Area by part, um2, with its `total`.
    pub area_um2: Map<String, Value>,
    /// Rates.
    pub tflops: Rates,
    /// Layers and passes.
    pub layers: Vec<Layer>,
    /// Fold shapes of a step, where its products are known beforehand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub folds: Vec<FoldShape>,
    /// Values of roles in the last step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub histograms: Vec<Histogram>,
    /// Partial sums in the last step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sums: Vec<PassSums>,
    /// What is legal but surely not meant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
    /// What was assumed.
    pub assumptions: Vec<String>,
    /// SHA-256 of the final weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

const fn one() -> u64 {
    1
}

impl Report {
    /// A part, or the `total`, of an itemised quantity.
    pub fn part(items: &Map<String, Value>, name: &str) -> f64 {
        items.get(name).and_then(Value::as_f64).unwrap_or(0.0)
    }

    /// Energy of a step, pJ.
    pub fn energy_pj_per_step(&self) -> f64 {
        Self::part(&self.energy_pj, "total") / self.steps.max(1) as f64
    }

    /// The same without DRAM's.
    pub fn on_chip_pj_per_step(&self) -> f64 {
        self.energy_pj_per_step() - Self::part(&self.energy_pj, "dram") / self.steps.max(1) as f64
    }

    /// Share of the additions looked at that changed nothing; absent where none were.
    pub fn swamped(&self) -> Option<f64> {
        let total = |of: fn(&SumCounts) -> u64| self.sums.iter().map(|pass| of(&pass.sums)).sum::<u64>();
        let additions = total(|sums| sums.additions);
        (additions > 0).then(|| total(|sums| sums.swamped) as f64 / additions as f64)
    }

    /// Cycles of a step.
    pub fn cycles_per_step(&self) -> f64 {
        self.cycles.total as f64 / self.steps.max(1) as f64
    }

    /// Cell area, um2.
    pub fn area_um2(&self) -> f64 {
        Self::part(&self.area_um2, "total")
    }

    /// MACs spent over MAC slots of all cycles.
    pub fn utilisation(&self, hardware: &Hardware) -> f64 {
        let slots = self.cycles.total as f64 * hardware.mac_slots_per_cycle();
        let spent = self.events.get("macs_spent").copied().unwrap_or(0) as f64;
        if slots > 0.0 { spent / slots } else { 0.0 }
    }

    /// Bytes between DRAM and the machine.
    pub fn dram_bytes(&self) -> f64 {
        let of = |name: &str| self.events.get(name).copied().unwrap_or(0) as f64;
        of("dram_read_bytes") + of("dram_write_bytes")
    }
}

/// How a product of M x N x K tiles an array: at most four fold shapes.
pub(super) fn fold_shapes(array: &ArraySpec, lanes: u32, [m, n, k]: [u32; 3]) -> Vec<FoldShape> {
    let lanes = lanes.max(1);
    let tiles = |extent: u32, tile: u32| {
        let rest = extent % tile;
        [(tile, u64::from(extent / tile)), (rest, u64::from(rest > 0))].into_iter().filter(|(size, count)| *size > 0 && *count > 0)
    };
    let (down, across, stream) = match array.dataflow {
        Dataflow::Os => (m, n, u64::from(k.div_ceil(lanes))),
        Dataflow::Ws => (k, n, u64::from(m)),
        Dataflow::Is => (k, m, u64::from(n)),
    };
    let depth = if array.dataflow == Dataflow::Os { array.rows } else { array.rows.saturating_mul(lanes) };
    let rows = |down: u32| if array.dataflow == Dataflow::Os { down } else { down.div_ceil(lanes) };
    tiles(down, depth)
        .flat_map(|(height, vertical)| {
            tiles(across, array.cols).map(move |(cols, horizontal)| FoldShape {
                rows: rows(height),
                cols,
                cycles: vertical * horizontal * stream,
            })
        })
        .collect()
}
