//! Work that streams through a unit in waves: load, execute, store, double-buffered.
//!
//! The unit has two operand buffers and two result buffers. What a wave loads stays for the
//! waves after it that load nothing; then its buffer takes the load after the next. A wave
//! waits for its operands, and for the result buffer until the results two before are
//! stored. What it waits beyond its place in the unit's own rhythm delays all that follow,
//! and is charged to what it waited for.
//!
//! Long runs of equal waves settle into a period. When the state recurs, whole periods are
//! skipped; the record is that of the unrolled run.

use super::account::Kind;
use super::channel::{Channel, Snapshot};
use super::detail::Detail;
use systole_isa::device::Stall;

/// One wave's transfers and time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wave {
    /// Bytes to load before it.
    pub load: u64,
    /// Bytes to store after it.
    pub store: u64,
    /// Cycles from its stream to the next wave's, by the unit's own rhythm.
    pub slot: u64,
    /// Cycles by which its operands come slower than that from the scratchpad.
    pub extra: u64,
}

/// Waves in order, equal ones together: a wave and how often it comes.
pub type Run = (Wave, u64);

/// When a unit uses a wave's operands and gives its results.
#[derive(Clone, Copy, Debug)]
pub struct Rhythm {
    /// Cycles before its stream in which a wave already takes operands.
    pub first: u64,
    /// Length of its stream.
    pub stream: u64,
    /// Cycles from its stream to its first result.
    pub to_result: u64,
    /// Cycles from its stream to its last result.
    pub to_end: u64,
}

/// A unit and its buffers, from one instruction to the next.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unit {
    /// Cycle from which the unit is free.
    pub free: u64,
    /// Cycles from which the operand buffers are free, the older first.
    release: [u64; 2],
    /// Cycles from which the result buffers are free, the older first.
    results: [u64; 2],
}

/// What a flow took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Cycle in which the first wave took its first operand.
    pub start: u64,
    /// What bound the start, if it was not the unit or the caller's bound.
    pub bound: Option<Stall>,
    /// Stream of the last wave.
    pub last: u64,
    /// Cycles waited for operands, results, the scratchpad.
    pub delays: [u64; 3],
    /// Cycle in which the last load had arrived.
    pub loaded: u64,
    /// Cycle after the last store.
    pub stored: u64,
    /// Bytes loaded.
    pub load_bytes: u64,
    /// Bytes stored.
    pub store_bytes: u64,
}

impl Flow {
    /// The reasons of [`Flow::delays`].
    pub const REASONS: [Stall; 3] = [Stall::OperandLoad, Stall::ResultStore, Stall::ScratchpadBandwidth];

    /// Cycles waited in all.
    pub fn delayed(&self) -> u64 {
        self.delays.iter().sum()
    }
}

/// Hands out waves and knows how many equal ones follow.
#[derive(Clone)]
struct Source<I> {
    runs: I,
    wave: Wave,
    left: u64,
}

impl<I: Iterator<Item = Run>> Source<I> {
    fn next(&mut self) -> Option<Wave> {
        while self.left == 0 {
            (self.wave, self.left) = self.runs.next()?;
        }
        self.left -= 1;
        Some(self.wave)
    }

    /// Bytes of the next wave that loads any; 0 if none does.
    fn next_load(&mut self) -> u64 {
        while self.left == 0 || self.wave.load == 0 {
            let Some(run) = self.runs.next() else { return 0 };
            (self.wave, self.left) = run;
        }
        self.left -= 1;
        self.wave.load
    }
}

/// The state a period starts from.
#[derive(Default)]
struct Saved {
    wave: u64,
    stream: u64,
    arrival: u64,
    results: [u64; 2],
    delays: [u64; 3],
    channel: Snapshot,
}

/// Where waits and transfers are told, if anyone listens.
type Listener<'a> = Option<&'a mut Detail>;

fn read(channel: &mut Channel, listener: &mut Listener<'_>, request: u64, bytes: u64) -> u64 {
    let arrival = channel.read(request, bytes);
    if let Some(detail) = listener {
        detail.transfer(Kind::Load, request, arrival, bytes);
    }
    arrival
}

