//! From events to picojoules: a pure function of a design and a record.

use super::EnergyError;
use super::basis::Basis;
use super::mac::MacCost;
use super::parts::{AreaParts, EnergyParts, MacParts};
use super::price::{Prices, Widths};
use super::scaling::NodeScaling;
use super::switching::Ratios;
use std::collections::BTreeMap;
use systole_isa::design::{Dataflow, Design, PartialSums, Scaling, Switching};
use systole_isa::device::{Activity, Events, Record, Toggles};
use systole_isa::format::Format;

const BITS_PER_BYTE: f64 = 8.0;

/// Rates of arithmetic; one MAC is two operations.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Throughput {
    /// Every lane of every array busy every cycle, TFLOPS.
    pub peak: f64,
    /// MACs spent over the whole time, TFLOPS: outputs that a mask leaves out are no work done.
    pub achieved: f64,
    /// MACs spent over all energy, TFLOPS per watt.
    pub per_watt: f64,
    /// Peak over placed area, TFLOPS per mm2.
    pub per_mm2: f64,
}

/// Energy of one region of a program.
#[derive(Clone, Debug, PartialEq)]
pub struct RegionEnergy {
    /// The region's name.
    pub name: String,
    /// Its energy, pJ.
    pub energy_pj: EnergyParts,
    /// The same by counted toggles, where the design asks for it.
    pub energy_by_toggles_pj: Option<EnergyParts>,
}

/// What a run cost.
#[derive(Clone, Debug, PartialEq)]
pub struct EnergyAccount {
    /// Energy, pJ, its operands' bits changing as random data's do.
    pub energy_pj: EnergyParts,
    /// The same by counted toggles, where the design asks for it.
    pub energy_by_toggles_pj: Option<EnergyParts>,
    /// Those toggles.
    pub toggles: Option<Toggles>,
    /// The same by region, in the record's order.
    pub regions: Vec<RegionEnergy>,
    /// Cell area, um2.
    pub area_um2: AreaParts,
    /// Rates.
    pub tflops: Throughput,
    /// What was assumed.
    pub assumptions: Vec<String>,
    /// Name of the technology table.
    pub table: String,
    /// SHA-256 of what that table says.
    pub table_sha256: String,
    /// How it was scaled, if it was.
    pub scaling: Option<NodeScaling>,
    /// Whose figures these are, and the engineering choices in them: what a report begins with.
    pub header: Vec<String>,
}

/// What a design costs before it runs anything.
#[derive(Clone, Debug, PartialEq)]
pub struct CostReport {
    /// Name of the design.
    pub design: String,
    /// Name of the technology table.
    pub table: String,
    /// SHA-256 of what that table says.
    pub table_sha256: String,
    /// How it was scaled, if it was.
    pub scaling: Option<NodeScaling>,
    /// Whose figures these are, and the engineering choices in them: what a report begins with.
    pub header: Vec<String>,
    /// Energy of one MAC of mode 0 at full use, pJ.
    pub energy_pj: MacParts,
    /// The same of a MAC gated by a zero operand; `None` where the design gates none.
    pub gated_mac_energy_pj: Option<MacParts>,
    /// Cell area, um2.
    pub area_um2: AreaParts,
    /// What each part rests on.
    pub bases: Vec<(&'static str, Basis)>,
    /// Rates at full use.
    pub tflops: Throughput,
    /// What was assumed.
    pub assumptions: Vec<String>,
}

/// `numerator / denominator`, 0 where nothing was spent.
fn ratio(numerator: f64, denominator: f64) -> f64 {
    if denominator > 0.0 { numerator / denominator } else { 0.0 }
}

impl Prices<'_> {
    /// Mean over modes, weighted by `weights`; mode 0 where nothing was weighed.
    fn mean(&self, weights: &[f64], price: impl Fn(usize) -> f64) -> f64 {
        let total: f64 = weights.iter().sum();
        if total > 0.0 { weights.iter().enumerate().map(|(mode, weight)| weight * price(mode)).sum::<f64>() / total } else { price(0) }
    }

    fn macs_of_modes(&self, events: &Events, macs_by_mode: &BTreeMap<usize, u64>) -> Result<Vec<f64>, EnergyError> {
        let mut macs = vec![0.0; self.modes.len()];
        for (&mode, &count) in macs_by_mode {
            let slot = macs.get_mut(mode).ok_or_else(|| EnergyError::UnknownMode {
                mode,
                design: self.design.name.clone(),
                modes: self.modes.len(),
            })?;
            *slot += count as f64;
        }
        let attributed: u64 = macs_by_mode.values().sum();
        if attributed == events.macs_spent { Ok(macs) } else { Err(EnergyError::Unattributed { attributed, macs: events.macs_spent }) }
    }

