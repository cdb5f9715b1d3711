//! What operands reach, line by line or all together, and their zeros.

use super::fields::{self, Fields, Side};
use super::reach::Reach;
use super::reader::{Entry, Gather, Reader, Seen, Zeros};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::OnceLock;
use systole_isa::codes::Codes;

/// What an operand reaches, and its zeros at each k.
pub(super) struct Survey {
    /// The union over all lines: rows of A, columns of B.
    pub all: Reach,
    /// Zeros among the lines at each k.
    pub zeros: Vec<u32>,
    /// One per line; of narrow codes gathered only if asked for.
    lines: OnceLock<Vec<Reach>>,
}

/// Which lines of a matrix run along k.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lines {
    /// Of an M x K matrix the rows.
    Rows,
    /// Of a K x N matrix the columns.
    Columns,
}

impl Survey {
    /// Surveys a row-major matrix of `width` columns.
    pub fn new(codes: &Codes, reader: &Reader, along: Lines, width: usize) -> Self {
        if let (Codes::U8(v), Some(table)) = (codes, &reader.table) {
            let (seen, zeros) = match along {
                Lines::Rows => scan_rows(v, width, &table.zeros),
                Lines::Columns => scan_columns(v, width, &table.zeros),
            };
            return Self { all: table.reach(&table.key_of(&seen)), zeros, lines: OnceLock::new() };
        }
        let (lines, zeros) = along.survey(codes, reader, width);
        Self { all: Self::union(&lines), zeros, lines: lines.into() }
    }

    fn union(lines: &[Reach]) -> Reach {
        lines.iter().fold(Reach::ZERO, |all, &line| all.union(line))
    }

    /// The union over `lines`, which [`Survey::gather`] has gathered.
    pub fn of(&self, lines: Range<usize>) -> Reach {
        self.lines.get().map_or(self.all, |all| Self::union(&all[lines]))
    }

    /// Gathers what each line reaches, if that has not been done: the operand and scale once more.
    pub fn gather(&self, codes: &Codes, reader: &Reader, along: Lines, width: usize, scale: Option<Reach>) {
        self.lines.get_or_init(|| {
            let (mut lines, _) = along.survey(codes, reader, width);
            if let Some(scale) = scale {
                lines.iter_mut().for_each(|line| *line = line.scaled(scale));
            }
            lines
        });
    }

    /// The same with lines multiplied by scales within `scale`.
    #[must_use]
    pub fn scaled(mut self, scale: Reach) -> Self {
        self.all = self.all.scaled(scale);
        if let Some(lines) = self.lines.get_mut() {
            lines.iter_mut().for_each(|line| *line = line.scaled(scale));
        }
        self
    }
}

impl Lines {
    /// What each line reaches, and zeros at each k.
    fn survey(self, codes: &Codes, reader: &Reader, width: usize) -> (Vec<Reach>, Vec<u32>) {
        match (codes, &reader.table, &reader.fields) {
            (Codes::U8(v), Some(table), _) => self.by_code(v, width, |code| table.keys[code as usize], |key| table.reach(key)),
            (Codes::U8(v), None, _) => self.by_code(v, width, |code| reader.entry(code.into()), Entry::reach),
            (Codes::U16(v), _, Some(fields)) => self.by_fields(v, width, fields, |code| reader.entry(code.into())),
            (Codes::U32(v), _, Some(fields)) => self.by_fields(v, width, fields, |code| reader.entry(code.into())),
            (Codes::U16(v), _, None) => self.by_code(v, width, |code| reader.entry(code.into()), Entry::reach),
            (Codes::U32(v), _, None) => self.by_code(v, width, |code| reader.entry(code.into()), Entry::reach),
            (Codes::U64(v), ..) => self.by_code(v, width, |code| reader.entry(code), Entry::reach),
        }
    }

