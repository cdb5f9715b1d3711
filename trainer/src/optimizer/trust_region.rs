//! The radius of a step and the tests it must pass.

use serde::{Deserialize, Serialize};
use systole_isa::design::Problem;

/// A trust region (Conn, Gould and Toint 2000, section 6.1) with the linear model
/// f(w) - g p. With ratio = (f(w) - f(w + p)) / (the decrease the model promises):
///
/// | ratio | step | radius |
/// |---|---|---|
/// | at least `expand` | taken | doubled |
/// | at least `accept` | taken | as it was |
/// | less | not taken | halved |
///
/// Both losses are those of the same batch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustRegion {
    /// The first radius.
    pub radius: f64,
    /// It gets no smaller.
    #[serde(default = "smallest")]
    pub smallest: f64,
    /// It gets no larger.
    #[serde(default = "largest")]
    pub largest: f64,
    /// Ratio from which a step is taken.
    #[serde(default = "accept")]
    pub accept: f64,
    /// Ratio from which the radius is doubled.
    #[serde(default = "expand")]
    pub expand: f64,
    /// Tests in an epoch; steps between them are taken untested. 0: every step is tested.
    #[serde(default)]
    pub tests: u32,
    /// f(w) is the largest of this many accepted losses, the present one among them: more
    /// than 1 lets the loss rise now and then (Grippo, Lampariello and Lucidi 1986).
    #[serde(default = "memory")]
    pub memory: u32,
    /// What the model promises of a step along v.
    #[serde(default)]
    pub predicted_by: PredictedBy,
}

/// The decrease that the model promises for p = -radius v / |v|.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PredictedBy {
    /// radius |v|, as if v were the gradient.
    Direction,
    /// radius g v / |v|, with the gradient itself; if that is not positive, v becomes g.
    #[default]
    Gradient,
}

const fn smallest() -> f64 {
    1e-8
}

const fn largest() -> f64 {
    10.0
}

const fn accept() -> f64 {
    0.1
}

const fn expand() -> f64 {
    0.75
}

const fn memory() -> u32 {
    1
}

impl TrustRegion {
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        let mut require = |holds: bool, field: &str, message: String| {
            if !holds {
                found.push(Problem { path: format!("optimizer.rule.trust_region.{field}"), message });
            }
        };
        let Self { radius, smallest, largest, accept, expand, memory, .. } = *self;
        let ordered = 0.0 < smallest && smallest <= radius && radius <= largest && largest.is_finite();
        require(
            ordered,
            "radius",
            format!("must be within smallest ({smallest}) and largest ({largest}), positive and finite, is {radius}"),
        );
        require(accept > 0.0 && accept <= expand && expand < 1.0, "accept", {
            format!("must be above 0 and at most `expand`, which must be below 1; is {accept}, with expand {expand}")
        });
        require((1..=1024).contains(&memory), "memory", format!("must be 1 to 1024, is {memory}"));
        found
    }
}
