//! A table brought to another node or supply by curves of devices.
//!
//! The curves (Stillmaker and Baas, Integration 58, 2017; high-performance rows, as two programs
//! transcribe them alike) are of fan-out-of-four inverters in predictive device models: no wires, no
//! memories, no libraries. Published 7 nm figures fall by 2 to 4 where the curves fall by 15.

use super::EnergyError;
use super::table::JOUPPI_7NM;
use serde_json::{Value, json};
use systole_isa::design::technology::{Figure, Status};
use systole_isa::design::{EnergySpec, Technology};

/// What scaled figures are called wherever they are printed.
pub const LABEL: &str = "optimistic, device-only";

/// Supplies the curves are taken at, V.
const VOLTS: [f64; 2] = [0.6, 1.1];

/// One node of the curves.
struct Node {
    nm: u32,
    /// Supply where none is given, V.
    nominal_v: f64,
    /// Energy: coefficients of V^2, V, 1.
    energy: [f64; 3],
    /// Delay: coefficients of V^3, V^2, V, 1.
    delay: [f64; 4],
    /// Area, 45 nm being 1.
    area: f64,
}

const NODES: [Node; 7] = [
    Node { nm: 45, nominal_v: 0.9, energy: [1.018, -0.3107, 0.1539], delay: [-501.6, 1567.0, -1619.0, 566.1], area: 1.0 },
    Node { nm: 32, nominal_v: 0.9, energy: [0.8367, -0.4341, 0.1701], delay: [-1047.0, 2982.0, -2797.0, 873.5], area: 0.46 },
    Node { nm: 20, nominal_v: 0.8, energy: [0.373, -0.1582, 0.04104], delay: [0.0, 34.63, -66.37, 41.15], area: 0.21 },
    Node { nm: 16, nominal_v: 0.8, energy: [0.2958, -0.1241, 0.03024], delay: [0.0, 24.8, -47.52, 28.87], area: 0.19 },
    Node { nm: 14, nominal_v: 0.8, energy: [0.2363, -0.09675, 0.02239], delay: [-40.66, 109.2, -100.6, 35.92], area: 0.17 },
    Node { nm: 10, nominal_v: 0.75, energy: [0.2068, -0.09311, 0.02375], delay: [-34.95, 93.65, -85.99, 30.4], area: 0.10 },
    Node { nm: 7, nominal_v: 0.7, energy: [0.1776, -0.09097, 0.02447], delay: [-28.58, 76.6, -70.26, 24.69], area: 0.059 },
];

/// A polynomial, highest power first.
fn polynomial(coefficients: &[f64], x: f64) -> f64 {
    coefficients.iter().fold(0.0, |sum, c| sum * x + c)
}

/// From one node and supply to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NodeScaling {
    /// Node (nm) and supply (V) of the table.
    pub from: (u32, f64),
    /// Those asked for.
    pub to: (u32, f64),
    /// Energies are multiplied by this.
    pub energy: f64,
    /// Areas.
    pub area: f64,
    /// Gate delays, for information: a design says its clock.
    pub delay: f64,
}

impl NodeScaling {
    /// The scaling a design asks for, if it asks.
    ///
    /// # Errors
    /// [`EnergyError::Scaling`]: a node without a curve, a supply outside the curves, or a table
    /// that does not say its own.
    pub fn of(energy: &EnergySpec, table: &Technology) -> Result<Option<Self>, EnergyError> {
        if energy.node_nm.is_none() && energy.voltage_v.is_none() {
            return Ok(None);
        }
        let refuse = |field, message| EnergyError::Scaling { field, message };
        let known = NODES.map(|node| node.nm.to_string()).join(", ");
        let find = |nm: u32| NODES.iter().find(|node| node.nm == nm);
        let own = table.node_nm.zip(table.voltage_v).and_then(|(nm, volts)| find(nm).map(|node| (node, volts)));
        let Some((from, from_v)) = own else {
            return Err(refuse(
                "energy.node_nm",
                format!(
                    "table `{}` cannot be scaled: it must give node_nm, one of {known}, and voltage_v; leave energy.node_nm and energy.voltage_v out, or take horowitz-45nm",
                    table.name
                ),
            ));
        };
        let nm = energy.node_nm.unwrap_or(from.nm);
        let to = find(nm).ok_or_else(|| refuse("energy.node_nm", format!("there are curves for {known} nm, not for {nm}")))?;
        let to_v = energy.voltage_v.unwrap_or(if nm == from.nm { from_v } else { to.nominal_v });
        for (field, volts) in [("energy.voltage_v", to_v), ("voltage_v of the table", from_v)] {
            if !(VOLTS[0]..=VOLTS[1]).contains(&volts) {
                return Err(refuse(field, format!("must be {} to {} V, where the curves hold, is {volts}", VOLTS[0], VOLTS[1])));
            }
        }
        let ratio = |new: f64, old: f64| new / old;
        Ok(Some(Self {
            from: (from.nm, from_v),
            to: (nm, to_v),
            energy: ratio(polynomial(&to.energy, to_v), polynomial(&from.energy, from_v)),
            area: ratio(to.area, from.area),
            delay: ratio(polynomial(&to.delay, to_v), polynomial(&from.delay, from_v)),
        }))
    }

