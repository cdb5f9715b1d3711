"""Writes block.onnx: a transformer block of named batch and tokens, as exporters spell one.

Needs the package `onnx`.
"""

from pathlib import Path

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

HIDDEN, HEADS, WIDE, WORDS, CLASSES = 16, 2, 48, 20, 4

nodes, weights = [], []


def weight(name, *shape):
    weights.append(numpy_helper.from_array(np.zeros(shape, np.float32), name))
    return name


def integers(name, values):
    weights.append(numpy_helper.from_array(np.array(values, np.int64), name))
    return name


def node(operator, *inputs, name=None, **attributes):
    output = f"{name or operator.lower()}_{len(nodes)}_out"
    nodes.append(helper.make_node(operator, list(inputs), [output], name=name, **attributes))
    return output


def dense(x, name, inputs, outputs):
    product = node("MatMul", x, weight(f"{name}.weight", inputs, outputs), name=name)
    return node("Add", product, weight(f"{name}.bias", outputs))


def normed(x, name):
    return node("LayerNormalization", x, weight(f"{name}.scale", HIDDEN), weight(f"{name}.shift", HIDDEN), axis=-1)


x = node("Gather", weight("words", WORDS, HIDDEN), "tokens")

# The extents of its own operand, one by one.
shape = node("Shape", x)
zero, one = integers("zero", 0), integers("one", 1)
batch = node("Unsqueeze", node("Gather", shape, zero), integers("first", [0]))
length = node("Unsqueeze", node("Gather", shape, one), "first")
heads = integers("heads", [HEADS])
open_end = integers("open", [-1])
apart = node("Concat", batch, length, heads, open_end, axis=0)


def split(name):
    return node("Reshape", dense(x, name, HIDDEN, HIDDEN), apart)


q = node("Transpose", split("query"), perm=[0, 2, 1, 3])
k = node("Transpose", split("key"), perm=[0, 2, 3, 1])
v = node("Transpose", split("value"), perm=[0, 2, 1, 3])
scores = node("MatMul", q, k, name="scores")
root = numpy_helper.from_array(np.array((HIDDEN // HEADS) ** 0.5, np.float32))
scaled = node("Div", scores, node("Constant", value=root))
mixed = node("MatMul", node("Softmax", scaled, axis=-1), v, name="mix")
together = node("Concat", batch, length, integers("hidden", [HIDDEN]), axis=0)
joined = node("Reshape", node("Transpose", mixed, perm=[0, 2, 1, 3]), together)
x = normed(node("Add", x, dense(joined, "project", HIDDEN, HIDDEN)), "attended")
up = dense(x, "up", HIDDEN, WIDE)
active = node("Mul", up, node("Sigmoid", up))
x = normed(node("Add", x, dense(active, "down", WIDE, HIDDEN)), "fed")
begin = node("Gather", x, zero, axis=1)
nodes.append(
    helper.make_node(
        "Gemm", [begin, weight("classes.weight", CLASSES, HIDDEN), weight("classes.bias", CLASSES)], ["logits"], name="classes", transB=1
    )
)

graph = helper.make_graph(
    nodes,
    "block",
    [helper.make_tensor_value_info("tokens", TensorProto.INT64, ["batch", "length"])],
    [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", CLASSES])],
    weights,
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
checker.check_model(model, full_check=True)
Path(__file__).with_suffix(".onnx").write_bytes(model.SerializeToString())
