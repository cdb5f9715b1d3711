//! Skew registers along an edge of the array: lane i delays its tokens by i + 1 registers.

/// What moves through registers.
pub(super) trait Token: Clone + Default {
    /// Elements it carries; 0 for control alone.
    fn elements(&self) -> u64;
}

/// One edge.
pub(super) struct Skew<T> {
    /// Lane i at `offsets[i] .. offsets[i + 1]`, the register facing the array last.
    registers: Vec<T>,
    offsets: Vec<usize>,
}

impl<T: Token> Skew<T> {
    pub fn new(lanes: usize) -> Self {
        let offsets: Vec<usize> = (0..=lanes).map(|i| i * (i + 1) / 2).collect();
        Self { registers: vec![T::default(); offsets[lanes]], offsets }
    }

    /// The register of `lane` that faces the array.
    pub fn facing(&self, lane: usize) -> &T {
        &self.registers[self.offsets[lane + 1] - 1]
    }

    /// One cycle: every lane moves by a register, `entering` gives each lane's next token.
    /// Returns the registers that took an element.
    pub fn shift(&mut self, mut entering: impl FnMut(usize) -> T) -> u64 {
        let mut writes = 0;
        for (lane, bounds) in self.offsets.windows(2).enumerate() {
            let registers = &mut self.registers[bounds[0]..bounds[1]];
            registers.rotate_right(1);
            registers[0] = entering(lane);
            writes += registers.iter().map(Token::elements).sum::<u64>();
        }
        writes
    }

    /// Replaces the tokens facing the array, in place of what [`Skew::shift`] put there.
    pub fn facing_mut(&mut self, lane: usize) -> &mut T {
        &mut self.registers[self.offsets[lane + 1] - 1]
    }
}
