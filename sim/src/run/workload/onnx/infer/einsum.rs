//! `Einsum` of one or two operands.

use super::super::Refusal;
use super::super::node::Node;
use super::super::tensor::Tensor;
use super::products::Product;
use super::{Part, Step};
use std::collections::BTreeMap;
use std::fmt;

/// An axis: a letter, or one of those that an ellipsis stands for, counted from the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Axis {
    Ellipsis(usize),
    Letter(char),
}

impl fmt::Display for Axis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Letter(letter) => write!(f, "`{letter}`"),
            Self::Ellipsis(place) => write!(f, "{} from the end of `...`", place + 1),
        }
    }
}

/// An equation's terms, one for each operand, and its result.
struct Equation<'a> {
    text: &'a str,
    terms: Vec<&'a str>,
    result: Option<&'a str>,
}

impl<'a> Equation<'a> {
    fn parse(text: &'a str, operands: usize) -> Result<Self, Refusal> {
        let (left, right) = text.split_once("->").map_or((text, None), |(left, right)| (left, Some(right.trim())));
        let terms: Vec<&str> = left.split(',').map(str::trim).collect();
        let equation = Self { text, terms, result: right };
        if equation.terms.len() != operands {
            return Err(equation.wrong(&format!("has {} terms for {operands} operands", equation.terms.len())));
        }
        Ok(equation)
    }

    fn wrong(&self, why: &str) -> Refusal {
        Refusal::wrong(format!("its equation `{}` {why}", self.text))
    }

    /// The axes of a term, of whose ellipsis there are so many.
    fn axes(&self, term: &str, hidden: usize) -> Result<Vec<Axis>, Refusal> {
        let mut axes = Vec::new();
        let (before, behind) = term.split_once("...").map_or((term, None), |(before, behind)| (before, Some(behind)));
        axes.extend(before.chars().map(Axis::Letter));
        if let Some(behind) = behind {
            axes.extend((0..hidden).rev().map(Axis::Ellipsis));
            axes.extend(behind.chars().map(Axis::Letter));
        }
        if axes.iter().any(|axis| matches!(axis, Axis::Letter(c) if !c.is_ascii_alphabetic())) {
            return Err(self.wrong(&format!("has a term `{term}` of more than letters and an ellipsis")));
        }
        if axes.iter().enumerate().any(|(i, axis)| axes[..i].contains(axis)) {
            return Err(Refusal::unknown(format!("its equation `{}` names an axis twice in one term, which is not followed", self.text)));
        }
        Ok(axes)
    }
}

/// Letters of a term, an ellipsis left out.
fn letters(term: &str) -> usize {
    term.replace("...", "").chars().count()
}

/// Shapes, and of two operands the product: axes of both that the result has count products, those that
/// it lacks are summed, and the rest are rows and columns.
pub fn einsum(node: &Node<'_>) -> Result<Step, Refusal> {
    let operands = node.all()?;
    let equation = Equation::parse(node.text("equation", "")?, operands.len())?;
    let mut extents: BTreeMap<Axis, i64> = BTreeMap::new();
    let mut sides: Vec<BTreeMap<Axis, i64>> = Vec::new();
    for (term, operand) in equation.terms.iter().zip(&operands) {
        let hidden = operand.rank().checked_sub(letters(term)).filter(|hidden| *hidden == 0 || term.contains("..."));
        let Some(hidden) = hidden else {
            return Err(Refusal::wrong(format!("`{term}` does not name the axes of a shape of {:?}", operand.dims())));
        };
        let axes: BTreeMap<Axis, i64> = equation.axes(term, hidden)?.into_iter().zip(operand.dims().iter().copied()).collect();
        for (&axis, &dim) in &axes {
            let known = extents.entry(axis).or_insert(dim);
            match axis {
                // An ellipsis is broadcast.
                Axis::Ellipsis(_) if *known == 1 => *known = dim,
                Axis::Ellipsis(_) if dim == 1 => {}
                _ if *known == dim => {}
                _ => return Err(Refusal::wrong(format!("its axis {axis} is both {known} and {dim}"))),
            }
        }
        sides.push(axes);
    }
    let hidden = extents.keys().filter(|axis| matches!(axis, Axis::Ellipsis(_))).count();
    let result = match equation.result {
        Some(result) => equation.axes(result, hidden)?,
        // An ellipsis, and letters that come once, in alphabetical order.
        None => {
            let once = |axis: &&Axis| matches!(axis, Axis::Letter(_)) && sides.iter().filter(|side| side.contains_key(axis)).count() == 1;
            (0..hidden).rev().map(Axis::Ellipsis).chain(extents.keys().filter(once).copied()).collect()
        }
    };
    if let Some(lost) = result.iter().find(|axis| !extents.contains_key(axis)) {
        return Err(equation.wrong(&format!("asks for {lost}, which no operand has")));
    }
    let results = vec![Some(Tensor::new(result.iter().map(|axis| extents[axis]).collect())?)];
    let [a, b] = match &sides[..] {
        [_] => return Ok(Step { results, products: Vec::new() }),
        [a, b] => [a, b],
        _ => return Err(Refusal::unknown("the order of its products is open; give it two operands at a time")),
    };
    // An axis that is broadcast is the other operand's.
    let has = |side: &BTreeMap<Axis, i64>, axis: Axis| side.get(&axis) == extents.get(&axis);
    let of = |is: &dyn Fn(Axis) -> bool| {
        let mut axes = extents.iter().filter(|(axis, _)| is(**axis));
        axes.try_fold(1_i64, |product, (_, dim)| product.checked_mul(*dim)).unwrap_or(i64::MAX)
    };
    let product = Product::Matrix {
        m: of(&|axis| has(a, axis) && !has(b, axis)),
        n: of(&|axis| has(b, axis) && !has(a, axis)),
        k: of(&|axis| has(a, axis) && has(b, axis) && !result.contains(&axis)),
        count: of(&|axis| has(a, axis) && has(b, axis) && result.contains(&axis)),
    };
    Ok(Step { results, products: vec![Part::of("", product)] })
}
