//! Answers against expectations, and what a difference looks like.

use super::batch::{Batch, Case};
use super::judge::{Answer, Judge, Kind};
use super::registers::exactly;
use super::show;
use super::subject::Subject;
use crate::round::round;
use crate::value::Value;
use std::collections::BTreeMap;
use std::fmt;
use systole_isa::format::Format;
use systole_isa::round::{Flags, Policy};

/// When an expected NaN and a computed one agree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NanRule {
    /// Always: NaN is one class.
    #[default]
    Any,
    /// If the expected one is the format's canonical NaN.
    Canonical,
    /// If they are the same code.
    Exact,
}

/// What was compared, and what differed.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Cases read.
    pub checked: u64,
    /// Cases in which some judge differed from the expectation, or judges from each other.
    pub differ: u64,
    /// Cases in which judges differed from each other.
    pub disagree: u64,
    /// Cases no judge could judge.
    pub unjudged: u64,
    /// Cases whose flags were compared.
    pub flags_compared: u64,
    /// Cases each judge judged, by kind and by who computed.
    pub judged: BTreeMap<(Kind, &'static str), u64>,
    /// The first differences, in the order of the files.
    pub first: Vec<Difference>,
}

impl Tally {
    /// Takes in the cases that follow, keeping the first `show` differences.
    pub fn merge(&mut self, later: Self, show: usize) {
        self.checked += later.checked;
        self.differ += later.differ;
        self.disagree += later.disagree;
        self.unjudged += later.unjudged;
        self.flags_compared += later.flags_compared;
        for (who, count) in later.judged {
            *self.judged.entry(who).or_default() += count;
        }
        let room = show.saturating_sub(self.first.len());
        self.first.extend(later.first.into_iter().take(room));
    }
}

/// A code with its meaning, for display.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its name: `a`, `b[2]`, `expected`, or who computed it.
    pub name: String,
    /// The code in its format's hexadecimal digits.
    pub code: String,
    /// In decimal.
    pub decimal: String,
    /// Hexadecimal significand and exponent.
    pub hexadecimal: String,
}

impl Shown {
    fn new(name: String, format: Format, code: u64) -> Self {
        let value = Value::of(format, code);
        Self { name, code: show::code(format, code), decimal: show::decimal(&value), hexadecimal: show::hexadecimal(&value) }
    }
}

/// One judge's answer beside the expectation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The result.
    pub result: Shown,
    /// The exceptions, if it tells them.
    pub flags: Option<Flags>,
    /// True if the result is not the expected one.
    pub result_differs: bool,
    /// True if the exceptions are not the expected ones.
    pub flags_differ: bool,
    /// Codes between result and expectation; `None` beside NaN.
    pub ulps: Option<u128>,
}

impl Verdict {
    /// True if it contradicts the expectation.
    pub const fn differs(&self) -> bool {
        self.result_differs || self.flags_differ
    }
}

/// A case that differs, ready for display.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The file.
    pub file: String,
    /// Its line, from 1.
    pub line: u64,
    /// What was computed, in one line.
    pub subject: String,
    /// The operands.
    pub operands: Vec<Shown>,
    /// R of each stochastic rounding, in hexadecimal.
    pub random: Vec<String>,
    /// The result before rounding, as an odd integer times a power of two.
    pub exact: String,
    /// The same in decimal.
    pub exact_decimal: String,
    /// What the file expects.
    pub expected: Shown,
    /// The exceptions it expects, if it says.
    pub expected_flags: Option<Flags>,
    /// What the judges say.
    pub verdicts: Vec<Verdict>,
    /// True if judges differ from each other.
    pub judges_disagree: bool,
}

/// `1 ulp`, `2 ulps`.
fn distance(ulps: Option<u128>) -> String {
    match ulps {
        None => "NaN against a number".to_owned(),
        Some(0) => "the sign of zero".to_owned(),
        Some(1) => "1 ulp".to_owned(),
        Some(n) => format!("{n} ulps"),
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}:{}: {}", self.file, self.line, self.subject)?;
        let names = self.operands.iter().chain([&self.expected]).chain(self.verdicts.iter().map(|v| &v.result));
        let width = names.map(|shown| shown.name.len()).max().unwrap_or(0).max(8);
        let codes = self.operands.iter().chain([&self.expected]).map(|shown| shown.code.len()).max().unwrap_or(0);
        let mut row = |shown: &Shown, note: String| {
            let code = &shown.code;
            writeln!(f, "  {:width$}  {code:codes$}  {} ({}){note}", shown.name, shown.decimal, shown.hexadecimal)
        };
        self.operands.iter().try_for_each(|operand| row(operand, String::new()))?;
        let flags = |flags: Option<Flags>| flags.map_or_else(String::new, |flags| format!("  flags {:02x}", flags.0));
        row(&self.expected, flags(self.expected_flags))?;
        for verdict in &self.verdicts {
            let mut note = flags(verdict.flags.filter(|_| self.expected_flags.is_some() || self.judges_disagree));
            if verdict.result_differs {
                note += "  <- differs: ";
                note += &match verdict.result.code == self.expected.code {
                    true => "not the canonical NaN".to_owned(),
                    false if verdict.result.decimal == "nan" && self.expected.decimal == "nan" => "another NaN".to_owned(),
                    false => distance(verdict.ulps),
                };
            }
            if verdict.flags_differ {
                note += "  <- flags differ";
            }
            row(&verdict.result, note)?;
        }
        if !self.random.is_empty() {
            writeln!(f, "  {:width$}  {}", "R", self.random.join(" "))?;
        }
        writeln!(f, "  {:width$}  {} = {}", "exact", self.exact, self.exact_decimal)?;
        if self.judges_disagree {
            writeln!(f, "  the judges disagree with each other: a defect of systole; please report this case")?;
        }
        Ok(())
    }
}