    /// MACs that zero operands gate.
    fn gated_macs(&self, events: &Events, activity: Option<&Activity>) -> Result<f64, EnergyError> {
        match activity {
            _ if !self.gates_zeros() || events.macs_spent == 0 => Ok(0.0),
            Some(activity) => Ok(activity.zero_operand_macs as f64),
            None => Err(EnergyError::NeedsValues { field: "energy.gating", value: "zero_operand", without: "none" }),
        }
    }

    /// What counted toggles say of these events; `None` where the design does not ask.
    fn ratios(&self, events: &Events, activity: Option<&Activity>, toggles: Option<&Toggles>) -> Result<Option<Ratios>, EnergyError> {
        match (toggles, activity) {
            _ if self.design.energy.activity == Switching::Table => Ok(None),
            (Some(toggles), _) => Ok(Some(Ratios::of(toggles))),
            // No products, or none that was formed.
            (None, Some(_)) => Ok(Some(Ratios::RANDOM)),
            (None, None) if events.macs_spent == 0 => Ok(Some(Ratios::RANDOM)),
            (None, None) => Err(EnergyError::NeedsValues { field: "energy.activity", value: "toggles", without: "table" }),
        }
    }

    /// By the table, and by toggles where the design asks.
    fn both(
        &self,
        cycles: u64,
        events: &Events,
        macs_by_mode: &BTreeMap<usize, u64>,
        (activity, toggles): (Option<&Activity>, Option<&Toggles>),
    ) -> Result<(EnergyParts, Option<EnergyParts>), EnergyError> {
        let by = |ratios: &Ratios| self.energy(cycles, events, macs_by_mode, activity, ratios);
        let ratios = self.ratios(events, activity, toggles)?;
        Ok((by(&Ratios::RANDOM)?, ratios.map(|ratios| by(&ratios)).transpose()?))
    }

    /// Energy of these events over this many cycles.
    fn energy(
        &self,
        cycles: u64,
        events: &Events,
        macs_by_mode: &BTreeMap<usize, u64>,
        activity: Option<&Activity>,
        ratios: &Ratios,
    ) -> Result<EnergyParts, EnergyError> {
        let macs = self.macs_of_modes(events, macs_by_mode)?;
        // A chunk closes once in so many MACs of its mode.
        let closings: Vec<f64> =
            macs.iter().zip(&self.modes).map(|(macs, mode)| mode.chunk.map_or(0.0, |length| macs / f64::from(length))).collect();
        let mac = |price: fn(&MacCost) -> f64| macs.iter().zip(&self.macs).map(|(count, cost)| count * price(cost)).sum::<f64>();
        let per_mac = |price: fn(&MacCost) -> f64| self.mean(&macs, |mode| price(&self.macs[mode]));
        let per_closing = |price: fn(&MacCost) -> f64| self.mean(&closings, |mode| price(&self.macs[mode]));
        let width = |part: fn(&Widths) -> f64| self.mean(&macs, |mode| part(&self.widths[mode]));

        let gated = self.gated_macs(events, activity)?;
        // Which modes' MACs were gated is not counted: their mean.
        let spared = |price: fn(&MacCost) -> f64| if gated > 0.0 { gated * per_mac(price) } else { 0.0 };
        let outer = events.outer_additions as f64;
        let memory_additions = events.accumulator_memory_additions as f64;
        let moves_partial_sums = self.design.array.dataflow != Dataflow::Os;
        let streaming = events.streaming_register_writes as f64 * width(|w| w.streaming);
        let stationary = events.stationary_register_writes as f64 * width(|w| w.stationary);
        let kept = if self.gating_spares_accumulators() { gated } else { 0.0 };
        let accumulators = (events.accumulator_register_writes as f64 - kept) * width(|w| w.accumulator);
        let outers = outer * self.mean(&closings, |mode| self.widths[mode].outer);
        let skew = events.skew_register_writes as f64 * width(|w| w.skew);
        let drain = events.drain_register_writes as f64 * width(|w| w.drain);
        // Bits that cost as much as these do, were their data random.
        let (streamed, stayed) = (streaming * ratios.streaming, stationary * ratios.stationary);
        let skew = skew + ratios.skew_bits.min(skew) * (ratios.skew - 1.0);
        let stages =
            f64::from(self.design.array.mac_stages - 1) * ((events.macs_spent as f64 - gated) * width(|w| w.product) + accumulators);
        let written = streamed + stayed + accumulators + outers + skew + drain + stages;
        let forwarded = streamed + stayed + drain + if moves_partial_sums { accumulators } else { 0.0 };
        let scratchpad_bytes = (events.scratchpad_read_bytes + events.scratchpad_write_bytes) as f64;
        let memory_words = (events.accumulator_memory_reads + events.accumulator_memory_writes) as f64;
        let dram_bytes = (events.dram_read_bytes + events.dram_write_bytes) as f64;
        Ok(EnergyParts {
            multipliers: mac(|c| c.multiplier.pj) - spared(|c| c.multiplier.pj)
                + mac(|c| c.partial_products_pj) * (ratios.partial_products - 1.0),
            adders: mac(|c| c.adder.pj) - spared(|c| c.spared_pj.0)
                + outer * per_closing(|c| c.outer_adder.pj)
                + memory_additions * per_mac(|c| c.memory_adder.pj),
            rounding: mac(|c| c.rounding.pj) - spared(|c| c.spared_pj.1)
                + outer * per_closing(|c| c.outer_rounding.pj)
                + memory_additions * per_mac(|c| c.memory_rounding.pj)
                + events.conversions as f64 * per_mac(|c| c.conversion.pj),
            registers: self.model.clock_pj(self.register_bits()) * cycles as f64 + self.model.write_pj(written),
            wires: self.hop_pj(forwarded),
            scratchpad: scratchpad_bytes * BITS_PER_BYTE * self.scratchpad_pj,
            accumulator_memory: memory_words * width(|w| w.accumulator) * self.accumulator_memory_pj,
            dram: dram_bytes * BITS_PER_BYTE * self.design.memory.dram_pj_per_bit,
            vector: events.vector_additions as f64 * self.vector_addition_pj
                + events.vector_multiplications as f64 * self.vector_multiplication_pj
                + events.vector_functions as f64 * self.vector_function_pj,
            instructions: events.instructions as f64 * self.model.table.instruction.value,
            leakage: self.leakage_pj * cycles as f64,
            zero_detectors: self.zero_detector_pj * (streaming + stationary),
        })
    }

