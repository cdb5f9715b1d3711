//! Pooling and its gradients over NHWC tensors.
//!
//! The window view gives the geometry: which input pixel output pixel (n, oy, ox) reads at
//! kernel position (ky, kx). Positions in the border or between dilated neighbours are absent
//! from maxima and +0 in sums. Windows are ordered by (n, oy, ox), positions by (ky, kx).

mod winners;

use super::adder::{Adder, with_adder};
use super::operation::{Operand, Pool, Target, VectorError, check_buffers, check_count};
use super::order::{Key, Order, OrderKey};
use super::random::{Draws, addition};
use super::{PARALLEL_ELEMENTS, Word, fit, total, with_words};
use crate::simd::on_wide_lanes;
use rayon::prelude::*;
use systole_isa::codes::Codes;
use systole_isa::device::Activity;
use systole_isa::entropy::Stage;
use systole_isa::view::Window;
use winners::Winners;

/// Refuses a meaningless window and tensors that do not fit it; gives the number of images.
pub(super) fn check_shapes(op: Pool, window: &Window, target: (usize, usize), operands: &[(usize, usize)]) -> Result<usize, VectorError> {
    let mnemonic = op.mnemonic();
    check_count(mnemonic, op.arity(), operands.len())?;
    let w = window;
    if [w.out_h, w.out_w, w.h, w.w, w.c, w.kernel_h, w.kernel_w, w.stride, w.dilate].contains(&0) {
        return Err(VectorError::Window { mnemonic });
    }
    let input_pixels = w.h as usize * w.w as usize;
    let output_pixels = w.out_h as usize * w.out_w as usize;
    // The tensor the number of images is read from is the one that must divide.
    let (first, pixels) = match op {
        Pool::Maximum | Pool::MaximumGradient | Pool::Sum => (operands[0], input_pixels),
        Pool::Spread => (operands[0], output_pixels),
    };
    let images = first.0 / pixels;
    let expect = |what, shape: (usize, usize), pixels: usize| {
        let expected = (images * pixels, w.c as usize);
        if shape == expected && images > 0 {
            Ok(())
        } else {
            let ((rows, cols), (expected_rows, expected_cols)) = (shape, (images.max(1) * pixels, expected.1));
            Err(VectorError::PoolShape { mnemonic, what, rows, cols, expected_rows, expected_cols })
        }
    };
    match op {
        Pool::Maximum | Pool::Sum => {
            expect("input", operands[0], input_pixels)?;
            expect("result", target, output_pixels)?;
        }
        Pool::MaximumGradient => {
            expect("input", operands[0], input_pixels)?;
            expect("gradient", operands[1], output_pixels)?;
            expect("result", target, input_pixels)?;
        }
        Pool::Spread => {
            expect("gradient", operands[0], output_pixels)?;
            expect("result", target, input_pixels)?;
        }
    }
    if matches!(op, Pool::Maximum | Pool::MaximumGradient) {
        for y in 0..w.out_h {
            for x in 0..w.out_w {
                if taps(w, y * w.out_w + x).all(|tap| tap.is_none()) {
                    return Err(VectorError::EmptyWindow { mnemonic, y, x });
                }
            }
        }
    }
    Ok(images)
}

/// The pixels of the first image that output pixel `output` reads, in kernel order.
fn taps(window: &Window, output: u32) -> impl Iterator<Item = Option<usize>> + '_ {
    (0..window.kernel_h)
        .flat_map(move |ky| (0..window.kernel_w).map(move |kx| window.pixel(output.into(), ky, kx).map(|pixel| pixel as usize)))
}

/// A window's geometry for one image, tabulated.
struct Geometry {
    taps: Vec<Option<usize>>,
    kernel: usize,
    input_pixels: usize,
    output_pixels: usize,
    channels: usize,
    images: usize,
}

impl Geometry {
    fn new(window: &Window, images: usize) -> Self {
        let output_pixels = window.out_h as usize * window.out_w as usize;
        Self {
            taps: (0..window.out_h * window.out_w).flat_map(|output| taps(window, output)).collect(),
            kernel: window.kernel_h as usize * window.kernel_w as usize,
            input_pixels: window.h as usize * window.w as usize,
            output_pixels,
            channels: window.c as usize,
            images,
        }
    }

