//! The technology table: every priced figure with its unit, source and status.

/// Circuit figures at 45 nm and 0.9 V around the ISSCC 2014 table.
pub const HOROWITZ_45NM: &str = "horowitz-45nm";

/// Tables by the name `energy.table` takes.
pub const NAMES: &[&str] = &[HOROWITZ_45NM];

/// How far a figure may be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Compared with a transcription of the source.
    Verified,
    /// Recalled, not compared with the source.
    Unverified,
    /// Derived from other figures by the stated law.
    Interpolated,
    /// An engineering choice.
    Assumed,
}

impl Status {
    /// The word tables print.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Verified => "verified transcription",
            Self::Unverified => "from memory, unverified",
            Self::Interpolated => "interpolated",
            Self::Assumed => "assumption",
        }
    }
}

/// One figure of a table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// What it is the energy, area or size of.
    pub name: &'static str,
    /// Its value in `unit`.
    pub value: f64,
    /// Unit.
    pub unit: &'static str,
    /// Where it comes from.
    pub source: &'static str,
    /// How far it may be trusted.
    pub status: Status,
}

/// Energy and area of one integer operation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IntegerAnchor {
    /// Operand width, bits.
    pub width: f64,
    /// Energy of one operation, pJ.
    pub energy: Figure,
    /// Area of one unit, um2.
    pub area: Figure,
}

/// Energy and area of one floating-point operation.
#[derive(Clone, Copy, Debug, PartialEq)]
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

/// Energy of one 64-bit read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MemoryAnchor {
    /// Capacity, bytes.
    pub bytes: f64,
    /// Energy of one 64-bit access, pJ.
    pub energy: Figure,
}

/// A technology: anchors of the fitted laws, and components the anchors do not cover.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Table {
    /// Name `energy.table` takes.
    pub name: &'static str,
    /// Node, voltage and origin in one line.
    pub summary: &'static str,
    /// Integer adders, ascending width.
    pub integer_adders: [IntegerAnchor; 3],
    /// Integer multipliers, ascending width.
    pub integer_multipliers: [IntegerAnchor; 2],
    /// Floating-point adders, ascending precision.
    pub float_adders: [FloatAnchor; 2],
    /// Floating-point multipliers, ascending precision.
    pub float_multipliers: [FloatAnchor; 2],
    /// On-chip memories, ascending capacity.
    pub memories: [MemoryAnchor; 3],
    /// SRAM area per bit with its periphery.
    pub sram_area: Figure,
    /// DRAM, cheapest.
    pub dram_low: Figure,
    /// DRAM, dearest.
    pub dram_high: Figure,
    /// Fetching and decoding one instruction.
    pub instruction: Figure,
    /// One 2:1 multiplexer bit.
    pub mux_energy: Figure,
    /// One 2:1 multiplexer bit.
    pub mux_area: Figure,
    /// One flip-flop bit, clock, every cycle it is not gated.
    pub flip_flop_clock: Figure,
    /// One flip-flop bit that changes its value.
    pub flip_flop_toggle: Figure,
    /// One flip-flop bit.
    pub flip_flop_area: Figure,
    /// One bit carried one millimetre, at the mean toggle rate.
    pub wire: Figure,
    /// Leakage at 25 C.
    pub leakage: Figure,
    /// Temperature step that doubles leakage.
    pub leakage_doubling: Figure,
    /// Share of a placed region that cells cover.
    pub placement_density: Figure,
}

const ISSCC: &str = "Horowitz, ISSCC 2014, fig. 1.1.9";
const REPRINT: &str = "as reprinted by Sze et al., not in Horowitz; unverified";
const ALADDIN_SCALED: &str = "Aladdin 40 nm library, scaled by the 32-bit adders (0.10 / 0.21)";

const fn figure(name: &'static str, value: f64, unit: &'static str, source: &'static str, status: Status) -> Figure {
    Figure { name, value, unit, source, status }
}

const fn energy(name: &'static str, value: f64) -> Figure {
    figure(name, value, "pJ", ISSCC, Status::Verified)
}

/// An area seen in a second-hand transcription is still unverified: its primary source is not at hand.
const fn area(name: &'static str, value: f64) -> Figure {
    figure(name, value, "um2", REPRINT, Status::Unverified)
}

const fn integer(width: f64, energy: Figure, area: Figure) -> IntegerAnchor {
    IntegerAnchor { width, energy, area }
}

const fn float(exponent: f64, precision: f64, energy: Figure, area: Figure) -> FloatAnchor {
    FloatAnchor { exponent, precision, energy, area }
}

const KIB: f64 = 1024.0;

