//! The DRAM channel: one resource that reads and writes share, reserved ahead of time.
//!
//! A transfer takes the first idle time from its request on, in pieces if need be, as bursts
//! interleave; a long prefetch may hold up a short store requested after it. Instructions
//! reserve in program order, so a later instruction's independent load may use time that an
//! earlier one left idle. Requests of one instruction never go back in time: idle time behind
//! them is folded, and when the instruction is done, what it left is kept as one stretch with
//! its share of idle time, evenly spread.

use std::collections::VecDeque;

/// Parts of a cycle in which the channel's time is counted.
const PARTS: u64 = 256;

/// Parts after which the channel's time ends: cycles beyond 2^53 are not counted.
const END: u64 = PARTS << 53;

/// Stretches of past instructions kept for later ones.
const KEPT: usize = 32;

/// An interval of which `idle` parts are free, evenly spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stretch {
    start: u64,
    end: u64,
    idle: u64,
}

impl Stretch {
    /// Idle time from `from` on.
    const fn idle_from(&self, from: u64) -> u64 {
        if from <= self.start {
            self.idle
        } else if from >= self.end {
            0
        } else if self.idle == self.end - self.start {
            self.end - from
        } else {
            (self.idle as u128 * (self.end - from) as u128 / (self.end - self.start) as u128) as u64
        }
    }
}

/// Takes up to `left` idle parts from `from` on, first ones first; when the last ends.
fn fill(stretches: &mut VecDeque<Stretch>, from: u64, left: &mut u64) -> u64 {
    let (mut end, mut i) = (from, 0);
    while *left > 0 && i < stretches.len() {
        let stretch = stretches[i];
        let start = from.max(stretch.start);
        let idle = stretch.idle_from(start);
        if idle == 0 {
            i += 1;
            continue;
        }
        let taken = idle.min(*left);
        *left -= taken;
        let length = stretch.end - start;
        let spread = |taken: u64| (u128::from(taken) * u128::from(length)).div_ceil(idle.into()) as u64;
        end = start + if idle == length { taken } else { spread(taken) };
        stretches.remove(i);
        for (start, end, idle) in [(stretch.start, start, stretch.idle - idle), (end, stretch.end, idle - taken)] {
            if idle > 0 {
                stretches.insert(i, Stretch { start, end, idle });
                i += 1;
            }
        }
    }
    end
}

/// The channel's reservations.
#[derive(Clone, Debug)]
pub struct Channel {
    /// Parts per byte, in 2^-32.
    per_byte: u64,
    /// Cycles from a request to its first byte.
    latency: u64,
    /// Everything from here on is idle.
    free: u64,
    /// Left by earlier instructions, in order.
    past: VecDeque<Stretch>,
    /// Left by this instruction, in order.
    recent: VecDeque<Stretch>,
    /// Idle parts of this instruction that its own requests have passed.
    folded: u64,
    /// Where this instruction's stretch begins.
    origin: u64,
    /// A transfer would have ended beyond [`END`].
    exhausted: bool,
}

/// The channel's state as this instruction's later requests see it.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    base: u64,
    free: u64,
    recent: VecDeque<Stretch>,
    folded: u64,
}

impl Channel {
    /// A channel of `bytes_per_cycle`, whose data come `latency` cycles after their turn.
    pub fn new(bytes_per_cycle: f64, latency: u64) -> Self {
        let per_byte = (PARTS as f64 * 4_294_967_296.0 / bytes_per_cycle).round().max(1.0) as u64;
        Self { per_byte, latency, free: 0, past: VecDeque::new(), recent: VecDeque::new(), folded: 0, origin: 0, exhausted: false }
    }

    /// Reserves `bytes` from cycle `request` on; the cycle in which the channel is done with
    /// them. Nothing is done at once.
    pub fn transfer(&mut self, request: u64, bytes: u64) -> u64 {
        if bytes == 0 {
            return request;
        }
        let left = (u128::from(bytes) * u128::from(self.per_byte)).div_ceil(1 << 32);
        let from = request * PARTS;
        self.exhausted |= left + u128::from(from.max(self.free)) > u128::from(END);
        if self.exhausted {
            return request;
        }
        let mut left = left as u64;
        let mut end = from;
        if from < self.free {
            end = fill(&mut self.past, from, &mut left);
            if left > 0 {
                end = end.max(fill(&mut self.recent, from, &mut left));
            }
        }
        if left > 0 {
            let start = from.max(self.free);
            if start > self.free {
                self.recent.push_back(Stretch { start: self.free, end: start, idle: start - self.free });
            }
            self.free = start + left;
            end = self.free;
        }
        end.div_ceil(PARTS)
    }

