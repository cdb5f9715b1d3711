//! Conversions by the vector unit, each by turns with a copy of as many bytes.

use super::Options;
use super::turns::{Speed, by_turns, ratio};
use std::hint::black_box;
use systole_arrays::bench::{Conversion, conversions};
use systole_isa::codes::Codes;
use systole_isa::entropy::Stage;
use systole_isa::round::convert;

/// Elements held against the definition.
const CHECKED: usize = 1 << 14;

/// A conversion measured.
#[derive(Debug)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// How fast, or how its bits are wrong.
    pub outcome: Result<Outcome, String>,
}

/// How fast a conversion is.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Elements a second.
    pub speed: Speed,
    /// Times as fast as a copy that reads and writes as many bytes together.
    pub of_copy: f64,
}

/// Elements converted: a few megabytes, as the tensors of a layer are.
const ELEMENTS: usize = 1 << 20;

/// Measures every conversion.
pub fn measure(options: &Options, progress: &impl Fn(&str)) -> Vec<Row> {
    let wanted = conversions().into_iter().filter(|conversion| options.wants(&conversion.name()));
    wanted
        .map(|conversion| {
            let name = conversion.name();
            progress(&name);
            let codes = conversion.elements(ELEMENTS);
            let outcome = check(&conversion, &codes).and_then(|mut result| {
                let bytes = (codes.bytes_per_code() + result.bytes_per_code()) * ELEMENTS;
                let (from, mut to) = (vec![1u8; bytes / 2], vec![0u8; bytes / 2]);
                let [copy, this] = by_turns(
                    options.pace(),
                    [&mut || black_box(&mut to).copy_from_slice(black_box(&from)), &mut || {
                        // It converted the same elements when they were checked.
                        let _ = black_box(conversion.run_into(black_box(&codes), &mut result));
                    }],
                );
                let speed = Speed::new(ELEMENTS as f64, &this).ok_or("no rounds")?;
                let of_copy = ratio(bytes as f64, &this, bytes as f64, &copy).ok_or("no rounds")?;
                Ok(Outcome { speed, of_copy })
            });
            Row { name, outcome }
        })
        .collect()
}

/// Converts, and holds elements spread over the result against the definition of a conversion.
fn check(conversion: &Conversion, codes: &Codes) -> Result<Codes, String> {
    let (result, _) = conversion.run(codes).map_err(|e| e.to_string())?;
    let target = conversion.target(codes.len());
    for i in (0..codes.len()).step_by((codes.len() / CHECKED).max(1) | 1) {
        let random = target.site.random(conversion.rounding.random_bits(), 0, i as u32, Stage::Vector, 0);
        let (expected, _) = convert(conversion.from, conversion.to, codes.get(i), target.policy, random);
        if result.get(i) != expected {
            return Err(format!("{:#x} becomes {:#x}, not {expected:#x}", codes.get(i), result.get(i)));
        }
    }
    Ok(result)
}
