//! A code of one format converted to another, with exceptions.

use crate::draw;
use crate::source::Source;
use crate::{Case, text};
use std::fmt;
use systole_arrays::datapath::operation::Operation;
use systole_arrays::vector::{Elementwise, apply};
use systole_golden::oracle::{self, Operand};
use systole_isa::format::Format;
use systole_isa::round::{Policy, convert};

/// One conversion.
#[derive(Debug)]
pub struct Convert {
    from: Format,
    to: Format,
    code: u64,
    policy: Policy,
    random: u64,
}

impl Case for Convert {
    fn read(source: &mut Source<'_>) -> Self {
        let (from, to, policy) = (draw::any_format(source), draw::any_format(source), draw::policy(source));
        Self { from, to, code: draw::code(source, from), policy, random: draw::random(source, policy) }
    }

    fn check(&self) {
        let Self { from, to, code, policy, random } = *self;
        let truth = oracle::convert(Operand::new(from, code), to, policy, random);
        assert_eq!(convert(from, to, code, policy, random), truth, "isa, oracle: {self}");
        assert_eq!(Operation::Convert.apply(&[(from, code)], to, policy, random), truth, "datapath, oracle: {self}");
        let vector = apply(Elementwise::Convert, &[(from, code)], to, policy, random);
        assert_eq!(vector, Ok(truth), "vector unit, oracle: {self}");
    }
}

impl fmt::Display for Convert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, code, policy, random } = *self;
        let truth = oracle::convert(Operand::new(from, code), to, policy, random);
        writeln!(f, "{} to {to} by {policy:?}", text::operand(from, code))?;
        f.write_str(&text::golden_check("convert", &[from], to, policy, &[code], random, truth))
    }
}
