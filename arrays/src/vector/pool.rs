//! Pooling and its gradients over NHWC tensors.
//!
//! The window view gives the geometry: which input pixel output pixel (n, oy, ox) reads at
//! kernel position (ky, kx). Positions in the border or between dilated neighbours are absent
//! from maxima and +0 in sums. Windows are ordered by (n, oy, ox), positions by (ky, kx).

use super::adder::{Adder, with_adder};
use super::operation::{Operand, Pool, Target, VectorError, check_buffers, check_count};
use super::order::{Key, Order};
use super::random::{Draws, addition};
use super::{PARALLEL_ELEMENTS, total};
use rayon::prelude::*;
use systole_isa::codes::Codes;
use systole_isa::device::Activity;
use systole_isa::entropy::Stage;
use systole_isa::view::Window;

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

    /// Computes the results image by image; `kernel` gets an image and its `pixels` rows.
    fn each_image(&self, pixels: usize, kernel: impl Fn(usize, &mut [u64]) -> Activity + Sync) -> (Vec<u64>, Activity) {
        let mut results = vec![0; self.images * pixels * self.channels];
        let part = |(image, results): (usize, &mut [u64])| kernel(image, results);
        let size = pixels * self.channels;
        let work = self.images * self.output_pixels * self.kernel * self.channels;
        let activity = if work <= PARALLEL_ELEMENTS {
            results.chunks_mut(size).enumerate().map(part).fold(Activity::default(), total)
        } else {
            results.par_chunks_mut(size).enumerate().map(part).reduce(Activity::default, total)
        };
        (results, activity)
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
    let shapes: Vec<_> = operands.iter().map(Operand::shape).collect();
    let images = check_shapes(op, window, target.shape(), &shapes)?;
    check_buffers(op.mnemonic(), operands)?;
    let geometry = Geometry::new(window, images);
    let (results, activity) = match op {
        Pool::Maximum => maximum(&geometry, target, &operands[0]),
        Pool::Sum => with_adder!(operands[0].format, target, |adder| sum(&adder, &geometry, target, &operands[0])),
        Pool::MaximumGradient => {
            let winners = Winners::new(&geometry, &operands[0], target);
            with_adder!(operands[1].format, target, |adder| scatter(&adder, &geometry, target, &operands[1], Some(&winners)))
        }
        Pool::Spread => {
            with_adder!(operands[0].format, target, |adder| scatter(&adder, &geometry, target, &operands[0], None))
        }
    };
    Ok((Codes::from_fn(target.format, results.len(), |i| results[i]), activity))
}

/// The first maximum of each window, channel by channel.
struct Winners<'a> {
    geometry: &'a Geometry,
    order: Order,
    input: &'a Operand<'a>,
}

impl<'a> Winners<'a> {
    fn new(geometry: &'a Geometry, input: &'a Operand, target: &Target) -> Self {
        Self { geometry, order: Order::new(input.format, target.policy.subnormals), input }
    }

    /// Ordering keys of one image's elements.
    fn keys(&self, image: usize) -> Vec<u64> {
        let size = self.geometry.input_pixels * self.geometry.channels;
        let mut keys = vec![0; size];
        self.order.fill(Key::Value, self.input.codes, image * size, &mut keys);
        keys
    }

    /// The pixels of the image that win at `output`; `best` is scratch of the same length.
    fn choose(&self, keys: &[u64], output: usize, best: &mut [u64], chosen: &mut [usize]) {
        let channels = self.geometry.channels;
        let mut pixels = self.geometry.window(output).flatten();
        if let Some(pixel) = pixels.next() {
            best.copy_from_slice(&keys[pixel * channels..][..channels]);
            chosen.fill(pixel);
        }
        for pixel in pixels {
            let keys = &keys[pixel * channels..][..channels];
            for ((chosen, best), &key) in chosen.iter_mut().zip(&mut *best).zip(keys) {
                if key > *best {
                    (*chosen, *best) = (pixel, key);
                }
            }
        }
    }
}

fn maximum(geometry: &Geometry, target: &Target, input: &Operand) -> (Vec<u64>, Activity) {
    let winners = Winners::new(geometry, input, target);
    let bits = target.policy.rounding.random_bits();
    let channels = geometry.channels;
    geometry.each_image(geometry.output_pixels, |image, results| {
        let mut activity = Activity::default();
        let keys = winners.keys(image);
        let (mut best, mut chosen) = (vec![0; channels], vec![0; channels]);
        for (output, results) in results.chunks_mut(channels).enumerate() {
            winners.choose(&keys, output, &mut best, &mut chosen);
            for (channel, (result, &pixel)) in results.iter_mut().zip(&chosen).enumerate() {
                let row = image * geometry.output_pixels + output;
                let random = target.site.random(bits, row as u32, channel as u32, Stage::Vector, 0);
                let code = input.codes.get((image * geometry.input_pixels + pixel) * channels + channel);
                *result = winners.order.finish(Key::Value, code, target.format, target.policy, random, &mut activity);
            }
        }
        activity
    })
}

fn sum<A: Adder>(adder: &A, geometry: &Geometry, target: &Target, input: &Operand) -> (Vec<u64>, Activity) {
    let bits = target.policy.rounding.random_bits();
    let additions: Vec<_> = (0..geometry.kernel).map(|t| addition(target.site, bits, t)).collect();
    geometry.each_image(geometry.output_pixels, |image, results| {
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
                *result = adder.finish(sum, &mut activity);
            }
        }
        activity
    })
}

/// Adds each element of G to the winner of its window and channel, or to every pixel of the
/// window.
fn scatter<A: Adder>(
    adder: &A,
    geometry: &Geometry,
    target: &Target,
    gradient: &Operand,
    winners: Option<&Winners>,
) -> (Vec<u64>, Activity) {
    let bits = target.policy.rounding.random_bits();
    let channels = geometry.channels;
    geometry.each_image(geometry.input_pixels, |image, results| {
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
        let mut terms = vec![A::NOTHING; channels];
        let keys = winners.map(|w| w.keys(image));
        let (mut best, mut chosen) = (vec![0; channels], vec![0; channels]);
        for output in 0..geometry.output_pixels {
            adder.terms(gradient.codes, (image * geometry.output_pixels + output) * channels, &mut terms);
            if let (Some(winners), Some(keys)) = (winners, &keys) {
                winners.choose(keys, output, &mut best, &mut chosen);
                for (channel, (&pixel, &term)) in chosen.iter().zip(&terms).enumerate() {
                    let index = pixel * channels + channel;
                    sums[index] = adder.add(sums[index], term, draw(index), &mut activity);
                }
                continue;
            }
            for pixel in geometry.window(output).flatten() {
                let first = pixel * channels;
                for (channel, (sum, &term)) in sums[first..first + channels].iter_mut().zip(&terms).enumerate() {
                    *sum = adder.add(*sum, term, draw(first + channel), &mut activity);
                }
            }
        }
        for (result, sum) in results.iter_mut().zip(sums) {
            *result = adder.finish(sum, &mut activity);
        }
        activity
    })
}
