//! What makes a design unusable, all of it at once.

use super::{Addend, Aligned, Convention, Design, EntropySource, Gating, MacMode, Product, Scaling, Switching, Unit};
use crate::format::{Format, Specials};
use std::fmt;

/// Most pipeline stages of a MAC.
const MOST_STAGES: u32 = 64;

/// One thing wrong with a design or recipe, with its path and the mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Path of the field, as `--set` takes it.
    pub path: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// Problems found so far.
#[derive(Default)]
pub(super) struct Findings(pub(super) Vec<Problem>);

impl Findings {
    pub(super) fn require(&mut self, holds: bool, path: &str, message: impl FnOnce() -> String) {
        if !holds {
            self.0.push(Problem { path: path.to_owned(), message: message() });
        }
    }

    fn range_u32(&mut self, value: u32, low: u32, high: u32, path: &str) {
        self.require((low..=high).contains(&value), path, || format!("must be {low} to {high}, is {value}"));
    }

    pub(super) fn range_f64(&mut self, value: f64, low: f64, high: f64, path: &str) {
        self.require(value >= low && value <= high, path, || format!("must be {low} to {high}, is {value}"));
    }

    fn operand(&mut self, format: Format, path: &str) {
        self.require(format.precision() <= 53, path, || {
            format!("operands have at most 53 significant bits, `{format}` has {}", format.precision())
        });
        self.require(!matches!(format, Format::Quire(_)), path, || format!("`{format}` is an accumulator, not an operand"));
        self.arithmetic(format, path);
    }

    fn arithmetic(&mut self, format: Format, path: &str) {
        let scale_only = format.as_float().is_some_and(|f| f.specials == Specials::E8m0);
        self.require(!scale_only, path, || format!("`{format}` is a scale format without sign or zero; use a signed format"));
    }

    /// Formats whose codes are stored.
    fn stored(&mut self, format: Format, path: &str) {
        self.require(!format.is_wide(), path, || {
            format!("`{format}` is wider than 64 bits, which only mac.accumulator and mac.outer may be")
        });
        self.arithmetic(format, path);
    }

    fn mode(&mut self, mode: &MacMode, path: &str) {
        self.operand(mode.a, &format!("{path}.a"));
        self.operand(mode.b, &format!("{path}.b"));
        self.arithmetic(mode.accumulator, &format!("{path}.accumulator"));
        if let Product::Rounded(format) = mode.product {
            self.operand(format, &format!("{path}.product"));
        }
        if let Some(chunk) = mode.chunk {
            self.require(chunk > 0, &format!("{path}.chunk"), || "must be at least 1, or `none` for one chain".to_owned());
        }
        if let Some(outer) = mode.outer {
            self.arithmetic(outer, &format!("{path}.outer"));
        }
        for (bias, name) in [(mode.bias_a, "bias_a"), (mode.bias_b, "bias_b")] {
            self.require((-1024..=1024).contains(&bias), &format!("{path}.{name}"), || format!("must be -1024 to 1024, is {bias}"));
        }
        self.unit(mode, path);
        self.scale(mode, path);
        self.entropy(mode, path);
    }

    fn unit(&mut self, mode: &MacMode, path: &str) {
        if mode.unit == Unit::Chain {
            return;
        }
        let chunk = mode.chunk.unwrap_or(mode.lanes);
        self.require(mode.lanes > 0 && chunk.is_multiple_of(mode.lanes), &format!("{path}.chunk"), || {
            format!("must be a multiple of the unit's {} lanes, is {chunk}", mode.lanes)
        });
        let at = format!("{path}.unit");
        match mode.unit {
            Unit::Chain | Unit::Descending | Unit::Exact | Unit::ExactApart => {}
            Unit::Interleaved { ways } => {
                self.require(ways >= 2 && ways <= mode.lanes, &at, || format!("ways must be 2 to {} (the lanes), is {ways}", mode.lanes));
            }
            Unit::Aligned(unit) => self.aligned(unit, mode, &at),
        }
    }

