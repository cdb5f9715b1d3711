//! Operators that work element by element, and those whose first result is shaped as their first operand.

use super::super::Refusal;
use super::super::node::Node;
use super::super::proto::data_type;
use super::super::tensor::{Data, LARGEST_KNOWN, Tensor, broadcast, broadcast_offset, coordinates};
use super::Step;

/// Shapes of a node's results, or `None` of operators that are not known.
pub fn infer(node: &Node<'_>) -> Result<Option<Step>, Refusal> {
    Ok(Some(match node.operator() {
        "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Mod" | "And" | "Or" | "Xor" | "Equal" | "Less" | "LessOrEqual" | "Greater"
        | "GreaterOrEqual" | "BitwiseAnd" | "BitwiseOr" | "BitwiseXor" | "BitShift" => binary(node)?.into(),
        "Max" | "Min" | "Sum" | "Mean" => several(node)?.into(),
        "Where" => choice(node)?.into(),
        "Abs" | "Cast" | "Ceil" | "Floor" | "Identity" | "Neg" | "Not" | "Round" | "Sqrt" => unary(node)?.into(),
        // Codes, a scale and its zero.
        "DynamicQuantizeLinear" => {
            let one = Tensor::new(Vec::new())?;
            let results = vec![Some(Tensor::new(node.operand(0)?.dims().to_vec())?), Some(one.clone()), Some(one)];
            Step { results, products: Vec::new() }
        }
        "Dropout" => Step::alike(&Tensor::new(node.operand(0)?.dims().to_vec())?, 2),
        "Acos"
        | "Acosh"
        | "Asin"
        | "Asinh"
        | "Atan"
        | "Atanh"
        | "BatchNormalization"
        | "Bernoulli"
        | "BitwiseNot"
        | "CastLike"
        | "Celu"
        | "Clip"
        | "Cos"
        | "Cosh"
        | "CumSum"
        | "DequantizeLinear"
        | "Elu"
        | "Erf"
        | "Exp"
        | "EyeLike"
        | "Gelu"
        | "GroupNormalization"
        | "HardSigmoid"
        | "HardSwish"
        | "Hardmax"
        | "InstanceNormalization"
        | "IsInf"
        | "IsNaN"
        | "LayerNormalization"
        | "LeakyRelu"
        | "Log"
        | "LogSoftmax"
        | "LpNormalization"
        | "LRN"
        | "MeanVarianceNormalization"
        | "Mish"
        | "PRelu"
        | "QuantizeLinear"
        | "RMSNormalization"
        | "RandomNormalLike"
        | "RandomUniformLike"
        | "Reciprocal"
        | "Relu"
        | "ReverseSequence"
        | "RotaryEmbedding"
        | "Scatter"
        | "ScatterElements"
        | "ScatterND"
        | "Selu"
        | "Shrink"
        | "Sigmoid"
        | "Sign"
        | "Sin"
        | "Sinh"
        | "Softmax"
        | "Softplus"
        | "Softsign"
        | "Swish"
        | "Tan"
        | "Tanh"
        | "ThresholdedRelu"
        | "Trilu" => Tensor::new(node.operand(0)?.dims().to_vec())?.into(),
        _ => return Ok(None),
    }))
}

fn unary(node: &Node<'_>) -> Result<Tensor, Refusal> {
    let x = node.operand(0)?;
    let data = match (node.operator(), x.data()) {
        (_, None) => None,
        ("Identity", Some(data)) => Some(data.clone()),
        ("Cast", Some(data)) => cast(data, node.int("to", 0)?),
        (operator, Some(Data::Ints(values))) => {
            let of = |x: i64| match operator {
                "Abs" => x.checked_abs(),
                "Neg" => x.checked_neg(),
                "Not" => Some((x == 0).into()),
                _ => None,
            };
            values.iter().map(|&x| of(x)).collect::<Option<_>>().map(Data::Ints)
        }
        (operator, Some(Data::Floats(values))) => {
            let of = |x: f32| match operator {
                "Abs" => Some(x.abs()),
                "Ceil" => Some(x.ceil()),
                "Floor" => Some(x.floor()),
                "Neg" => Some(-x),
                "Round" => Some(x.round_ties_even()),
                "Sqrt" => Some(x.sqrt()),
                _ => None,
            };
            values.iter().map(|&x| of(x)).collect::<Option<_>>().map(Data::Floats)
        }
    };
    Tensor::with(x.dims().to_vec(), data)
}

/// Values in another type, where the type holds them.
fn cast(data: &Data, to: i64) -> Option<Data> {
    let ints = |fits: fn(i64) -> bool| {
        let values: Vec<i64> = match data {
            Data::Ints(values) => values.clone(),
            // Beyond 2^62 what comes out is not defined.
            Data::Floats(values) => values.iter().map(|&x| (x.abs() < 4.6e18).then_some(x.trunc() as i64)).collect::<Option<_>>()?,
        };
        values.iter().all(|&value| fits(value)).then_some(Data::Ints(values))
    };
    match i32::try_from(to) {
        Ok(data_type::INT64) => ints(|_| true),
        Ok(data_type::INT32) => ints(|x| i32::try_from(x).is_ok()),
        Ok(data_type::BOOL) => Some(Data::Ints(match data {
            Data::Ints(values) => values.iter().map(|&x| (x != 0).into()).collect(),
            Data::Floats(values) => values.iter().map(|&x| (x != 0.0).into()).collect(),
        })),
        Ok(data_type::FLOAT) => Some(Data::Floats(match data {
            Data::Ints(values) => values.iter().map(|&x| x as f32).collect(),
            Data::Floats(values) => values.clone(),
        })),
        _ => None,
    }
}

