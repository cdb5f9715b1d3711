//! Recurrent operators, and attention: several products to a node.

use super::super::Refusal;
use super::super::node::Node;
use super::super::tensor::Tensor;
use super::products::Product;
use super::{Part, Step};

/// `LSTM`, `GRU` and `RNN`: the input of all steps times the weights of each direction, then the state times
/// the recurrent weights, step by step.
pub fn recurrent(node: &Node<'_>) -> Result<Step, Refusal> {
    let gates = match node.operator() {
        "LSTM" => 4,
        "GRU" => 3,
        _ => 1,
    };
    let [x, w, r] = [node.operand(0)?.dims(), node.operand(1)?.dims(), node.operand(2)?.dims()];
    let batch_first = node.int("layout", 0)? != 0;
    let (&[first, second, input], &[directions, rows, columns], &[again, back, hidden]) = (x, w, r) else {
        return Err(Refusal::wrong(format!("an input of shape {x:?}, weights of {w:?} and {r:?} must have three axes each")));
    };
    let (length, batch) = if batch_first { (second, first) } else { (first, second) };
    let fits = columns == input && again == directions && rows == back && hidden.checked_mul(gates) == Some(rows);
    let named = node.given("hidden_size")?.is_none_or(|named| named == hidden);
    let both = node.text("direction", "forward")? == "bidirectional";
    if !fits || !named || directions != 1 + i64::from(both) {
        return Err(Refusal::wrong(format!("an input of shape {x:?}, weights of {w:?} and {r:?} do not go together")));
    }
    let state = if batch_first { vec![batch, directions, hidden] } else { vec![directions, batch, hidden] };
    let all = if batch_first { vec![batch, length, directions, hidden] } else { vec![length, directions, batch, hidden] };
    let state = Some(Tensor::new(state)?);
    let results = vec![Some(Tensor::new(all)?), state.clone(), state];
    let times = |a: i64, b: i64| a.checked_mul(b).ok_or_else(|| Refusal::wrong(format!("{a} times {b} products are beyond 64 bits")));
    let products = vec![
        Part::of("input", Product::Matrix { m: times(length, batch)?, n: rows, k: input, count: directions }),
        Part::of("recurrent", Product::Matrix { m: batch, n: rows, k: hidden, count: times(length, directions)? }),
    ];
    Ok(Step { results, products })
}

/// `Attention` as ONNX has it: queries times keys, then weights times values, for each head of each sample.
pub fn attention(node: &Node<'_>) -> Result<Step, Refusal> {
    let heads = |name: &str| -> Result<Option<i64>, Refusal> {
        match node.given(name)? {
            Some(heads) if heads < 1 => Err(Refusal::wrong(format!("its attribute `{name}` is {heads}"))),
            heads => Ok(heads),
        }
    };
    // Batch, heads, length and extent of a head.
    let split = |index: usize, name: &str| -> Result<[i64; 4], Refusal> {
        match (node.operand(index)?.dims(), heads(name)?) {
            (&[batch, heads, length, size], _) => Ok([batch, heads, length, size]),
            (&[batch, length, all], Some(heads)) if all % heads == 0 => Ok([batch, heads, length, all / heads]),
            (dims, _) => Err(Refusal::wrong(format!(
                "operand {} of shape {dims:?} is cut into no heads: it needs four axes, or `{name}` that divides its last of three",
                index + 1
            ))),
        }
    };
    let flat = node.operand(0)?.rank() == 3;
    let [batch, query_heads, queries, size] = split(0, "q_num_heads")?;
    let [_, key_heads, keys, key_size] = split(1, "kv_num_heads")?;
    let [_, value_heads, values, value_size] = split(2, "kv_num_heads")?;
    let past =
        |index: usize| -> Result<i64, Refusal> { Ok(node.optional(index)?.map_or(0, |past| past.dims().get(2).copied().unwrap_or(0))) };
    let total = |length: i64, past: i64| length.checked_add(past).ok_or_else(|| Refusal::wrong("its keys are beyond 64 bits"));
    let (keys, values) = (total(keys, past(4)?)?, total(values, past(5)?)?);
    if key_size != size || keys != values || key_heads != value_heads || key_heads == 0 || query_heads % key_heads != 0 {
        return Err(Refusal::wrong(format!(
            "queries of {query_heads} heads of {size}, keys of {key_heads} of {key_size} ({keys} of them) and values of {value_heads} ({values}) do not go together"
        )));
    }
    let made =
        if flat { vec![batch, queries, query_heads.saturating_mul(value_size)] } else { vec![batch, query_heads, queries, value_size] };
    let shapes =
        [made, vec![batch, key_heads, keys, size], vec![batch, key_heads, keys, value_size], vec![batch, query_heads, queries, keys]];
    let results = shapes.into_iter().map(|dims| Tensor::new(dims).map(Some)).collect::<Result<_, _>>()?;
    let count = batch.checked_mul(query_heads).ok_or_else(|| Refusal::wrong("its heads are beyond 64 bits"))?;
    let products = vec![
        Part::of("scores", Product::Matrix { m: queries, n: keys, k: size, count }),
        Part::of("mix", Product::Matrix { m: queries, n: value_size, k: keys, count }),
    ];
    Ok(Step { results, products })
}
