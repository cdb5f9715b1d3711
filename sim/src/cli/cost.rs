//! `systole cost`: what a design costs, or the technology table behind the figures.

use systole::energy::{EnergyError, cost_report, table_json, table_text, technology};
use systole_isa::design::Design;

/// The report on a design: one JSON object or text.
///
/// # Errors
/// The design names an unknown technology table.
pub fn design(design: &Design, json: bool) -> Result<String, EnergyError> {
    let report = cost_report(design)?;
    Ok(if json { format!("{}\n", report.json()) } else { report.text() })
}

/// Every figure of the technology table of that name: one JSON object or text.
///
/// # Errors
/// The name is unknown.
pub fn table(name: &str, json: bool) -> Result<String, EnergyError> {
    let table = technology(name)?;
    Ok(if json { format!("{}\n", table_json(table)) } else { table_text(table) })
}
