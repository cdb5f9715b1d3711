//! Layers and passes of a record: cycles, use of the arrays, energy.

use super::{counters_json, cycles_json};
use crate::energy::EnergyAccount;
use crate::text::{engineering, grouped, numeric_table, percent};
use comfy_table::Table;
use serde_json::{Value, json};
use systole_isa::design::Design;
use systole_isa::device::{Cycles, Events, Record, RegionRecord};

/// The regions of a record with their energy.
#[derive(Clone, Copy)]
pub struct Layers<'a> {
    /// The design that ran them.
    pub design: &'a Design,
    /// What they cost.
    pub record: &'a Record,
    /// The same priced.
    pub account: &'a EnergyAccount,
    /// Steps the record counts.
    pub steps: u64,
}

/// The layer and pass a region's name stands for.
fn layer_and_pass(region: &str) -> (&str, &str) {
    region.rsplit_once(' ').unwrap_or((region, ""))
}

impl Layers<'_> {
    /// MACs over MAC slots of the cycles.
    fn utilisation(&self, cycles: &Cycles, events: &Events) -> f64 {
        let slots = cycles.total as f64 * self.design.mac_slots_per_cycle() as f64;
        if slots > 0.0 { events.macs_spent as f64 / slots } else { 0.0 }
    }

    fn energy_pj(&self, index: usize) -> f64 {
        self.account.regions.get(index).map_or(0.0, |region| region.energy_pj.total())
    }

    /// An object for each region, in the record's order.
    pub fn json(&self) -> Vec<Value> {
        let object = |(i, region): (usize, &RegionRecord)| {
            let (layer, pass) = layer_and_pass(&region.name);
            json!({
                "name": layer,
                "pass": pass,
                "macs": region.events.macs,
                "macs_spent": region.events.macs_spent,
                "cycles": cycles_json(&region.cycles),
                "utilisation": self.utilisation(&region.cycles, &region.events),
                "events": counters_json(region.events.iter()),
                "energy_pj": self.energy_pj(i),
            })
        };
        self.record.regions.iter().enumerate().map(object).collect()
    }

    /// A row for each region, and one for all.
    pub fn table(&self, heading: &str) -> Table {
        let steps = self.steps.max(1);
        let mut table = numeric_table(&[heading, "MACs", "cycles", "use", "stalled", "mostly", "energy", "share"]);
        let total_pj = self.account.energy_pj.total();
        for (i, region) in self.record.regions.iter().enumerate() {
            let worst = region.cycles.stall.iter().max_by_key(|(reason, n)| (**n, std::cmp::Reverse(**reason)));
            let pj = self.energy_pj(i);
            let (macs, spent) = (region.events.macs / steps, region.events.macs_spent / steps);
            table.add_row([
                region.name.clone(),
                match (macs, spent) {
                    (0, _) => "-".to_owned(),
                    _ if region.events.macs == region.events.macs_spent => grouped(macs),
                    _ => format!("{} of {}", grouped(spent), grouped(macs)),
                },
                grouped(region.cycles.total / steps),
                if macs > 0 { percent(self.utilisation(&region.cycles, &region.events), 1.0) } else { "-".to_owned() },
                percent(region.cycles.stalled() as f64, region.cycles.total as f64),
                worst.map_or("-", |(reason, _)| reason.name()).to_owned(),
                engineering(pj * 1e-12 / steps as f64, "J"),
                percent(pj, total_pj),
            ]);
        }
        let Record { cycles, events, .. } = self.record;
        table.add_row([
            "total".to_owned(),
            grouped(events.macs / steps),
            grouped(cycles.total / steps),
            percent(self.utilisation(cycles, events), 1.0),
            percent(cycles.stalled() as f64, cycles.total as f64),
            String::new(),
            engineering(total_pj * 1e-12 / steps as f64, "J"),
            percent(1.0, 1.0),
        ]);
        table
    }
}
