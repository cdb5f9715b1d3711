//! A technology: published figures of energy and area, each with its source and how far it may be
//! trusted.
//!
//! A table is a RON file of its own; a design may carry one whole, so that what a run cost follows
//! from the design alone. Units are fixed by the field: pJ an operation, um2 a unit, pJ/bit, um2/bit,
//! pJ/bit/mm, W/mm2.

use super::Problem;
use super::validate::Findings;
use crate::overrides;
use serde::{Deserialize, Serialize};

/// How far a figure may be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Compared with a transcription of the source.
    Verified,
    /// Recalled, not compared with the source.
    Unverified,
    /// Calculated from other figures, as the source says.
    Derived,
    /// An engineering choice.
    Assumed,
}

impl Status {
    /// The word tables print.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Verified => "verified transcription",
            Self::Unverified => "from memory, unverified",
            Self::Derived => "derived",
            Self::Assumed => "assumption",
        }
    }
}

/// One figure of a table, in the unit of its field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// Its value.
    pub value: f64,
    /// How far it may be trusted.
    pub status: Status,
    /// Where it comes from.
    pub source: String,
}

/// Energy and area of one integer operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntegerAnchor {
    /// Operand width, bits.
    pub width: f64,
    /// Energy of one operation, pJ.
    pub energy: Figure,
    /// Area of one unit, um2.
    pub area: Figure,
}

/// Energy and area of one floating-point operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FloatAnchor {
    /// Exponent bits.
    pub exponent: f64,
    /// Significand bits with the hidden one.
    pub precision: f64,
    /// Energy of one operation, pJ.
    pub energy: Figure,
    /// Area of one unit, um2.
    pub area: Figure,
}

/// Energy of one 64-bit access.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryAnchor {
    /// Capacity, bytes.
    pub bytes: f64,
    /// Energy of one 64-bit access, pJ.
    pub energy: Figure,
}

/// A named figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// What it is the energy of.
    pub name: String,
    /// Energy, pJ/bit.
    pub energy: Figure,
}

/// A floating-point operation of the source that no law is solved from: the model is held against it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// The operation.
    pub operation: FloatOperation,
    /// Exponent bits.
    pub exponent: f64,
    /// Significand bits with the hidden one.
    pub precision: f64,
    /// Energy of one operation, pJ.
    pub energy: Figure,
}

/// Operations on floats that tables have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FloatOperation {
    /// Addition, rounded and packed.
    Add,
    /// Multiplication, rounded and packed.
    Multiply,
}

/// A technology table: anchors of the fitted laws, and components the anchors do not cover.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Technology {
    /// Its name.
    pub name: String,
    /// Node, voltage and origin in one line.
    pub summary: String,
    /// Node, nm, where the figures are of one.
    #[serde(default)]
    pub node_nm: Option<u32>,
    /// Supply, V, where it is known.
    #[serde(default)]
    pub voltage_v: Option<f64>,
    /// Integer adders, ascending width.
    pub integer_adders: Vec<IntegerAnchor>,
    /// Two integer multipliers, ascending width.
    pub integer_multipliers: Vec<IntegerAnchor>,
    /// Two floating-point adders, ascending precision.
    pub float_adders: Vec<FloatAnchor>,
    /// Two floating-point multipliers, ascending precision.
    pub float_multipliers: Vec<FloatAnchor>,
    /// Further operations of the source, for comparison.
    #[serde(default)]
    pub checks: Vec<Check>,
    /// On-chip memories, ascending capacity.
    pub memories: Vec<MemoryAnchor>,
    /// DRAMs, for orientation: a design says what its own costs.
    #[serde(default)]
    pub dram: Vec<Named>,
    /// Fetching and decoding one instruction, pJ.
    pub instruction: Figure,
    /// One 2:1 multiplexer bit, pJ/bit.
    pub mux_energy: Figure,
    /// One 2:1 multiplexer bit, um2/bit.
    pub mux_area: Figure,
    /// One flip-flop bit, clock, every cycle it is not gated, pJ/bit.
    pub flip_flop_clock: Figure,
    /// One flip-flop bit that changes its value, pJ/bit.
    pub flip_flop_toggle: Figure,
    /// One flip-flop bit, um2/bit.
    pub flip_flop_area: Figure,
    /// Seeing whether an operand is zero, pJ/bit.
    pub zero_detector_energy: Figure,
    /// What sees it, um2/bit.
    pub zero_detector_area: Figure,
    /// SRAM with its periphery, um2/bit.
    pub sram_area: Figure,
    /// One bit carried one millimetre, at the mean toggle rate, pJ/bit/mm.
    pub wire: Figure,
    /// Leakage at 25 C, W/mm2.
    pub leakage: Figure,
    /// Temperature step that doubles leakage, C.
    pub leakage_doubling: Figure,
    /// Share of a placed region that cells cover.
    pub placement_density: Figure,
}

