//! The scalars of a step of Adam, which no tensor enters.

use super::Rule;

/// What the host works out for a step of Adam.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamScalars {
    /// Factor of m / (sqrt v + epsilon).
    pub step: f64,
    /// The epsilon of this step.
    pub epsilon: f64,
}

impl AdamScalars {
    /// In step `t`, from 1, at a rate.
    pub fn new(rule: Rule, rate: f64, t: i32) -> Self {
        match rule {
            Rule::Adam { beta1, beta2, epsilon, bias_correction: true, .. } => {
                let (c1, c2) = (1.0 - power(beta1, t), (1.0 - power(beta2, t)).sqrt());
                Self { step: -rate * c2 / c1, epsilon: c2 * epsilon }
            }
            Rule::Adam { epsilon, .. } => Self { step: -rate, epsilon },
            Rule::Sgd | Rule::TrustRegion(_) => Self { step: -rate, epsilon: 0.0 },
        }
    }
}

/// x^n by squaring: the same bits on every platform.
fn power(x: f64, n: i32) -> f64 {
    let (mut square, mut n, mut product) = (x, n, 1.0);
    while n > 0 {
        if n & 1 == 1 {
            product *= square;
        }
        square *= square;
        n >>= 1;
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_by_hand() {
        let rule = |bias_correction| Rule::Adam { beta1: 0.5, beta2: 0.75, epsilon: 0.125, bias_correction, decoupled: false };
        assert_eq!(AdamScalars::new(rule(false), 0.5, 9), AdamScalars { step: -0.5, epsilon: 0.125 });
        // 1 - 0.5 and sqrt(1 - 0.75).
        assert_eq!(AdamScalars::new(rule(true), 0.5, 1), AdamScalars { step: -0.5, epsilon: 0.0625 });
        assert_eq!(power(0.5, 10), 1.0 / 1024.0);
    }
}
