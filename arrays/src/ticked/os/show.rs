//! What an observer sees of an output-stationary array.

use super::super::Bench;
use super::super::lanes::Lanes;
use super::super::observe::{Edge, Observer, Place, Probe, Side};
use super::{Accumulator, Array, Cell, Issue, Left, Top};
use crate::dataflow::Fold;
use crate::datapath::Register;

impl<L: Lanes> Array<L> {
    /// Shows every register to an observer.
    #[inline(never)]
    pub(super) fn show<O: Observer>(&self, bench: &Bench<'_>, folds: &[Fold], issue: Issue, probe: &mut Probe<'_, O>) {
        let mode = &bench.setup.mode;
        let (a_bits, b_bits) = ((mode.a.bits(), mode.lanes), (mode.b.bits(), mode.lanes));
        let addend = bench.setup.addend_format().bits();
        let product = issue.product.map(|(fold, cycle)| (fold, &folds[fold], bench.lanes_at(cycle).start));
        probe.number(Place::Sequencer, "fold", product.map(|(index, ..)| index as u64));
        probe.number(Place::Sequencer, "fold_row", product.map(|(_, fold, _)| fold.m.start.into()));
        probe.number(Place::Sequencer, "fold_col", product.map(|(_, fold, _)| fold.n.start.into()));
        probe.number(Place::Sequencer, "k", product.map(|(.., k)| k.into()));
        probe.number(Place::Sequencer, "folds_drained", Some(self.drained as u64));
        let operand_a = |token: &Left<L>| token.data.then_some(token.codes.clone());
        let operand_b = |token: &Top<L>| token.data.then_some(token.codes.clone());
        probe.edge(Edge::A, Side::Rows, &self.left, self.rows, |probe, place, token| {
            probe.operand(place, ("a", "", "_valid"), a_bits, operand_a(token).as_ref());
        });
        probe.edge(Edge::B, Side::Columns, &self.top, self.cols, |probe, place, token| {
            probe.operand(place, ("b", "", "_valid"), b_bits, operand_b(token).as_ref());
        });
        if self.has_c {
            probe.edge(Edge::C, Side::Rows, &self.initial, self.rows, |probe, place, token| {
                probe.code(place, "c", addend, token.data.then_some(token.code));
                probe.flag(place, "c", "_valid", token.data);
            });
        }
        for row in 0..self.rows {
            for (column, (a, b)) in self.a.row(row).iter().zip(self.b.row(row)).enumerate() {
                let place = Place::Pe { row: row as u32, column: column as u32 };
                let pe = row * self.cols + column;
                let Accumulator { chain, full, .. } = &self.accumulators[pe];
                probe.operand(place, ("a", "", "_valid"), a_bits, operand_a(a).as_ref());
                probe.flag(place, "first", "", a.first);
                probe.flag(place, "capture", "", a.capture);
                probe.operand(place, ("b", "", "_valid"), b_bits, operand_b(b).as_ref());
                probe.sum(place, "acc", &bench.mac, full.then_some(chain));
                // One register, wide enough for both.
                let initial;
                let held = match &self.drain[pe] {
                    Cell::Empty => None,
                    Cell::Initial(code) => {
                        initial = Register::Narrow(*code);
                        Some(&initial)
                    }
                    Cell::Result { outermost, .. } => Some(outermost),
                };
                probe.outermost(place, "drain", &bench.mac, held);
                if self.has_c {
                    probe.flag(place, "drain", "_is_c", matches!(self.drain[pe], Cell::Initial(_)));
                }
            }
        }
        probe.output_registers(Side::Rows, bench.setup.output.format.bits());
    }
}