fn binary(node: &Node<'_>) -> Result<Tensor, Refusal> {
    let (a, b) = (node.operand(0)?, node.operand(1)?);
    // Before version 7 the second operand was spread over axes of the first, which its own shape does not tell.
    if node.opset < 7 {
        return Tensor::new(a.dims().to_vec());
    }
    combined(node.operator(), node.int("fmod", 0)? != 0, a, b)
}

fn several(node: &Node<'_>) -> Result<Tensor, Refusal> {
    let all = node.all()?;
    let mut result = all[0].clone();
    for other in &all[1..] {
        result = combined(node.operator(), false, &result, other)?;
    }
    if node.operator() == "Mean" { Tensor::new(result.dims().to_vec()) } else { Ok(result) }
}

fn combined(operator: &str, fmod: bool, a: &Tensor, b: &Tensor) -> Result<Tensor, Refusal> {
    let result = Tensor::new(broadcast(a.dims(), b.dims())?)?;
    if result.elements() > LARGEST_KNOWN {
        return Ok(result);
    }
    let dims = result.dims().to_vec();
    let pairs = || coordinates(&dims).map(|at| (broadcast_offset(a.dims(), &at) as usize, broadcast_offset(b.dims(), &at) as usize));
    let data = match (a.data(), b.data()) {
        (Some(Data::Ints(x)), Some(Data::Ints(y))) => {
            pairs().map(|(i, j)| of_ints(operator, fmod, *x.get(i)?, *y.get(j)?)).collect::<Option<_>>().map(Data::Ints)
        }
        (Some(Data::Floats(x)), Some(Data::Floats(y))) => of_floats(operator, pairs().map(|(i, j)| Some((*x.get(i)?, *y.get(j)?)))),
        _ => None,
    };
    Tensor::with(dims, data)
}

fn of_ints(operator: &str, fmod: bool, x: i64, y: i64) -> Option<i64> {
    match operator {
        "Add" | "Sum" => x.checked_add(y),
        "Sub" => x.checked_sub(y),
        "Mul" => x.checked_mul(y),
        "Div" => x.checked_div(y),
        "Mod" if fmod => x.checked_rem(y),
        // Takes the sign of the divisor.
        "Mod" => x.checked_rem(y).map(|rest| if rest != 0 && (rest < 0) != (y < 0) { rest + y } else { rest }),
        "Pow" => x.checked_pow(u32::try_from(y).ok()?),
        "Max" => Some(x.max(y)),
        "Min" => Some(x.min(y)),
        "And" => Some((x != 0 && y != 0).into()),
        "Or" => Some((x != 0 || y != 0).into()),
        "Xor" => Some(((x != 0) != (y != 0)).into()),
        "Equal" => Some((x == y).into()),
        "Less" => Some((x < y).into()),
        "LessOrEqual" => Some((x <= y).into()),
        "Greater" => Some((x > y).into()),
        "GreaterOrEqual" => Some((x >= y).into()),
        _ => None,
    }
}

fn of_floats(operator: &str, pairs: impl Iterator<Item = Option<(f32, f32)>>) -> Option<Data> {
    let floats = |of: fn(f32, f32) -> f32| -> fn(f32, f32) -> f32 { of };
    let of = match operator {
        "Add" | "Sum" => floats(|x, y| x + y),
        "Sub" => floats(|x, y| x - y),
        "Mul" => floats(|x, y| x * y),
        "Div" => floats(|x, y| x / y),
        "Max" => floats(f32::max),
        "Min" => floats(f32::min),
        _ => {
            let truths = |of: fn(f32, f32) -> bool| -> fn(f32, f32) -> bool { of };
            let of = match operator {
                "Equal" => truths(|x, y| x == y),
                "Less" => truths(|x, y| x < y),
                "LessOrEqual" => truths(|x, y| x <= y),
                "Greater" => truths(|x, y| x > y),
                "GreaterOrEqual" => truths(|x, y| x >= y),
                _ => return None,
            };
            return pairs.map(|pair| pair.map(|(x, y)| of(x, y).into())).collect::<Option<_>>().map(Data::Ints);
        }
    };
    pairs.map(|pair| pair.map(|(x, y)| of(x, y))).collect::<Option<_>>().map(Data::Floats)
}

fn choice(node: &Node<'_>) -> Result<Tensor, Refusal> {
    let (condition, x, y) = (node.operand(0)?, node.operand(1)?, node.operand(2)?);
    let result = Tensor::new(broadcast(&broadcast(condition.dims(), x.dims())?, y.dims())?)?;
    let (Some(chosen), Some(first), Some(second)) = (condition.ints(), x.ints(), y.ints()) else { return Ok(result) };
    if result.elements() > LARGEST_KNOWN {
        return Ok(result);
    }
    let dims = result.dims().to_vec();
    let data = coordinates(&dims)
        .map(|at| {
            let of = |tensor: &Tensor, values: &[i64]| values.get(broadcast_offset(tensor.dims(), &at) as usize).copied();
            if of(condition, chosen)? != 0 { of(x, first) } else { of(y, second) }
        })
        .collect::<Option<_>>()
        .map(Data::Ints);
    Tensor::with(dims, data)
}
