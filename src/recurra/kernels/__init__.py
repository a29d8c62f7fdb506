"""The operators that everything runs on: recurrences, products, pooling, norms, activations and losses.

Polymorphic: NumPy arrays in, NumPy arrays out, without torch; torch tensors in, torch tensors with
gradients out.
"""

from __future__ import annotations

from recurra.kernels.accumulators import AttentionAccumulator, MaxAccumulator, MeanAccumulator
from recurra.kernels.chain import UNKNOWN_TAG, crf_loss, crf_marginals, viterbi
from recurra.kernels.engines import engine, get_num_threads, set_num_threads
from recurra.kernels.operators import (
    absolute_error,
    add,
    binary_cross_entropy,
    block_sum,
    concat_features,
    cross_entropy,
    dense,
    dropout,
    dropout_mask,
    embed,
    exp,
    fold_embedding,
    gather_rows,
    huber,
    layer_norm,
    log_softmax,
    logsumexp,
    mul,
    pool_attention,
    pool_carried,
    pool_max,
    pool_mean,
    recur,
    recur_engine,
    relu,
    scale,
    sigmoid,
    softmax,
    softplus,
    squared_error,
    tanh,
    weighted_mean,
)
from recurra.kernels.optimizing import adam_step, norms
from recurra.kernels.stepper import Stepper
from recurra.kernels.steps import StepGradients, watch_steps
from recurra.kernels.weights import GATE_NAMES, GATES, NormWeights, Recurred, RecurWeights

__all__ = [
    "GATES",
    "GATE_NAMES",
    "UNKNOWN_TAG",
    "AttentionAccumulator",
    "MaxAccumulator",
    "MeanAccumulator",
    "NormWeights",
    "RecurWeights",
    "Recurred",
    "StepGradients",
    "Stepper",
    "absolute_error",
    "adam_step",
    "add",
    "binary_cross_entropy",
    "block_sum",
    "concat_features",
    "crf_loss",
    "crf_marginals",
    "cross_entropy",
    "dense",
    "dropout",
    "dropout_mask",
    "embed",
    "engine",
    "exp",
    "fold_embedding",
    "gather_rows",
    "get_num_threads",
    "huber",
    "layer_norm",
    "log_softmax",
    "logsumexp",
    "mul",
    "norms",
    "pool_attention",
    "pool_carried",
    "pool_max",
    "pool_mean",
    "recur",
    "recur_engine",
    "relu",
    "scale",
    "set_num_threads",
    "sigmoid",
    "softmax",
    "softplus",
    "squared_error",
    "tanh",
    "viterbi",
    "watch_steps",
    "weighted_mean",
]