    /// The table's figures scaled: energies of gates and on-chip memories, and areas. DRAM, wires per
    /// millimetre and leakage per area stay.
    pub fn apply(&self, table: &Technology) -> Technology {
        let mut scaled = table.clone();
        let by = |figure: &mut Figure, factor: f64| {
            figure.value *= factor;
            figure.status = Status::Derived;
        };
        let t = &mut scaled;
        for anchor in t.integer_adders.iter_mut().chain(&mut t.integer_multipliers) {
            by(&mut anchor.energy, self.energy);
            by(&mut anchor.area, self.area);
        }
        for anchor in t.float_adders.iter_mut().chain(&mut t.float_multipliers) {
            by(&mut anchor.energy, self.energy);
            by(&mut anchor.area, self.area);
        }
        t.checks.iter_mut().for_each(|check| by(&mut check.energy, self.energy));
        t.memories.iter_mut().for_each(|memory| by(&mut memory.energy, self.energy));
        for figure in [&mut t.instruction, &mut t.mux_energy, &mut t.flip_flop_clock, &mut t.flip_flop_toggle, &mut t.zero_detector_energy]
        {
            by(figure, self.energy);
        }
        for figure in [&mut t.mux_area, &mut t.flip_flop_area, &mut t.zero_detector_area, &mut t.sram_area] {
            by(figure, self.area);
        }
        scaled
    }

    /// What was done, in words.
    pub fn text(&self) -> String {
        let ((from, from_v), (to, to_v)) = (self.from, self.to);
        let instead = if to == 7 { format!("; {JOUPPI_7NM} has energies of 7 nm libraries, which are higher") } else { String::new() };
        format!(
            "scaled from {from} nm at {from_v} V to {to} nm at {to_v} V by Stillmaker and Baas ({LABEL}): energies of gates and on-chip memories x {:.3}, areas x {:.3}; wires per mm, leakage per mm2 and DRAM as they were; gate delays would be x {:.2}, the clock stays array.clock_mhz{instead}",
            self.energy, self.area, self.delay
        )
    }

    /// `{"label","from_nm","from_v","to_nm","to_v","energy","area","delay"}`.
    pub fn json(&self) -> Value {
        json!({
            "label": LABEL,
            "from_nm": self.from.0,
            "from_v": self.from.1,
            "to_nm": self.to.0,
            "to_v": self.to.1,
            "energy": self.energy,
            "area": self.area,
            "delay": self.delay,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::energy::table::{HOROWITZ_45NM, named};

    fn asked(table: &str, node_nm: Option<u32>, voltage_v: Option<f64>) -> Result<Option<NodeScaling>, EnergyError> {
        let energy = EnergySpec { node_nm, voltage_v, ..EnergySpec::default() };
        NodeScaling::of(&energy, named(table).unwrap())
    }

    #[test]
    fn factors_from_45_nm() {
        // Node, supply, energy, delay (0: not compared) and area, worked out apart.
        for (nm, volts, energy, delay, area) in [
            (45, 0.9, 1.0, 1.0, 1.0),
            (32, 0.9, 0.654, 0.66, 0.46),
            (20, 0.8, 0.219, 0.0, 0.21),
            (16, 0.8, 0.172, 0.53, 0.19),
            (14, 0.8, 0.138, 0.36, 0.17),
            (10, 0.75, 0.100, 0.0, 0.10),
            (7, 0.7, 0.068, 0.26, 0.059),
        ] {
            let scaling = asked(HOROWITZ_45NM, Some(nm), None).unwrap().unwrap();
            assert_eq!(scaling.to, (nm, volts));
            assert!((scaling.energy - energy).abs() < 6e-4, "{nm} nm: {}", scaling.energy);
            assert!(delay == 0.0 || (scaling.delay - delay).abs() < 6e-3, "{nm} nm: {}", scaling.delay);
            assert_eq!(scaling.area, area);
        }
        let lower = asked(HOROWITZ_45NM, None, Some(0.7)).unwrap().unwrap();
        assert!(lower.to == (45, 0.7) && lower.energy < 1.0 && lower.delay > 1.0 && lower.area == 1.0, "{lower:?}");
        assert_eq!(asked(JOUPPI_7NM, None, None).unwrap(), None);
    }

    #[test]
    fn what_has_no_curve_is_refused() {
        for (table, nm, volts, needle) in [
            (HOROWITZ_45NM, Some(22), None, "not for 22"),
            (HOROWITZ_45NM, Some(16), Some(0.5), "0.6 to 1.1 V"),
            (HOROWITZ_45NM, None, Some(1.2), "0.6 to 1.1 V"),
            (HOROWITZ_45NM, None, Some(f64::NAN), "0.6 to 1.1 V"),
            (JOUPPI_7NM, Some(16), None, "cannot be scaled"),
        ] {
            let message = asked(table, nm, volts).unwrap_err().to_string();
            assert!(message.contains(needle) && message.contains("energy."), "{message}");
        }
    }
}
