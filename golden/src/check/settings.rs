//! What a file's header or a command line says its cases are about.
//!
//! A header is lines `#! key=value key=value ...` before the first case. The keys are those
//! of the command's options; `set=PATH=VALUE` takes the rest of its line.

use super::operation::{Op, Operation, OperationError};
use serde::Deserialize;
use serde::de::value::{Error as WordError, StrDeserializer};
use systole_isa::format::Format;
use systole_isa::round::{Policy, Rounding};

/// Settings as words, not yet understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// `convert`, `add`, `sub`, `mul`, `fma` or `dot`.
    pub op: Option<String>,
    /// Operand formats, comma-separated.
    pub operands: Option<String>,
    /// Result format.
    pub result: Option<String>,
    /// Rounding mode.
    pub round: Option<String>,
    /// Overflow policy.
    pub overflow: Option<String>,
    /// What stands for infinity where there is none.
    pub no_infinity: Option<String>,
    /// Subnormal policy.
    pub subnormals: Option<String>,
    /// When a result is tiny.
    pub tininess: Option<String>,
    /// The design whose unit `dot` is about.
    pub design: Option<String>,
    /// Overrides of the design, `PATH=VALUE` each.
    pub set: Vec<String>,
}

/// Settings that do not say what is computed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// No operation.
    #[error("no operation is named; give --op convert|add|sub|mul|fma|dot, or begin the file with a line `#! op=...`")]
    NoOperation,
    /// An unknown operation.
    #[error("`{0}` is no operation; use convert, add, sub, mul, fma or dot")]
    Operation(String),
    /// Something the operation needs.
    #[error("`{op}` needs --{option}, or `{key}=` in the file's `#!` line")]
    Missing {
        /// The operation.
        op: Op,
        /// Option of the command line.
        option: &'static str,
        /// Key in the header.
        key: &'static str,
    },
    /// Something the operation does not take.
    #[error("`{op}` does not take --{option}; {mend}")]
    Superfluous {
        /// The operation.
        op: String,
        /// Option of the command line.
        option: &'static str,
        /// What to do instead.
        mend: &'static str,
    },
    /// A value that is not one of the option's.
    #[error("--{option} {value}: {message}")]
    Value {
        /// Option of the command line.
        option: &'static str,
        /// What was given.
        value: String,
        /// Why it does not fit.
        message: String,
    },
    /// A word of a header that is no `key=value`.
    #[error("`{0}` is not `key=value`")]
    Word(String),
    /// A key no header has.
    #[error("a `#!` line has no key `{0}`; it has op, in, out, round, overflow, no_infinity, subnormals, tininess, design, set")]
    Key(String),
    /// A key given twice.
    #[error("`{0}` is given twice")]
    Twice(String),
    /// Formats that do not fit the operation.
    #[error(transparent)]
    Formats(#[from] OperationError),
}

