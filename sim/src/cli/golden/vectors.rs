//! `systole golden vectors`.

use super::SubjectArgs;
use super::check::subject;
use crate::cli::gemm::{Data, parse_shape};
use crate::cli::{Common, load_design, refuse};
use crate::run::vectors::{self, Product};
use clap::{Args, ValueEnum};
use miette::{Result, miette};
use std::fs::File;
use std::io::{BufWriter, ErrorKind, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use systole_golden::check::{Settings, Subject};
use systole_golden::vectors::{Level, Plan, VectorsError, memh, text};

/// Arguments of `golden vectors`.
#[derive(Args)]
pub struct VectorsArgs {
    #[command(flatten)]
    subject: SubjectArgs,
    /// Operands: 1 (corners of every format, combined), 2 (aimed at ties, cancellation, borders and
    /// alignments), exhaustive (all, up to 2^32 cases).
    #[arg(long, value_enum, default_value_t = LevelArg::One)]
    level: LevelArg,
    /// Cases of level 2, and of dot products [default: 20000].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Products of a dot product [default: the unit's block, at least 4].
    #[arg(long, value_name = "K")]
    k: Option<usize>,
    /// Seed of the operands [default: 0; of --op gemm: the design's].
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Add a column of exception flags.
    #[arg(long)]
    flags: bool,
    /// Write the lines to a file.
    #[arg(long, value_name = "FILE")]
    out_file: Option<PathBuf>,
    /// Write `$readmemh` files and manifest.json to a directory.
    #[arg(long, value_name = "DIR")]
    memh: Option<PathBuf>,
    /// Of --op gemm: extents of the product.
    #[arg(long, value_name = "M,N,K")]
    shape: Option<String>,
    /// Of --op gemm: what the operands hold, as `systole gemm` makes them.
    #[arg(long, value_enum, default_value_t = Data::Normal)]
    data: Data,
    /// Of --op gemm: add a C, made as A and B are.
    #[arg(long)]
    addend: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LevelArg {
    #[value(name = "1")]
    One,
    #[value(name = "2")]
    Two,
    Exhaustive,
}

/// Cases where `--count` says nothing.
const COUNT: u64 = 20_000;

fn generator() -> String {
    concat!("systole ", env!("CARGO_PKG_VERSION")).to_owned()
}

/// Makes the vectors.
pub fn run(args: &VectorsArgs, common: &Common) -> Result<ExitCode> {
    let settings = args.subject.settings(common);
    if settings.op.as_deref() == Some("gemm") {
        return whole_product(args, settings, common);
    }
    if args.shape.is_some() || args.addend {
        return Err(miette!("--shape and --addend belong to --op gemm; dot products take --k"));
    }
    let subject = subject(&settings)?;
    let is_dot = matches!(subject, Subject::Dot(_));
    let count = args.count.unwrap_or(COUNT);
    let level = match args.level {
        LevelArg::One => Level::Corners { count },
        LevelArg::Two => Level::Directed { count },
        LevelArg::Exhaustive => Level::Exhaustive,
    };
    if args.count.is_some() && (args.level == LevelArg::Exhaustive || (args.level == LevelArg::One && !is_dot)) {
        return Err(miette!(help = "use --level 2", "--count: this level has the cases it has"));
    }
    let k = match (&subject, args.k) {
        (Subject::Operation(_), Some(_)) => return Err(miette!("--k belongs to --op dot")),
        (Subject::Operation(_), None) => 0,
        (Subject::Dot(dot), k) => k.unwrap_or((dot.mode.lanes as usize).max(4)),
    };
    let settings = match &subject {
        Subject::Operation(operation) => Settings::of(operation),
        Subject::Dot(_) => settings,
    };
    let seed = args.seed.unwrap_or(0);
    let plan = Plan::new(subject, k, level, seed).map_err(refuse)?;
    let level = match args.level {
        LevelArg::One => "1",
        LevelArg::Two => "2",
        LevelArg::Exhaustive => "exhaustive",
    };
    let title = format!("{} golden vectors: {}, level {level}, seed {seed}, {} cases", generator(), plan.subject, plan.len());
    if let Some(directory) = &args.memh {
        memh::write(&plan, &settings, &generator(), directory).map_err(refuse)?;
    }
    let written = match &args.out_file {
        Some(path) => {
            let name = path.display().to_string();
            let file = File::create(path).map_err(|e| miette!("{name}: cannot be written: {e}"))?;
            text::write(&plan, &settings, &title, args.flags, &name, &mut BufWriter::new(file))
        }
        None if args.memh.is_some() => Ok(()),
        None => text::write(&plan, &settings, &title, args.flags, "standard output", &mut BufWriter::new(stdout().lock())),
    };
    match written {
        // Whoever reads the lines has enough of them.
        Err(VectorsError::Io { source, .. }) if source.kind() == ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        other => other.map(|()| ExitCode::SUCCESS).map_err(refuse),
    }
}

/// `--op gemm`.
fn whole_product(args: &VectorsArgs, settings: Settings, common: &Common) -> Result<ExitCode> {
    settings.refuse_formats().map_err(refuse)?;
    if args.level != LevelArg::One || args.count.is_some() || args.k.is_some() || args.flags || args.out_file.is_some() {
        return Err(miette!("--op gemm takes --design, --shape, --data, --addend, --seed and --memh only"));
    }
    let (Some(name), Some(shape), Some(directory)) = (&settings.design, &args.shape, &args.memh) else {
        return Err(miette!("--op gemm needs --design D, --shape M,N,K and --memh DIR"));
    };
    let mut overrides = common.settings()?;
    overrides.extend(args.seed.map(|seed| ("seed".to_owned(), seed.to_string())));
    let design = load_design(name, &overrides)?;
    let [m, n, k] = parse_shape(shape)?;
    let product = Product { m, n, k, generator: args.data.into(), addend: args.addend };
    let manifest = vectors::write(&design, &product, &generator(), settings.header(), directory).map_err(refuse)?;
    for file in &manifest.files {
        outln!("{} {}", file.digest, directory.join(&file.file).display());
    }
    Ok(ExitCode::SUCCESS)
}
