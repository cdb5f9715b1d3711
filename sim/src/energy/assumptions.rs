//! What an account takes for granted, in the words reports print.

use super::model::{PES_PER_LFSR, TOGGLE_RATE};
use super::price::Prices;
use super::scaling::NodeScaling;
use super::switching::{FIXED_SHARE, RANDOM_PARTIAL_PRODUCTS};
use systole_isa::design::{Calibration, Dataflow, MacMode, PartialSums, Product, Scaling, Switching, Unit};
use systole_isa::format::Format;
use systole_isa::round::Rounding;

/// Significand bits of what enters the accumulator's adder.
fn addend_bits(mode: &MacMode) -> u32 {
    match mode.product {
        Product::Exact => mode.a.precision() + mode.b.precision(),
        Product::Rounded(format) => format.precision(),
    }
}

impl Prices<'_> {
    /// Assumptions of an account of a run.
    pub(super) fn assumptions_of_a_run(&self) -> Vec<String> {
        let (design, table) = (self.design, &self.model.table);
        let mut list = self.common();
        list.extend([
            "a write to memory costs what a read costs".to_owned(),
            format!("DRAM at {} pJ/bit (memory.dram_pj_per_bit)", design.memory.dram_pj_per_bit),
            format!(
                "a vector function costs {} additions and multiplications (vector.function_cycles); idle vector lanes are clock-gated",
                design.vector.function_cycles
            ),
            format!("{} pJ per instruction retired", table.instruction.value),
            "results that are converted are converted to output.format".to_owned(),
            "registers and leakage are charged for all cycles, stalled ones included".to_owned(),
            "achieved: MACs spent over total cycles; per watt: over all energy, DRAM and vector unit included".to_owned(),
        ]);
        list
    }

    /// Assumptions of the cost at full use.
    pub(super) fn assumptions_of_full_use(&self) -> Vec<String> {
        let array = &self.design.array;
        let reuse = match array.dataflow {
            Dataflow::Os => format!(
                "each element of A read from the scratchpad serves {} columns, each of B {} rows; K is long: draining and converting results vanish",
                array.cols, array.rows
            ),
            Dataflow::Ws | Dataflow::Is => {
                let (moving, fixed, extent) = if array.dataflow == Dataflow::Ws { ("A", "B", "M") } else { ("B", "A", "N") };
                let added = match array.partial_sums {
                    PartialSums::Outside => "the accumulator memory reads, adds and writes",
                    PartialSums::Feedback => "the accumulator memory reads and writes",
                };
                format!(
                    "each element of {moving} read from the scratchpad serves {} columns; {extent} is long: preloading {fixed} vanishes; {added} one partial sum per {} rows",
                    array.cols, array.rows
                )
            }
        };
        let mut list = vec![format!("mode 0 at full use: every lane of every PE forms a product every cycle; {reuse}")];
        list.push("not included: DRAM, vector unit, instructions".to_owned());
        list.extend(self.common());
        list
    }

    fn common(&self) -> Vec<String> {
        let (design, table) = (self.design, &self.model.table);
        let mut list = vec![format!("figures of {}: {}", table.name, table.summary)];
        list.extend(self.scaling.iter().map(NodeScaling::text));
        list.push(match design.energy.calibration {
            Calibration::Table => "floating-point adders calibrated on the table (energy.calibration = table)".to_owned(),
            Calibration::Structural => {
                "floating-point adders from gate counts, below the table's own (energy.calibration = structural)".to_owned()
            }
        });
        list.push(format!(
            "multiplexers {} pJ and {} um2 per bit and stage; flip-flops {} pJ clock and {} pJ toggle per bit, {} um2",
            table.mux_energy.value,
            table.mux_area.value,
            table.flip_flop_clock.value,
            table.flip_flop_toggle.value,
            table.flip_flop_area.value
        ));
        list.push(format!(
            "random data: {} % of written register bits change; no register is clock-gated ({:.0} bits); {}; an idle lane costs its clock and leakage",
            100.0 * TOGGLE_RATE,
            self.register_bits(),
            if self.gates_zeros() { "MACs with an operand of zero are gated" } else { "operands of zero save nothing" }
        ));
        if design.array.mac_stages > 1 {
            list.push(format!(
                "each of a MAC's {} stages but the last hands on the exact product of every lane and the sum",
                design.array.mac_stages
            ));
        }
        if design.energy.activity == Switching::Toggles {
            list.push(format!(
                "by toggles (energy.activity), in runs: data of operand registers and their skew, wires between those, and partial products, of which {} % cost the same whatever they do and {} % change in random data; exponents, sums, results and clocks stay at the table's",
                100.0 * FIXED_SHARE,
                100.0 * RANDOM_PARTIAL_PRODUCTS
            ));
        }
        if self.gates_zeros() {
            let spared = if self.gating_spares_accumulators() {
                ", and its accumulator is not written"
            } else {
                "; its accumulator is written all the same"
            };
            list.push(format!(
                "zero gating (energy.gating): a gated MAC forms no product, and spares its addition in a chain, its shifter in a tree{spared}; clocks run on; detectors of {} pJ and {} um2 per bit look at every operand that enters a PE",
                table.zero_detector_energy.value, table.zero_detector_area.value
            ));
            list.push("gated are all MACs with an operand of zero, those of zero times infinity among them".to_owned());
        }
        let modes = &self.modes;
        let chains = |m: &MacMode| m.unit.is_sequential() && m.accumulator.as_float().is_some();
        if modes.iter().any(|m| !m.subnormals.flushes_inputs() && chains(m)) {
            list.push("subnormal operands are normalised before the product; subnormal sums are in the adder's figure".to_owned());
        }
        if modes.iter().any(|m| chains(m) && addend_bits(m) > m.accumulator.precision()) {
            list.push("a product wider than its accumulator widens the adder to its own width".to_owned());
        }
        if modes.iter().any(|m| m.accumulator.as_float().is_none() && m.a.as_float().is_some()) {
            list.push("fixed-point accumulators switch the bits a product can move (area: all bits)".to_owned());
        }
        if modes.iter().any(|m| matches!(m.unit, Unit::Exact | Unit::ExactApart)) {
            list.push("an exact unit adds its products in adders as wide as all their places; shifters switch the bits a product can move (area: all bits)".to_owned());
        }
        if modes.iter().any(|m| !matches!(m.unit, Unit::Chain | Unit::Descending)) {
            list.push("what an n-term unit's products share (largest exponent, normalisation, rounding, the accumulator) is charged to them evenly, as in full blocks; no pipeline registers inside the unit".to_owned());
        }
        if modes.iter().any(|m| m.scale == Scaling::Exponent) {
            list.push("block scales: one more exponent addition to a product, the sum of two scales to a block".to_owned());
        }
        if modes.iter().any(|m| matches!(m.scale, Scaling::Chunk | Scaling::ChunkRounded)) {
            list.push("block scales: the product of two scales and its product with the sum, once a chunk, among the adders".to_owned());
        }
        if modes.iter().any(|m| m.scale != Scaling::None) {
            list.push("a PE holds one scale of either operand; scales take no skew registers and no hops".to_owned());
        }
        let posits = |m: &MacMode| [m.a, m.b, m.accumulator].iter().any(|f| matches!(f, Format::Posit(_)));
        if modes.iter().any(posits) {
            list.push(
                "a posit is decoded by a complement, a run counter and a shifter, and encoded by a shifter and a complement".to_owned(),
            );
        }
        let rounds_at_random = modes.iter().any(|m| m.random_bits() > 0);
        if rounds_at_random || matches!(design.output.rounding, Rounding::Sr(_)) {
            list.push(format!("random bits of stochastic rounding from one LFSR per {PES_PER_LFSR} PE"));
        }
        let bank_bytes = 1024.0 * f64::from(design.memory.scratchpad_kib) / f64::from(design.memory.scratchpad_banks);
        list.push(format!(
            "scratchpad banks of {bank_bytes} bytes priced as caches of one port, width linear, and {} pJ/bit/mm over half the side of an array's share; {} um2/bit",
            table.wire.value, table.sram_area.value
        ));
        if design.array.dataflow != Dataflow::Os {
            list.push("the accumulator memory has one bank per array column, beside it".to_owned());
        }
        list.push(format!("a hop between PEs is {:.1} um, the square root of a PE's cells", self.pe_um2.sqrt()));
        list.push(format!(
            "leakage {} W/mm2 at 25 C, doubling every {} C; the die is at {} C",
            table.leakage.value, table.leakage_doubling.value, design.energy.temperature_c
        ));
        list.push(format!(
            "area is the union of {} mode{}; TFLOPS/mm2 at a placement density of {}",
            modes.len(),
            if modes.len() == 1 { "" } else { "s" },
            table.placement_density.value
        ));
        list
    }
}
