//! Evaluation of one function under one policy for many codes.
//!
//! Inputs of at most 16 bits are remembered, process-wide and entry by entry as codes turn up:
//! the rounded result (8 bytes a code) in deterministic modes, the unrounded one (24 bytes a
//! code, shared by all output formats and policies) in stochastic ones. An entry is a pure
//! function of its code, so threads that race write the same value.

use super::exact::{Cut, Outcome};
use super::{Function, FunctionError, check, define, round, unrounded};
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};
use systole_isa::format::Format;
use systole_isa::round::{Flags, Policy, Rounding};

/// Widest input code that gets a table.
const MAX_TABLE_BITS: u32 = 16;

/// Rounded results: 0 where not yet known, else code, flags from bit 56, bit 63.
type Rounded = Arc<[AtomicU64]>;
type Unrounded = Arc<[OnceLock<Outcome>]>;

const KNOWN: u64 = 1 << 63;
const FLAGS_POSITION: u32 = 56;

type Cache<K, V> = LazyLock<Mutex<HashMap<K, V>>>;
static ROUNDED: Cache<(Function, Format, Format, Policy), Rounded> = LazyLock::new(Mutex::default);
static UNROUNDED: Cache<(Function, Format, bool), Unrounded> = LazyLock::new(Mutex::default);

/// The table stored under `key`, made where missing.
fn shared<K: Hash + Eq, E: Default>(cache: &Cache<K, Arc<[E]>>, key: K, input: Format) -> Arc<[E]> {
    let mut tables = cache.lock().unwrap_or_else(PoisonError::into_inner);
    tables.entry(key).or_insert_with(|| (0..1u64 << input.bits()).map(|_| E::default()).collect()).clone()
}

#[derive(Clone, Debug)]
enum Table {
    Rounded(Rounded),
    Unrounded(Unrounded),
    None,
}

/// A function between two formats under a policy: [`super::evaluate`], made fast for many codes.
#[derive(Clone, Debug)]
pub struct Evaluator {
    function: Function,
    input: Format,
    output: Format,
    policy: Policy,
    table: Table,
}

impl Evaluator {
    /// Checks the formats once and finds the table, if the input is narrow enough for one.
    ///
    /// # Errors
    /// As [`super::evaluate`].
    pub fn new(function: Function, input: Format, output: Format, policy: Policy) -> Result<Self, FunctionError> {
        check(function, input, output, policy)?;
        let table = if input.bits() > MAX_TABLE_BITS {
            Table::None
        } else if let Rounding::Sr(_) = policy.rounding {
            Table::Unrounded(shared(&UNROUNDED, (function, input, policy.subnormals.flushes_inputs()), input))
        } else {
            Table::Rounded(shared(&ROUNDED, (function, input, output, policy), input))
        };
        Ok(Self { function, input, output, policy, table })
    }

    /// The function of one code, as [`super::evaluate`] gives it; bits above the input's width
    /// are ignored.
    #[inline]
    pub fn evaluate(&self, code: u64, random: u64) -> (u64, Flags) {
        let index = (code & self.input.mask()) as usize;
        match &self.table {
            Table::Rounded(table) => {
                // Entries are independent of each other: no ordering is needed.
                let mut entry = table[index].load(Ordering::Relaxed);
                if entry == 0 {
                    let (code, flags) = define(self.function, self.input, self.output, code, self.policy, random);
                    entry = KNOWN | u64::from(flags.0) << FLAGS_POSITION | code;
                    table[index].store(entry, Ordering::Relaxed);
                }
                (entry & ((1 << FLAGS_POSITION) - 1), Flags((entry >> FLAGS_POSITION) as u8 & 0x7f))
            }
            Table::Unrounded(table) => {
                let exact = table[index].get_or_init(|| unrounded(self.function, self.input, code, self.policy.subnormals, Cut::Long));
                round(*exact, self.output, self.policy, random)
            }
            Table::None => define(self.function, self.input, self.output, code, self.policy, random),
        }
    }
}
