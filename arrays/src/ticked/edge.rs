//! Skew registers along an edge of the array: lane i delays its tokens by i + 1 registers, or by
//! S i + 1 where the MACs it keeps time with have S stages.

/// What moves through registers.
pub(super) trait Token: Clone + Default {
    /// Elements it carries; 0 for control alone.
    fn elements(&self) -> u64;
}

/// One edge. A lane's registers are a ring, so that its tokens move without being copied.
pub(super) struct Skew<T> {
    /// Lane i at `offsets[i] .. offsets[i + 1]`.
    registers: Vec<T>,
    offsets: Vec<usize>,
    /// Per lane, where the token is that faces the array; the next ones follow it.
    facing: Vec<usize>,
    /// Elements in all registers.
    elements: u64,
}

impl<T: Token> Skew<T> {
    pub fn new(lanes: usize) -> Self {
        Self::in_steps(lanes, 1)
    }

    /// Lane i has `step` i + 1 registers.
    pub fn in_steps(lanes: usize, step: usize) -> Self {
        let offsets: Vec<usize> = (0..=lanes).map(|i| i + step * (i * i.saturating_sub(1) / 2)).collect();
        Self { registers: vec![T::default(); offsets[lanes]], facing: offsets[..lanes].to_vec(), offsets, elements: 0 }
    }

    /// Lanes of the edge.
    pub const fn lanes(&self) -> usize {
        self.facing.len()
    }

    /// The register of `lane` that faces the array.
    pub fn facing(&self, lane: usize) -> &T {
        &self.registers[self.facing[lane]]
    }

    /// The registers of `lane` from the one tokens enter to the one that faces the array.
    pub fn registers(&self, lane: usize) -> impl Iterator<Item = &T> {
        let (before, after) = self.registers[self.offsets[lane]..self.offsets[lane + 1]].split_at(self.facing[lane] - self.offsets[lane]);
        before.iter().rev().chain(after.iter().rev())
    }

    /// One cycle: every lane moves by a register, `entering` gives each lane's next token.
    /// Returns the registers that took an element.
    pub fn shift(&mut self, mut entering: impl FnMut(usize) -> T) -> u64 {
        for (lane, facing) in self.facing.iter_mut().enumerate() {
            let token = entering(lane);
            self.elements += token.elements();
            // The last in line takes the place of the one that leaves.
            self.elements -= std::mem::replace(&mut self.registers[*facing], token).elements();
            *facing = if *facing + 1 == self.offsets[lane + 1] { self.offsets[lane] } else { *facing + 1 };
        }
        self.elements
    }

    /// Puts a token in place of the one facing the array.
    pub fn replace_facing(&mut self, lane: usize, token: T) {
        self.elements += token.elements();
        self.elements -= std::mem::replace(&mut self.registers[self.facing[lane]], token).elements();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    struct Numbered(u64);

    impl Token for Numbered {
        fn elements(&self) -> u64 {
            self.0 % 3
        }
    }

    /// Against lanes that copy every token every cycle.
    #[test]
    fn lane_i_delays_by_i_steps_and_one_register() {
        (0..4).for_each(against_copies);
    }

    fn against_copies(step: usize) {
        const LANES: usize = 5;
        let mut skew = Skew::in_steps(LANES, step);
        let mut copied: Vec<Vec<Numbered>> = (0..LANES).map(|lane| vec![Numbered::default(); step * lane + 1]).collect();
        for cycle in 0..40u64 {
            let entering = |lane: usize| Numbered(cycle * 31 + lane as u64 * 7);
            let writes = skew.shift(entering);
            for (lane, registers) in copied.iter_mut().enumerate() {
                registers.pop();
                registers.insert(0, entering(lane));
            }
            assert_eq!(writes, copied.iter().flatten().map(Token::elements).sum::<u64>());
            if cycle % 3 == 0 {
                let lane = cycle as usize % LANES;
                skew.replace_facing(lane, Numbered(cycle));
                *copied[lane].last_mut().unwrap() = Numbered(cycle);
            }
            for (lane, registers) in copied.iter().enumerate() {
                assert_eq!(Some(skew.facing(lane)), registers.last());
                assert!(skew.registers(lane).eq(registers));
            }
        }
    }
}