/// Runs waves through a unit. Loads begin at `loads_from`, the first wave at `start_from`.
/// The caller sets [`Unit::free`] afterwards. `skip` allows whole periods to be skipped, which a
/// listener that is told every wave forbids.
pub fn run(
    unit: &mut Unit,
    channel: &mut Channel,
    rhythm: Rhythm,
    (loads_from, start_from): (u64, u64),
    runs: impl Iterator<Item = Run> + Clone,
    skip: bool,
    mut listener: Listener<'_>,
) -> Flow {
    let skip = skip && listener.as_ref().is_none_or(|detail| !detail.whole);
    let mut source = Source { runs, wave: Wave::default(), left: 0 };
    let mut loads = source.clone();
    let mut flow = Flow { start: unit.free.max(start_from), ..Flow::default() };
    let Some(mut wave) = source.next() else { return flow };

    // Arrival of the next load; two are under way or in use.
    let mut arrival = read(channel, &mut listener, loads_from.max(unit.release[0]), loads.next_load());
    let mut second = Some(read(channel, &mut listener, loads_from.max(unit.release[1]), loads.next_load()));
    if wave.load > 0 {
        flow.loaded = arrival;
        if arrival > flow.start {
            flow.start = arrival;
            flow.bound = Some(Stall::OperandLoad);
        }
        arrival = second.take().unwrap_or(0);
    }
    if wave.store > 0 {
        let buffer = unit.results[0].saturating_sub(rhythm.first + rhythm.to_result);
        if buffer > flow.start {
            flow.start = buffer;
            flow.bound = Some(Stall::ResultStore);
        }
    }
    let mut stream = flow.start + rhythm.first;
    let mut saved = Saved::default();
    // Numbers the waves of the present run; periods are looked for between powers of two.
    let (mut number, mut again) = (0u64, 1u64);

    loop {
        let next = source.next();
        let alike = Some(wave) == next && source.left > 0 && (wave.load == 0 || loads.wave == wave && loads.left > 0);
        if skip && alike {
            number += 1;
            let clamp = |time: u64, base: u64| time.saturating_sub(base);
            let recurs = number > 1
                && (wave.load == 0 || clamp(arrival, stream) == clamp(saved.arrival, saved.stream))
                && (0..2).all(|i| clamp(unit.results[i], stream) == clamp(saved.results[i], saved.stream))
                && channel.repeats(stream, &saved.channel)
                && channel.is_past(saved.stream);
            if recurs {
                let waves = number - saved.wave;
                let cycles = stream - saved.stream;
                let left = if wave.load > 0 { source.left.min(loads.left) } else { source.left };
                // Beyond this nothing is counted, and products must not overflow.
                let times = (left / waves).min((1 << 53) / cycles.max(1));
                let shift = cycles * times;
                source.left -= waves * times;
                channel.repeat(&saved.channel, cycles, times);
                for (delay, then) in flow.delays.iter_mut().zip(saved.delays) {
                    *delay += (*delay - then) * times;
                }
                flow.load_bytes += wave.load * waves * times;
                flow.store_bytes += wave.store * waves * times;
                stream += shift;
                if wave.load > 0 {
                    loads.left -= waves * times;
                    arrival += shift;
                    unit.release.iter_mut().for_each(|r| *r += shift);
                }
                if wave.store > 0 {
                    flow.stored += shift;
                    unit.results.iter_mut().for_each(|r| *r += shift);
                }
                (number, again) = (0, 1);
            } else if number == again {
                saved =
                    Saved { wave: number, stream, arrival, results: unit.results, delays: flow.delays, channel: channel.snapshot(stream) };
                again *= 2;
            }
        } else {
            (number, again) = (0, 1);
        }

        let consumed = stream + rhythm.stream + wave.extra;
        channel.pass(consumed);
        let mut loaded = 0;
        let frees = flow.load_bytes + wave.load > 0 && next.is_none_or(|w| w.load > 0);
        if frees {
            unit.release = [unit.release[1], consumed];
        }
        if next.is_some_and(|w| w.load > 0) {
            loaded = arrival + rhythm.first;
            flow.loaded = arrival;
            arrival = match second.take() {
                Some(arrival) if !frees => arrival,
                _ => read(channel, &mut listener, consumed.max(loads_from), loads.next_load()),
            };
        }
        if wave.store > 0 {
            let request = stream + rhythm.to_end + wave.extra;
            let done = channel.transfer(request, wave.store);
            if let Some(detail) = &mut listener {
                detail.transfer(Kind::Store, request, done, wave.store);
            }
            unit.results = [unit.results[1], done];
            flow.stored = flow.stored.max(done);
        }
        flow.load_bytes += wave.load;
        flow.store_bytes += wave.store;
        flow.delays[2] += wave.extra;
        flow.last = stream + wave.extra;
        let Some(following) = next else {
            if let Some(detail) = listener {
                detail.wait(Flow::REASONS[2], stream, flow.last);
                detail.close((flow.load_bytes, flow.loaded), (flow.store_bytes, flow.stored));
            }
            return flow;
        };

        let ideal = stream + wave.slot + wave.extra;
        let buffer = if following.store > 0 { unit.results[0].saturating_sub(rhythm.to_result) } else { 0 };
        stream = ideal.max(loaded).max(buffer);
        let reason = usize::from(buffer > loaded);
        if stream > ideal {
            flow.delays[reason] += stream - ideal;
        }
        if let Some(detail) = &mut listener {
            detail.wait(Flow::REASONS[2], ideal - wave.extra, ideal);
            detail.wait(Flow::REASONS[reason], ideal, stream);
        }
        wave = following;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn waves() -> impl Strategy<Value = Vec<Run>> {
        let bytes = prop_oneof![Just(0u64), 1..5000u64, Just(64), Just(1024)];
        let wave = (bytes.clone(), bytes, 1..60u64, prop_oneof![4 => Just(0u64), 1 => 1..9u64]);
        let wave = wave.prop_map(|(load, store, slot, extra)| Wave { load, store, slot, extra });
        prop::collection::vec((wave, prop_oneof![1..4u64, 1..2000u64]), 1..5)
    }

    fn channel() -> impl Strategy<Value = Channel> {
        (prop_oneof![Just(64.0), Just(43.0), Just(16.0), Just(0.7), 1.0..200.0f64], 0..200u64).prop_map(|(b, l)| Channel::new(b, l))
    }

    fn rhythm() -> impl Strategy<Value = Rhythm> {
        (0..20u64, 1..60u64, 0..60u64, 0..60u64).prop_map(|(first, stream, a, b)| Rhythm {
            first,
            stream,
            to_result: a,
            to_end: stream.max(a) + b,
        })
    }

    proptest! {
        #[test]
        fn skipped_periods_change_nothing(runs in waves(), more in waves(), channel in channel(), rhythm in rhythm()) {
            let run_both = |skip| {
                let (mut unit, mut channel) = (Unit::default(), channel.clone());
                let mut flows = Vec::new();
                for runs in [&runs, &more] {
                    let flow = run(&mut unit, &mut channel, rhythm, (3, 5), runs.iter().copied(), skip, None);
                    unit.free = flow.last + rhythm.to_end;
                    channel.settle();
                    flows.push(flow);
                }
                (flows, unit.release, unit.results, format!("{channel:?}"))
            };
            prop_assert_eq!(run_both(true), run_both(false));
        }

        #[test]
        fn nothing_beats_its_bounds(runs in waves(), channel in channel(), rhythm in rhythm()) {
            let mut unit = Unit::default();
            let flow = run(&mut unit, &mut channel.clone(), rhythm, (0, 0), runs.iter().copied(), true, None);
            let loads: u64 = runs.iter().map(|(w, n)| w.load * n).sum();
            let stores: u64 = runs.iter().map(|(w, n)| w.store * n).sum();
            prop_assert_eq!((flow.load_bytes, flow.store_bytes), (loads, stores));
            let rhythmic: u64 = runs.iter().map(|(w, n)| w.slot * n).sum::<u64>() - runs.last().map_or(0, |r| r.0.slot);
            prop_assert_eq!(flow.last - flow.start, rhythm.first + rhythmic + flow.delayed());
        }
    }

    #[test]
    fn double_buffering_hides_the_shorter_of_two() {
        let rhythm = Rhythm { first: 0, stream: 100, to_result: 100, to_end: 120 };
        for (bytes, expected_delay) in [(640, 0), (6400, 0), (12_800, 99 * 100)] {
            let mut unit = Unit::default();
            let wave = Wave { load: bytes, store: 0, slot: 100, extra: 0 };
            let flow = run(&mut unit, &mut Channel::new(64.0, 10), rhythm, (0, 0), [(wave, 100)].into_iter(), true, None);
            assert_eq!(flow.start, bytes / 64 + 10);
            // The first loads run ahead, so the last waves wait a latency less or more.
            assert!(flow.delayed().abs_diff(expected_delay) <= 1100, "{bytes}: {}", flow.delayed());
        }
    }
}