const HOROWITZ: Table = Table {
    name: HOROWITZ_45NM,
    summary: "45 nm, 0.9 V; +-30 % in energy and a factor 2 to 3 in area away from the anchors",
    integer_adders: [
        integer(8.0, energy("integer add, 8 bit", 0.03), area("integer add, 8 bit", 36.0)),
        integer(16.0, energy("integer add, 16 bit", 0.05), area("integer add, 16 bit", 67.0)),
        integer(32.0, energy("integer add, 32 bit", 0.1), area("integer add, 32 bit", 137.0)),
    ],
    integer_multipliers: [
        integer(8.0, energy("integer multiply, 8 bit", 0.2), area("integer multiply, 8 bit", 282.0)),
        integer(32.0, energy("integer multiply, 32 bit", 3.1), area("integer multiply, 32 bit", 3495.0)),
    ],
    float_adders: [
        float(5.0, 11.0, energy("floating-point add, 16 bit", 0.4), area("floating-point add, 16 bit", 1360.0)),
        float(8.0, 24.0, energy("floating-point add, 32 bit", 0.9), area("floating-point add, 32 bit", 4184.0)),
    ],
    float_multipliers: [
        float(5.0, 11.0, energy("floating-point multiply, 16 bit", 1.1), area("floating-point multiply, 16 bit", 1640.0)),
        float(8.0, 24.0, energy("floating-point multiply, 32 bit", 3.7), area("floating-point multiply, 32 bit", 7700.0)),
    ],
    memories: [
        MemoryAnchor { bytes: 8.0 * KIB, energy: energy("cache read, 64 bit, 8 KiB", 10.0) },
        MemoryAnchor { bytes: 32.0 * KIB, energy: energy("cache read, 64 bit, 32 KiB", 20.0) },
        MemoryAnchor { bytes: 1024.0 * KIB, energy: energy("cache read, 64 bit, 1 MiB", 100.0) },
    ],
    sram_area: figure("SRAM", 0.55, "um2/bit", "0.36 um2 bit cell at 0.65 array efficiency", Status::Unverified),
    dram_low: figure("DRAM, low", 20.0, "pJ/bit", "Horowitz, ISSCC 2014, fig. 1.1.9 (1.3 nJ per 64 bit)", Status::Verified),
    dram_high: figure("DRAM, high", 40.0, "pJ/bit", "Horowitz, ISSCC 2014, fig. 1.1.9 (2.6 nJ per 64 bit)", Status::Verified),
    instruction: figure("instruction overhead", 70.0, "pJ", "Horowitz, ISSCC 2014, fig. 1.1.9", Status::Verified),
    mux_energy: figure("2:1 multiplexer", 0.0014, "pJ/bit", ALADDIN_SCALED, Status::Assumed),
    mux_area: figure("2:1 multiplexer", 1.9, "um2/bit", "the table's 0.75 fJ/um2 density", Status::Assumed),
    flip_flop_clock: figure("flip-flop, clock", 0.0038, "pJ/bit", ALADDIN_SCALED, Status::Interpolated),
    flip_flop_toggle: figure("flip-flop, toggle", 0.0005, "pJ/bit", ALADDIN_SCALED, Status::Interpolated),
    flip_flop_area: figure("flip-flop", 5.98, "um2/bit", "Aladdin 40 nm library", Status::Verified),
    wire: figure(
        "wire, half the bits toggling",
        0.12,
        "pJ/bit/mm",
        "Keckler et al., IEEE Micro 2011 (240 fJ a transition at 40 nm)",
        Status::Interpolated,
    ),
    leakage: figure("leakage at 25 C", 0.012, "W/mm2", "Aladdin 40 nm library (0.0081 to 0.0124)", Status::Interpolated),
    leakage_doubling: figure("leakage doubles every", 25.0, "C", "engineering choice", Status::Assumed),
    placement_density: figure("placement density", 0.7, "1", "engineering choice", Status::Assumed),
};

impl Table {
    /// The table of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        (name == HOROWITZ_45NM).then_some(&HOROWITZ)
    }

    /// Every figure, in printing order.
    pub fn figures(&self) -> Vec<Figure> {
        let integers = self.integer_adders.iter().chain(&self.integer_multipliers).flat_map(|a| [a.energy, a.area]);
        let floats = self.float_adders.iter().chain(&self.float_multipliers).flat_map(|a| [a.energy, a.area]);
        let rest = [
            self.dram_low,
            self.dram_high,
            self.instruction,
            self.mux_energy,
            self.mux_area,
            self.flip_flop_clock,
            self.flip_flop_toggle,
            self.flip_flop_area,
            self.sram_area,
            self.wire,
            self.leakage,
            self.leakage_doubling,
            self.placement_density,
        ];
        integers.chain(floats).chain(self.memories.iter().map(|m| m.energy)).chain(rest).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_find_their_tables() {
        for name in NAMES {
            assert_eq!(Table::named(name).map(|t| t.name), Some(*name));
        }
        assert_eq!(Table::named("horowitz"), None);
    }

    #[test]
    fn every_figure_is_positive_and_cited() {
        for figure in HOROWITZ.figures() {
            assert!(figure.value > 0.0 && !figure.source.is_empty(), "{figure:?}");
        }
    }

    #[test]
    fn areas_of_arithmetic_are_flagged() {
        let t = &HOROWITZ;
        let areas = t.integer_adders.iter().chain(&t.integer_multipliers).map(|a| a.area);
        for area in areas.chain(t.float_adders.iter().chain(&t.float_multipliers).map(|a| a.area)) {
            assert_eq!(area.status, Status::Unverified, "{area:?}");
            assert!(area.source.contains("unverified"), "{area:?}");
        }
    }
}
