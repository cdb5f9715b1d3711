//! What the parts of an account rest on, and what of it is assumed, in the words of its header.

use super::account::CostReport;
use super::basis::{AREA_BAND_FACTORS, Basis, ENERGY_BAND_PERCENT};
use super::memory::access_basis;
use super::model::TOGGLE_RATE;
use super::price::Prices;
use super::scaling::NodeScaling;
use serde_json::{Map, Value, json};
use systole_isa::design::{Dataflow, PartialSums};

/// How far figures off a table's points may be off, in words.
pub(super) fn bands() -> String {
    let [low, high] = AREA_BAND_FACTORS;
    format!("+-{ENERGY_BAND_PERCENT} % in energy, a factor of {low} to {high} in area")
}

impl Prices<'_> {
    /// What each part of the cost of mode 0 rests on, by its name.
    pub(super) fn bases(&self) -> Vec<(&'static str, Basis)> {
        let (array, memory, mac) = (&self.design.array, &self.design.memory, &self.macs[0]);
        let leaves = array.dataflow != Dataflow::Os;
        let outside = leaves && array.partial_sums == PartialSums::Outside;
        let of_memory = |basis| if outside { basis } else { Basis::default() };
        let mut list = vec![
            ("multipliers", mac.multiplier.basis),
            ("adders", mac.adder.basis.with(mac.outer_adder.basis).with(of_memory(mac.memory_adder.basis))),
            ("rounding", mac.rounding.basis.with(mac.outer_rounding.basis).with(of_memory(mac.memory_rounding.basis))),
            ("registers", Basis::COMPONENTS),
            ("wires", Basis::COMPONENTS),
            ("scratchpad", access_basis(&self.model, 1024.0 * f64::from(memory.scratchpad_kib) / f64::from(memory.scratchpad_banks))),
        ];
        if leaves {
            let ports = f64::from(array.count) * f64::from(array.cols);
            list.push(("accumulator_memory", access_basis(&self.model, 1024.0 * f64::from(memory.accumulator_kib) / ports)));
        }
        list.extend([("vector", self.vector_basis), ("leakage", Basis::COMPONENTS), ("zero_detectors", Basis::COMPONENTS)]);
        list
    }

    /// Whose figures these are and what engineering choices are in them: the head of a report.
    pub(super) fn header(&self) -> Vec<String> {
        let table = &self.model.table;
        let scaled = self.scaling.iter().map(NodeScaling::text);
        let figures = [
            format!("priced by {}; off its own points {}", table.name, bands()),
            format!(
                "assumed: {} % of written bits change; {} pJ and {} um2 per multiplexer bit; {} pJ clock, {} pJ toggle per flip-flop bit; {} pJ/bit/mm of wire; {} W/mm2 leakage at 25 C, doubling every {} C, die at {} C; placement density {}",
                100.0 * TOGGLE_RATE,
                table.mux_energy.value,
                table.mux_area.value,
                table.flip_flop_clock.value,
                table.flip_flop_toggle.value,
                table.wire.value,
                table.leakage.value,
                table.leakage_doubling.value,
                self.design.energy.temperature_c,
                table.placement_density.value
            ),
        ];
        figures.into_iter().chain(scaled).collect()
    }
}

impl CostReport {
    /// What a part rests on.
    pub fn basis(&self, part: &str) -> Option<Basis> {
        self.bases.iter().find(|(name, _)| *name == part).map(|(_, basis)| *basis)
    }

    /// `{PART: {"basis", "components", "energy_band_percent", "area_band_factor"}}` of the parts there
    /// are; a part that is the table's own figure has no bands.
    pub(super) fn labels_json(&self) -> Value {
        let costs = |part: &str| self.energy_pj.iter().chain(self.area_um2.iter()).any(|(name, cost)| name == part && cost > 0.0);
        let label = |basis: Basis| {
            let mut label = json!({ "basis": basis.name(), "components": basis.components });
            // What was scaled is no point of the table any more.
            if !basis.is_of_table() || self.scaling.is_some() {
                label["energy_band_percent"] = json!(ENERGY_BAND_PERCENT);
                label["area_band_factor"] = json!(AREA_BAND_FACTORS);
            }
            label
        };
        let labels: Map<String, Value> =
            self.bases.iter().filter(|(part, _)| costs(part)).map(|(part, basis)| ((*part).to_owned(), label(*basis))).collect();
        Value::Object(labels)
    }
}
