//! A register per PE whose contents move right or down.

/// Registers of R x C PEs.
#[derive(Clone)]
pub(super) struct Mesh<T> {
    registers: Vec<T>,
    cols: usize,
    /// Where the top row is. Rows lie in a ring, so that moving down only renames them.
    top: usize,
}

impl<T: Clone + Default> Mesh<T> {
    pub fn new(rows: usize, cols: usize) -> Self {
        Self { registers: vec![T::default(); rows * cols], cols, top: 0 }
    }

    const fn range(&self, row: usize) -> std::ops::Range<usize> {
        let at = self.top + row * self.cols;
        let start = if at < self.registers.len() { at } else { at - self.registers.len() };
        start..start + self.cols
    }

    pub fn row(&self, row: usize) -> &[T] {
        &self.registers[self.range(row)]
    }

    pub fn row_mut(&mut self, row: usize) -> &mut [T] {
        let range = self.range(row);
        &mut self.registers[range]
    }

    /// One cycle to the right; `entering` gives each row's next token.
    pub fn shift_right(&mut self, entering: impl Fn(usize) -> T) {
        for row in 0..self.registers.len() / self.cols {
            let registers = self.row_mut(row);
            registers.rotate_right(1);
            registers[0] = entering(row);
        }
    }

    /// One cycle down; `entering` gives each column's next token.
    pub fn shift_down(&mut self, entering: impl Fn(usize) -> T) {
        self.top = if self.top == 0 { self.registers.len() } else { self.top } - self.cols;
        for (column, register) in self.row_mut(0).iter_mut().enumerate() {
            *register = entering(column);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against registers that copy their neighbour's token.
    #[test]
    fn tokens_move_right_and_down() {
        for (rows, cols) in [(1, 1), (1, 4), (4, 1), (3, 5)] {
            let (mut mesh, mut copied) = (Mesh::new(rows, cols), vec![vec![0; cols]; rows]);
            for cycle in 0..30 {
                let entering = |lane: usize| 100 * cycle + lane;
                if cycle % 3 == 0 {
                    mesh.shift_right(entering);
                    for (row, registers) in copied.iter_mut().enumerate() {
                        registers.pop();
                        registers.insert(0, entering(row));
                    }
                } else {
                    mesh.shift_down(entering);
                    copied.pop();
                    copied.insert(0, (0..cols).map(entering).collect());
                }
                for (row, registers) in copied.iter().enumerate() {
                    assert_eq!(mesh.row(row), registers);
                }
            }
        }
    }
}
