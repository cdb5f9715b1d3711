//! The product of f32 matrices by the host's own instructions.

use crate::problem::Shape;

/// D = A B by `matrixmultiply` on one thread: the kernel its own detection picks, one rounding
/// a step or two, in no order anyone states.
///
/// # Panics
/// If the lengths are not those of `shape`.
pub fn sgemm(shape: Shape, a: &[f32], b: &[f32], d: &mut [f32]) {
    let (m, n, k) = (shape.m as usize, shape.n as usize, shape.k as usize);
    assert_eq!(a.len(), m * k, "A is M x K");
    assert_eq!(b.len(), k * n, "B is K x N");
    assert_eq!(d.len(), m * n, "D is M x N");
    let [of_a, of_b] = [k, n].map(|columns| columns as isize);
    // SAFETY: row-major matrices of the asserted lengths, with these strides; D is not read
    // (beta is 0) and borrowed exclusively.
    unsafe {
        matrixmultiply::sgemm(m, k, n, 1.0, a.as_ptr(), of_a, 1, b.as_ptr(), of_b, 1, 0.0, d.as_mut_ptr(), of_b, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_small_integers_are_exact() {
        let shape = Shape { m: 5, n: 11, k: 7 };
        let a: Vec<f32> = (0..35).map(|i| (i % 9) as f32 - 4.0).collect();
        let b: Vec<f32> = (0..77).map(|i| (i % 13) as f32 - 6.0).collect();
        let mut d = vec![f32::NAN; 55];
        sgemm(shape, &a, &b, &mut d);
        for (i, &value) in d.iter().enumerate() {
            let (row, column) = (i / 11, i % 11);
            assert_eq!(value, (0..7).map(|k| a[row * 7 + k] * b[k * 11 + column]).sum::<f32>());
        }
    }
}
