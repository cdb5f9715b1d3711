//! What each thing a design can do costs, and how large the design is.

use super::basis::Basis;
use super::mac::MacCost;
use super::memory::{Sram, hop_pj};
use super::model::Model;
use super::parts::AreaParts;
use super::scaling::NodeScaling;
use super::value::Value;
use super::{EnergyError, table};
use systole_isa::design::{Dataflow, Design, Gating, MacMode, PartialSums, Preload, Scaling};
use systole_isa::format::Format;

const BYTES_PER_KIB: f64 = 1024.0;
/// Registers of a vector lane: three operands and a result.
const VECTOR_LANE_REGISTERS: f64 = 4.0;

/// Bits one event of each kind moves in one mode.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Widths {
    /// An element of the streaming operand.
    pub streaming: f64,
    /// An element of the other operand.
    pub stationary: f64,
    /// An accumulator that stays, or a partial sum that travels.
    pub accumulator: f64,
    /// An outer accumulator that stays; a travelling one is part of the partial sum.
    pub outer: f64,
    /// An element in the skew registers, averaged over both edges under `os`.
    pub skew: f64,
    /// A result on its way out.
    pub drain: f64,
    /// A block scale, 0 where operands have none.
    pub scale: f64,
    /// What one stage of a pipelined MAC hands to the next: an exact product of each lane.
    pub product: f64,
}

/// Register bits of a design, wide enough for every mode.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Registers {
    /// In one PE.
    pub pe_bits: f64,
    /// Along the edges of one array: skew.
    pub skew_bits: f64,
    /// Along the edges of one array: results.
    pub edge_bits: f64,
}

/// Unit prices of a design.
#[derive(Clone, Debug)]
pub struct Prices<'a> {
    /// The design.
    pub design: &'a Design,
    /// SHA-256 of what its technology table says, before any scaling.
    pub table_sha256: String,
    /// How that table was scaled, if it was.
    pub scaling: Option<NodeScaling>,
    /// Its circuit model.
    pub model: Model,
    /// Its MAC modes.
    pub modes: Vec<MacMode>,
    /// Cost of each mode's operations.
    pub macs: Vec<MacCost>,
    /// Register widths of each mode.
    pub widths: Vec<Widths>,
    /// Register bits.
    pub registers: Registers,
    /// Cell area, um2.
    pub area: AreaParts,
    /// Cell area of one PE, um2.
    pub pe_um2: f64,
    /// Looking at an operand bit for zeros, pJ; 0 without detectors.
    pub zero_detector_pj: f64,
    /// Scratchpad access, pJ per bit.
    pub scratchpad_pj: f64,
    /// Accumulator memory access, pJ per bit.
    pub accumulator_memory_pj: f64,
    /// One vector addition, pJ.
    pub vector_addition_pj: f64,
    /// One vector multiplication, pJ.
    pub vector_multiplication_pj: f64,
    /// One vector function, pJ.
    pub vector_function_pj: f64,
    /// What the vector unit's figures rest on.
    pub vector_basis: Basis,
    /// Leakage of the whole design in one cycle, pJ.
    pub leakage_pj: f64,
}

/// Skew registers of an edge: lane i of it has i + 1.
fn triangle(side: u32) -> f64 {
    let side = f64::from(side);
    side * (side + 1.0) / 2.0
}

fn bits(format: Format) -> f64 {
    f64::from(format.bits())
}

/// Bits of an exact product: sign, exponent and significand, or a fixed-point number.
fn product_bits(mode: &MacMode) -> f64 {
    let exact = Value::of(mode.a).times(Value::of(mode.b));
    exact.precision + exact.exponent.map_or(0.0, |exponent| exponent + 2.0)
}

fn widths(design: &Design, mode: &MacMode) -> Widths {
    let array = &design.array;
    let (a, b) = (bits(mode.a), bits(mode.b));
    let accumulator = bits(mode.accumulator);
    let outer = if mode.chunk.is_some() { bits(mode.outermost()) } else { 0.0 };
    let drain = bits(mode.outermost());
    let travelling = accumulator + outer;
    let scale = if mode.scale == Scaling::None { 0.0 } else { bits(mode.scale_format) };
    let product = product_bits(mode);
    match array.dataflow {
        Dataflow::Os => {
            let (rows, cols) = (triangle(array.rows), triangle(array.cols));
            let skew = (rows * a + cols * b) / (rows + cols);
            Widths { streaming: a, stationary: b, accumulator, outer, skew, drain, scale, product }
        }
        // A tile is preloaded once and streamed against many times: the skew is the stream's.
        Dataflow::Ws => Widths { streaming: a, stationary: b, accumulator: travelling, outer: 0.0, skew: a, drain, scale, product },
        Dataflow::Is => Widths { streaming: b, stationary: a, accumulator: travelling, outer: 0.0, skew: b, drain, scale, product },
    }
}

