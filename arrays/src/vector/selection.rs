//! Operations that select a value of binary32 and leave nothing to round but that value.

use super::operation::Elementwise;

const SIGN: u32 = 0x8000_0000;

/// True if [`apply`] knows the operation.
pub(super) const fn selects(op: Elementwise) -> bool {
    matches!(
        op,
        Elementwise::Convert | Elementwise::Negate | Elementwise::Absolute | Elementwise::Relu | Elementwise::Gate | Elementwise::CopySign
    )
}

/// `a[i]` = the operation on the binary32s `a[i]` and `b[i]`, as bits. Unary operations ignore `b`.
#[inline(always)]
pub(super) fn apply(op: Elementwise, a: &mut [u32], b: &[u32]) {
    let f = f32::from_bits;
    match op {
        Elementwise::Negate => a.iter_mut().for_each(|a| *a ^= SIGN),
        Elementwise::Absolute => a.iter_mut().for_each(|a| *a &= !SIGN),
        Elementwise::Relu => a.iter_mut().for_each(|a| *a = if (f(*a) > 0.0) | f(*a).is_nan() { *a } else { 0 }),
        Elementwise::Gate => a.iter_mut().zip(b).for_each(|(a, &x)| *a = if f(x) > 0.0 { *a } else { 0 }),
        Elementwise::CopySign => a.iter_mut().zip(b).for_each(|(a, &x)| *a = *a & !SIGN | x & SIGN),
        // A conversion; `selects` admits nothing else.
        _ => (),
    }
}