    /// Energy of one MAC of mode 0 with every lane busy every cycle and K, M and N so long
    /// that preloading, draining and converting vanish.
    fn energy_per_mac(&self) -> MacParts {
        let array = &self.design.array;
        let (mode, cost, widths) = (&self.modes[0], &self.macs[0], &self.widths[0]);
        let (rows, cols, lanes) = (f64::from(array.rows), f64::from(array.cols), f64::from(self.design.mac.lanes));
        let per_cycle = self.design.peak_macs_per_cycle();
        let closings = mode.chunk.map_or(0.0, |length| 1.0 / f64::from(length));
        let bits_of = |format: Format| BITS_PER_BYTE * f64::from(format.storage_bytes());
        // An operand brings its share of a block scale.
        let scale_bits = if mode.scale == Scaling::None { 0.0 } else { closings * bits_of(mode.scale_format) };
        let stored_bits = |format: Format| bits_of(format) + scale_bits;
        // A partial sum leaves the array once in R rows of products; under `os` it stays.
        let leaving = if array.dataflow == Dataflow::Os { 0.0 } else { 1.0 / (rows * lanes) };
        let added_outside = if array.partial_sums == PartialSums::Outside { leaving } else { 0.0 };
        let (edge_bits, moving_bits, forwarded_bits, skewed_elements) = match array.dataflow {
            Dataflow::Os => {
                let operands = widths.streaming + widths.stationary;
                let edge_bits = stored_bits(mode.a) / cols + stored_bits(mode.b) / rows;
                (edge_bits, operands, operands, (rows + 1.0) / (2.0 * cols) + (cols + 1.0) / (2.0 * rows))
            }
            Dataflow::Ws | Dataflow::Is => {
                let streaming = if array.dataflow == Dataflow::Ws { mode.a } else { mode.b };
                let forwarded = widths.streaming + widths.accumulator / lanes;
                // A partial sum fed back passes one skew register.
                let fed_back = leaving - added_outside;
                (stored_bits(streaming) / cols, widths.streaming, forwarded, (rows + 1.0) / (2.0 * cols) + fed_back)
            }
        };
        let stages = f64::from(array.mac_stages - 1) * (widths.product + widths.accumulator / lanes);
        let skewed = if array.dataflow == Dataflow::Os { 0.0 } else { f64::from(array.mac_stages - 1) * (rows - 1.0) / (2.0 * cols) };
        let written =
            moving_bits + widths.accumulator / lanes + closings * widths.outer + (skewed_elements + skewed) * widths.skew + stages;
        MacParts {
            multipliers: cost.multiplier.pj,
            adders: cost.adder.pj + closings * cost.outer_adder.pj + added_outside * cost.memory_adder.pj,
            rounding: cost.rounding.pj + closings * cost.outer_rounding.pj + added_outside * cost.memory_rounding.pj,
            registers: self.model.clock_pj(self.register_bits()) / per_cycle + self.model.write_pj(written),
            wires: self.hop_pj(forwarded_bits),
            scratchpad: edge_bits * self.scratchpad_pj,
            accumulator_memory: 2.0 * leaving * widths.accumulator * self.accumulator_memory_pj,
            leakage: self.leakage_pj / per_cycle,
            zero_detectors: self.zero_detector_pj * moving_bits,
        }
    }