fn word<'de, T: Deserialize<'de>>(option: &'static str, value: &'de str) -> Result<T, SettingsError> {
    let fail = |e: WordError| SettingsError::Value { option, value: value.to_owned(), message: e.to_string() };
    T::deserialize(StrDeserializer::new(value)).map_err(fail)
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(option: &'static str, value: &str) -> Result<T, SettingsError> {
    value.parse().map_err(|e: T::Err| SettingsError::Value { option, value: value.to_owned(), message: e.to_string() })
}

impl Settings {
    /// Takes in what follows `#!` on a header line.
    ///
    /// # Errors
    /// Words without an equals sign, unknown keys, keys given twice.
    pub fn read_header(&mut self, line: &str) -> Result<(), SettingsError> {
        let mut rest = line.trim();
        while !rest.is_empty() {
            if let Some(setting) = rest.strip_prefix("set=") {
                self.set.push(setting.to_owned());
                return Ok(());
            }
            let (token, tail) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            rest = tail.trim_start();
            let (key, value) = token.split_once('=').ok_or_else(|| SettingsError::Word(token.to_owned()))?;
            let field = match key {
                "op" => &mut self.op,
                "in" => &mut self.operands,
                "out" => &mut self.result,
                "round" => &mut self.round,
                "overflow" => &mut self.overflow,
                "no_infinity" => &mut self.no_infinity,
                "subnormals" => &mut self.subnormals,
                "tininess" => &mut self.tininess,
                "design" => &mut self.design,
                _ => return Err(SettingsError::Key(key.to_owned())),
            };
            if field.replace(value.to_owned()).is_some() {
                return Err(SettingsError::Twice(key.to_owned()));
            }
        }
        Ok(())
    }

    /// The header lines that say the same, without line ends.
    pub fn header(&self) -> Vec<String> {
        let pairs = [
            ("op", &self.op),
            ("in", &self.operands),
            ("out", &self.result),
            ("round", &self.round),
            ("overflow", &self.overflow),
            ("no_infinity", &self.no_infinity),
            ("subnormals", &self.subnormals),
            ("tininess", &self.tininess),
            ("design", &self.design),
        ];
        let words: Vec<String> = pairs.iter().filter_map(|(key, value)| value.as_ref().map(|v| format!("{key}={v}"))).collect();
        let mut lines = vec![format!("#! {}", words.join(" "))];
        lines.extend(self.set.iter().map(|setting| format!("#! set={setting}")));
        lines
    }

    /// These settings, and those of `other` where these are silent. The overrides of a design
    /// belong to it: they are taken from `other` only with its design, and come first.
    #[must_use]
    pub fn or(self, other: &Self) -> Self {
        let mut set = if self.design.is_none() { other.set.clone() } else { Vec::new() };
        set.extend(self.set);
        let choose = |first: Option<String>, second: &Option<String>| first.or_else(|| second.clone());
        Self {
            op: choose(self.op, &other.op),
            operands: choose(self.operands, &other.operands),
            result: choose(self.result, &other.result),
            round: choose(self.round, &other.round),
            overflow: choose(self.overflow, &other.overflow),
            no_infinity: choose(self.no_infinity, &other.no_infinity),
            subnormals: choose(self.subnormals, &other.subnormals),
            tininess: choose(self.tininess, &other.tininess),
            design: choose(self.design, &other.design),
            set,
        }
    }

    /// Settings that spell an operation out, defaults included.
    pub fn of(operation: &Operation) -> Self {
        let policy = operation.policy;
        let formats: Vec<String> = operation.operands.iter().map(Format::to_string).collect();
        let word = |value: serde_json::Result<serde_json::Value>| value.ok()?.as_str().map(str::to_owned);
        Self {
            op: Some(operation.op.to_string()),
            operands: Some(formats.join(",")),
            result: Some(operation.result.to_string()),
            round: Some(policy.rounding.to_string()),
            overflow: word(serde_json::to_value(policy.overflow)),
            no_infinity: word(serde_json::to_value(policy.no_infinity)),
            subnormals: word(serde_json::to_value(policy.subnormals)),
            tininess: word(serde_json::to_value(policy.tininess)),
            design: None,
            set: Vec::new(),
        }
    }

    /// True if they speak of `dot`.
    pub fn is_dot(&self) -> bool {
        self.op.as_deref() == Some("dot")
    }

    /// Refuses, for an operation whose formats and rounding come from a design, options that
    /// would say otherwise.
    ///
    /// # Errors
    /// The first such option.
    pub fn refuse_formats(&self) -> Result<(), SettingsError> {
        let given = [
            ("in", &self.operands),
            ("out", &self.result),
            ("round", &self.round),
            ("overflow", &self.overflow),
            ("no-infinity", &self.no_infinity),
            ("subnormals", &self.subnormals),
            ("tininess", &self.tininess),
        ];
        let mend = "its formats and rounding are the design's: use --design and --set mac.FIELD=VALUE";
        match given.iter().find(|(_, value)| value.is_some()) {
            Some(&(option, _)) => Err(SettingsError::Superfluous { op: self.op.clone().unwrap_or_default(), option, mend }),
            None => Ok(()),
        }
    }

    /// The single operation these settings describe.
    ///
    /// # Errors
    /// Missing, unknown or unfitting settings.
    pub fn operation(&self) -> Result<Operation, SettingsError> {
        let name = self.op.as_deref().ok_or(SettingsError::NoOperation)?;
        let op: Op = name.parse().map_err(|()| SettingsError::Operation(name.to_owned()))?;
        let mend = "only `dot` is a design's; give --in, --out and --round";
        if self.design.is_some() {
            return Err(SettingsError::Superfluous { op: name.to_owned(), option: "design", mend });
        }
        if !self.set.is_empty() {
            return Err(SettingsError::Superfluous { op: name.to_owned(), option: "set", mend });
        }
        let need = |value: &'_ Option<String>, option, key| value.clone().ok_or(SettingsError::Missing { op, option, key });
        let operands = need(&self.operands, "in", "in")?;
        let formats: Vec<Format> = operands.split(',').map(|name| parsed("in", name.trim())).collect::<Result<_, _>>()?;
        let result = parsed("out", &need(&self.result, "out", "out")?)?;
        let rounding: Rounding = parsed("round", &need(&self.round, "round", "round")?)?;
        let mut policy = Policy::new(rounding);
        if let Some(name) = &self.overflow {
            policy.overflow = word("overflow", name)?;
        }
        if let Some(name) = &self.no_infinity {
            policy.no_infinity = word("no-infinity", name)?;
        }
        if let Some(name) = &self.subnormals {
            policy.subnormals = word("subnormals", name)?;
        }
        if let Some(name) = &self.tininess {
            policy.tininess = word("tininess", name)?;
        }
        Ok(Operation::new(op, &formats, result, policy)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Result<Settings, SettingsError> {
        let mut settings = Settings::default();
        lines.iter().try_for_each(|line| settings.read_header(line)).map(|()| settings)
    }

    #[test]
    fn headers_round_trip() {
        for lines in [
            &["op=fma in=e5m2,fp16 out=fp16 round=rdn overflow=saturate"][..],
            &[" op=convert  in=fp32\tout=e4m3fn round=sr8 no_infinity=max subnormals=daz_ftz tininess=before "],
            &["op=dot design=fp8-16x16", "set=mac.accumulator=fp16", "set=mac.unit=(aligned: (fraction_bits: 13))"],
        ] {
            let settings = read(lines).unwrap();
            let header = settings.header();
            let body: Vec<&str> = header.iter().map(|line| line.strip_prefix("#!").unwrap()).collect();
            assert_eq!(read(&body).unwrap(), settings);
        }
    }

    #[test]
    fn every_bad_header_is_refused() {
        for (line, needle) in
            [("op", "`op` is not `key=value`"), ("op=add op=sub", "`op` is given twice"), ("rounding=rne", "no key `rounding`")]
        {
            let message = read(&[line]).unwrap_err().to_string();
            assert!(message.contains(needle), "{message}");
        }
        for (line, needle) in [
            ("", "no operation"),
            ("op=dit", "`dit` is no operation"),
            ("op=add out=fp16 round=rne", "`add` needs --in"),
            ("op=add in=fp16 round=rne", "`add` needs --out"),
            ("op=add in=fp16 out=fp16", "`add` needs --round"),
            ("op=add in=fp61 out=fp16 round=rne", "--in fp61"),
            ("op=add in=fp16 out=fp16 round=rnd", "--round rnd"),
            ("op=add in=fp16 out=fp16 round=rne overflow=clip", "--overflow clip: unknown variant `clip`"),
            ("op=add in=fp16,fp16,fp16 out=fp16 round=rne", "one operand format for both operands, or two, not 3"),
            ("op=convert in=fp16,fp16 out=fp16 round=rne", "`convert` takes one operand format, not 2"),
            ("op=mul in=fx64.0 out=fp16 round=rne", "at most 53 significant bits"),
            ("op=mul in=fp16 out=fp16 round=rne design=fp8-16x16", "does not take --design"),
        ] {
            let message = read(&[line]).unwrap().operation().unwrap_err().to_string();
            assert!(message.contains(needle), "{line}: {message}");
        }
    }

    #[test]
    fn formats_spread_over_operands() {
        let formats = |line: &str| {
            let operation = read(&[line]).unwrap().operation().unwrap();
            operation.to_string()
        };
        for (line, shown) in [
            ("op=fma in=e5m2 out=fp16 round=rne", "fma e5m2,e5m2,fp16 -> fp16 rne"),
            ("op=fma in=e5m2,fp32 out=fp16 round=sr4", "fma e5m2,e5m2,fp32 -> fp16 sr4"),
            ("op=fma in=e5m2,e4m3fn,fp32 out=fp16 round=rtz", "fma e5m2,e4m3fn,fp32 -> fp16 rtz"),
            ("op=add in=e5m2 out=fp16 round=rne", "add e5m2,e5m2 -> fp16 rne"),
            ("op=sub in=e5m2,fp16 out=fp16 round=rne", "sub e5m2,fp16 -> fp16 rne"),
            ("op=convert in=e5m2 out=fp16 round=rod", "convert e5m2 -> fp16 rod"),
        ] {
            assert_eq!(formats(line), shown);
        }
    }
}
