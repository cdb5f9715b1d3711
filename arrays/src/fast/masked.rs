//! Products of which only some outputs are wanted.
//!
//! Rows of A and columns of B without a selected output are left out before operands are packed;
//! kernels then skip tiles without one. Where selected outputs lie thinly strewn, rows are taken a
//! band at a time, each with its own columns. Values are those of the whole product, as each output
//! keeps its order of sums and its place among the random bits ([`Places`]). A product with a mask has no C
//! and draws nothing from shift registers.

use super::choice::KernelChoice;
use super::dispatch::{self, KernelUse};
use super::scalar::Problem;
use crate::mask::Mask;
use crate::problem::{Operands, Scales, Setup, Shape, Values, scale_extents};
use crate::ticked::draws_from_registers;
use rayon::prelude::*;
use systole_isa::codes::Codes;
use systole_isa::design::MacMode;
use systole_isa::device::Activity;
use systole_isa::format::Format;

/// Where rows and columns of gathered operands lie in the whole product.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    /// Empty where nothing is left out.
    rows: Vec<u32>,
    columns: Vec<u32>,
}

impl Places {
    /// The row in the whole product; rows behind the last are any.
    pub fn row(&self, row: u32) -> u32 {
        if self.rows.is_empty() { row } else { self.rows.get(row as usize).copied().unwrap_or(0) }
    }

    /// The like for a column. Where random bits are drawn, four that share a position stay together.
    pub fn column(&self, column: u32) -> u32 {
        if self.columns.is_empty() { column } else { self.columns.get(column as usize).copied().unwrap_or(0) }
    }
}

/// Rows that are taken together, and the columns that any of them selects.
struct Part {
    rows: Vec<u32>,
    columns: Vec<u32>,
}

/// Rows of a band, where the mask is thin.
const HEIGHTS: [usize; 2] = [64, 16];

/// Rows that computing takes as long as surveying and packing their columns.
const PACKING: usize = 32;

impl Part {
    /// The columns of some rows, in whole `unit`s of neighbours.
    fn new(mask: &Mask, rows: &[u32], unit: u32) -> Self {
        let (_, n) = mask.extents();
        let mut any = vec![0u64; (n as usize).div_ceil(64)];
        for &row in rows {
            any.iter_mut().zip(mask.words(row)).for_each(|(any, word)| *any |= word);
        }
        let holds = |column: u32| any[column as usize / 64] >> (column % 64) & 1 == 1;
        let units = (0..n).step_by(unit as usize).map(|first| first..n.min(first + unit));
        Self { rows: rows.to_vec(), columns: units.filter(|unit| unit.clone().any(holds)).flatten().collect() }
    }

    /// What it takes, in outputs.
    const fn cost(&self) -> usize {
        self.columns.len() * (self.rows.len() + PACKING)
    }

    /// The parts of a product that together take the least.
    fn all(mask: &Mask, unit: u32) -> Vec<Self> {
        let (m, n) = mask.extents();
        let rows: Vec<u32> = (0..m).filter(|&row| mask.count(row, 0..n) > 0).collect();
        let mut best = vec![Self::new(mask, &rows, unit)];
        for height in HEIGHTS {
            let bands: Vec<Self> = rows.chunks(height).map(|rows| Self::new(mask, rows, unit)).collect();
            let cost = |parts: &[Self]| parts.iter().map(Self::cost).sum::<usize>();
            // A band more or less is not worth another survey.
            if cost(&bands) * 5 < cost(&best) * 4 {
                best = bands;
            }
        }
        best
    }
}

/// The product of a mask's outputs; code 0 for others.
pub(super) fn gemm(setup: &Setup, shape: Shape, operands: &Operands<'_>, mask: &Mask, choice: KernelChoice) -> (Values, KernelUse) {
    let Shape { m, n, k } = shape;
    assert_eq!(mask.extents(), (m, n), "a mask has an element for each output");
    assert!(operands.c.is_none(), "a product with a mask has no C");
    assert!(!draws_from_registers(&setup.mode), "a product with a mask draws no random bits from shift registers");
    let selected = mask.selected();
    if selected == u64::from(m) * u64::from(n) {
        return dispatch::compute(setup, shape, &Operands { mask: None, ..*operands }, &Places::default(), choice);
    }
    let mut d = Codes::zeros(setup.output.format, m as usize * n as usize);
    if selected == 0 {
        let used = KernelUse { name: "none", reason: String::new(), tiles_by_definition: 0 };
        return (Values { d, activity: Activity::default() }, used);
    }
    let draws = setup.mode.random_bits() > 0 || setup.output.policy.rounding.random_bits() > 0;
    let parts = Part::all(mask, if draws { 4 } else { 1 });
    let compute = |part: &Part| {
        let (whole_rows, whole_columns) = (part.rows.len() == m as usize, part.columns.len() == n as usize);
        if whole_rows && whole_columns {
            return dispatch::compute(setup, shape, operands, &Places::default(), choice);
        }
        let a = (!whole_rows).then(|| lines(operands.a, k as usize, &part.rows));
        let b = (!whole_columns).then(|| columns(operands.b, n as usize, &part.columns));
        let [scales_a, scales_b] = scales(&setup.mode, shape, operands, part);
        let mode = MacMode { scale_rows: 1, scale_cols: 1, ..setup.mode.clone() };
        let of_part = part_of(mask, part);
        let shape = Shape { m: part.rows.len() as u32, n: part.columns.len() as u32, k };
        let full = of_part.selected() == u64::from(shape.m) * u64::from(shape.n);
        let operands = Operands {
            a: a.as_ref().unwrap_or(operands.a),
            b: b.as_ref().unwrap_or(operands.b),
            c: None,
            scales: Scales { a: scales_a.as_ref(), b: scales_b.as_ref() },
            mask: (!full).then_some(&of_part),
        };
        let places = Places { rows: part.rows.clone(), columns: part.columns.clone() };
        dispatch::compute(&Setup { mode, ..setup.clone() }, shape, &operands, &places, choice)
    };
    let done: Vec<(Values, KernelUse)> = parts.par_iter().map(compute).collect();
    let mut activity = Activity::default();
    let mut used: Option<KernelUse> = None;
    for (part, (values, of_part)) in parts.iter().zip(done) {
        activity += values.activity;
        for (i, &row) in part.rows.iter().enumerate() {
            let first = i * part.columns.len();
            let wanted = part.columns.iter().enumerate().filter(|&(_, &column)| mask.holds(row, column));
            wanted.for_each(|(j, &column)| d.set(row as usize * n as usize + column as usize, values.d.get(first + j)));
        }
        // Parts differ in what their own operands allow; the first speaks for all.
        let by_definition = of_part.tiles_by_definition;
        used.get_or_insert(KernelUse { tiles_by_definition: 0, ..of_part }).tiles_by_definition += by_definition;
    }
    (Values { d, activity }, used.unwrap_or(KernelUse { name: "none", reason: String::new(), tiles_by_definition: 0 }))
}

