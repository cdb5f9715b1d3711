//! What a watched schedule keeps of an instruction beside its cost.

use super::Kind;
use crate::machine::watch::{Charge, Passage, Station, Transfer};
use systole_isa::device::Stall;

/// Waves of an instruction that are told one by one.
pub const MAX_WAVES: u64 = 256;

/// A wait inside a streaming instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    pub reason: Stall,
    pub from: u64,
    pub to: u64,
}

/// A streaming instruction's transfers and waits.
#[derive(Clone, Debug, Default)]
pub struct Detail {
    /// Waves are told one by one.
    pub whole: bool,
    pub loads: Vec<Transfer>,
    pub stores: Vec<Transfer>,
    pub waits: Vec<Wait>,
}

impl Detail {
    /// A transfer; of those of more waves than are told, the first stands for all.
    pub fn transfer(&mut self, kind: Kind, from: u64, to: u64, bytes: u64) {
        let transfers = if kind == Kind::Load { &mut self.loads } else { &mut self.stores };
        if bytes > 0 && (self.whole || transfers.is_empty()) {
            transfers.push(Transfer { from, to, bytes });
        }
    }

    pub fn wait(&mut self, reason: Stall, from: u64, to: u64) {
        if self.whole && to > from {
            self.waits.push(Wait { reason, from, to });
        }
    }

    /// Ends an instruction with so much loaded and stored, all of it by these cycles.
    pub fn close(&mut self, (load_bytes, loaded): (u64, u64), (store_bytes, stored): (u64, u64)) {
        if self.whole {
            return;
        }
        for (transfers, bytes, to) in [(&mut self.loads, load_bytes, loaded), (&mut self.stores, store_bytes, stored)] {
            if let Some(all) = transfers.first_mut() {
                *all = Transfer { from: all.from, to: to.max(all.to), bytes };
            }
        }
    }
}

/// When an instruction was where.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    pub station: Station,
    pub start: u64,
    pub end: u64,
    pub released: u64,
    pub compute: u64,
}

impl Timing {
    /// Without anything on the arrays.
    pub const fn new(station: Station, start: u64, end: u64, released: u64) -> Self {
        Self { station, start, end, released, compute: 0 }
    }

    pub fn passage(self, detail: Detail, charges: Vec<Charge>) -> Passage {
        let Self { station, start, end, released, compute } = self;
        let Detail { whole, loads, stores, .. } = detail;
        Passage { station, start, end, released, compute, detailed: whole, loads, stores, charges }
    }
}
