//! Technology tables: those built in, and files of the same form.

use super::EnergyError;
use super::model::Model;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::LazyLock;
use systole_isa::design::{Calibration, Design, EnergySpec};

pub use systole_isa::design::Technology as Table;

/// Circuit figures at 45 nm and 0.9 V around the ISSCC 2014 table.
pub const HOROWITZ_45NM: &str = "horowitz-45nm";
/// The same operations at 7 nm.
pub const JOUPPI_7NM: &str = "jouppi-7nm";

/// Tables by the name `energy.table` takes.
pub const NAMES: &[&str] = &[HOROWITZ_45NM, JOUPPI_7NM];

static BUILT_IN: LazyLock<[Table; 2]> = LazyLock::new(|| {
    let files = [include_str!("../../tables/horowitz-45nm.ron"), include_str!("../../tables/jouppi-7nm.ron")];
    files.map(|text| Table::from_ron("built-in table", text).unwrap_or_else(|e| unreachable!("{e}")))
});

/// The built-in table of that name.
pub fn named(name: &str) -> Option<&'static Table> {
    BUILT_IN.iter().find(|table| table.name == name)
}

/// The technology table of that name.
///
/// # Errors
/// [`EnergyError::UnknownTable`].
pub fn technology(name: &str) -> Result<&'static Table, EnergyError> {
    named(name).ok_or_else(|| EnergyError::UnknownTable { name: name.to_owned(), known: NAMES.join(", ") })
}

/// The table a design is priced by.
///
/// # Errors
/// [`EnergyError::UnknownTable`].
pub fn of(energy: &EnergySpec) -> Result<&Table, EnergyError> {
    energy.figures.as_deref().map_or_else(|| technology(&energy.table), Ok)
}

/// SHA-256 of what a table says, as hexadecimal digits: the same for files that differ in layout.
pub fn digest(table: &Table) -> String {
    let text = serde_json::to_string(table).unwrap_or_default();
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads a table file.
///
/// # Errors
/// A file that cannot be read, is no table, or holds figures no law can be solved from.
pub fn read(path: &Path) -> Result<Table, EnergyError> {
    let file = path.display().to_string();
    let refuse = |message| EnergyError::TableFile { file: file.clone(), message };
    let text = std::fs::read_to_string(path).map_err(|e| refuse(format!("cannot be read: {e}; {} are built in", NAMES.join(", "))))?;
    let table = Table::from_ron(&file, &text).map_err(|message| refuse(format!("is no table: {message}")))?;
    let mut problems: Vec<String> = table.problems("").iter().map(ToString::to_string).collect();
    if named(&table.name).is_some_and(|built_in| *built_in != table) {
        problems.push(format!("name: `{}` is a built-in table with other figures; give the file's table a name of its own", table.name));
    }
    if problems.is_empty() {
        problems.extend(Model::new(&table, Calibration::Table).contradictions());
    }
    if problems.is_empty() {
        Ok(table)
    } else {
        Err(refuse(format!("is not usable:{}", problems.iter().map(|p| format!("\n  {p}")).collect::<String>())))
    }
}

/// A design whose `energy.table` names a file, with what that file holds; `directory` is where a
/// relative path begins. Any other design as it is.
///
/// # Errors
/// [`EnergyError::TableFile`].
pub fn resolve(mut design: Design, directory: &Path) -> Result<Design, EnergyError> {
    let energy = &mut design.energy;
    let path = directory.join(&energy.table);
    let is_file = energy.table.ends_with(".ron") || energy.table.contains(['/', '\\']);
    if energy.figures.is_none() && named(&energy.table).is_none() && is_file {
        let table = read(&path)?;
        energy.table.clone_from(&table.name);
        energy.figures = named(&table.name).is_none().then(|| Box::new(table));
    }
    Ok(design)
}

#[cfg(test)]
mod tests {
    use super::*;
    use systole_isa::design::technology::Status;

    #[test]
    fn names_find_their_tables() {
        for name in NAMES {
            assert_eq!(named(name).map(|t| t.name.as_str()), Some(*name));
        }
        assert_eq!(named("horowitz"), None);
    }

    #[test]
    fn every_figure_is_positive_and_cited() {
        for table in BUILT_IN.iter() {
            assert_eq!(table.problems(""), []);
            assert_eq!(Model::new(table, Calibration::Table).contradictions(), Vec::<String>::new());
            for figure in table.figures() {
                assert!(figure.value > 0.0 && !figure.source.is_empty(), "{figure:?}");
            }
        }
    }

    /// No table has areas that its source gives.
    #[test]
    fn areas_of_arithmetic_are_flagged() {
        for (name, status) in [(HOROWITZ_45NM, Status::Unverified), (JOUPPI_7NM, Status::Derived)] {
            let t = named(name).unwrap();
            let areas = t.integer_adders.iter().chain(&t.integer_multipliers).map(|a| &a.area);
            for area in areas.chain(t.float_adders.iter().chain(&t.float_multipliers).map(|a| &a.area)) {
                assert_eq!(area.status, status, "{area:?}");
                assert!(area.source.contains("unverified") || area.source.contains("0.059"), "{area:?}");
            }
        }
    }

    /// Shrunk areas, and the components scaled with the adders, follow from the 45 nm table.
    #[test]
    fn figures_brought_to_7_nm_are_those_of_45_nm_scaled() {
        let (old, new) = (named(HOROWITZ_45NM).unwrap(), named(JOUPPI_7NM).unwrap());
        let near = |got: f64, wanted: f64| assert!((got / wanted - 1.0).abs() < 1e-4, "{got} {wanted}");
        let ends = |t: &Table| [t.integer_adders[0].area.value, t.integer_adders[t.integer_adders.len() - 1].area.value];
        for (new, old) in ends(new).into_iter().zip(ends(old)) {
            near(new, 0.059 * old);
        }
        for (new, old) in new.float_adders.iter().chain(&new.float_multipliers).zip(old.float_adders.iter().chain(&old.float_multipliers)) {
            near(new.area.value, 0.059 * old.area.value);
        }
        let (shrunk, scaled) = (
            [(&new.mux_area, &old.mux_area), (&new.flip_flop_area, &old.flip_flop_area), (&new.sram_area, &old.sram_area)],
            [
                (&new.mux_energy, &old.mux_energy),
                (&new.flip_flop_clock, &old.flip_flop_clock),
                (&new.flip_flop_toggle, &old.flip_flop_toggle),
                (&new.instruction, &old.instruction),
            ],
        );
        shrunk.iter().for_each(|(new, old)| near(new.value, 0.059 * old.value));
        scaled.iter().for_each(|(new, old)| near(new.value, 0.3 * old.value));
    }
}
