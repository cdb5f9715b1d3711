//! Programs: instructions, names of their regions, and memory contents to start from or expect.

use crate::format::Format;
use crate::instruction::Instruction;

/// Codes placed in DRAM before a run, or expected there after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Byte address in DRAM.
    pub address: u64,
    /// Format of the codes.
    pub format: Format,
    /// The codes, stored without gaps.
    pub codes: Vec<u64>,
}

/// A program for the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// Instructions in order.
    pub instructions: Vec<Instruction>,
    /// Names that `mark` refers to by index.
    pub regions: Vec<String>,
    /// DRAM contents to begin with.
    pub data: Vec<Segment>,
    /// DRAM contents a correct run ends with.
    pub expect: Vec<Segment>,
}

impl Program {
    /// Appends an instruction.
    pub fn push(&mut self, instruction: Instruction) {
        self.instructions.push(instruction);
    }

    /// Index of a region name, added if new.
    pub fn region(&mut self, name: &str) -> u16 {
        let index = self.regions.iter().position(|r| r == name).unwrap_or_else(|| {
            self.regions.push(name.to_owned());
            self.regions.len() - 1
        });
        u16::try_from(index).unwrap_or(u16::MAX)
    }

    /// The 128-bit words.
    pub fn words(&self) -> Vec<u128> {
        self.instructions.iter().map(Instruction::encode).collect()
    }
}
