//! `Einsum` of one or two operands.

use super::super::Refusal;
use super::super::node::Node;
use super::super::tensor::Tensor;
use super::products::Product;
use super::{Part, Step};
use std::collections::BTreeMap;

/// Letters of each operand, and of the result.
fn equation<'a>(text: &'a str, operands: usize) -> Result<(Vec<&'a str>, String), Refusal> {
    let wrong = |why: &str| Refusal::wrong(format!("its equation `{text}` {why}"));
    let (left, right) = text.split_once("->").map_or((text, None), |(left, right)| (left, Some(right)));
    let terms: Vec<&'a str> = left.split(',').map(str::trim).collect();
    if terms.len() != operands {
        return Err(wrong(&format!("has {} terms for {operands} operands", terms.len())));
    }
    let all = || terms.iter().flat_map(|term| term.chars());
    if all().chain(right.unwrap_or_default().trim().chars()).any(|c| !c.is_ascii_alphabetic()) {
        return Err(Refusal::unknown(format!("its equation `{text}` has more than letters, which is not followed; write it out")));
    }
    let result = match right {
        Some(right) => right.trim().to_owned(),
        // Letters that come once, in alphabetical order.
        None => {
            let mut counts: BTreeMap<char, usize> = BTreeMap::new();
            all().for_each(|c| *counts.entry(c).or_default() += 1);
            counts.into_iter().filter(|(_, count)| *count == 1).map(|(c, _)| c).collect()
        }
    };
    let twice = |term: &str| term.chars().any(|c| term.matches(c).count() > 1);
    if terms.iter().any(|term| twice(term)) || twice(&result) {
        return Err(Refusal::unknown(format!("its equation `{text}` names an axis twice in one term, which is not followed")));
    }
    if let Some(lost) = result.chars().find(|c| !all().any(|other| other == *c)) {
        return Err(wrong(&format!("asks for `{lost}`, which no operand has")));
    }
    Ok((terms, result))
}

/// Shapes, and of two operands the product: axes of both that the result has count products, those that
/// it lacks are summed, and the rest are rows and columns.
pub fn einsum(node: &Node<'_>) -> Result<Step, Refusal> {
    let operands = node.all()?;
    let (terms, result) = equation(node.text("equation", "")?, operands.len())?;
    let mut extents: BTreeMap<char, i64> = BTreeMap::new();
    for (term, operand) in terms.iter().zip(&operands) {
        if term.len() != operand.rank() {
            return Err(Refusal::wrong(format!("`{term}` does not name the axes of a shape of {:?}", operand.dims())));
        }
        for (letter, &dim) in term.chars().zip(operand.dims()) {
            let known = *extents.entry(letter).or_insert(dim);
            if known != dim {
                return Err(Refusal::wrong(format!("its axis `{letter}` is both {known} and {dim}")));
            }
        }
    }
    let dims = result.chars().map(|letter| extents[&letter]).collect();
    let results = vec![Some(Tensor::new(dims)?)];
    let (a, b) = match terms[..] {
        [_] => return Ok(Step { results, products: Vec::new() }),
        [a, b] => (a, b),
        _ => return Err(Refusal::unknown("the order of its products is open; give it two operands at a time")),
    };
    let of = |is: &dyn Fn(char) -> bool| {
        extents.iter().filter(|(letter, _)| is(**letter)).try_fold(1_i64, |product, (_, dim)| product.checked_mul(*dim))
    };
    let [m, n, k, count] = [
        of(&|c| a.contains(c) && !b.contains(c)),
        of(&|c| b.contains(c) && !a.contains(c)),
        of(&|c| a.contains(c) && b.contains(c) && !result.contains(c)),
        of(&|c| a.contains(c) && b.contains(c) && result.contains(c)),
    ]
    .map(|extent| extent.unwrap_or(i64::MAX));
    Ok(Step { results, products: vec![Part::of("", Product::Matrix { m, n, k, count })] })
}