/// Holds answers against expectations for one batch.
pub(super) struct Comparison<'a> {
    pub file: &'a str,
    pub subject: &'a Subject,
    pub judges: &'a [&'a dyn Judge],
    pub nan: NanRule,
    pub show: usize,
}

impl Comparison<'_> {
    fn agree(&self, batch: &Batch, expected: u64, code: u64) -> bool {
        let nan = |code| Value::of(batch.written, code) == Value::Nan;
        match self.nan {
            NanRule::Exact => expected == code,
            NanRule::Any => expected == code || (nan(expected) && nan(code)),
            NanRule::Canonical if nan(code) => expected == round(batch.written, &Value::Nan, Policy::RNE, 0).0,
            NanRule::Canonical => expected == code,
        }
    }

    /// An answer's code as the file writes results.
    fn written(&self, batch: &Batch, code: u64) -> u64 {
        let format = self.subject.result();
        if format == batch.written { code } else { exactly(format, code, batch.written, self.subject.policy().nan).unwrap_or(code) }
    }

    pub fn tally(&self, batch: &Batch) -> Tally {
        let answers: Vec<(Kind, Vec<Option<Answer>>)> = self.judges.iter().map(|judge| (judge.kind(), judge.judge(batch))).collect();
        let mut tally = Tally { checked: batch.len() as u64, ..Tally::default() };
        let same_class = Self { nan: NanRule::Any, ..*self };
        for (i, case) in batch.cases().enumerate() {
            let here = || answers.iter().filter_map(|(kind, all)| Some((*kind, all[i]?)));
            let mut differs = false;
            let mut disagree = false;
            let (mut judged, mut with_flags) = (false, false);
            let mut first: Option<Answer> = None;
            let mut flags: Option<Flags> = None;
            for (kind, mut answer) in here() {
                answer.code = self.written(batch, answer.code);
                *tally.judged.entry((kind, answer.by)).or_default() += 1;
                judged = true;
                differs |= !self.agree(batch, case.expected, answer.code);
                if let (Some(expected), Some(found)) = (case.flags, answer.flags) {
                    with_flags = true;
                    differs |= expected != found;
                }
                disagree |= first.is_some_and(|first| !same_class.agree(batch, first.code, answer.code));
                disagree |= flags.zip(answer.flags).is_some_and(|(a, b)| a != b);
                first = first.or(Some(answer));
                flags = flags.or(answer.flags);
            }
            tally.unjudged += u64::from(!judged);
            tally.flags_compared += u64::from(with_flags);
            tally.disagree += u64::from(disagree);
            if differs || disagree {
                tally.differ += 1;
                if tally.first.len() < self.show {
                    tally.first.push(self.difference(batch, case, here().map(|(_, answer)| answer), disagree));
                }
            }
        }
        tally
    }

    fn difference(&self, batch: &Batch, case: Case<'_>, answers: impl Iterator<Item = Answer>, judges_disagree: bool) -> Difference {
        // Where the oracle refuses the mode no layout of cases could be read.
        let exact = self.subject.exact(case.operands).unwrap_or(Value::Nan);
        let k = batch.k;
        let operand = |(i, &code): (usize, &u64)| Shown::new(self.subject.operand_name(i, k), self.subject.operand_format(i, k), code);
        let verdict = |answer: Answer| {
            let code = self.written(batch, answer.code);
            Verdict {
                result: Shown::new(answer.by.to_owned(), batch.written, code),
                flags: answer.flags,
                result_differs: !self.agree(batch, case.expected, code),
                flags_differ: answer.flags.zip(case.flags).is_some_and(|(a, b)| a != b),
                ulps: show::ulps(batch.written, code, case.expected),
            }
        };
        Difference {
            file: self.file.to_owned(),
            line: case.line,
            subject: self.subject.to_string(),
            operands: case.operands.iter().enumerate().map(operand).collect(),
            random: case.random.iter().map(|r| format!("0x{r:x}")).collect(),
            exact: exact.to_string(),
            exact_decimal: show::decimal(&exact),
            expected: Shown::new("expected".to_owned(), batch.written, case.expected),
            expected_flags: case.flags,
            verdicts: answers.map(verdict).collect(),
            judges_disagree,
        }
    }
}