    /// True once time has run out: no cycle after it means anything.
    pub const fn is_exhausted(&self) -> bool {
        self.exhausted
    }

    /// A transfer to the chip: the cycle in which its last byte has arrived.
    pub fn read(&mut self, request: u64, bytes: u64) -> u64 {
        if bytes == 0 { request } else { self.transfer(request, bytes) + self.latency }
    }

    /// Promises that this instruction requests nothing before `cycle` any more.
    pub fn pass(&mut self, cycle: u64) {
        while let Some(first) = self.recent.front().filter(|s| s.end <= cycle * PARTS) {
            self.folded += first.idle;
            self.recent.pop_front();
        }
    }

    /// Ends an instruction: what it left idle becomes one stretch.
    pub fn settle(&mut self) {
        let idle = self.folded + self.recent.iter().map(|s| s.idle).sum::<u64>();
        if idle > 0 {
            self.past.push_back(Stretch { start: self.origin, end: self.free, idle });
        }
        while self.past.len() > KEPT {
            self.past.pop_front();
        }
        self.recent.clear();
        self.folded = 0;
        self.origin = self.free;
    }

    /// True if earlier instructions left nothing that a request from `cycle` on could use.
    pub fn is_past(&self, cycle: u64) -> bool {
        self.past.iter().all(|s| s.end <= cycle * PARTS)
    }

    /// The state that requests from `cycle` on see.
    pub fn snapshot(&self, cycle: u64) -> Snapshot {
        Snapshot { base: cycle * PARTS, free: self.free, recent: self.recent.clone(), folded: self.folded }
    }

    /// True if requests from `cycle` on see what they saw then, so much later.
    pub fn repeats(&self, cycle: u64, then: &Snapshot) -> bool {
        let base = cycle * PARTS;
        let moved = base - then.base;
        (self.free == then.free || self.free == then.free + moved)
            && self.recent.len() == then.recent.len()
            && self.recent.iter().zip(&then.recent).all(|(now, then)| (now.start, now.end) == (then.start + moved, then.end + moved))
    }

    /// Repeats `times` more what happened since a snapshot `cycles` ago: nothing, if there was no
    /// transfer.
    pub fn repeat(&mut self, then: &Snapshot, cycles: u64, times: u64) {
        if self.free == then.free {
            return;
        }
        self.folded += (self.folded - then.folded) * times;
        let shift = cycles * times * PARTS;
        for stretch in &mut self.recent {
            stretch.start += shift;
            stretch.end += shift;
        }
        self.free += shift;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transfers_queue_and_fill_gaps() {
        let mut channel = Channel::new(64.0, 100);
        assert_eq!(channel.read(0, 640), 110);
        assert_eq!(channel.transfer(50, 64), 51);
        // Into the gap from 10 to 50, then behind the transfer at 50.
        assert_eq!(channel.transfer(0, 64 * 20), 30);
        assert_eq!(channel.transfer(30, 64 * 25), 56);
        assert_eq!(channel.transfer(0, 1), 57);
        assert_eq!(channel.transfer(1000, 0), 1000);
    }

    #[test]
    fn an_instruction_leaves_one_stretch() {
        let mut channel = Channel::new(1.0, 0);
        for start in [0, 100, 200, 300] {
            channel.transfer(start, 50);
            channel.pass(start);
        }
        channel.settle();
        // 150 idle of 350: from 175 on, half of it, and then none.
        assert_eq!(channel.past, [Stretch { start: 0, end: 350 * PARTS, idle: 150 * PARTS }]);
        assert_eq!(channel.transfer(175, 75), 350);
        assert_eq!(channel.transfer(175, 10), 360);
        assert_eq!(channel.transfer(0, 30), 70);
    }

    #[test]
    fn bandwidth_is_kept_whatever_the_requests() {
        let mut channel = Channel::new(43.0, 7);
        let mut seed = 1u64;
        let mut bytes = 0;
        let mut last = 0;
        for _ in 0..10_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let size = seed >> 52;
            bytes += size;
            last = last.max(channel.transfer(seed >> 33 & 0x3ff, size));
        }
        let ideal = bytes as f64 / 43.0;
        assert!((last as f64) >= ideal && (last as f64) < ideal + 1024.0 + 40.0, "{last} {ideal}");
    }
}
