//! The order in which a program's instructions execute: hardware loops unrolled.

use systole_isa::instruction::Instruction;

/// Loops inside one another.
const NEST: usize = 4;

/// A program that does not end properly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SequenceError {
    /// Position of the instruction in the program.
    pub index: usize,
    /// What is wrong and the mend.
    pub message: String,
}

#[derive(Clone, Copy, Debug)]
struct Loop {
    start: usize,
    end: usize,
    left: u32,
}

/// Walks a program. A program ends at `halt` or behind its last instruction.
#[derive(Debug)]
pub struct Sequencer<'a> {
    instructions: &'a [Instruction],
    next: usize,
    loops: Vec<Loop>,
    retired: u64,
    limit: u64,
}

/// An instruction in its turn.
#[derive(Clone, Copy, Debug)]
pub struct Turn<'a> {
    /// Position in the program.
    pub index: usize,
    /// Ordinal among the instructions executed, from 0.
    pub ordinal: u64,
    /// The instruction.
    pub instruction: &'a Instruction,
}

impl<'a> Sequencer<'a> {
    /// A walk of at most `limit` instructions.
    pub const fn new(instructions: &'a [Instruction], limit: u64) -> Self {
        Self { instructions, next: 0, loops: Vec::new(), retired: 0, limit }
    }

    /// The next instruction; `None` after the last. Loops themselves appear as `loop`.
    ///
    /// # Errors
    /// A loop that reaches beyond its surroundings or nests too deep, or too many instructions.
    pub fn step(&mut self) -> Result<Option<Turn<'a>>, SequenceError> {
        while let Some(innermost) = self.loops.last_mut().filter(|l| l.end == self.next) {
            innermost.left -= 1;
            if innermost.left > 0 {
                self.next = innermost.start;
                break;
            }
            self.loops.pop();
        }
        let index = self.next;
        let Some(instruction) = self.instructions.get(index) else { return Ok(None) };
        let fail = |message| Err(SequenceError { index, message });
        if self.retired == self.limit {
            return fail(format!("the program has not ended after {} instructions; shorten its loops", self.limit));
        }
        let turn = Turn { index, ordinal: self.retired, instruction };
        self.retired += 1;
        self.next += 1;
        match *instruction {
            Instruction::Halt {} => {
                self.next = self.instructions.len();
                self.loops.clear();
            }
            Instruction::Loop { count, length } => {
                let end = self.next + usize::from(length.0);
                let bound = self.loops.last().map_or(self.instructions.len(), |l| l.end);
                if end > bound {
                    let place = if self.loops.is_empty() { "the program" } else { "the loop around it" };
                    return fail(format!(
                        "its body of {} instructions reaches beyond {place}, which has {} left",
                        length.0,
                        bound - self.next
                    ));
                }
                if count.0 == 0 {
                    self.next = end;
                } else if length.0 > 0 {
                    if self.loops.len() == NEST {
                        return fail(format!("loops nest {NEST} deep at most"));
                    }
                    self.loops.push(Loop { start: self.next, end, left: count.0 });
                }
            }
            _ => {}
        }
        Ok(Some(turn))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use systole_isa::asm::assemble;

    fn walk(text: &str, limit: u64) -> Result<Vec<usize>, String> {
        let program = assemble("test", text).unwrap();
        let mut sequencer = Sequencer::new(&program.instructions, limit);
        let mut indices = Vec::new();
        while let Some(turn) = sequencer.step().map_err(|e| format!("{}: {}", e.index, e.message))? {
            assert_eq!(turn.ordinal, indices.len() as u64);
            indices.push(turn.index);
        }
        Ok(indices)
    }

    #[test]
    fn orders() {
        for (text, expected) in [
            ("nop\nnop", vec![0, 1]),
            ("halt\nnop", vec![0]),
            ("loop 2, 1\nnop\nnop", vec![0, 1, 1, 2]),
            ("loop 0, 1\nnop\nnop", vec![0, 2]),
            ("loop 9, 0\nnop", vec![0, 1]),
            // Two loops that end together.
            ("loop 2, 3\nnop\nloop 2, 1\nnop\nnop", vec![0, 1, 2, 3, 3, 1, 2, 3, 3, 4]),
            ("loop 2, 2\nloop 2, 1\nnop", vec![0, 1, 2, 2, 1, 2, 2]),
            ("loop 3, 2\nnop\nhalt\nnop", vec![0, 1, 2]),
        ] {
            assert_eq!(walk(text, 100), Ok(expected), "{text}");
        }
    }

    #[test]
    fn refusals() {
        for (text, expected) in [
            ("loop 2, 2\nnop", "0: its body of 2 instructions reaches beyond the program, which has 1 left"),
            ("loop 2, 2\nloop 2, 2\nnop\nnop", "1: its body of 2 instructions reaches beyond the loop around it, which has 1 left"),
            ("loop 2, 5\nloop 2, 4\nloop 2, 3\nloop 2, 2\nloop 2, 1\nnop", "4: loops nest 4 deep at most"),
            ("loop 4000000000, 1\nnop", "1: the program has not ended after 100 instructions; shorten its loops"),
        ] {
            assert_eq!(walk(text, 100), Err(expected.to_owned()), "{text}");
        }
    }
}
