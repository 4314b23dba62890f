"""A recurrent network in JAX, and the same network as an ONNX graph.

Two bidirectional LSTM layers (Hochreiter and Schmidhuber 1997), the mean of their states over the sequence, and one
linear layer: the architecture of SuperNNova (Moeller and de Boissiere 2020, MNRAS 491, 4277, section 3). Weights have
the layout of the ONNX operator LSTM: gates in the order input, output, forget, cell.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Parameters = dict[str, jax.Array]
Singles = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Tell = Callable[[str], None]

HIDDEN = 32
LAYERS = 2
DROPOUT = 0.05
BATCH = 256
EPOCHS = 40
LEARNING_RATE = 4e-3
WEIGHT_DECAY = 1e-4
BUCKETS = (4, 8, 16, 32)
"""Lengths up to which sequences are filled in training, so that short ones cost little."""

OPSET = 17
IR_VERSION = 9


def initial(key: jax.Array, inputs: int, classes: int) -> Parameters:
    """Draw the weights: uniform within 1/sqrt(hidden); the forget gates begin open (Gers et al. 2000)."""
    made: Parameters = {}
    width = inputs
    edge = HIDDEN**-0.5
    for layer in range(LAYERS):
        key, *keys = jax.random.split(key, 3)
        made[f"W{layer}"] = jax.random.uniform(keys[0], (2, 4 * HIDDEN, width), minval=-edge, maxval=edge)
        made[f"R{layer}"] = jax.random.uniform(keys[1], (2, 4 * HIDDEN, HIDDEN), minval=-edge, maxval=edge)
        made[f"B{layer}"] = jnp.zeros((2, 4 * HIDDEN)).at[:, 2 * HIDDEN : 3 * HIDDEN].set(1.0)
        width = 2 * HIDDEN
    made["dense"] = jax.random.uniform(key, (2 * HIDDEN, classes), minval=-edge, maxval=edge)
    made["bias"] = jnp.zeros(classes)
    return made


def logits(weights: Parameters, values: jax.Array, length: jax.Array, key: jax.Array | None = None) -> jax.Array:
    """Apply the network.

    Parameters
    ----------
    weights : mapping of str to array
        Of :func:`initial`.
    values : array, shape (sequences, steps, inputs)
        Normalised; what lies beyond a sequence's length is not looked at.
    length : array of int, shape (sequences,)
        Steps of each sequence.
    key : array, optional
        Of the dropout; without one nothing is dropped.

    Returns
    -------
    array, shape (sequences, classes)
    """
    states = jnp.swapaxes(values, 0, 1)
    steps = states.shape[0]
    inside = (jnp.arange(steps)[:, None] < length[None, :]).astype(values.dtype)
    for layer in range(LAYERS):
        if layer and key is not None:
            key, drop = jax.random.split(key)
            states = _dropped(drop, states)
        states = _both_ways(weights[f"W{layer}"], weights[f"R{layer}"], weights[f"B{layer}"], states, inside)
    pooled = (states * inside[:, :, None]).sum(axis=0) / jnp.maximum(length, 1)[:, None]
    if key is not None:
        pooled = _dropped(key, pooled)
    return pooled @ weights["dense"] + weights["bias"]


def _both_ways(inward: jax.Array, again: jax.Array, bias: jax.Array, states: jax.Array, inside: jax.Array) -> jax.Array:
    """Run one layer forwards and backwards at once; where a sequence is over, its state stays."""
    ways = jnp.stack([states, states[::-1]])
    masks = jnp.stack([inside, inside[::-1]], axis=1)
    sums = jnp.einsum("ktbd,kgd->tkbg", ways, inward) + bias[None, :, None, :]

    def step(carry: tuple[jax.Array, jax.Array], now: tuple[jax.Array, jax.Array]) -> tuple[Any, jax.Array]:
        hidden, cell = carry
        gates = now[0] + jnp.einsum("kbh,kgh->kbg", hidden, again)
        enter, leave, keep = (jax.nn.sigmoid(gates[..., n * HIDDEN : (n + 1) * HIDDEN]) for n in range(3))
        there = now[1][:, :, None]
        next_cell = keep * cell + enter * jnp.tanh(gates[..., 3 * HIDDEN :])
        next_hidden = leave * jnp.tanh(next_cell)
        cell = there * next_cell + (1 - there) * cell
        hidden = there * next_hidden + (1 - there) * hidden
        return (hidden, cell), hidden

    zero = jnp.zeros((2, states.shape[1], HIDDEN))
    _, out = jax.lax.scan(step, (zero, zero), (sums, masks))
    return jnp.concatenate([out[:, 0], out[::-1, 1]], axis=-1)


def _dropped(key: jax.Array, states: jax.Array) -> jax.Array:
    keep = jax.random.bernoulli(key, 1.0 - DROPOUT, states.shape)
    return jnp.where(keep, states / (1.0 - DROPOUT), 0.0)


def _loss(now: Parameters, *batch: jax.Array) -> jax.Array:
    """Give the weighted cross-entropy of a batch: values, length, target, weight, key."""
    said = jax.nn.log_softmax(logits(now, batch[0], batch[1], batch[4]))
    picked = jnp.take_along_axis(said, batch[2][:, None], axis=1)[:, 0]
    return -(picked * batch[3]).sum() / batch[3].sum()


@jax.jit
def _update(
    now: Parameters, one: Parameters, two: Parameters, rate: jax.Array, count: jax.Array, *batch: jax.Array
) -> Any:
    """Take one step of Adam, the gradient clipped to length one."""
    loss, slope = jax.value_and_grad(_loss)(now, *batch)
    norm = jnp.sqrt(sum((part**2).sum() for part in slope.values()))
    slope = {name: part * jnp.minimum(1.0, 1.0 / norm) for name, part in slope.items()}
    one = {name: 0.9 * one[name] + 0.1 * slope[name] for name in now}
    two = {name: 0.999 * two[name] + 0.001 * slope[name] ** 2 for name in now}
    step = {name: (one[name] / (1 - 0.9**count)) / (jnp.sqrt(two[name] / (1 - 0.999**count)) + 1e-8) for name in now}
    moved = {name: now[name] - rate * (step[name] + WEIGHT_DECAY * now[name]) for name in now}
    return moved, one, two, loss


def fit(
    seed: int, values: Singles, length: Ints, target: Ints, weight: Singles, classes: int, tell: Tell
) -> dict[str, Singles]:
    """Train by Adam (Kingma and Ba 2015) with a cosine schedule on the weighted cross-entropy.

    Parameters
    ----------
    seed : int
        Of weights, order and dropout.
    values : ndarray of float32, shape (sequences, steps, inputs)
        Normalised.
    length : ndarray of int64, shape (sequences,)
        Steps of each.
    target : ndarray of int64, shape (sequences,)
        Class.
    weight : ndarray of float32, shape (sequences,)
        Of each sequence in the loss.
    classes : int
        How many.
    tell : callable
        Takes a line now and then.

    Returns
    -------
    dict of str to ndarray of float32
        Weights.
    """
    order = np.random.default_rng(seed)
    key, start = jax.random.split(jax.random.PRNGKey(seed))
    weights = initial(start, values.shape[2], classes)
    first = {name: jnp.zeros_like(one) for name, one in weights.items()}
    second = {name: jnp.zeros_like(one) for name, one in weights.items()}

    place = np.searchsorted(BUCKETS, length)
    members = [np.flatnonzero(place == bucket) for bucket in range(len(BUCKETS))]
    total = EPOCHS * sum(len(rows) // BATCH for rows in members)
    count = 0
    for epoch in range(EPOCHS):
        batches = []
        for bucket, rows in enumerate(members):
            mixed = order.permutation(rows)
            batches += [(bucket, mixed[n : n + BATCH]) for n in range(0, len(rows) - BATCH + 1, BATCH)]
        losses = []
        for index in order.permutation(len(batches)):
            bucket, rows = batches[index]
            count += 1
            key, drop = jax.random.split(key)
            rate = jnp.asarray(LEARNING_RATE * 0.5 * (1.0 + np.cos(np.pi * count / total)))
            batch = (values[rows, : BUCKETS[bucket]], length[rows], target[rows], weight[rows], drop)
            weights, first, second, loss = _update(weights, first, second, rate, jnp.asarray(float(count)), *batch)
            losses.append(loss)
        if epoch % 5 == 4 or epoch == 0:
            tell(f"epoch {epoch + 1} of {EPOCHS}: loss {float(np.mean(jnp.stack(losses))):.4f}")
    return {name: np.asarray(one, np.float32) for name, one in weights.items()}


def to_onnx(weights: dict[str, Singles]) -> bytes:
    """Write the network as an ONNX graph.

    Input ``sequences`` of shape (steps, sequences, inputs), all of one length; output ``probabilities`` of shape
    (sequences, classes).
    """
    nodes, constants = [], []

    def constant(name: str, values: npt.NDArray[Any]) -> str:
        constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    states = "sequences"
    shape = constant("joined", np.array([0, 0, 2 * HIDDEN], np.int64))
    for layer in range(LAYERS):
        bias = weights[f"B{layer}"]
        inputs = [
            states,
            constant(f"W{layer}", weights[f"W{layer}"]),
            constant(f"R{layer}", weights[f"R{layer}"]),
            constant(f"B{layer}", np.concatenate([bias, np.zeros_like(bias)], axis=1)),
        ]
        nodes.append(helper.make_node("LSTM", inputs, [f"Y{layer}"], hidden_size=HIDDEN, direction="bidirectional"))
        nodes.append(helper.make_node("Transpose", [f"Y{layer}"], [f"Z{layer}"], perm=[0, 2, 1, 3]))
        nodes.append(helper.make_node("Reshape", [f"Z{layer}", shape], [f"states{layer}"]))
        states = f"states{layer}"
    nodes.append(helper.make_node("ReduceMean", [states], ["pooled"], axes=[0], keepdims=0))
    dense = [constant("dense", weights["dense"]), constant("bias", weights["bias"])]
    nodes.append(helper.make_node("Gemm", ["pooled", *dense], ["logits"]))
    nodes.append(helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1))
    inputs_width = weights["W0"].shape[2]
    graph = helper.make_graph(
        nodes,
        "recurrent",
        [helper.make_tensor_value_info("sequences", TensorProto.FLOAT, ["steps", "rows", inputs_width])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["rows", weights["bias"].shape[0]])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
