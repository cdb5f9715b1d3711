//! What an observer sees of a weight- or input-stationary array.

use super::super::Bench;
use super::super::lanes::Lanes;
use super::super::observe::{Edge, Observer, Place, Probe, Side};
use super::{Array, Issue, Layout, Stream, Tile};

impl<L: Lanes> Array<'_, L> {
    /// Shows every register to an observer.
    #[inline(never)]
    pub(super) fn show<O: Observer>(&self, bench: &Bench<'_>, issue: Issue, probe: &mut Probe<'_, O>) {
        let Layout { folds, input_stationary, separate } = self.layout;
        let (mode, mac) = (&bench.setup.mode, &bench.mac);
        let (a_bits, b_bits) = ((mode.a.bits(), mode.lanes), (mode.b.bits(), mode.lanes));
        // What moves, and what rests.
        let (moving, resting, moving_bits, resting_bits, moving_edge, resting_edge) =
            if input_stationary { ("b", "a", b_bits, a_bits, Edge::B, Edge::A) } else { ("a", "b", a_bits, b_bits, Edge::A, Edge::B) };
        let stream = issue.stream.map(|(fold, t)| (fold, &folds[fold], t));
        probe.number(Place::Sequencer, "fold", stream.map(|(index, ..)| index as u64));
        let (row, column) = if input_stationary { ("fold_row", "col") } else { ("row", "fold_col") };
        let (m, n) = if input_stationary {
            (stream.map(|(_, fold, _)| fold.m.start), stream.map(|(.., t)| t))
        } else {
            (stream.map(|(.., t)| t), stream.map(|(_, fold, _)| fold.n.start))
        };
        probe.number(Place::Sequencer, row, m.map(u64::from));
        probe.number(Place::Sequencer, column, n.map(u64::from));
        probe.number(Place::Sequencer, "fold_k", stream.map(|(_, fold, _)| fold.k.start.into()));
        probe.number(Place::Sequencer, "tile_fold", issue.tile.map(|(fold, _)| fold as u64));
        probe.number(Place::Sequencer, "tile_row", issue.tile.map(|(_, row)| row.into()));
        probe.number(Place::Sequencer, "folds_drained", Some(self.drained as u64));

        let streamed = |token: &Stream<L>| token.data.then_some(token.codes.clone());
        let stationary = |token: &Tile<L>| token.data.then_some(token.codes.clone());
        probe.edge(moving_edge, Side::Rows, &self.left, self.rows, |probe, place, token| {
            probe.operand(place, (moving, "", "_valid"), moving_bits, streamed(token).as_ref());
        });
        probe.edge(resting_edge, Side::Columns, &self.tiles, self.cols, |probe, place, token| {
            probe.operand(place, (resting, "", "_valid"), resting_bits, stationary(token).as_ref());
        });
        if separate {
            probe.edge(Edge::C, Side::Columns, &self.bottom, self.cols, |probe, place, token| {
                probe.outermost(place, "c", mac, token.data.then_some(&token.chain.inner));
            });
        } else {
            probe.edge(Edge::PartialSums, Side::Columns, &self.top, self.cols, |probe, place, token| {
                probe.sum(place, "psum", mac, token.data.then_some(&token.chain));
            });
        }
        for row in 0..self.rows {
            for (column, (token, partial)) in self.streaming.row(row).iter().zip(self.partial.row((row + 1) * self.stages - 1)).enumerate()
            {
                let place = Place::Pe { row: row as u32, column: column as u32 };
                let pe = row * self.cols + column;
                probe.operand(place, (moving, "", "_valid"), moving_bits, streamed(token).as_ref());
                if self.double {
                    let (shadow, active) = (stationary(&self.shadow[pe]), stationary(&self.active[pe]));
                    probe.operand(place, (resting, "_shadow", "_shadow_valid"), resting_bits, shadow.as_ref());
                    probe.operand(place, (resting, "", "_valid"), resting_bits, active.as_ref());
                } else {
                    probe.operand(place, (resting, "", "_valid"), resting_bits, stationary(&self.shadow[pe]).as_ref());
                }
                probe.sum(place, "psum", mac, partial.data.then_some(&partial.chain));
            }
        }
        probe.output_registers(Side::Columns, bench.setup.output.format.bits());
        probe.memory_ports(mac, separate);
    }
}
