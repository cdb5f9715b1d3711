//! One operation: a sum, a difference, a product, or a product and a sum rounded once.

use crate::source::Source;
use crate::{Case, draw, text};
use std::fmt;
use systole_arrays::datapath::Mac;
use systole_arrays::datapath::operation::Operation;
use systole_arrays::vector::{self, Blocks, Elementwise, Target};
use systole_golden::oracle::{self, Operand};
use systole_isa::codes::Codes;
use systole_isa::design::MacMode;
use systole_isa::entropy::{Site, Stage};
use systole_isa::format::{Decoded, Format};
use systole_isa::round::{Flags, Policy, Rounding, encode_decoded};

const OPERATIONS: [Elementwise; 4] = [Elementwise::FusedMultiplyAdd, Elementwise::Add, Elementwise::Subtract, Elementwise::Multiply];

/// One operation on codes of any formats.
#[derive(Debug)]
pub struct Fma {
    op: Elementwise,
    operands: Vec<(Format, u64)>,
    to: Format,
    policy: Policy,
    random: u64,
    seed: u64,
}

impl Case for Fma {
    fn read(source: &mut Source<'_>) -> Self {
        let op = source.pick(&OPERATIONS);
        let policy = draw::policy(source);
        let mut operands = Vec::new();
        while operands.len() < op.arity() {
            // Like formats half of the time, as most hardware has them.
            let format = match operands.first() {
                Some(&(first, _)) if source.one_in(2) => first,
                _ => draw::operand_format(source),
            };
            operands.push((format, draw::code(source, format)));
        }
        let last = operands.len() - 1;
        if source.one_in(3) {
            // The last operand nearly cancels what comes before it.
            let format = operands[last].0;
            if let Some(opposite) = opposite(op, &operands[..last], format) {
                operands[last].1 = opposite.wrapping_add_signed(i64::from(source.within(-2, 2))) & format.mask();
            }
        }
        let to = if source.one_in(2) { operands[last].0 } else { draw::format(source) };
        Self { op, operands, to, policy, random: draw::random(source, policy), seed: source.bits(16) }
    }

    fn check(&self) {
        let Self { op, to, policy, random, .. } = *self;
        let truth = self.truth(random);
        let datapath = match op {
            Elementwise::Add => Operation::Add,
            Elementwise::Subtract => Operation::Subtract,
            Elementwise::Multiply => Operation::Multiply,
            _ => Operation::FusedMultiplyAdd,
        };
        assert_eq!(datapath.apply(&self.operands, to, policy, random), truth, "datapath, oracle: {self}");
        let refused = op == Elementwise::FusedMultiplyAdd && self.operands[0].0.precision() + self.operands[1].0.precision() > 107;
        if refused {
            assert!(vector::apply(op, &self.operands, to, policy, random).is_err(), "a product beyond the adder: {self}");
            return;
        }
        assert_eq!(vector::apply(op, &self.operands, to, policy, random), Ok(truth), "vector unit, oracle: {self}");
        self.check_instruction();
        if op == Elementwise::FusedMultiplyAdd && self.operands[2].0 == to {
            self.check_mac(truth);
        }
    }
}

/// The code nearest to what cancels the operands.
fn opposite(op: Elementwise, operands: &[(Format, u64)], format: Format) -> Option<u64> {
    let exact = |i: usize| match operands.get(i).map(|&(format, code)| format.decode(code)) {
        Some(Decoded::Finite(x)) => Some(x),
        _ => None,
    };
    let value = match op {
        Elementwise::FusedMultiplyAdd => exact(0)?.multiply(exact(1)?).negate(),
        Elementwise::Add => exact(0)?.negate(),
        _ => exact(0)?,
    };
    Some(encode_decoded(format, Decoded::Finite(value), Policy::RNE, 0).0)
}

impl Fma {
    fn truth(&self, random: u64) -> (u64, Flags) {
        let operand = |i: usize| Operand::new(self.operands[i].0, self.operands[i].1);
        let (to, policy) = (self.to, self.policy);
        match self.op {
            Elementwise::Add => oracle::add(operand(0), operand(1), to, policy, random),
            Elementwise::Subtract => oracle::sub(operand(0), operand(1), to, policy, random),
            Elementwise::Multiply => oracle::mul(operand(0), operand(1), to, policy, random),
            _ => oracle::fma(operand(0), operand(1), operand(2), to, policy, random),
        }
    }

    /// The instruction on one element, by whichever of its fast paths takes it.
    fn check_instruction(&self) {
        let site = Site { seed: self.seed, step: 1, instruction: 2, ..Site::default() };
        let target = Target { format: self.to, rows: 1, cols: 1, policy: self.policy, blocks: Blocks::WHOLE, site };
        let buffers: Vec<Codes> = self.operands.iter().map(|&(format, code)| Codes::from_fn(format, 1, |_| code)).collect();
        let operands: Vec<_> =
            self.operands.iter().zip(&buffers).map(|(&(format, _), codes)| vector::Operand { format, rows: 1, cols: 1, codes }).collect();
        let random = site.random(self.policy.rounding.random_bits(), 0, 0, Stage::Vector, 0);
        let (code, flags) = self.truth(random);
        let (codes, activity) = vector::elementwise(self.op, &target, &operands).unwrap_or_else(|e| panic!("{e}: {self}"));
        assert_eq!(codes.get(0), code, "instruction, oracle, R = {random:#x}: {self}");
        let counts = (activity.vector_overflows, activity.vector_underflows, activity.vector_nans);
        let counted = |flag| u64::from(flags.contains(flag));
        let expected = (counted(Flags::OVERFLOW), counted(Flags::UNDERFLOW), u64::from(self.to.is_nan(code)));
        assert_eq!(counts, expected, "overflows, underflows, NaNs of the instruction, oracle: {self}");
    }

    fn check_mac(&self, truth: (u64, Flags)) {
        let Policy { rounding, overflow, no_infinity, subnormals, tininess, nan } = self.policy;
        let [(fa, a), (fb, b), (_, c)] = self.operands[..] else { return };
        let mode = MacMode { rounding, overflow, no_infinity, subnormals, tininess, nan, ..MacMode::fused(fa, fb, self.to) };
        let mac = Mac::new(&mode, 0, 0);
        let (product, raised) = mac.product(a, b, 0);
        let (code, flags) = mac.accumulate(c, product, self.random);
        assert_eq!(code, truth.0, "MAC, oracle: {self}");
        // NaNs of an accumulator are quiet.
        if !self.operands.iter().any(|(format, code)| format.is_signalling(*code)) {
            assert_eq!(raised | flags, truth.1, "flags of the MAC, oracle: {self}");
        }
    }
}

impl fmt::Display for Fma {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.op {
            Elementwise::Add => "add",
            Elementwise::Subtract => "sub",
            Elementwise::Multiply => "mul",
            _ => "fma",
        };
        let operands: Vec<String> = self.operands.iter().map(|&(format, code)| text::operand(format, code)).collect();
        writeln!(f, "{name} of {} to {} by {:?}", operands.join(", "), self.to, self.policy)?;
        if matches!(self.policy.rounding, Rounding::Sr(_)) {
            writeln!(f, "R = {:#x}; the instruction's site has seed {:#x}, step 1, instruction 2", self.random, self.seed)?;
        }
        let (formats, codes): (Vec<Format>, Vec<u64>) = self.operands.iter().copied().unzip();
        f.write_str(&text::golden_check(name, &formats, self.to, self.policy, &codes, self.random, self.truth(self.random)))
    }
}