/// A figure with its name and unit, as a table prints it.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry<'a> {
    /// What it is the energy, area or size of.
    pub name: String,
    /// Its value in `unit`.
    pub value: f64,
    /// Unit.
    pub unit: &'static str,
    /// Where it comes from.
    pub source: &'a str,
    /// How far it may be trusted.
    pub status: Status,
}

fn entry<'a>(name: impl Into<String>, unit: &'static str, figure: &'a Figure) -> Entry<'a> {
    Entry { name: name.into(), value: figure.value, unit, source: &figure.source, status: figure.status }
}

/// The name of a capacity.
fn capacity(bytes: f64) -> String {
    let kib = bytes / 1024.0;
    if kib >= 1024.0 { format!("{} MiB", kib / 1024.0) } else { format!("{kib} KiB") }
}

impl FloatOperation {
    const fn name(self) -> &'static str {
        match self {
            Self::Add => "floating-point add",
            Self::Multiply => "floating-point multiply",
        }
    }
}

impl Check {
    /// The operation with its width, as `floating-point add, 16 bit (8 + 8)`: exponent and
    /// significand bits.
    pub fn name(&self) -> String {
        let (e, p) = (self.exponent, self.precision);
        format!("{}, {} bit ({e} + {p})", self.operation.name(), e + p)
    }
}

impl Technology {
    /// Reads RON text; `file` is named in errors. Not yet validated.
    ///
    /// # Errors
    /// A message with file, line and column.
    pub fn from_ron(file: &str, text: &str) -> Result<Self, String> {
        overrides::ron_options().from_str(text).map_err(|e| {
            format!("{file}:{}:{}: {}; `systole cost --table` prints what a table holds", e.span.start.line, e.span.start.col, e.code)
        })
    }

