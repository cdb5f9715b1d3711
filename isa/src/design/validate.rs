//! What makes a design unusable, all of it at once.

use super::{Design, MacMode, Product};
use crate::format::{Format, Specials};
use std::fmt;

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

struct Findings(Vec<Problem>);

impl Findings {
    fn require(&mut self, holds: bool, path: &str, message: impl FnOnce() -> String) {
        if !holds {
            self.0.push(Problem { path: path.to_owned(), message: message() });
        }
    }

    fn range_u32(&mut self, value: u32, low: u32, high: u32, path: &str) {
        self.require((low..=high).contains(&value), path, || format!("must be {low} to {high}, is {value}"));
    }

    fn range_f64(&mut self, value: f64, low: f64, high: f64, path: &str) {
        self.require(value >= low && value <= high, path, || format!("must be {low} to {high}, is {value}"));
    }

    fn operand(&mut self, format: Format, path: &str) {
        self.require(format.precision() <= 53, path, || {
            format!("operands have at most 53 significant bits, `{format}` has {}", format.precision())
        });
        self.arithmetic(format, path);
    }

    fn arithmetic(&mut self, format: Format, path: &str) {
        let scale_only = format.as_float().is_some_and(|f| f.specials == Specials::E8m0);
        self.require(!scale_only, path, || format!("`{format}` is a scale format without sign or zero; use a signed format"));
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
        found.range_u32(self.mac.lanes, 1, 65_536, "mac.lanes");
        found.mode(&self.mac, "mac");
        for (i, mode) in self.modes.iter().enumerate() {
            let path = format!("modes[{i}]");
            found.mode(&mode.resolve(&self.mac), &path);
        }
        let modes = self.mac_modes();
        for (i, mode) in modes.iter().enumerate().skip(1) {
            let earlier = modes[..i].iter().position(|m| m.a == mode.a && m.b == mode.b);
            found.require(earlier.is_none(), &format!("modes[{}]", i - 1), || {
                format!("mode {} already takes a = {} and b = {}", earlier.unwrap_or(0), mode.a, mode.b)
            });
        }
        if let Some(format) = self.output.format {
            found.arithmetic(format, "output.format");
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
        found.0
    }
}