fn registers(design: &Design, widths: &[Widths]) -> Registers {
    let array = &design.array;
    let lanes = f64::from(design.mac.lanes);
    let (rows, cols) = (f64::from(array.rows), f64::from(array.cols));
    let widest = |part: fn(&Widths) -> f64| widths.iter().map(part).fold(0.0, f64::max);
    let streaming = lanes * widest(|w| w.streaming);
    let stationary = lanes * widest(|w| w.stationary);
    let sums = widest(|w| w.accumulator + w.outer);
    let result = widest(|w| w.drain);
    // A PE holds one scale of either operand.
    let scale = widest(|w| w.scale);
    let more_stages = f64::from(array.mac_stages - 1);
    let stages = more_stages * (lanes * widest(|w| w.product) + sums);
    // Rows that wait for partial sums have a register more for each stage above them.
    let waiting = if array.dataflow == Dataflow::Os { 0.0 } else { more_stages * (triangle(array.rows) - rows) * streaming };
    let operands = triangle(array.rows) * streaming + triangle(array.cols) * stationary + waiting;
    match array.dataflow {
        // C enters by rows beside A; results leave by rows.
        Dataflow::Os => Registers {
            pe_bits: streaming + stationary + sums + result + 2.0 * scale + stages,
            skew_bits: operands + triangle(array.rows) * result,
            edge_bits: rows * result,
        },
        // C enters at the tops of the columns; partial sums leave at their feet.
        Dataflow::Ws | Dataflow::Is => {
            let copies = match array.preload {
                Preload::Serial => 1.0,
                Preload::Double => 2.0,
            };
            Registers {
                pe_bits: streaming + copies * stationary + sums + (1.0 + copies) * scale + stages,
                skew_bits: operands + triangle(array.cols) * result,
                edge_bits: cols * sums,
            }
        }
    }
}

