//! An output's sums on their way, every addition counted.

use super::chain::{Chain, Output};
use super::entropy::Entropy;
use super::mac::{Factor, Mac};
use super::register::Register;
use super::unit::Block;
use super::wide::Wide;
use std::ops::Range;
use systole_isa::device::{Activity, SumCounts, SumPlace};
use systole_isa::format::{Decoded, Format};

/// Where and how the sums of an output are added: [`super::scaled_dot`], slowly.
#[derive(Debug)]
pub struct Counting<'a> {
    mac: &'a Mac,
    /// In the order of [`SumPlace`].
    counts: [SumCounts; 3],
    activity: Activity,
}

/// A register before and after an addition.
struct Addition<'r> {
    before: &'r Register,
    after: &'r Register,
    /// Whether something finite other than 0 was added.
    of_something: bool,
}

const fn is_something(value: Decoded) -> bool {
    matches!(value, Decoded::Finite(x) if !x.is_zero())
}

impl<'a> Counting<'a> {
    /// Nothing counted yet.
    pub fn new(mac: &'a Mac) -> Self {
        let outermost = mac.mode().outermost();
        let counts = [(SumPlace::Accumulator, mac.mode().accumulator), (SumPlace::Outer, outermost), (SumPlace::Memory, outermost)];
        Self { mac, counts: counts.map(|(place, format)| SumCounts::new(place, format)), activity: Activity::default() }
    }

    /// One output element; arguments as those of [`super::scaled_dot`], and the same answer.
    #[allow(clippy::too_many_arguments, reason = "an output element is all of these")]
    pub fn dot(
        &mut self,
        k: u32,
        operands: impl Fn(u32) -> (u64, u64) + Copy,
        factor: impl Fn(u32) -> Factor + Copy,
        c: Option<u64>,
        fold: Option<u32>,
        output: &Output,
        entropy: &dyn Entropy,
    ) -> u64 {
        let mac = self.mac;
        let mut total = c.map_or_else(|| mac.zero(), |c| mac.load(c, output));
        match fold {
            None => {
                let mut chain = Chain::start(mac, total);
                self.run(&mut chain, 0..k, operands, factor, entropy);
                total = chain.into_outermost(mac);
            }
            Some(fold) => {
                let mut begin = 0;
                while begin < k {
                    let end = k.min(begin.saturating_add(fold));
                    let mut chain = Chain::start(mac, mac.zero());
                    self.run(&mut chain, begin..end, operands, factor, entropy);
                    let addend = chain.outermost(mac);
                    let before = total;
                    total = mac.add_fold(&before, addend, end - 1, entropy, &mut self.activity);
                    let of_something = is_something(self.read(addend, mac.mode().outermost()));
                    self.count(SumPlace::Memory, &Addition { before: &before, after: &total, of_something });
                    begin = end;
                }
            }
        }
        self.counts.iter_mut().for_each(|counts| counts.outputs += 1);
        mac.finish(&total, output, entropy, &mut Activity::default())
    }

    /// What was counted, in places where something was added.
    pub fn finish(self) -> Vec<SumCounts> {
        self.counts.into_iter().filter(|counts| counts.additions > 0).collect()
    }

    /// The products of one chain from its beginning to its end.
    fn run(
        &mut self,
        chain: &mut Chain,
        k: Range<u32>,
        operands: impl Fn(u32) -> (u64, u64),
        factor: impl Fn(u32) -> Factor,
        entropy: &dyn Entropy,
    ) {
        let mac = self.mac;
        let mut block = Vec::with_capacity(mac.mode().lanes.min(256) as usize);
        for i in k.clone() {
            block.push(operands(i));
            let last = i + 1 == k.end;
            if !Chain::ends_block(mac, i, k.start, last) {
                continue;
            }
            let products = Block { operands: &block, first: i + 1 - block.len() as u32, factor: factor(i) };
            let before = chain.inner.clone();
            chain.step(mac, &products, false, entropy, &mut self.activity);
            let addition = Addition { before: &before, after: &chain.inner, of_something: self.is_something(&products) };
            self.count(SumPlace::Accumulator, &addition);
            if Chain::closes(mac, i, k.start, last) {
                let (inner, before) = (chain.inner.clone(), chain.outer.clone());
                chain.close(mac, products.factor, i, entropy, &mut self.activity);
                let scaled = mac.split(products.factor).1.exponent().is_some();
                let of_something = scaled && is_something(self.read(&inner, mac.mode().accumulator));
                self.count(SumPlace::Outer, &Addition { before: &before, after: &chain.outer, of_something });
            }
            block.clear();
        }
    }

    /// Whether the exact sum of a block's products is finite and not 0.
    fn is_something(&self, block: &Block<'_>) -> bool {
        if self.mac.split(block.factor).0.exponent().is_none() {
            return false;
        }
        let products = block.operands.iter().map(|&(a, b)| match self.mac.exact_product(a, b) {
            Decoded::Finite(x) => Some(x),
            _ => None,
        });
        let Some(mut terms) = products.collect::<Option<Vec<_>>>() else { return false };
        terms.retain(|x| !x.is_zero());
        if terms.len() < 2 { !terms.is_empty() } else { !Wide::sum(&terms).is_zero() }
    }

    fn read(&self, register: &Register, format: Format) -> Decoded {
        register.read(format, self.mac.policy())
    }

    fn count(&mut self, place: SumPlace, addition: &Addition<'_>) {
        let overflows = std::mem::take(&mut self.activity).accumulator_overflows;
        let format = self.counts[place as usize].format;
        let [before, after] = [addition.before, addition.after].map(|register| self.read(register, format));
        let counts = &mut self.counts[place as usize];
        counts.additions += 1;
        counts.overflows += overflows;
        match after {
            Decoded::Nan => counts.nans += 1,
            Decoded::Infinite { .. } => counts.infinities += 1,
            Decoded::Finite(sum) if sum.is_zero() => counts.zeros += 1,
            Decoded::Finite(sum) => counts.count_exponent(sum.magnitude_exponent(), 1),
        }
        if let (Decoded::Finite(before), Decoded::Finite(after)) = (before, after) {
            let unchanged = addition.before == addition.after || before.is_zero() && after.is_zero();
            counts.swamped += u64::from(unchanged && addition.of_something);
        }
    }
}
