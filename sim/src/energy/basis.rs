//! Where a figure stands to the points its table has, and how far it may be off.

use std::fmt;

/// Energy of figures off a table's points: give or take this, in percent.
pub const ENERGY_BAND_PERCENT: f64 = 30.0;
/// Area of figures off a table's points: too small or too large by a factor of this to that.
pub const AREA_BAND_FACTORS: [f64; 2] = [2.0, 3.0];

/// Place of a figure on the law it comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// No law: nothing there, or components alone.
    #[default]
    None,
    /// One of the table's own points.
    Point,
    /// Between points.
    Interpolated,
    /// Beyond them.
    Extrapolated,
}

impl Place {
    /// The place of a size among a law's points, ascending.
    pub fn among(size: f64, points: &[f64]) -> Self {
        match points {
            _ if points.contains(&size) => Self::Point,
            [first, .., last] if (*first..=*last).contains(&size) => Self::Interpolated,
            _ => Self::Extrapolated,
        }
    }
}

/// What a figure rests on. A sum rests on what its farthest part does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Basis {
    /// The farthest place on a law.
    pub place: Place,
    /// Multiplexers, flip-flops, wires or leakage are in it: figures beside the table's operations,
    /// scaled from another library or assumed.
    pub components: bool,
}

impl Basis {
    /// Of components alone.
    pub const COMPONENTS: Self = Self { place: Place::None, components: true };

    /// Of a law alone.
    pub const fn law(place: Place) -> Self {
        Self { place, components: false }
    }

    /// Of a sum with another.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self { place: self.place.max(other.place), components: self.components || other.components }
    }

    /// True if the figure is the table's own.
    pub fn is_of_table(self) -> bool {
        self == Self::law(Place::Point)
    }

    /// `table`, `interpolated`, `extrapolated`, or `components` where no law is involved.
    pub const fn name(self) -> &'static str {
        match self.place {
            Place::None => "components",
            Place::Point => "table",
            Place::Interpolated => "interpolated",
            Place::Extrapolated => "extrapolated",
        }
    }
}

impl fmt::Display for Basis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let also = if self.components && self.place != Place::None { " + components" } else { "" };
        write!(f, "{}{also}", self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let points = [8.0, 16.0, 32.0];
        for (size, place) in [(8.0, Place::Point), (32.0, Place::Point), (9.0, Place::Interpolated), (7.0, Place::Extrapolated)] {
            assert_eq!(Place::among(size, &points), place);
        }
        let sum = Basis::law(Place::Point).with(Basis::COMPONENTS);
        assert_eq!((sum.to_string().as_str(), sum.is_of_table()), ("table + components", false));
        assert_eq!(Basis::law(Place::Extrapolated).with(sum).to_string(), "extrapolated + components");
        assert!(Basis::law(Place::Point).is_of_table() && Basis::COMPONENTS.to_string() == "components");
    }
}
