//! Formats side by side.

use crate::energy::NodeScaling;
use crate::run::figure::formats::{Row, Table};
use crate::text::{bullets, dyadic, grouped, indented, numeric_table, short, significant};
use serde_json::{Value, json};
use systole_isa::exact::Exact;

const COLUMNS: [&str; 10] = [
    "format",
    "s.e.m",
    "bias",
    "largest",
    "least normal",
    "least subnormal",
    "unit roundoff",
    "accumulator",
    "TFLOPS, equal area",
    "TFLOPS/W",
];

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}

fn cells(row: &Row) -> Vec<String> {
    let layout = row.layout.map(|l| format!("{}.{}.{}", l.sign, l.exponent, l.mantissa));
    let roundoff = row.unit_roundoff.map(|_| format!("2^-{}", row.precision));
    vec![
        row.format.to_string(),
        or_dash(layout),
        or_dash(row.layout.map(|l| l.bias.to_string())),
        short(row.largest.to_f64()),
        or_dash(row.least_normal.map(dyadic)),
        or_dash(row.least_subnormal.map(dyadic)),
        or_dash(roundoff),
        row.accumulator.to_string(),
        significant(row.tflops),
        significant(row.tflops_per_watt),
        or_dash(row.h100_tflops.map(|t| format!("{t:.0}"))),
    ]
}

/// What the arrays are, and whose figures these are.
fn assumptions(table: &Table) -> Vec<String> {
    let yardstick = &table.yardstick;
    let mut list = vec![
        format!(
            "equal area: MACs of the format, both operands in it, in the place of those of `{}`, as many as fit into the {} um2 of its \
             multipliers, adders, rounding and registers; peak at {} MHz, priced by {} as `systole cost` does",
            yardstick.design,
            grouped(table.area_um2.round() as u64),
            table.clock_mhz,
            yardstick.table
        ),
        format!(
            "accumulators: {} rounded after every addition for floats up to fp32, wider floats their own, posits a quire, integers four \
             times their bits",
            table.narrow
        ),
        "TFLOPS/W: the same array at full use; registers, wires, scratchpad and leakage included, DRAM and vector unit not".to_owned(),
        "H100: all tensor cores of the chip, as the designs h100-* have them, at their published clock; not from the area model".to_owned(),
        "an operation of integers or posits counts as one of floats".to_owned(),
    ];
    list.extend(yardstick.scaling.iter().map(NodeScaling::text));
    list
}

/// The report `systole figure formats` prints.
pub fn text(table: &Table) -> String {
    let header: Vec<&str> = COLUMNS.into_iter().chain(["H100 TFLOPS"]).collect();
    let mut rows = numeric_table(&header);
    table.rows.iter().for_each(|row| {
        rows.add_row(cells(row));
    });
    format!("{}\nassumptions\n{}", indented(&rows, 1), bullets(&assumptions(table)))
}

/// The object `systole figure formats --json` prints.
pub fn json(table: &Table) -> Value {
    let number = |x: Exact| json!({"value": x.to_f64(), "exactly": dyadic(x)});
    let row = |row: &Row| {
        json!({
            "format": row.format.to_string(),
            "bits": row.format.bits(),
            "layout": row.layout.map(|l| json!({"sign": l.sign, "exponent": l.exponent, "mantissa": l.mantissa, "bias": l.bias})),
            "precision": row.precision,
            "largest": number(row.largest),
            "least_normal": row.least_normal.map(number),
            "least_subnormal": row.least_subnormal.map(number),
            "unit_roundoff": row.unit_roundoff,
            "accumulator": row.accumulator.to_string(),
            "area_um2": row.area_um2,
            "tflops": row.tflops,
            "tflops_per_watt": row.tflops_per_watt,
            "h100_tflops": row.h100_tflops,
        })
    };
    json!({
        "design": table.yardstick.design,
        "table": table.yardstick.table,
        "area_um2": table.area_um2,
        "clock_mhz": table.clock_mhz,
        "formats": table.rows.iter().map(row).collect::<Vec<_>>(),
        "assumptions": assumptions(table),
    })
}
