//! Speed on this machine, measured in one run: kernels beside the machine's own f32 product and
//! a loop of scalar fused multiply-adds, conversions beside a memory copy, engines, other programs.
//!
//! Machines are noisy, so no two things are compared that were not measured by turns. Nothing is
//! timed whose bits were not first held against another computation of them.

mod arithmetic;
mod conversions;
mod engines;
mod host;
mod peers;
mod record;
mod report;
mod softfloat;
mod turns;

pub use arithmetic::Row as ArithmeticRow;
pub use conversions::Row as ConversionRow;
pub use engines::{TickedRow, TimingRow};
pub use host::Host;
pub use peers::{Agreement, Measured, Peer};
pub use record::{RecordError, write as write_record};
pub use turns::Speed;

use std::time::Duration;
use systole_arrays::fast::KernelChoice;
use turns::{Clock, Pace};

/// What is measured, and how thoroughly.
#[derive(Clone, Debug)]
pub struct Options {
    /// Largest extent of the products; slow kernels get a smaller one.
    pub size: u32,
    /// Fewer and shorter rounds.
    pub quick: bool,
    /// Kernels allowed.
    pub kernel: KernelChoice,
    /// Worker threads of what is measured; the native product has one.
    pub threads: usize,
    /// Whether to look for other programs.
    pub peers: bool,
    /// Only cases, conversions, engines and programs whose name contains this.
    pub only: Option<String>,
}

impl Options {
    fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|part| name.contains(part.as_str()))
    }

    const fn pace(&self) -> Pace {
        let clock = Clock::of(self.threads);
        if self.quick {
            Pace { clock, budget: Duration::from_millis(250), fewest: 3, most: 9 }
        } else {
            Pace { clock, budget: Duration::from_millis(1500), fewest: 7, most: 25 }
        }
    }

    /// Rows, or elements, that are computed twice before anything is timed.
    const fn checked_rows(&self) -> u32 {
        if self.quick { 2 } else { 4 }
    }
}

/// Everything measured.
#[derive(Debug)]
pub struct Report {
    /// What it was asked.
    pub options: Options,
    /// Where.
    pub host: Host,
    /// The native product, over all rounds, in MACs a second.
    pub native: Option<Speed>,
    /// The scalar loop, over all rounds, in MACs a second.
    pub softfloat: Option<Speed>,
    /// Products by kernels.
    pub arithmetic: Vec<ArithmeticRow>,
    /// Conversions by the vector unit.
    pub conversions: Vec<ConversionRow>,
    /// The engine of every register.
    pub ticked: Vec<TickedRow>,
    /// The engine without values.
    pub timing: Option<TimingRow>,
    /// Other programs, or why none was asked.
    pub peers: Result<Vec<Peer>, String>,
}

impl Report {
    /// Names of what computed wrong bits, and was not timed.
    pub fn wrong(&self) -> Vec<&str> {
        let arithmetic = self.arithmetic.iter().filter(|row| row.outcome.is_err()).map(|row| row.name);
        let conversions = self.conversions.iter().filter(|row| row.outcome.is_err()).map(|row| row.name.as_str());
        let ticked = self.ticked.iter().filter(|row| row.outcome.is_err()).map(|row| row.name);
        arithmetic.chain(conversions).chain(ticked).collect()
    }
}

/// Measures everything; `progress` hears what comes next.
///
/// # Errors
/// No pool of that many threads.
pub fn run(options: Options, progress: impl Fn(&str) + Send + Sync) -> Result<Report, rayon::ThreadPoolBuildError> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(options.threads).build()?;
    Ok(pool.install(|| {
        let host = Host::of_this();
        let (arithmetic, yardsticks) = arithmetic::measure(&options, &progress);
        let conversions = conversions::measure(&options, &progress);
        let ticked = engines::ticked(&options, &progress);
        let timing = engines::timing(&options, &progress);
        let peers = if options.peers { peers::measure(&options, &progress) } else { Err("not asked for".to_owned()) };
        let [native, softfloat] = yardsticks;
        Report { options, host, native, softfloat, arithmetic, conversions, ticked, timing, peers }
    }))
}
