//! The machine that measured.

use std::time::{SystemTime, UNIX_EPOCH};
use systole_arrays::fast::KernelChoice;

/// A machine, as far as it says what it is.
#[derive(Clone, Debug)]
pub struct Host {
    /// Processor, or the architecture where the system does not say more.
    pub cpu: String,
    /// Sets of kernels it can run, fastest first.
    pub kernels: Vec<KernelChoice>,
    /// Cores this process may use.
    pub cores: usize,
    /// Processes that wanted a core over the last minute, where the system says so.
    pub load: Option<f64>,
    /// Day, UTC, as `2026-11-22`.
    pub date: String,
}

impl Host {
    /// The one this runs on, now.
    pub fn of_this() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        let cpu = model.map_or(std::env::consts::ARCH, |(_, name)| name.trim()).to_owned();
        let load = read("/proc/loadavg").split(' ').next().and_then(|first| first.parse().ok());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self { cpu, kernels: KernelChoice::available(), cores, load, date: date(seconds / 86_400) }
    }

    /// Date and processor as a file name.
    pub fn slug(&self) -> String {
        let words = self.cpu.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        let words: Vec<String> = words.map(str::to_ascii_lowercase).collect();
        format!("{}-{}", self.date, words.join("-"))
    }
}

/// The Gregorian date so many days after 1970-01-01.
fn date(mut days: u64) -> String {
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    format!("{year}-{:02}-{:02}", month + 1, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (days, expected) in [
            (0, "1970-01-01"),
            (58, "1970-02-28"),
            (59, "1970-03-01"),
            (10_957, "2000-01-01"),
            (11_016, "2000-02-29"),
            (11_017, "2000-03-01"),
            (20_779, "2026-11-22"),
            (47_540, "2100-02-28"),
            (47_541, "2100-03-01"),
        ] {
            assert_eq!(date(days), expected);
        }
    }

    #[test]
    fn slugs_are_file_names() {
        let cpu = "Intel(R) Xeon(R) Platinum 8480+ @ 2.0GHz".to_owned();
        let host = Host { cpu, kernels: vec![], cores: 1, load: None, date: "2026-11-22".to_owned() };
        assert_eq!(host.slug(), "2026-11-22-intel-r-xeon-r-platinum-8480-2-0ghz");
    }
}
