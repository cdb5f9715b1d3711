//! Words that hold sums: 64 bits, or 128.

/// A signed integer that holds aligned sums.
pub(super) trait Word: Copy {
    const BITS: i32;
    type Size: Size;
    fn of(x: i64) -> Self;
    fn shift_left(self, by: i32) -> Self;
    /// Toward zero, what falls off gathered in bit 0.
    fn shift_right_jam(self, by: i32) -> Self;
    fn add(self, other: Self) -> Self;
    fn is_negative(self) -> bool;
    fn size(self) -> Self::Size;
}

/// The size of a [`Word`].
pub(super) trait Size: Copy + Ord {
    const ZERO: Self;
    fn leading_zeros(self) -> i32;
    fn shift_left(self, by: i32) -> Self;
    /// `self >> by`, which has at most 64 bits.
    fn shift_right(self, by: i32) -> u64;
    /// A fraction of 2^64 as one of the size, bit 0 repeated below.
    fn limit(of: u64) -> Self;
}

macro_rules! words {
    ($signed:ty, $unsigned:ty) => {
        impl Word for $signed {
            const BITS: i32 = <$signed>::BITS as i32;
            type Size = $unsigned;
            #[inline(always)]
            fn of(x: i64) -> Self {
                <$signed>::from(x)
            }
            #[inline(always)]
            fn shift_left(self, by: i32) -> Self {
                self << by
            }
            #[inline(always)]
            fn shift_right_jam(self, by: i32) -> Self {
                let size = self.unsigned_abs();
                let jammed = if by >= <$signed>::BITS as i32 {
                    <$unsigned>::from(size != 0)
                } else {
                    (size >> by) | <$unsigned>::from(size & ((1 << by) - 1) != 0)
                };
                if self < 0 { -(jammed as Self) } else { jammed as Self }
            }
            #[inline(always)]
            fn add(self, other: Self) -> Self {
                self + other
            }
            #[inline(always)]
            fn is_negative(self) -> bool {
                self < 0
            }
            #[inline(always)]
            fn size(self) -> $unsigned {
                self.unsigned_abs()
            }
        }
        impl Size for $unsigned {
            const ZERO: Self = 0;
            #[inline(always)]
            fn leading_zeros(self) -> i32 {
                <$unsigned>::leading_zeros(self) as i32
            }
            #[inline(always)]
            fn shift_left(self, by: i32) -> Self {
                self << by
            }
            #[inline(always)]
            fn shift_right(self, by: i32) -> u64 {
                (self >> by) as u64
            }
            #[inline(always)]
            fn limit(of: u64) -> Self {
                let below = <$unsigned>::BITS - 64;
                let ones = ((1 as Self) << below) - 1;
                Self::from(of) << below | if of & 1 == 1 { ones } else { 0 }
            }
        }
    };
}

words!(i64, u64);
words!(i128, u128);