    /// What output pixel `output` reads: pixels of its own image.
    fn window(&self, output: usize) -> impl Iterator<Item = Option<usize>> + '_ {
        self.taps[output * self.kernel..][..self.kernel].iter().copied()
    }

    /// Fills `results` image by image; `kernel` gets an image and its `pixels` rows.
    fn each_image<T: Word>(&self, pixels: usize, results: &mut [T], kernel: impl Fn(usize, &mut [T]) -> Activity + Sync) -> Activity {
        let part = |(image, results): (usize, &mut [T])| of_image(&kernel, image, results);
        let size = pixels * self.channels;
        let work = self.images * self.output_pixels * self.kernel * self.channels;
        if work <= PARALLEL_ELEMENTS {
            results.chunks_mut(size).enumerate().map(part).fold(Activity::default(), total)
        } else {
            results.par_chunks_mut(size).enumerate().map(part).reduce(Activity::default, total)
        }
    }
}

on_wide_lanes! {
    /// One image's results.
    fn of_image[T: Word, K: Fn(usize, &mut [T]) -> Activity](kernel: &K, image: usize, results: &mut [T]) -> Activity {
        kernel(image, results)
    }
}

/// A pooling instruction: result codes, row-major, and counts.
///
/// Operands are raw NHWC tensors, a pixel a row and a channel a column, not materialised
/// views: the input for `pmax` and `psum` (n h w rows), the input and G for `pmaxg`, G
/// (n out_h out_w rows) for `pspread`. The gradients' results are shaped as the input.
///
/// A maximum is taken over the elements inside the input alone. The first maximum of a
/// window is the first NaN if there is one. Sums count every addition that overflows or
/// underflows, and results that are NaN. Stochastic rounding draws at the result's row and
/// column, stage `Vector`, at index 0 for `pmax`, ky kernel_w + kx for `psum`, and the number of
/// earlier additions to the element for the gradients.
///
/// # Errors
/// A wrong number of operands, buffers that do not hold them, shapes that do not fit the
/// window, or a maximum over an empty window.
pub fn pool(op: Pool, target: &Target, window: &Window, operands: &[Operand]) -> Result<(Codes, Activity), VectorError> {
    let mut codes = Codes::zeros(target.format, 0);
    let activity = pool_into(op, target, window, operands, &mut codes)?;
    Ok((codes, activity))
}

/// [`pool`] into a buffer, whatever it holds.
///
/// # Errors
/// As [`pool`].
pub fn pool_into(op: Pool, target: &Target, window: &Window, operands: &[Operand], codes: &mut Codes) -> Result<Activity, VectorError> {
    let shapes: Vec<_> = operands.iter().map(Operand::shape).collect();
    let images = check_shapes(op, window, target.shape(), &shapes)?;
    check_buffers(op.mnemonic(), operands)?;
    let geometry = Geometry::new(window, images);
    fit(codes, target.format, target.rows * target.cols);
    Ok(with_words!(codes, |results| match op {
        Pool::Maximum => {
            let order = Order::new(operands[0].format, target.policy.subnormals);
            if order.is_narrow() {
                maximum(&Winners::<i32>::new(&geometry, window, order, &operands[0]), target, results)
            } else {
                maximum(&Winners::<u64>::new(&geometry, window, order, &operands[0]), target, results)
            }
        }
        Pool::Sum => with_adder!(operands[0].format, target, |adder| sum(&adder, &geometry, target, &operands[0], results)),
        Pool::MaximumGradient => {
            let order = Order::new(operands[0].format, target.policy.subnormals);
            with_adder!(operands[1].format, target, |adder| if order.is_narrow() {
                let winners = Winners::<i32>::new(&geometry, window, order, &operands[0]);
                scatter(&adder, &geometry, target, &operands[1], Some(&winners), results)
            } else {
                let winners = Winners::<u64>::new(&geometry, window, order, &operands[0]);
                scatter(&adder, &geometry, target, &operands[1], Some(&winners), results)
            })
        }
        Pool::Spread => with_adder!(operands[0].format, target, |adder| {
            scatter::<_, u64, _>(&adder, &geometry, target, &operands[0], None, results)
        }),
    }))
}