impl<'a> Prices<'a> {
    /// Prices a design.
    ///
    /// # Errors
    /// [`EnergyError::UnknownTable`], or a table of the design's own that contradicts itself.
    pub fn of(design: &'a Design) -> Result<Self, EnergyError> {
        let energy = &design.energy;
        let table = table::of(energy)?;
        let scaling = NodeScaling::of(energy, table)?;
        let scaled = scaling.map(|scaling| scaling.apply(table));
        let model = Model::new(scaled.as_ref().unwrap_or(table), energy.calibration);
        let problems = if energy.figures.is_some() { model.contradictions() } else { Vec::new() };
        if !problems.is_empty() {
            return Err(EnergyError::Contradiction { design: design.name.clone(), table: energy.table.clone(), problems });
        }
        let modes = design.mac_modes();
        let macs: Vec<MacCost> = modes.iter().map(|mode| MacCost::of(&model, design, mode)).collect();
        let widths: Vec<Widths> = modes.iter().map(|mode| widths(design, mode)).collect();
        let registers = registers(design, &widths);

        let array = &design.array;
        let arrays = f64::from(array.count);
        let pes = design.processing_elements() as f64;
        let lanes = f64::from(design.mac.lanes);
        let datapath = MacCost::union(&model, design, &modes);
        let ff_um2 = model.table.flip_flop_area.value;
        let gated = energy.gating == Gating::ZeroOperand;
        // Every lane looks at the widest operands of any mode.
        let widest = |part: fn(&Widths) -> f64| widths.iter().map(part).fold(0.0, f64::max);
        let detectors_um2 =
            if gated { lanes * (widest(|w| w.streaming) + widest(|w| w.stationary)) * model.table.zero_detector_area.value } else { 0.0 };
        let pe_um2 = lanes * (datapath.multiplier.um2 + datapath.adder.um2 + datapath.rounding.um2)
            + datapath.outer_adder.um2
            + datapath.outer_rounding.um2
            + ff_um2 * registers.pe_bits
            + detectors_um2;
        let partial_sums_leave = array.dataflow != Dataflow::Os;
        let ports = arrays * f64::from(if partial_sums_leave { array.cols } else { array.rows });
        let memory_adders = match array.partial_sums {
            PartialSums::Outside if partial_sums_leave => ports,
            _ => 0.0,
        };

        let memory = &design.memory;
        let scratchpad =
            Sram { bytes: f64::from(memory.scratchpad_kib) * BYTES_PER_KIB, banks: f64::from(memory.scratchpad_banks), shares: arrays };
        let accumulators = Sram { bytes: f64::from(memory.accumulator_kib) * BYTES_PER_KIB, banks: ports, shares: ports };

        let vector = &design.vector;
        let (e, p) = match vector.format {
            Format::Float(f) => (f64::from(f.exponent_bits), f64::from(f.precision())),
            Format::Fixed(f) | Format::Quire(f) => (0.0, f64::from(f.width)),
            Format::Posit(p) => (f64::from(p.exponent_bits), f64::from(p.precision())),
        };
        let vector_registers = model.flip_flops(VECTOR_LANE_REGISTERS * bits(vector.format));
        let (vector_add, vector_multiply) = (model.float_adder(e, p), model.multiply_rounded(e, p));

        let area = AreaParts {
            multipliers: pes * lanes * datapath.multiplier.um2,
            adders: pes * (lanes * datapath.adder.um2 + datapath.outer_adder.um2) + memory_adders * datapath.memory_adder.um2,
            rounding: pes * (lanes * datapath.rounding.um2 + datapath.outer_rounding.um2)
                + memory_adders * datapath.memory_rounding.um2
                + ports * datapath.conversion.um2,
            registers: ff_um2 * (pes * registers.pe_bits + arrays * (registers.skew_bits + registers.edge_bits)),
            scratchpad: scratchpad.um2(&model),
            accumulator_memory: if partial_sums_leave { accumulators.um2(&model) } else { 0.0 },
            vector: f64::from(vector.lanes) * (vector_add + vector_multiply + vector_registers).um2,
            zero_detectors: pes * detectors_um2,
        };
        let hotter = 2.0_f64.powf((energy.temperature_c - 25.0) / model.table.leakage_doubling.value);
        let leakage = model.table.leakage.value;
        Ok(Self {
            design,
            table_sha256: table::digest(table),
            scaling,
            macs,
            widths,
            registers,
            pe_um2,
            zero_detector_pj: if gated { model.table.zero_detector_energy.value } else { 0.0 },
            scratchpad_pj: scratchpad.pj_per_bit(&model),
            accumulator_memory_pj: accumulators.pj_per_bit(&model),
            vector_addition_pj: (vector_add + vector_registers).pj,
            vector_multiplication_pj: (vector_multiply + vector_registers).pj,
            vector_function_pj: f64::from(vector.function_cycles) * (vector_add + vector_multiply + vector_registers).pj,
            vector_basis: (vector_add + vector_multiply + vector_registers).basis,
            // W/mm2 times um2 over MHz is pJ.
            leakage_pj: leakage * hotter * area.total() / array.clock_mhz,
            area,
            modes,
            model,
        })
    }

    /// True if MACs with a zero operand are gated.
    pub fn gates_zeros(&self) -> bool {
        self.design.energy.gating == Gating::ZeroOperand
    }

    /// True if a gated MAC leaves its accumulator as it is: a partial sum that travels is written
    /// all the same, and one of several products in a cycle does not decide.
    pub fn gating_spares_accumulators(&self) -> bool {
        self.gates_zeros() && self.design.array.dataflow == Dataflow::Os && self.design.mac.lanes == 1
    }

    /// Register bits over the whole design.
    pub fn register_bits(&self) -> f64 {
        let arrays = f64::from(self.design.array.count);
        let registers = &self.registers;
        self.design.processing_elements() as f64 * registers.pe_bits + arrays * (registers.skew_bits + registers.edge_bits)
    }

    /// Energy of forwarding `bits` to the neighbouring PE, pJ.
    pub fn hop_pj(&self, bits: f64) -> f64 {
        hop_pj(&self.model, bits, self.pe_um2)
    }

    /// Peak MACs per second over 10^12, times two: TFLOPS.
    pub fn peak_tflops(&self) -> f64 {
        2.0 * self.design.peak_macs_per_cycle() * self.design.array.clock_mhz / 1e6
    }

    /// Area a placed design takes, mm2.
    pub fn placed_mm2(&self) -> f64 {
        self.area.total() / self.model.table.placement_density.value / 1e6
    }
}