/// The mask of a part's outputs.
fn part_of(mask: &Mask, part: &Part) -> Mask {
    let mut of_part = Mask::none(part.rows.len() as u32, part.columns.len() as u32, mask.element_bytes());
    for (i, &row) in part.rows.iter().enumerate() {
        let wanted = part.columns.iter().enumerate().filter(|&(_, &column)| mask.holds(row, column));
        wanted.for_each(|(j, _)| of_part.select(i as u32, j as u32));
    }
    of_part
}

/// Block scales of a part, one for each of its rows and columns.
fn scales(mode: &MacMode, shape: Shape, operands: &Operands<'_>, part: &Part) -> [Option<Codes>; 2] {
    let [(_, blocks), (_, across)] = scale_extents(mode, shape);
    let rows: Vec<u32> = part.rows.iter().map(|row| row / mode.scale_rows).collect();
    let of_columns: Vec<u32> = part.columns.iter().map(|column| column / mode.scale_cols).collect();
    let Scales { a, b } = operands.scales;
    [a.map(|a| lines(a, blocks as usize, &rows)), b.map(|b| columns(b, across as usize, &of_columns))]
}

macro_rules! gathered {
    ($codes:expr, $v:ident => $body:expr) => {
        match $codes {
            Codes::U8($v) => Codes::U8($body),
            Codes::U16($v) => Codes::U16($body),
            Codes::U32($v) => Codes::U32($body),
            Codes::U64($v) => Codes::U64($body),
        }
    };
}

/// Rows of a matrix of `width` columns.
fn lines(codes: &Codes, width: usize, rows: &[u32]) -> Codes {
    gathered!(codes, v => rows.iter().flat_map(|&row| &v[row as usize * width..][..width]).copied().collect())
}

/// Columns of a matrix of `width` columns.
fn columns(codes: &Codes, width: usize, columns: &[u32]) -> Codes {
    gathered!(codes, v => v.chunks_exact(width).flat_map(|row| columns.iter().map(|&column| row[column as usize])).collect())
}

/// Zeros of an operand, line by line along k.
struct Zeros {
    pitch: usize,
    bits: Vec<u64>,
    counts: Vec<u32>,
}

impl Zeros {
    /// `step` apart along k, lines `apart`.
    fn new(format: Format, codes: &Codes, count: usize, k: usize, (apart, step): (usize, usize)) -> Self {
        let table: Vec<bool> =
            if format.bits() <= 8 { (0..256).map(|code| format.is_zero(code & format.mask())).collect() } else { Vec::new() };
        let pitch = k.div_ceil(64);
        let mut zeros = Self { pitch, bits: vec![0; count * pitch], counts: vec![0; count] };
        let mut see = |line: usize, i: usize| {
            let code = codes.get(line * apart + i * step);
            if table.get(code as usize).copied().unwrap_or_else(|| format.is_zero(code)) {
                zeros.bits[line * pitch + i / 64] |= 1 << (i % 64);
                zeros.counts[line] += 1;
            }
        };
        // In the order of memory.
        if step == 1 {
            (0..count).for_each(|line| (0..k).for_each(|i| see(line, i)));
        } else {
            (0..k).for_each(|i| (0..count).for_each(|line| see(line, i)));
        }
        zeros
    }

    fn of(&self, line: usize) -> &[u64] {
        &self.bits[line * self.pitch..][..self.pitch]
    }
}

/// Products of selected outputs of which at least one operand is a zero.
pub(super) fn zero_operand_macs(problem: &Problem<'_>, mask: &Mask) -> u64 {
    let (m, n, k) = (problem.shape.m as usize, problem.shape.n as usize, problem.shape.k as usize);
    let mode = problem.mac.mode();
    let a = Zeros::new(mode.a, problem.operands.a, m, k, (k, 1));
    let b = Zeros::new(mode.b, problem.operands.b, n, k, (1, n));
    let of_row = |row: usize| {
        let (of_a, count) = (a.of(row), u64::from(a.counts[row]));
        let either = |column: u32| {
            let column = column as usize;
            let others = u64::from(b.counts[column]);
            if count == 0 || others == 0 {
                return count + others;
            }
            let both: u32 = of_a.iter().zip(b.of(column)).map(|(a, b)| (a & b).count_ones()).sum();
            count + others - u64::from(both)
        };
        mask.columns(row as u32, 0..n as u32).map(either).sum::<u64>()
    };
    (0..m).into_par_iter().map(of_row).sum()
}
