//! `systole golden check`.

use super::SubjectArgs;
use crate::cli::{Common, load_design, output::written, print_json, refuse};
use crate::run::golden::{Against, dot_of, judges};
use clap::{Args, ValueEnum};
use miette::{Result, miette};
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::{BufReader, Write, stdin};
use std::process::ExitCode;
use systole_golden::check::{CaseFile, Difference, Judge, Kind, NanRule, Options, Registers, Settings, Shown, Subject, Tally, check};
use systole_isa::overrides;
use systole_isa::round::Flags;

/// Arguments of `golden check`.
#[derive(Args)]
pub struct CheckArgs {
    #[command(flatten)]
    subject: SubjectArgs,
    /// When an expected NaN and a computed one agree: any (one class), canonical (the file must have
    /// the format's canonical NaN), exact (the same code).
    #[arg(long, value_enum, default_value_t = NanArg::Any)]
    nan: NanArg,
    /// Which judges to ask.
    #[arg(long, value_enum, default_value_t = AgainstArg::All)]
    against: AgainstArg,
    /// Differing cases to print.
    #[arg(long, value_name = "N", default_value_t = 10)]
    show: usize,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Files of cases; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum NanArg {
    Any,
    Canonical,
    Exact,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum AgainstArg {
    Oracle,
    Datapath,
    Fast,
    All,
}

/// What the settings of a file and of the command line together are about.
pub fn subject(settings: &Settings) -> Result<Subject> {
    if !settings.is_dot() {
        return Ok(Subject::Operation(settings.operation().map_err(refuse)?));
    }
    settings.refuse_formats().map_err(refuse)?;
    let name = settings.design.as_deref().ok_or_else(|| miette!("`dot` needs --design, or `design=` in the file's `#!` line"))?;
    let overrides = (settings.set.iter())
        .map(|s| overrides::split(s).ok_or_else(|| miette!("`set={s}`: a setting is PATH=VALUE")))
        .collect::<Result<Vec<_>>>()?;
    let design = load_design(name, &overrides)?;
    Ok(Subject::Dot(dot_of(&design).map_err(refuse)?))
}

fn open(name: &str) -> Result<CaseFile> {
    if name == "-" {
        return CaseFile::open(name, BufReader::new(stdin())).map_err(refuse);
    }
    let file = File::open(name).map_err(|e| miette!("{name}: cannot be read: {e}"))?;
    CaseFile::open(name, BufReader::with_capacity(1 << 18, file)).map_err(refuse)
}

/// Judges the files, prints what differs, and ends in `checked N, differ D`.
pub fn run(args: &CheckArgs, common: &Common) -> Result<ExitCode> {
    let given = args.subject.settings(common);
    let kernels = common.kernel()?;
    let against = match args.against {
        AgainstArg::All => Against::All,
        AgainstArg::Oracle => Against::Oracle,
        AgainstArg::Datapath => Against::Datapath,
        AgainstArg::Fast => Against::Fast,
    };
    let nan = match args.nan {
        NanArg::Any => NanRule::Any,
        NanArg::Canonical => NanRule::Canonical,
        NanArg::Exact => NanRule::Exact,
    };
    let options = Options { nan, show: args.show };
    let mut tally = Tally::default();
    let mut subjects: Vec<String> = Vec::new();
    let mut notes = Vec::new();
    for name in &args.files {
        let mut file = open(name)?;
        let subject = subject(&given.clone().or(file.header())).map_err(|e| miette!("{name}: {e}"))?;
        let judges = judges(&subject, against, kernels);
        let judges: Vec<&dyn Judge> = judges.iter().map(|judge| &**judge).collect();
        let (found, registers) = check(&mut file, &subject, &judges, options).map_err(refuse)?;
        tally.merge(found, options.show);
        let line = describe(&subject);
        if !subjects.contains(&line) {
            subjects.push(line);
        }
        if registers == Registers::Fp32 {
            notes.push(format!("{name}: codes wider than {}: every c and result is read as an fp32 code", subject.result()));
        }
    }
    if tally.checked > 0 && tally.unjudged == tally.checked {
        return Err(miette!(
            help = "use --against all, or --kernel auto",
            "no judge asked for can judge these cases: none of the kernels computes this operation on these formats"
        ));
    }
    if args.json {
        print_json(&as_json(&tally, &subjects, &notes))?;
    } else {
        written(print(&tally, &subjects, &notes))?;
    }
    Ok(if tally.differ == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// A subject with every policy that shapes its results.
fn describe(subject: &Subject) -> String {
    let policy = subject.policy();
    let word = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let [overflow, no_infinity, subnormals, tininess] =
        [json!(policy.overflow), json!(policy.no_infinity), json!(policy.subnormals), json!(policy.tininess)].map(word);
    format!("{subject}, overflow {overflow}, no infinity {no_infinity}, subnormals {subnormals}, tininess {tininess}")
}

fn print(tally: &Tally, subjects: &[String], notes: &[String]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for line in subjects.iter().chain(notes) {
        writeln!(out, "{line}")?;
    }
    let judges: Vec<String> = tally.judged.iter().map(|((_, by), count)| format!("{by} {count}")).collect();
    if !judges.is_empty() {
        writeln!(out, "judged by {}", judges.join(", "))?;
    }
    writeln!(out, "flags compared in {} cases", tally.flags_compared)?;
    if tally.unjudged > 0 {
        writeln!(out, "not judged {}: outside the domain of every judge asked", tally.unjudged)?;
    }
    for difference in &tally.first {
        writeln!(out, "\n{difference}")?;
    }
    let hidden = tally.differ - tally.first.len() as u64;
    if hidden > 0 {
        writeln!(out, "and {hidden} more; --show N prints more of them")?;
    }
    if tally.disagree > 0 {
        writeln!(out, "in {} of these the judges disagree with each other", tally.disagree)?;
    }
    writeln!(out, "checked {}, differ {}", tally.checked, tally.differ)
}

fn hex(flags: Option<Flags>) -> Value {
    flags.map_or(Value::Null, |flags| json!(format!("0x{:02x}", flags.0)))
}

fn shown(shown: &Shown) -> Value {
    json!({"name": shown.name, "code": shown.code, "decimal": shown.decimal, "value": shown.hexadecimal})
}

fn as_json(tally: &Tally, subjects: &[String], notes: &[String]) -> Value {
    let count = |kind: Kind| -> u64 { tally.judged.iter().filter(|((k, _), _)| *k == kind).map(|(_, count)| count).sum() };
    let fast: Map<String, Value> =
        tally.judged.iter().filter(|((kind, _), _)| *kind == Kind::Fast).map(|((_, by), count)| ((*by).to_owned(), json!(count))).collect();
    let first = |d: &Difference| {
        let verdicts: Vec<Value> = (d.verdicts.iter())
            .map(|v| {
                json!({
                    "judge": v.result.name, "result": v.result.code, "decimal": v.result.decimal, "value": v.result.hexadecimal,
                    "flags": hex(v.flags), "differs": v.differs(), "ulps": v.ulps.map(|u| u.min(u128::from(u64::MAX)) as u64),
                })
            })
            .collect();
        json!({
            "file": d.file, "line": d.line, "subject": d.subject,
            "operands": d.operands.iter().map(shown).collect::<Vec<_>>(), "random": d.random,
            "expected": shown(&d.expected), "expected_flags": hex(d.expected_flags),
            "exact": d.exact, "exact_decimal": d.exact_decimal,
            "judges": verdicts, "judges_disagree": d.judges_disagree,
        })
    };
    let op = |line: &String| line.split(' ').next().unwrap_or_default().to_owned();
    let mut ops: Vec<String> = subjects.iter().map(op).collect();
    ops.dedup();
    json!({
        "op": ops.join(","),
        "subjects": subjects,
        "notes": notes,
        "checked": tally.checked,
        "differ": tally.differ,
        "disagree": tally.disagree,
        "not_judged": tally.unjudged,
        "flags_compared": tally.flags_compared,
        "judges": {"oracle": count(Kind::Oracle), "datapath": count(Kind::Datapath), "fast": fast},
        "first": tally.first.iter().map(first).collect::<Vec<_>>(),
    })
}
