//! What a mask leaves of a product.

use super::{Plan, triangle};
use crate::mask::Mask;
use std::sync::Arc;
use systole_isa::design::Dataflow;

/// An output group with selected outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    /// Its place in the grid of groups: row-major (`os`), or the tile of D's columns (`ws`) or
    /// rows (`is`).
    pub group: u64,
    /// Its selected outputs.
    pub outputs: u64,
}

/// What a mask leaves of a product on an array: all that its cycles and events depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    tiles: Arc<[Tile]>,
    /// Over all selected outputs, the array's column, counted from 1 (`os`; else 0).
    columns: u128,
}

impl Selection {
    /// The groups that are walked, in order.
    pub fn tiles(&self) -> &[Tile] {
        &self.tiles
    }

    /// Selected outputs.
    pub fn outputs(&self) -> u64 {
        self.tiles.iter().map(|tile| tile.outputs).sum()
    }
}

/// Sums over the groups that are walked.
pub(super) struct Walked {
    /// Outputs computed.
    pub results: u128,
    /// Array columns of those, counted from 1 (`os`).
    pub columns: u128,
    /// Rows of D on the array's rows (`os`).
    pub lines_down: u128,
    /// Rows or columns of D on the array's columns.
    pub lines_across: u128,
    /// [`triangle`]s of the former (`os`).
    pub triangles_down: u128,
    /// And of the latter.
    pub triangles_across: u128,
}

impl Plan {
    /// What a mask leaves of this product.
    ///
    /// # Panics
    /// If the mask has other extents than D.
    pub fn select(&self, mask: &Mask) -> Selection {
        assert_eq!(mask.extents(), (self.shape.m, self.shape.n), "a mask has an element for each output");
        let mut places = 0u128;
        let tile = |group| {
            let (rows, columns) = self.outputs(group);
            let outputs = rows.map(|row| mask.count(row, columns.clone())).sum();
            Tile { group, outputs }
        };
        let tiles: Arc<[Tile]> = (0..self.grid()).map(tile).filter(|tile| tile.outputs > 0).collect();
        if self.array.dataflow == Dataflow::Os {
            for tile in &*tiles {
                let (rows, columns) = self.outputs(tile.group);
                let place = |column: u32| u128::from(column - columns.start + 1);
                places += rows.flat_map(|row| mask.columns(row, columns.clone())).map(place).sum::<u128>();
            }
        }
        Selection { tiles, columns: places }
    }

    pub(super) fn walked(&self) -> Walked {
        let (down, across) = (self.down, self.across);
        let Some(selection) = &self.selection else {
            let (of_down, of_across) = (u128::from(down.count()), u128::from(across.count()));
            let results = u128::from(self.shape.m) * u128::from(self.shape.n);
            // Under `os` each row of tiles meets each column of tiles.
            let (times_down, times_across) = if self.array.dataflow == Dataflow::Os { (of_across, of_down) } else { (0, 1) };
            return Walked {
                results,
                columns: u128::from(self.shape.m) * across.sum(triangle),
                lines_down: u128::from(down.extent) * times_down,
                lines_across: u128::from(across.extent) * times_across,
                triangles_down: down.sum(triangle) * times_down,
                triangles_across: across.sum(triangle) * times_across,
            };
        };
        let mut walked = Walked {
            results: selection.outputs().into(),
            columns: selection.columns,
            lines_down: 0,
            lines_across: 0,
            triangles_down: 0,
            triangles_across: 0,
        };
        for tile in selection.tiles() {
            let (rows, columns) = self.outputs(tile.group);
            let (down, across) = if self.array.dataflow == Dataflow::Is { (columns, rows) } else { (rows, columns) };
            let (down, across) = (down.len() as u64, across.len() as u64);
            walked.lines_down += u128::from(down);
            walked.lines_across += u128::from(across);
            walked.triangles_down += triangle(down);
            walked.triangles_across += triangle(across);
        }
        walked
    }
}
