//! What a run with values tells beside memory, by region.

use systole_isa::device::{Activity, Record, SumCounts, Toggles};

/// What the values of some instructions did.
#[derive(Debug, Default)]
pub struct Seen {
    pub activity: Activity,
    /// Where the design asks for them.
    pub toggles: Option<Toggles>,
    /// Where somebody looks at them.
    pub sums: Vec<SumCounts>,
}

impl Seen {
    fn add(&mut self, other: &Self) {
        self.activity += other.activity;
        if let Some(toggles) = other.toggles {
            *self.toggles.get_or_insert_default() += toggles;
        }
        SumCounts::merge(&mut self.sums, &other.sums);
    }
}

/// The same by region.
#[derive(Default)]
pub struct SeenByRegion {
    regions: Vec<(String, Seen)>,
    present: Option<usize>,
}

impl SeenByRegion {
    /// What instructions from here on do belongs to `region`.
    pub fn enter(&mut self, region: &str) {
        let known = self.regions.iter().position(|(known, _)| known == region);
        self.present = Some(known.unwrap_or_else(|| {
            self.regions.push((region.to_owned(), Seen::default()));
            self.regions.len() - 1
        }));
    }

    /// Adds what an instruction did; the nameless region comes before the first.
    pub fn add(&mut self, seen: &Seen) {
        if self.present.is_none() {
            self.enter("");
        }
        if let Some((_, region)) = self.present.and_then(|slot| self.regions.get_mut(slot)) {
            region.add(seen);
        }
    }

    /// Puts what was seen into a record.
    pub fn complete(self, record: &mut Record) {
        let mut total = Activity::default();
        for (name, seen) in self.regions {
            total += seen.activity;
            if let Some(toggles) = seen.toggles {
                *record.toggles.get_or_insert_default() += toggles;
            }
            if let Some(region) = record.regions.iter_mut().find(|r| r.name == name) {
                region.activity = Some(seen.activity);
                (region.toggles, region.sums) = (seen.toggles, seen.sums);
            }
        }
        record.activity = Some(total);
    }
}