    fn by_code<C: Copy + Sync, G: Gather>(
        self,
        v: &[C],
        width: usize,
        ask: impl Fn(C) -> G + Sync,
        reach: impl Fn(&G) -> Reach + Sync,
    ) -> (Vec<Reach>, Vec<u32>) {
        match self {
            Self::Rows => survey_rows(v, width, |row, zeros| {
                let mut gathered = G::NOTHING;
                for (&code, zero) in row.iter().zip(zeros) {
                    let asked = ask(code);
                    gathered.take(&asked);
                    *zero += asked.is_zero();
                }
                reach(&gathered)
            }),
            Self::Columns => {
                let nothing = || vec![G::NOTHING; width];
                let row = |row: &[C], lines: &mut Vec<G>| {
                    let mut zeros = 0;
                    for (&code, line) in row.iter().zip(lines) {
                        let asked = ask(code);
                        line.take(&asked);
                        zeros += asked.is_zero();
                    }
                    zeros
                };
                let merge = |mut lines: Vec<G>, part: Vec<G>| {
                    lines.iter_mut().zip(&part).for_each(|(line, part)| line.take(part));
                    lines
                };
                let (lines, zeros) = survey_columns(v, width, nothing, row, merge);
                (lines.iter().map(reach).collect(), zeros)
            }
        }
    }

    fn by_fields<C: Copy + Sync + Into<u32>>(
        self,
        v: &[C],
        width: usize,
        fields: &Fields,
        entry: impl Fn(C) -> Entry + Sync,
    ) -> (Vec<Reach>, Vec<u32>) {
        let one_by_one = |codes: &mut dyn Iterator<Item = C>| {
            let mut gathered = Entry::NOTHING;
            codes.for_each(|code| gathered.take(&entry(code)));
            gathered.reach()
        };
        match self {
            Self::Rows => survey_rows(v, width, |row, zeros| {
                fields::along(fields, row, zeros).unwrap_or_else(|| one_by_one(&mut row.iter().copied()))
            }),
            Self::Columns => {
                let row = |row: &[C], lines: &mut Side| fields::across(fields, row, lines);
                let (lines, zeros) = survey_columns(v, width, || Side::new(width), row, |lines, part| lines.merged(&part));
                let lines = lines.reaches(fields).into_iter().enumerate();
                let reach = |(column, line): (usize, Option<Reach>)| {
                    line.unwrap_or_else(|| one_by_one(&mut v[column..].iter().step_by(width).copied()))
                };
                (lines.map(reach).collect(), zeros)
            }
        }
    }
}

fn merge(mut seen: Seen, other: &Seen) -> Seen {
    seen.iter_mut().zip(other).for_each(|(seen, other)| *seen |= other);
    seen
}

/// The codes of a matrix whose rows run along k, and zeros in each column.
fn scan_rows(v: &[u8], k: usize, zero: &Zeros) -> (Seen, Vec<u32>) {
    let rows = rows_per_part(k);
    let none = || ([false; 256], vec![0u32; k]);
    v.par_chunks(k * rows)
        .fold(none, |(mut seen, mut zeros), rows| {
            rows.iter().for_each(|&code| seen[usize::from(code)] = true);
            // Counts of as many rows as a byte can count.
            let mut few = vec![0u8; k];
            for rows in rows.chunks(k * usize::from(u8::MAX)) {
                few.fill(0);
                for row in rows.chunks_exact(k) {
                    few.iter_mut().zip(row).for_each(|(few, &code)| *few += zero.holds(code));
                }
                zeros.iter_mut().zip(&few).for_each(|(zeros, &few)| *zeros += u32::from(few));
            }
            (seen, zeros)
        })
        .reduce(none, |(seen, mut sum), (other, part)| {
            sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
            (merge(seen, &other), sum)
        })
}

/// The codes of a matrix whose columns run along k, and zeros in each row.
fn scan_columns(v: &[u8], n: usize, zero: &Zeros) -> (Seen, Vec<u32>) {
    let rows = rows_per_part(n);
    let mut zeros = vec![0u32; v.len() / n];
    let none = || [false; 256];
    let seen = v
        .par_chunks(n * rows)
        .zip(zeros.par_chunks_mut(rows))
        .fold(none, |mut seen, (rows, zeros)| {
            rows.iter().for_each(|&code| seen[usize::from(code)] = true);
            for (row, zeros) in rows.chunks_exact(n).zip(zeros) {
                let few = |codes: &[u8]| codes.iter().fold(0u8, |few, &code| few + zero.holds(code));
                *zeros = row.chunks(usize::from(u8::MAX)).map(|codes| u32::from(few(codes))).sum();
            }
            seen
        })
        .reduce(none, |seen, other| merge(seen, &other));
    (seen, zeros)
}