    fn aligned(&mut self, unit: Aligned, mode: &MacMode, at: &str) {
        let floats = [mode.a, mode.b, mode.accumulator].iter().all(|f| f.as_float().is_some());
        self.require(floats, at, || "an aligned unit needs floating-point operands and accumulator".to_owned());
        self.require(mode.product == Product::Exact, at, || "an aligned unit takes exact products; set product to exact".to_owned());
        self.range_u32(unit.fraction_bits, 1, 64, &format!("{at}.fraction_bits"));
        self.require(unit.groups >= 1 && unit.groups <= mode.lanes, at, || {
            format!("groups must be 1 to {} (the lanes), is {}", mode.lanes, unit.groups)
        });
        self.require(unit.groups == 1 || unit.addend != Addend::Together, at, || {
            "groups summed apart cannot each take the accumulator: set addend to apart or aligned".to_owned()
        });
        if let Addend::Aligned { sum_bits, addend_bits, .. } = unit.addend {
            self.range_u32(sum_bits, 1, 64, &format!("{at}.addend.sum_bits"));
            self.range_u32(addend_bits, 1, 64, &format!("{at}.addend.addend_bits"));
        }
        for (value, name) in [(unit.zero_exponent, "zero_exponent"), (unit.infinite_from, "infinite_from")] {
            let value = value.unwrap_or_default();
            self.require((-4096..=4096).contains(&value), &format!("{at}.{name}"), || format!("must be -4096 to 4096, is {value}"));
        }
    }

    fn scale(&mut self, mode: &MacMode, path: &str) {
        if mode.scale == Scaling::None {
            return;
        }
        self.require(mode.chunk.is_some(), &format!("{path}.chunk"), || "block scales need a chunk: it is the block length".to_owned());
        let at = format!("{path}.scale_format");
        let format = mode.scale_format;
        let Some(float) = format.as_float() else {
            self.require(false, &at, || format!("scales are floating-point, `{format}` is not"));
            return;
        };
        self.require(float.precision() <= 24, &at, || {
            format!("scales have at most 24 significant bits, `{format}` has {}", float.precision())
        });
        self.require(mode.scale != Scaling::Exponent || float.mantissa_bits == 0, &at, || {
            format!("scales added to exponents are powers of two, `{format}` holds others; use e8m0, or scale: chunk")
        });
        self.range_u32(mode.scale_rows, 1, 65_536, &format!("{path}.scale_rows"));
        self.range_u32(mode.scale_cols, 1, 65_536, &format!("{path}.scale_cols"));
    }

    fn entropy(&mut self, mode: &MacMode, path: &str) {
        if let Some(outer) = mode.outer_rounding {
            let (bits, inner) = (outer.random_bits(), mode.rounding.random_bits());
            let one_count = bits == inner || (bits.min(inner) == 0 && mode.entropy == EntropySource::Counter);
            self.require(one_count, &format!("{path}.outer_rounding"), || {
                let registers = if mode.entropy == EntropySource::Counter { "" } else { ", as shift registers step once a rounding" };
                format!(
                    "{outer} takes {bits} random bits and {path}.rounding: {} takes {inner}; give both the same number{registers}",
                    mode.rounding
                )
            });
        }
        let EntropySource::Lfsr { width, taps, .. } = mode.entropy else { return };
        let at = format!("{path}.entropy");
        self.range_u32(width, 4, 64, &format!("{at}.width"));
        if (4..=64).contains(&width) {
            self.require(taps >> (width - 1) == 1, &at, || {
                format!("taps must have bit {} as its highest, else the register loses its state", width - 1)
            });
            self.require(mode.random_bits() <= width, &at, || {
                format!("{} needs {} random bits, the register has {width}", mode.rounding, mode.random_bits())
            });
        }
    }
}