    /// Every figure, in printing order.
    pub fn figures(&self) -> Vec<Entry<'_>> {
        let mut list = Vec::new();
        for (anchors, name) in [(&self.integer_adders, "integer add"), (&self.integer_multipliers, "integer multiply")] {
            for anchor in anchors {
                let name = format!("{name}, {} bit", anchor.width);
                list.extend([entry(name.clone(), "pJ", &anchor.energy), entry(name, "um2", &anchor.area)]);
            }
        }
        for (anchors, operation) in [(&self.float_adders, FloatOperation::Add), (&self.float_multipliers, FloatOperation::Multiply)] {
            for anchor in anchors {
                let name = format!("{}, {} bit", operation.name(), anchor.exponent + anchor.precision);
                list.extend([entry(name.clone(), "pJ", &anchor.energy), entry(name, "um2", &anchor.area)]);
            }
        }
        list.extend(self.checks.iter().map(|check| entry(check.name(), "pJ", &check.energy)));
        list.extend(self.memories.iter().map(|m| entry(format!("cache read, 64 bit, {}", capacity(m.bytes)), "pJ", &m.energy)));
        list.extend(self.dram.iter().map(|dram| entry(dram.name.clone(), "pJ/bit", &dram.energy)));
        list.extend(self.components().map(|(_, name, unit, figure)| entry(name, unit, figure)));
        list
    }

    /// Figures outside the anchors: field, name, unit.
    fn components(&self) -> impl Iterator<Item = (&'static str, &'static str, &'static str, &Figure)> {
        [
            ("instruction", "instruction overhead", "pJ", &self.instruction),
            ("mux_energy", "2:1 multiplexer", "pJ/bit", &self.mux_energy),
            ("mux_area", "2:1 multiplexer", "um2/bit", &self.mux_area),
            ("flip_flop_clock", "flip-flop, clock", "pJ/bit", &self.flip_flop_clock),
            ("flip_flop_toggle", "flip-flop, toggle", "pJ/bit", &self.flip_flop_toggle),
            ("flip_flop_area", "flip-flop", "um2/bit", &self.flip_flop_area),
            ("zero_detector_energy", "zero detector", "pJ/bit", &self.zero_detector_energy),
            ("zero_detector_area", "zero detector", "um2/bit", &self.zero_detector_area),
            ("sram_area", "SRAM", "um2/bit", &self.sram_area),
            ("wire", "wire, half the bits toggling", "pJ/bit/mm", &self.wire),
            ("leakage", "leakage at 25 C", "W/mm2", &self.leakage),
            ("leakage_doubling", "leakage doubles every", "C", &self.leakage_doubling),
            ("placement_density", "placement density", "1", &self.placement_density),
        ]
        .into_iter()
    }

    /// Everything that makes the table unusable, with paths from `at`.
    pub fn problems(&self, at: &str) -> Vec<Problem> {
        let mut found = Findings::default();
        let path = |field: &str| if at.is_empty() { field.to_owned() } else { format!("{at}.{field}") };
        found.require(!self.name.trim().is_empty(), &path("name"), || "must not be empty".to_owned());
        for (field, anchors, least, most) in
            [("integer_adders", &self.integer_adders, 2, usize::MAX), ("integer_multipliers", &self.integer_multipliers, 2, 2)]
        {
            let rows: Vec<_> = anchors.iter().map(|a| (a.width, &a.energy, Some(&a.area))).collect();
            found.anchors(&path(field), "width", &rows, (least, most));
        }
        for (field, anchors) in [("float_adders", &self.float_adders), ("float_multipliers", &self.float_multipliers)] {
            let rows: Vec<_> = anchors.iter().map(|a| (a.precision, &a.energy, Some(&a.area))).collect();
            found.anchors(&path(field), "precision", &rows, (2, 2));
            for (i, anchor) in anchors.iter().enumerate() {
                found.range_f64(anchor.exponent, 1.0, 64.0, &format!("{}[{i}].exponent", path(field)));
            }
        }
        let memories: Vec<_> = self.memories.iter().map(|m| (m.bytes, &m.energy, None)).collect();
        found.anchors(&path("memories"), "bytes", &memories, (2, usize::MAX));
        for (i, check) in self.checks.iter().enumerate() {
            let at = format!("{}[{i}]", path("checks"));
            found.figure(&check.energy, &format!("{at}.energy"));
            found.range_f64(check.exponent, 1.0, 64.0, &format!("{at}.exponent"));
            found.range_f64(check.precision, 1.0, 1024.0, &format!("{at}.precision"));
        }
        for (i, dram) in self.dram.iter().enumerate() {
            found.figure(&dram.energy, &format!("{}[{i}].energy", path("dram")));
        }
        for (field, _, _, figure) in self.components() {
            found.figure(figure, &path(field));
        }
        found.range_f64(self.placement_density.value, 0.01, 1.0, &path("placement_density.value"));
        if let Some(volts) = self.voltage_v {
            found.range_f64(volts, 0.1, 10.0, &path("voltage_v"));
        }
        found.0
    }
}

impl Findings {
    fn figure(&mut self, figure: &Figure, at: &str) {
        let value = figure.value;
        self.require(value.is_finite() && (1e-12..=1e12).contains(&value), &format!("{at}.value"), || {
            format!("must be positive (1e-12 to 1e12), is {value}; what is not known has no place in a table")
        });
        self.require(!figure.source.trim().is_empty(), &format!("{at}.source"), || "must say where the value comes from".to_owned());
    }

    /// Points of a law: size, energy and area, all ascending.
    fn anchors(&mut self, at: &str, size: &str, rows: &[(f64, &Figure, Option<&Figure>)], (least, most): (usize, usize)) {
        self.require((least..=most).contains(&rows.len()), at, || {
            let wanted = if least == most { format!("{least}") } else { format!("at least {least}") };
            format!("must have {wanted} entries, has {}", rows.len())
        });
        for (i, (extent, energy, area)) in rows.iter().enumerate() {
            self.range_f64(*extent, 1.0, 1e12, &format!("{at}[{i}].{size}"));
            self.figure(energy, &format!("{at}[{i}].energy"));
            if let Some(area) = area {
                self.figure(area, &format!("{at}[{i}].area"));
            }
        }
        for (i, pair) in rows.windows(2).enumerate() {
            let grows = pair[0].0 < pair[1].0
                && pair[0].1.value < pair[1].1.value
                && pair[0].2.zip(pair[1].2).is_none_or(|(small, large)| small.value < large.value);
            self.require(grows, &format!("{at}[{}]", i + 1), || {
                format!("must be larger than the entry before it in {size}, energy and area; list entries by ascending {size}")
            });
        }
    }
}