/// What rows along k reach, and zeros at each k: `row` reads one and counts its zeros.
fn survey_rows<C: Sync>(v: &[C], k: usize, row: impl Fn(&[C], &mut [u32]) -> Reach + Sync) -> (Vec<Reach>, Vec<u32>) {
    let rows = rows_per_part(k);
    let mut lines = vec![Reach::ZERO; v.len() / k];
    let none = || vec![0u32; k];
    let zeros = v
        .par_chunks(k * rows)
        .zip(lines.par_chunks_mut(rows))
        .fold(none, |mut zeros, (rows, lines)| {
            rows.chunks_exact(k).zip(lines).for_each(|(codes, line)| *line = row(codes, &mut zeros));
            zeros
        })
        .reduce(none, |mut sum, part| {
            sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
            sum
        });
    (lines, zeros)
}

/// What is gathered of columns along k, and zeros at each k: `row` reads one code of each column.
fn survey_columns<C: Sync, G: Send>(
    v: &[C],
    n: usize,
    nothing: impl Fn() -> G + Sync + Send,
    row: impl Fn(&[C], &mut G) -> u32 + Sync,
    merge: impl Fn(G, G) -> G + Sync + Send,
) -> (G, Vec<u32>) {
    let rows = rows_per_part(n);
    let mut zeros = vec![0u32; v.len() / n];
    let lines = v
        .par_chunks(n * rows)
        .zip(zeros.par_chunks_mut(rows))
        .fold(&nothing, |mut lines, (rows, zeros)| {
            rows.chunks_exact(n).zip(zeros).for_each(|(codes, zeros)| *zeros = row(codes, &mut lines));
            lines
        })
        .reduce(&nothing, &merge);
    (lines, zeros)
}

/// Rows of `width` codes that make a part worth a thread's while.
fn rows_per_part(width: usize) -> usize {
    (1usize << 15).div_ceil(width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use systole_isa::format::Format;
    use systole_isa::round::SubnormalPolicy;

    /// Lines of one code and of many, values, and lines that are not finite.
    #[test]
    fn many_at_a_time_are_one_by_one() {
        let mut read = 0;
        for (name, scale) in [
            ("fp16", 0),
            ("bf16", 3),
            ("e6m9", -7),
            ("e5m9f", 40),
            ("e8m3", 1),
            ("tf32", -20),
            ("fp32", 0),
            ("e6m9b40", 0),
            ("dlfloat16", 0),
            ("dlfloat16", 9),
        ] {
            let format: Format = name.parse().unwrap();
            let reader = Reader::new(format, SubnormalPolicy::Gradual, scale).unwrap();
            let fields = reader.fields.as_ref().unwrap();
            let spread = |i: u64| if format.bits() <= 16 { i & format.mask() } else { i.wrapping_mul(0x9e37_79b9) & format.mask() };
            let codes: Vec<u32> = (0..1 << 16).map(|i| spread(i) as u32).collect();
            for &code in &codes {
                let (entry, mut zeros, mut value) = (reader.any_entry(code.into()), [0], [0.0f64]);
                let reach = fields::along(fields, &[code], &mut zeros);
                assert_eq!(reach, (!entry.special).then(|| entry.reach()), "{name} {code:#x}");
                assert_eq!(zeros[0], u32::from(entry.zero));
                if fields::values(fields, &[code], &mut value) {
                    assert_eq!(value[0].to_bits(), entry.value.to_bits(), "{name} {code:#x}");
                    read += 1;
                }
            }
            for (along, width) in [(Lines::Rows, 64), (Lines::Columns, 64), (Lines::Rows, 4096), (Lines::Columns, 4096)] {
                let surveyed = along.survey(&Codes::U32(codes.clone()), &reader, width);
                let one_by_one = along.by_code(&codes, width, |code| reader.any_entry(code.into()), Entry::reach);
                assert_eq!(surveyed, one_by_one, "{name} {along:?} {width}");
            }
        }
        assert!(read > 400_000, "{read}");
    }
}