impl Design {
    /// Everything that makes the design unusable; empty when it is sound.
    pub fn problems(&self) -> Vec<Problem> {
        let mut found = Findings(Vec::new());
        let array = &self.array;
        found.range_u32(array.rows, 1, 65_536, "array.rows");
        found.range_u32(array.cols, 1, 65_536, "array.cols");
        found.range_u32(array.count, 1, 65_536, "array.count");
        found.range_f64(array.clock_mhz, 1e-3, 1e5, "array.clock_mhz");
        found.range_u32(array.mac_stages, 1, MOST_STAGES, "array.mac_stages");
        let (stages, in_loop) = (array.mac_stages.max(1), array.loop_stages.unwrap_or(1));
        found.require((1..=stages).contains(&in_loop), "array.loop_stages", || {
            format!("are some of the MAC's stages (array.mac_stages: {stages}), so 1 to {stages}; is {in_loop}")
        });
        found.require(array.convention == Convention::Rtl || array.mac_stages == 1, "array.convention", || {
            "scalesim's closed form knows MACs of one stage; set array.mac_stages to 1, or array.convention to rtl".to_owned()
        });
        found.range_u32(self.mac.lanes, 1, 65_536, "mac.lanes");
        found.mode(&self.mac, "mac");
        for (i, mode) in self.modes.iter().enumerate() {
            let path = format!("modes[{i}]");
            found.mode(&mode.resolve(&self.mac), &path);
        }
        let modes = self.mac_modes();
        for (i, mode) in modes.iter().enumerate().skip(1) {
            let earlier = modes[..i].iter().position(|m| m.takes() == mode.takes());
            found.require(earlier.is_none(), &format!("modes[{}]", i - 1), || {
                let blocks = if mode.scale == Scaling::None { "" } else { ", scaled in the same blocks" };
                format!("mode {} already takes a = {} and b = {}{blocks}", earlier.unwrap_or(0), mode.a, mode.b)
            });
        }
        if let Some(format) = self.output.format {
            found.stored(format, "output.format");
        } else if let Some(mode) = modes.iter().find(|m| m.outermost().is_wide()) {
            found.require(false, "output.format", || {
                format!("must be given: results leave a {} accumulator in a format of up to 64 bits", mode.outermost())
            });
        }
        found.range_u32(self.vector.lanes, 1, 65_536, "vector.lanes");
        found.range_u32(self.vector.function_cycles, 1, 1024, "vector.function_cycles");
        found.range_u32(self.vector.latency_cycles, 0, 1024, "vector.latency_cycles");
        found.require(self.vector.format.as_float().is_some(), "vector.format", || {
            format!("the vector unit computes in floating point, `{}` is not", self.vector.format)
        });
        let memory = &self.memory;
        found.range_u32(memory.scratchpad_kib, 1, 1 << 21, "memory.scratchpad_kib");
        found.range_u32(memory.scratchpad_banks, 1, 65_536, "memory.scratchpad_banks");
        found.range_u32(memory.scratchpad_bank_bytes, 1, 1024, "memory.scratchpad_bank_bytes");
        found.range_u32(memory.accumulator_kib, 1, 1 << 21, "memory.accumulator_kib");
        found.range_u32(memory.dram_mib, 1, 1 << 20, "memory.dram_mib");
        found.range_f64(memory.dram_bytes_per_cycle, 1e-3, 1e7, "memory.dram_bytes_per_cycle");
        found.range_u32(memory.dram_latency_cycles, 0, 1_000_000, "memory.dram_latency_cycles");
        found.range_f64(memory.dram_pj_per_bit, 0.0, 1e6, "memory.dram_pj_per_bit");
        let energy = &self.energy;
        found.range_f64(energy.temperature_c, -55.0, 150.0, "energy.temperature_c");
        found.require(energy.activity == Switching::Table || energy.gating == Gating::None, "energy.activity", || {
            "toggles are counted of operands that are not gated; set energy.gating to none, or energy.activity to table".to_owned()
        });
        if let Some(figures) = &energy.figures {
            found.0.extend(figures.problems("energy.figures"));
            found.require(energy.table == figures.name, "energy.table", || {
                format!(
                    "is `{}`, but energy.figures is table `{}`; set energy.figures to none, or energy.table to that name",
                    energy.table, figures.name
                )
            });
        }
        found.0
    }
}