    /// The same of a MAC that a zero operand gates, where such MACs are gated.
    fn energy_per_gated_mac(&self) -> Option<MacParts> {
        let (whole, cost) = (self.energy_per_mac(), &self.macs[0]);
        let kept = if self.gating_spares_accumulators() { self.model.write_pj(self.widths[0].accumulator) } else { 0.0 };
        self.gates_zeros().then_some(MacParts {
            multipliers: whole.multipliers - cost.multiplier.pj,
            adders: whole.adders - cost.spared_pj.0,
            rounding: whole.rounding - cost.spared_pj.1,
            registers: whole.registers - kept,
            ..whole
        })
    }
}

/// True if the regions add up to the record. Their sum is then the better account: it knows
/// which chunks closed and which partial sums moved under which mode.
fn regions_partition(record: &Record) -> bool {
    let mut events = Events::default();
    let mut cycles = 0;
    for region in &record.regions {
        events += region.events;
        cycles += region.cycles.total;
    }
    events == record.events && cycles == record.cycles.total
}

/// Itemised energy, area and rates of a run on `design`.
///
/// # Errors
/// An unknown technology table, or a record that is not of this design.
pub fn account(design: &Design, record: &Record) -> Result<EnergyAccount, EnergyError> {
    let prices = Prices::of(design)?;
    let regions = record
        .regions
        .iter()
        .map(|r| {
            let (energy_pj, energy_by_toggles_pj) =
                prices.both(r.cycles.total, &r.events, &r.macs_by_mode, (r.activity.as_ref(), r.toggles.as_ref()))?;
            Ok(RegionEnergy { name: r.name.clone(), energy_pj, energy_by_toggles_pj })
        })
        .collect::<Result<Vec<_>, EnergyError>>()?;
    let (energy_pj, energy_by_toggles_pj) = if regions_partition(record) {
        let sum = |parts: &dyn Fn(&RegionEnergy) -> Option<EnergyParts>| {
            let mut sum = EnergyParts::default();
            regions.iter().filter_map(parts).for_each(|parts| sum += parts);
            sum
        };
        let by_toggles = (design.energy.activity == Switching::Toggles).then(|| sum(&|r| r.energy_by_toggles_pj));
        (sum(&|r| Some(r.energy_pj)), by_toggles)
    } else {
        prices.both(record.cycles.total, &record.events, &record.macs_by_mode, (record.activity.as_ref(), record.toggles.as_ref()))?
    };
    let macs = record.events.macs_spent as f64;
    let peak = prices.peak_tflops();
    Ok(EnergyAccount {
        energy_pj,
        energy_by_toggles_pj,
        toggles: record.toggles.filter(|_| energy_by_toggles_pj.is_some()),
        regions,
        area_um2: prices.area,
        tflops: Throughput {
            peak,
            // MACs per microsecond are 10^-6 of MACs per 10^-12 second.
            achieved: ratio(2.0 * macs * design.array.clock_mhz, record.cycles.total as f64) / 1e6,
            per_watt: ratio(2.0 * macs, energy_pj.total()),
            per_mm2: ratio(peak, prices.placed_mm2()),
        },
        assumptions: prices.assumptions_of_a_run(),
        table: prices.model.table.name.clone(),
        table_sha256: prices.table_sha256.clone(),
        scaling: prices.scaling,
        header: prices.header(),
    })
}

/// What `design` costs per MAC at full use, and how large it is.
///
/// # Errors
/// An unknown technology table.
pub fn cost_report(design: &Design) -> Result<CostReport, EnergyError> {
    let prices = Prices::of(design)?;
    let energy_pj = prices.energy_per_mac();
    let peak = prices.peak_tflops();
    Ok(CostReport {
        design: design.name.clone(),
        table: prices.model.table.name.clone(),
        table_sha256: prices.table_sha256.clone(),
        scaling: prices.scaling,
        header: prices.header(),
        energy_pj,
        gated_mac_energy_pj: prices.energy_per_gated_mac(),
        area_um2: prices.area,
        tflops: Throughput { peak, achieved: peak, per_watt: ratio(2.0, energy_pj.total()), per_mm2: ratio(peak, prices.placed_mm2()) },
        bases: prices.bases(),
        assumptions: prices.assumptions_of_full_use(),
    })
}
