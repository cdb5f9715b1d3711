//! Partial sums as text: how many were swamped or overflowed, and where they lie.

use crate::text::{grouped, percent};
use std::fmt::Write;
use systole_isa::device::SumCounts;

/// Characters of the longest bar.
const BAR: f64 = 40.0;

/// Binades shown at most: those of the largest sums, the rest in one line.
const BINADES: usize = 24;

/// What additions lost: how many were swamped, and what is no finite sum.
pub fn losses(sums: &SumCounts) -> String {
    let mut line = format!("{} swamped", percent(sums.swamped as f64, sums.additions as f64));
    for (count, what) in [(sums.overflows, "overflows"), (sums.infinities, "infinite"), (sums.nans, "NaN")] {
        if count > 0 {
            let _ = write!(line, ", {} {what}", grouped(count));
        }
    }
    line
}

/// One line about sums of a place.
fn line(sums: &SumCounts) -> String {
    let [low, high] = sums.reach();
    format!(
        "{}, {} (2^{low} to 2^{high}): {} additions in {} outputs, {}",
        sums.place.name(),
        sums.format,
        grouped(sums.additions),
        grouped(sums.outputs),
        losses(sums)
    )
}

/// What `systole gemm --sums` prints: bars by exponent for each place.
pub fn text(all: &[SumCounts]) -> String {
    let mut text = String::new();
    for sums in all {
        let _ = writeln!(text, "\n  {}", line(sums));
        let shown = sums.exponents.len().saturating_sub(BINADES);
        let (small, shown) = sums.exponents.split_at(shown);
        let small: u64 = small.iter().map(|(_, n)| n).sum();
        let most = shown.iter().map(|(_, n)| *n).max().unwrap_or(1).max(small);
        let mut row = |label: String, n: u64| {
            let bar = "#".repeat((BAR * n as f64 / most as f64).ceil() as usize);
            let _ = writeln!(text, "    {label:>6}  {:>6}  {bar}", percent(n as f64, sums.additions as f64));
        };
        if sums.zeros > 0 {
            row("0".to_owned(), sums.zeros);
        }
        if let (1.., Some((least, _))) = (small, shown.first()) {
            row(format!("<2^{least}"), small);
        }
        shown.iter().for_each(|(exponent, n)| row(format!("2^{exponent}"), *n));
    }
    text
}
