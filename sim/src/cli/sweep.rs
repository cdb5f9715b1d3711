//! `systole sweep`, `merge`: many designs, side by side and in shards.

use super::{Common, explain, refuse};
use crate::report::sweep::text::{duration, text};
use crate::run::specification;
use crate::sweep::{self, Event, Execution, Resolution, SWEEPS, Shard, Spec, Store, Table};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use miette::{Result, miette};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Arguments of `sweep`.
#[derive(Args)]
pub struct SweepArgs {
    /// Built-in sweep (`systole list sweeps`) or RON file.
    #[arg(value_name = "SPEC")]
    spec: String,
    /// Directory for results: a line for each run as it ends, then the table.
    #[arg(long, value_name = "DIR", required_unless_present = "dry_run")]
    out: Option<PathBuf>,
    /// Go on from the results in --out, made by whatever shards.
    #[arg(long)]
    resume: bool,
    /// With --resume, make runs again that failed.
    #[arg(long, requires = "resume")]
    retry: bool,
    /// Make the Ith of N equal parts of the runs, I from 1; parts may share --out.
    #[arg(long, value_name = "I/N", default_value_t = Shard::WHOLE)]
    shard: Shard,
    /// Runs at once [default: one for each thread].
    #[arg(long, value_name = "J", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Print the points and stop.
    #[arg(long)]
    dry_run: bool,
}

/// Arguments of `merge`.
#[derive(Args)]
pub struct MergeArgs {
    /// Directories of one sweep's shards.
    #[arg(required = true, value_name = "DIR")]
    directories: Vec<PathBuf>,
    /// Directory for the whole [default: the first].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// A built-in sweep or a file, with its text.
fn load(name: &str) -> Result<(Spec, String)> {
    let ron = match SWEEPS.iter().find(|sweep| sweep.name == name) {
        Some(built_in) => built_in.ron.to_owned(),
        None => specification::read("sweep", name, SWEEPS.iter().map(|s| s.name).collect()).map_err(explain)?,
    };
    Ok((Spec::from_ron(name, &ron).map_err(refuse)?, ron))
}

/// The command as it was given, for the record.
fn command_line() -> String {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .map(|word| if word.contains([' ', '"', '\'']) { format!("'{}'", word.replace('\'', "'\\''")) } else { word })
        .collect();
    format!("systole {}", words.join(" "))
}

fn print_points(resolution: &Resolution) -> Result<()> {
    let plan = &resolution.plan;
    outln!("{}: {}; {} points, {} runs", plan.name, plan.task, plan.points.len(), plan.runs.len());
    for point in &plan.points {
        match &point.problem {
            None => outln!("  {}", point.name),
            Some(problem) => outln!("  {}: {}", point.name, problem.replace('\n', " ")),
        }
    }
    Ok(())
}

/// A bar on a terminal; elsewhere a line now and then, as logs of batch jobs want it.
struct Progress {
    bar: ProgressBar,
    terminal: bool,
}

impl Progress {
    fn new() -> Self {
        let bar = ProgressBar::new(0);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} runs  {msg}") {
            bar.set_style(style);
        }
        Self { bar, terminal: std::io::stderr().is_terminal() }
    }

    fn hear(&self, event: Event<'_>) {
        match event {
            Event::Planned { runs, known } => {
                self.bar.set_length(runs as u64);
                self.bar.set_position(known as u64);
                if !self.terminal {
                    tell!("{runs} runs, {known} made before");
                }
            }
            Event::Ended { record, left } => {
                self.bar.inc(1);
                let spread = if left.error > 0.1 * left.seconds { format!(" ± {}", duration(left.error)) } else { String::new() };
                let left = format!("about {}{spread} left", duration(left.seconds));
                let (done, all) = (self.bar.position(), self.bar.length().unwrap_or(0));
                let seed = record.seed.map(|seed| format!(", seed {seed}")).unwrap_or_default();
                if let Some(error) = record.error() {
                    let line = format!("{}{seed} failed: {error}", record.point);
                    if self.terminal { self.bar.println(line) } else { tell!("{line}") }
                }
                // Every run for small sweeps, every hundredth part of large ones.
                if !self.terminal && (done == all || done.is_multiple_of((all / 100).max(1))) {
                    tell!("{done}/{all} runs, {left}");
                }
                self.bar.set_message(left);
            }
        }
    }
}

/// Writes the table beside the results.
pub(super) fn write_table(directory: &Path, table: &Table) -> Result<()> {
    let json = format!("{:#}\n", table.json());
    for (name, contents) in [("table.csv", table.csv()), ("table.json", json)] {
        let path = directory.join(name);
        std::fs::write(&path, contents).map_err(|e| miette!("`{}`: {e}", path.display()))?;
    }
    Ok(())
}

/// Plans, runs what is missing, and reports.
pub fn run(args: &SweepArgs, common: &Common) -> Result<ExitCode> {
    let (spec, ron) = load(&args.spec)?;
    let resolution = sweep::plan(&args.spec, &spec, &common.settings()?, &command_line()).map_err(refuse)?;
    let Some(directory) = args.out.as_deref().filter(|_| !args.dry_run) else {
        print_points(&resolution)?;
        return Ok(ExitCode::SUCCESS);
    };
    let threads = common.threads.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from);
    let how =
        Execution { shard: args.shard, jobs: args.jobs.map_or(threads, usize::from), threads, kernel: common.kernel()?, retry: args.retry };
    let store = Store::open(directory, &ron, &resolution.plan, args.shard, args.resume).map_err(refuse)?;
    let progress = Progress::new();
    let executed = sweep::execute(&resolution, &store, &how, |event| progress.hear(event));
    progress.bar.finish_and_clear();
    executed.map_err(refuse)?;
    drop(store);
    let (plan, records) = sweep::read(&[directory.to_owned()]).map_err(refuse)?;
    let table = Table::new(&plan, &records);
    if args.shard == Shard::WHOLE {
        write_table(directory, &table)?;
    }
    out!("{}", text(&plan, &table));
    Ok(ExitCode::SUCCESS)
}

/// Puts the results of shards together.
pub fn merge(args: &MergeArgs) -> Result<ExitCode> {
    let (plan, records) = sweep::read(&args.directories).map_err(refuse)?;
    let first = &args.directories[0];
    let out = args.out.as_ref().unwrap_or(first);
    let written = sweep::write_merged(out, first, &plan, &records).map_err(refuse)?;
    let table = Table::new(&plan, &records);
    write_table(out, &table)?;
    out!("{}", text(&plan, &table));
    let all = plan.runs.iter().map(|run| &run.key).collect::<std::collections::BTreeSet<_>>().len();
    let path = out.join("runs.jsonl");
    if written < plan.runs.len() {
        outln!("{} of {all} runs are in {}; the others are not made yet", records.len(), path.display());
    } else {
        outln!("all {all} runs are in {}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}
