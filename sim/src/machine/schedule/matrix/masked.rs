//! The waves of a product whose mask skips output groups: those left go to the arrays in turn.
//!
//! The mask of a group comes with it, and with it those of the groups skipped before it; what is
//! left of the mask comes with the last wave. Of what a group needs, only the results stored and
//! the partial sums kept depend on how many of its outputs are selected.

use super::{Powers, Resting, Run, Wave, Waves};
use std::ops::Range;
use systole_arrays::dataflow::Tile;
use systole_isa::design::Dataflow;

/// What `os` waves have met so far.
struct Met {
    /// Row of tiles of the wave before.
    row: Option<u64>,
    /// Columns of tiles, and scales of B, that have come.
    columns: Vec<bool>,
    scales: Vec<bool>,
}

/// Stretches of neighbouring tiles, ascending.
fn stretches(tiles: &[u64]) -> Vec<Range<u64>> {
    let mut stretches: Vec<Range<u64>> = Vec::new();
    for &tile in tiles {
        match stretches.last_mut().filter(|last| last.end == tile) {
            Some(last) => last.end += 1,
            None => stretches.push(tile..tile + 1),
        }
    }
    stretches
}

impl Waves {
    /// The waves of the groups that a mask leaves.
    pub(super) fn listed(&self, tiles: &[Tile]) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        let mut push = |wave: Wave, times: u64| match runs.last_mut().filter(|(last, _)| *last == wave) {
            Some((_, known)) => *known += times,
            None => runs.push((wave, times)),
        };
        let scales = self.scales_b.axis.all() as usize;
        let mut met = Met { row: None, columns: vec![false; self.across.count() as usize], scales: vec![false; scales] };
        let mut masked = 0;
        let mut left = tiles.len();
        for (number, wave) in tiles.chunks(self.arrays as usize).enumerate() {
            left -= wave.len();
            let until = if left == 0 { self.groups() } else { wave.last().map_or(0, |tile| tile.group + 1) };
            let mask = self.outputs_before(until) - self.outputs_before(masked);
            masked = until;
            if self.dataflow == Dataflow::Os {
                push(self.listed_output_stationary(wave, mask, &mut met), 1);
                continue;
            }
            let resting = self.resting(wave, mask, number == 0);
            let mut fold = 0;
            while fold < self.folds() {
                let alike = self.folds_alike(fold);
                push(self.stationary_wave(&resting, fold), alike);
                fold += alike;
            }
        }
        runs
    }

    /// The load of a mask that selects nothing, and as `slot` the cycles in which it is read.
    pub(super) fn mask_alone(&self) -> Wave {
        let elements = self.outputs_before(self.groups());
        let load = self.c.bytes(elements) + self.powers.loaded;
        let others = self.shared.map_or(0, |_| load);
        let cycles = (elements * self.edge[2] + self.powers.read + others).div_ceil(self.scratchpad_bytes_per_cycle);
        Wave { load, store: 0, slot: cycles, extra: 0 }
    }

    /// Bytes of the partial sums of groups beyond the accumulator memories, which hold those of
    /// selected outputs alone.
    pub(super) fn spilled_by(&self, tiles: &[Tile]) -> u64 {
        tiles.iter().map(|tile| (tile.outputs * self.partial).saturating_sub(self.accumulator)).sum()
    }

    /// Outputs of all groups before one.
    fn outputs_before(&self, group: u64) -> u64 {
        if !matches!(self.dataflow, Dataflow::Os) {
            return self.across.sum(0, group) * self.stream;
        }
        let (row, column) = (group / self.across.count(), group % self.across.count());
        self.down.sum(0, row) * self.across.extent + self.down.sum(row, row + 1) * self.across.sum(0, column)
    }

    fn resting(&self, wave: &[Tile], mask: u64, opens: bool) -> Resting {
        let groups: Vec<u64> = wave.iter().map(|tile| tile.group).collect();
        let (_, resting) = self.sides();
        let covered = |stretch: &Range<u64>| resting.scales.axis.covered(&self.across.range(stretch.start, stretch.end));
        Resting {
            opens,
            arrays: wave.len() as u64,
            width: groups.iter().map(|&group| self.across.sum(group, group + 1)).sum(),
            scales: stretches(&groups).iter().map(covered).sum(),
            results: wave.iter().map(|tile| tile.outputs).sum(),
            initial: mask,
            spilled: self.spilled_by(wave),
        }
    }

    fn listed_output_stationary(&self, wave: &[Tile], mask: u64, met: &mut Met) -> Wave {
        let (rows, cols, k) = (self.down, self.across, self.stream);
        let places = wave.iter().map(|tile| (tile.group / cols.count(), tile.group % cols.count()));
        let height: u64 = places.clone().map(|(row, _)| rows.sum(row, row + 1)).sum();
        let width: u64 = places.clone().map(|(_, column)| cols.sum(column, column + 1)).sum();
        let mut panels: Vec<u64> = places.clone().map(|(row, _)| row).collect();
        panels.dedup();
        let last = panels.last().copied();
        let powers = if met.row.is_none() { self.powers } else { Powers::default() };
        if self.keep_a && met.row.is_some() && panels.first().copied() == met.row {
            panels.remove(0);
        }
        met.row = last;
        let panels: Vec<Range<u64>> = stretches(&panels).iter().map(|p| rows.range(p.start, p.end)).collect();
        let elements_a: u64 = panels.iter().map(|panel| panel.end - panel.start).sum();
        let scales_a: u64 = panels.iter().map(|panel| self.scales_a.axis.covered(panel)).sum();

        let mut columns: Vec<u64> = places.map(|(_, column)| column).collect();
        columns.sort_unstable();
        columns.dedup();
        let axis = self.scales_b.axis;
        let mut scales_b = 0;
        if self.keep_b {
            columns.retain(|&column| !std::mem::replace(&mut met.columns[column as usize], true));
            for &column in &columns {
                let range = cols.range(column, column + 1);
                let groups = range.start / axis.length..range.end.div_ceil(axis.length);
                scales_b += groups.filter(|&group| !std::mem::replace(&mut met.scales[group as usize], true)).count() as u64;
            }
        } else {
            let covered = |stretch: &Range<u64>| axis.covered(&cols.range(stretch.start, stretch.end));
            scales_b = stretches(&columns).iter().map(covered).sum::<u64>().min(axis.all());
        }
        let elements_b: u64 = columns.iter().map(|&column| cols.sum(column, column + 1)).sum();

        let blocks = self.blocks.all();
        let scales = (scales_a * self.scales_a.loaded + scales_b * self.scales_b.loaded) * blocks;
        let results: u64 = wave.iter().map(|tile| tile.outputs).sum();
        self.wave(
            self.a.bytes(elements_a * k) + self.b.bytes(elements_b * k) + self.c.bytes(mask) + scales + powers.loaded,
            self.d.bytes(results),
            (results, [0; 2]),
            self.slot,
            height * (k * self.edge[0] + blocks * self.scales_a.read)
                + width * (k * self.edge[1] + blocks * self.scales_b.read)
                + mask * self.edge[2]
                + powers.read,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{design, matrix};
    use super::super::{Hardware, Product};
    use super::*;
    use proptest::prelude::*;
    use systole_arrays::mask::Mask;
    use systole_isa::design::Scaling;
    use systole_isa::format::Format;
    use systole_isa::view::{Space, TensorView};

    proptest! {
        #[test]
        fn waves_follow_the_mask(
            (rows, cols, count) in (1..5u32, 1..5u32, 1..5u32), (m, n, k) in (1..40u32, 1..40u32, 1..40u32),
            dataflow in prop::sample::select(vec![Dataflow::Os, Dataflow::Ws, Dataflow::Is]), staging in 0..3000u64,
            scaled: [bool; 2], (chunk, scale_rows, scale_cols) in (1..12u32, 1..9u32, 1..9u32), rare in 1..60u64, seed: u64,
        ) {
            let mut design = design(rows, cols, count, dataflow, 1);
            if scaled != [false; 2] {
                design.mac.scale = Scaling::Exponent;
                (design.mac.chunk, design.mac.scale_rows, design.mac.scale_cols) = (Some(chunk), scale_rows, scale_cols);
            }
            let hardware = Hardware::new(design);
            let view = TensorView::contiguous(Format::FP16, Space::Dram, 1 << 25, m, n);
            let matrix = super::super::Matrix { mask: Some(view), ..matrix(&hardware, (m, n, k), false, scaled, [false; 2]) };
            let product = |selection: Option<&_>| {
                let mut product = Product::new(&hardware, &matrix, staging, selection);
                // All that enters at the edges, as `extra`.
                (product.waves.slot, product.waves.slot_within, product.waves.scratchpad_bytes_per_cycle) = (0, 0, 1);
                product.listed = selection.map(|selection| product.waves.listed(selection.tiles()));
                product
            };
            let expand = |product: &Product| -> Vec<Wave> {
                product.runs().flat_map(|(wave, times)| std::iter::repeat_n(wave, times as usize)).collect()
            };
            let mut mask = Mask::none(m, n, 2);
            (0..m * n).for_each(|i| mask.select(i / n, i % n));
            let everything = hardware.plan(&matrix, None).select(&mask);
            let (bound, all) = (product(None), product(Some(&everything)));
            prop_assert_eq!(expand(&bound), expand(&all));
            prop_assert_eq!(bound.cost, all.cost);
            prop_assert_eq!(bound.spilled_bytes(), all.spilled_bytes());
            prop_assert!(all.mask_alone().is_none() && bound.mask_alone().is_none());

            let mut mask = Mask::none(m, n, 2);
            let draw = |i: u32| (seed ^ u64::from(i)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
            (0..m * n).filter(|&i| draw(i).is_multiple_of(rare)).for_each(|i| mask.select(i / n, i % n));
            let selection = hardware.plan(&matrix, None).select(&mask);
            let some = product(Some(&selection));
            let waves = expand(&some);
            let outputs = u64::from(m) * u64::from(n);
            if mask.selected() == 0 {
                prop_assert!(waves.is_empty());
                let alone = some.mask_alone().unwrap();
                prop_assert_eq!((alone.load, alone.slot), (outputs * 2, outputs * 2));
                prop_assert_eq!(some.cost.events.scratchpad_read_bytes, outputs * 2);
                return Ok(());
            }
            prop_assert_eq!(waves.iter().map(|w| w.extra).sum::<u64>(), some.cost.events.scratchpad_read_bytes);
            let (loaded, stored) = waves.iter().fold((0, 0), |(l, s), w| (l + w.load, s + w.store));
            let most = expand(&bound).iter().fold((0, 0), |(l, s), w| (l + w.load, s + w.store));
            // Several arrays may share fewer operands of the groups that are left.
            prop_assert!((loaded <= most.0 || count > 1) && stored <= most.1);
            prop_assert_eq!(stored, mask.selected() * 4 + some.spilled_bytes());
            prop_assert!(loaded >= outputs * 2 + some.spilled_bytes());
        }
    }
}
