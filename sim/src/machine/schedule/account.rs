//! Where the arrays' time goes: every cycle is compute or one stall, in one region.
//!
//! Time before a matrix instruction could begin is charged to the instructions that ended
//! meanwhile, in program order, each for the time by which it was the latest; what the matrix
//! instruction then waits is charged to what it waits for. Time behind the last matrix
//! instruction is charged the same way, so the charges add up to the program's cycles.

use super::detail::Wait;
use crate::machine::watch::Charge;
use std::collections::{BTreeMap, VecDeque};
use systole_isa::device::{Cycles, Events, Record, RegionRecord, Stall};

/// The unit an instruction ended on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Load,
    Store,
    Matrix,
    Vector,
}

#[derive(Clone, Copy, Debug)]
struct Ended {
    until: u64,
    kind: Kind,
    region: usize,
}

/// A matrix instruction's way through the arrays.
#[derive(Clone, Copy, Debug)]
pub struct Passage<'a> {
    /// Cycle from which nothing before it kept it from beginning.
    pub since: u64,
    /// Cycle in which it began.
    pub start: u64,
    /// What it waited for in between.
    pub bound: Stall,
    /// Cycles it computed.
    pub compute: u64,
    /// Cycles it waited meanwhile.
    pub delays: [(Stall, u64); 3],
    /// The same one by one, where they are known.
    pub waits: Option<&'a [Wait]>,
    /// MAC mode.
    pub mode: usize,
    /// Multiply-accumulates spent.
    pub macs: u64,
}

/// Ended instructions that a later matrix instruction may still have waited for: those in flight.
const REMEMBERED: usize = 2 * super::IN_FLIGHT;

/// Regions by first appearance.
#[derive(Debug, Default)]
pub struct Regions {
    names: Vec<String>,
}

impl Regions {
    /// Position of a region, added if new.
    pub fn slot(&mut self, name: &str) -> usize {
        self.names.iter().position(|known| known == name).unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        })
    }
}

/// One region's share.
#[derive(Clone, Debug, Default)]
struct Share {
    cycles: Cycles,
    events: Events,
    macs_by_mode: BTreeMap<usize, u64>,
}

/// The account of a program under way.
#[derive(Debug, Default)]
pub struct Account {
    regions: Regions,
    shares: Vec<Share>,
    /// Region of the instructions that follow, once there is one.
    region: Option<usize>,
    ended: VecDeque<Ended>,
    /// Cycles accounted for.
    until: u64,
    /// What they were charged to, where someone wants to know.
    charges: Option<Vec<Charge>>,
}

impl Account {
    /// Keeps charges from here on, for [`Account::charges`].
    pub fn watch(&mut self) {
        self.charges = Some(Vec::new());
    }

    /// The charges since the last call.
    pub fn charges(&mut self) -> Vec<Charge> {
        self.charges.as_mut().map(std::mem::take).unwrap_or_default()
    }

    fn tell(&mut self, region: usize, stall: Option<Stall>, from: u64, to: u64) {
        if let Some(charges) = self.charges.as_mut().filter(|_| to > from) {
            charges.push(Charge { from, to, stall, region });
        }
    }

    /// Instructions from here on belong to `name`.
    pub fn enter(&mut self, name: &str) {
        let slot = self.regions.slot(name);
        self.shares.resize_with(self.regions.names.len(), Share::default);
        self.region = Some(slot);
    }

    /// The present region; the nameless one before the first.
    fn region(&mut self) -> usize {
        if self.region.is_none() {
            self.enter("");
        }
        self.region.unwrap_or(0)
    }

    /// Adds events to the present region.
    pub fn count(&mut self, events: Events) {
        let region = self.region();
        self.shares[region].events += events;
    }

    fn charge(&mut self, region: usize, reason: Stall, until: u64) {
        if until > self.until {
            let cycles = until - self.until;
            self.tell(region, Some(reason), self.until, until);
            self.shares[region].cycles.charge(reason, cycles);
            self.shares[region].cycles.total += cycles;
            self.until = until;
        }
    }

    /// Charges ended instructions up to cycle `until`.
    fn charge_ended(&mut self, until: u64, matrix: Stall) {
        while let Some(first) = self.ended.front().copied() {
            let reason = match first.kind {
                Kind::Load => Stall::OperandLoad,
                Kind::Store => Stall::ResultStore,
                Kind::Vector => Stall::Vector,
                Kind::Matrix => matrix,
            };
            self.charge(first.region, reason, first.until.min(until));
            if first.until > until {
                break;
            }
            self.ended.pop_front();
        }
    }

    /// Accounts for a matrix instruction and the time before it.
    pub fn matrix(&mut self, passage: &Passage<'_>) {
        let region = self.region();
        self.charge_ended(passage.since, Stall::Dependency);
        self.charge(region, Stall::Issue, passage.since);
        self.charge(region, passage.bound, passage.start);
        debug_assert_eq!(self.until, passage.start, "a matrix instruction began in the past");
        if self.charges.is_some() {
            self.tell_passage(region, passage);
        }
        let share = &mut self.shares[region];
        let mut cycles = passage.compute;
        for (reason, delay) in passage.delays {
            share.cycles.charge(reason, delay);
            cycles += delay;
        }
        share.cycles.compute += passage.compute;
        share.cycles.total += cycles;
        *share.macs_by_mode.entry(passage.mode).or_default() += passage.macs;
        self.until += cycles;
    }

    /// The waits of a matrix instruction where they were, or else before all it computes.
    fn tell_passage(&mut self, region: usize, passage: &Passage<'_>) {
        let mut at = passage.start;
        let summed = passage.delays.map(|(reason, cycles)| {
            at += cycles;
            Wait { reason, from: at - cycles, to: at }
        });
        let end = at + passage.compute;
        at = passage.start;
        for wait in passage.waits.unwrap_or(&summed) {
            self.tell(region, None, at, wait.from);
            self.tell(region, Some(wait.reason), wait.from, wait.to);
            at = wait.to;
        }
        self.tell(region, None, at, end);
    }

    /// An instruction of this kind has ended, and every earlier one, at cycle `until`.
    pub fn ended(&mut self, kind: Kind, until: u64) {
        let region = self.region();
        self.ended.push_back(Ended { until, kind, region });
        if self.ended.len() > REMEMBERED {
            let first = self.ended[0].until;
            self.charge_ended(first, Stall::ResultStore);
        }
    }

    /// The record of a program that ends at cycle `end`, and the last charges.
    pub fn finish(mut self, end: u64) -> (Record, Vec<Charge>) {
        self.charge_ended(end, Stall::ResultStore);
        if end > self.until {
            let region = self.region();
            self.charge(region, Stall::Issue, end);
        }
        let charges = self.charges();
        let mut record = Record::default();
        for (name, share) in self.regions.names.into_iter().zip(self.shares) {
            record.cycles += &share.cycles;
            record.events += share.events;
            for (&mode, &macs) in &share.macs_by_mode {
                *record.macs_by_mode.entry(mode).or_default() += macs;
            }
            record.regions.push(RegionRecord {
                name,
                cycles: share.cycles,
                events: share.events,
                macs_by_mode: share.macs_by_mode,
                activity: None,
                toggles: None,
                sums: Vec::new(),
            });
        }
        (record, charges)
    }
}
