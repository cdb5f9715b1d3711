//! Softmax cross-entropy, its mean over the labels of a batch, and its derivative.

use super::{Matrix, Real, functions};

/// What the loss says of one batch.
#[derive(Clone, Debug)]
pub struct Loss<T> {
    /// Mean over the labels of -ln(softmax probability of the right class).
    pub mean: f64,
    /// Rows whose largest logit (the first of equals) is the right class's.
    pub correct: usize,
    /// Derivative of the mean by the logits: (softmax - one-hot) / labels.
    pub gradient: Matrix<T>,
}

/// Loss of `logits` `[labels][classes]` for the given classes.
///
/// # Panics
/// If a label is not below the number of classes.
pub fn cross_entropy<T: Real>(logits: &Matrix<T>, labels: &[usize]) -> Loss<T> {
    let share = T::ONE / T::from_f64(labels.len() as f64);
    let mut gradient = logits.clone();
    let (mut sum, mut correct) = (0.0, 0);
    for (row, &label) in gradient.rows_mut().zip(labels) {
        let mut largest = 0;
        for class in 1..row.len() {
            if row[class] > row[largest] {
                largest = class;
            }
        }
        correct += usize::from(largest == label);
        let (maximum, right) = (row[largest], row[label]);
        let mut total = T::ZERO;
        for value in row.iter_mut() {
            *value = T::from_f64(functions::exp((*value - maximum).to_f64()));
            total += *value;
        }
        sum += functions::ln(total.to_f64()) - (right - maximum).to_f64();
        for (class, value) in row.iter_mut().enumerate() {
            let target = if class == label { T::ONE } else { T::ZERO };
            *value = (*value / total - target) * share;
        }
    }
    Loss { mean: sum / labels.len() as f64, correct, gradient }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let logits = Matrix::from_rows(3, vec![0.0, 0.0, 0.0, 1000.0, 0.0, -1000.0, 2.0, 2.0, 0.0_f64]);
        let loss = cross_entropy(&logits, &[1, 0, 0]);
        // ln 3, 0, and ln(2 + e^-2).
        let third = (2.0 + (-2.0_f64).exp()).ln();
        assert!((loss.mean - (3.0_f64.ln() + third) / 3.0).abs() < 1e-14);
        assert_eq!(loss.correct, 2);
        let row: Vec<f64> = loss.gradient.values[..3].to_vec();
        assert!((row[0] - 1.0 / 9.0).abs() < 1e-15 && (row[1] + 2.0 / 9.0).abs() < 1e-15);
        assert_eq!(loss.gradient.values[3..6], [0.0, 0.0, 0.0]);
    }
}