fn maximum<K: OrderKey + Send + Sync, T: Word>(winners: &Winners<K>, target: &Target, results: &mut [T]) -> Activity {
    let geometry = winners.geometry;
    let bits = target.policy.rounding.random_bits();
    let channels = geometry.channels;
    let (verbatim, mask) = (winners.order.is_verbatim(target.format, target.policy), target.format.mask());
    geometry.each_image(geometry.output_pixels, results, |image, results| {
        let mut activity = Activity::default();
        let first = image * geometry.input_pixels * channels;
        winners.each_row(image, |output, won, keys| {
            let rows = results[output * channels..].iter_mut().zip(won).zip(keys);
            for (i, ((result, &element), &key)) in rows.enumerate() {
                let code = winners.input.codes.get(first + element);
                *result = T::of(if verbatim && key != K::NAN {
                    code & mask
                } else {
                    let row = image * geometry.output_pixels + output + i / channels;
                    let random = target.site.random(bits, row as u32, (i % channels) as u32, Stage::Vector, 0);
                    winners.order.finish(Key::Value, code, target.format, target.policy, random, &mut activity)
                });
            }
        });
        activity
    })
}

fn sum<A: Adder, T: Word>(adder: &A, geometry: &Geometry, target: &Target, input: &Operand, results: &mut [T]) -> Activity {
    let bits = target.policy.rounding.random_bits();
    let additions: Vec<_> = (0..geometry.kernel).map(|t| addition(target.site, bits, t)).collect();
    geometry.each_image(geometry.output_pixels, results, |image, results| {
        let mut activity = Activity::default();
        let mut terms = vec![A::NOTHING; geometry.channels];
        let mut sums = vec![adder.zero(); geometry.channels];
        for (output, results) in results.chunks_mut(geometry.channels).enumerate() {
            let row = image * geometry.output_pixels + output;
            sums.fill(adder.zero());
            for (pixel, &addition) in geometry.window(output).zip(&additions) {
                match pixel {
                    Some(pixel) => {
                        adder.terms(input.codes, (image * geometry.input_pixels + pixel) * geometry.channels, &mut terms);
                    }
                    // Not skipped: -0 + +0 is +0.
                    None => terms.fill(A::NOTHING),
                }
                for (channel, (sum, &term)) in sums.iter_mut().zip(&terms).enumerate() {
                    let random = if bits == 0 { 0 } else { Draws::new(target.site, bits, row, channel).draw(addition) };
                    *sum = adder.add(*sum, term, random, &mut activity);
                }
            }
            for (result, &sum) in results.iter_mut().zip(&sums) {
                *result = T::of(adder.finish(sum, &mut activity));
            }
        }
        activity
    })
}

/// Adds each element of G to the winner of its window and channel, or to every pixel of the
/// window.
fn scatter<A: Adder, K: OrderKey + Send + Sync, T: Word>(
    adder: &A,
    geometry: &Geometry,
    target: &Target,
    gradient: &Operand,
    winners: Option<&Winners<K>>,
    results: &mut [T],
) -> Activity {
    let bits = target.policy.rounding.random_bits();
    let channels = geometry.channels;
    geometry.each_image(geometry.input_pixels, results, |image, results| {
        let mut activity = Activity::default();
        let mut sums = vec![adder.zero(); results.len()];
        // Additions made to each element so far; kept where the draws depend on it.
        let mut made = vec![0; if bits == 0 { 0 } else { results.len() }];
        let mut draw = |index: usize| {
            if bits == 0 {
                return 0;
            }
            made[index] += 1;
            let pixel = image * geometry.input_pixels + index / channels;
            Draws::new(target.site, bits, pixel, index % channels).draw(addition(target.site, bits, made[index] - 1))
        };
        let first = image * geometry.output_pixels;
        match winners {
            Some(winners) => {
                let mut terms = Vec::new();
                winners.each_row(image, |output, won, _| {
                    terms.resize(won.len(), A::NOTHING);
                    adder.terms(gradient.codes, (first + output) * channels, &mut terms);
                    for (&element, &term) in won.iter().zip(&terms) {
                        sums[element] = adder.add(sums[element], term, draw(element), &mut activity);
                    }
                });
            }
            None => {
                let mut terms = vec![A::NOTHING; channels];
                for output in 0..geometry.output_pixels {
                    adder.terms(gradient.codes, (first + output) * channels, &mut terms);
                    for pixel in geometry.window(output).flatten() {
                        let first = pixel * channels;
                        for (channel, (sum, &term)) in sums[first..first + channels].iter_mut().zip(&terms).enumerate() {
                            *sum = adder.add(*sum, term, draw(first + channel), &mut activity);
                        }
                    }
                }
            }
        }
        for (result, sum) in results.iter_mut().zip(sums) {
            *result = T::of(adder.finish(sum, &mut activity));
        }
        activity
    })
}
