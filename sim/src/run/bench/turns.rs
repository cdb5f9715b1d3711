//! Things timed by turns, so that noise falls on all of them alike, and by a clock that stands
//! still while another process has the core.

use std::time::{Duration, Instant};

/// What time is told by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// Processor time of the measuring thread: for work on that thread alone.
    Thread,
    /// The wall's.
    Wall,
}

impl Clock {
    /// The steadiest clock for work on so many threads.
    pub const fn of(threads: usize) -> Self {
        if threads == 1 && cfg!(target_os = "linux") { Self::Thread } else { Self::Wall }
    }

    /// Seconds `task` takes.
    pub fn time(self, task: impl FnOnce()) -> f64 {
        #[cfg(target_os = "linux")]
        if self == Self::Thread {
            let now = || {
                let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
                time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
            };
            let start = now();
            task();
            return now() - start;
        }
        let start = Instant::now();
        task();
        start.elapsed().as_secs_f64()
    }
}

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// What times are told by.
    pub clock: Clock,
    /// Rounds begin while less than this has passed.
    pub budget: Duration,
    /// Rounds at least.
    pub fewest: usize,
    /// Rounds at most.
    pub most: usize,
}

/// Work per second over the rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed {
    /// The median.
    pub median: f64,
    /// The slowest round.
    pub lowest: f64,
    /// The fastest round.
    pub highest: f64,
    /// Rounds.
    pub rounds: usize,
}

impl Speed {
    /// Of rounds that each did `work` in so many seconds; `None` without rounds.
    pub fn new(work: f64, seconds: &[f64]) -> Option<Self> {
        let rates = || seconds.iter().map(|s| work / s);
        let (lowest, highest) = (rates().reduce(f64::min)?, rates().reduce(f64::max)?);
        Some(Self { median: median(rates())?, lowest, highest, rounds: seconds.len() })
    }
}

/// Seconds each task took, round by round, after one round that is not counted. A round runs
/// every task once, one after the other.
pub fn by_turns<const N: usize>(pace: Pace, mut tasks: [&mut dyn FnMut(); N]) -> [Vec<f64>; N] {
    let mut seconds = [const { Vec::new() }; N];
    tasks.iter_mut().for_each(|task| task());
    let start = Instant::now();
    for round in 0..pace.most {
        if round >= pace.fewest && start.elapsed() >= pace.budget {
            break;
        }
        for (task, times) in tasks.iter_mut().zip(&mut seconds) {
            times.push(pace.clock.time(&mut *task));
        }
    }
    seconds
}

/// The middle value, or the mean of the two; `None` of nothing.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some(f64::midpoint(lower, upper))
}

/// The median over rounds of how many times faster than `other` something was, for the work each
/// did.
pub fn ratio(work: f64, seconds: &[f64], other_work: f64, other_seconds: &[f64]) -> Option<f64> {
    median(seconds.iter().zip(other_seconds).map(|(s, other)| (work / s) / (other_work / other)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_ratios() {
        assert_eq!(median([]), None);
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), Some(2.5));
        // Twice as fast in every round, whatever the round was like.
        assert_eq!(ratio(10.0, &[1.0, 5.0, 2.0], 5.0, &[1.0, 5.0, 2.0]), Some(2.0));
        assert_eq!(Speed::new(6.0, &[1.0, 3.0, 2.0]), Some(Speed { median: 3.0, lowest: 2.0, highest: 6.0, rounds: 3 }));
        assert_eq!(Speed::new(6.0, &[]), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_thread_that_sleeps_takes_no_time() {
        let nap = || std::thread::sleep(Duration::from_millis(50));
        assert!(Clock::Wall.time(nap) >= 0.05);
        assert!(Clock::Thread.time(nap) < 0.04);
        assert_eq!((Clock::of(1), Clock::of(2)), (Clock::Thread, Clock::Wall));
    }

    #[test]
    fn rounds_are_by_turns_and_within_bounds() {
        let order = std::cell::RefCell::new(String::new());
        let pace = Pace { clock: Clock::Wall, budget: Duration::ZERO, fewest: 3, most: 9 };
        let [a, b] = by_turns(pace, [&mut || order.borrow_mut().push('a'), &mut || order.borrow_mut().push('b')]);
        assert_eq!((a.len(), b.len(), order.into_inner().as_str()), (3, 3, "abababab"));
        let [a] = by_turns(Pace { budget: Duration::MAX, ..pace }, [&mut || ()]);
        assert_eq!(a.len(), 9);
    }
}
