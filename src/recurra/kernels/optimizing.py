"""Steps of gradient descent in place, and the norms that clipping needs, in one pass over each buffer."""

from __future__ import annotations

import math

import numpy as np

from recurra.errors import KernelError
from recurra.kernels import checks, engines, numpy_native
from recurra.kernels.checks import is_tensor
from recurra.kernels.namespace import namespace
from recurra.kernels.weights import Array


def norms(arrays: list[Array]) -> np.ndarray:
    """Euclidean norm of each float array, (len(arrays),) float64; NaN where an element is.

    Native sums run in fixed blocks, so the bits depend on neither threads nor memory.
    """
    for place, x in enumerate(arrays):
        checks.floats(f"arrays[{place}]", x, *getattr(x, "shape", ()))
    if not arrays:
        return np.zeros(0)
    if engines.native() is not None and not any(is_tensor(x) and x.is_cuda for x in arrays):
        return numpy_native.norms([_plain(x) for x in arrays])
    return np.array([_norm(x) for x in arrays], np.float64)


def _norm(x: Array) -> float:
    if is_tensor(x):
        return float((x.detach().double() ** 2).sum().sqrt())
    return float(np.sqrt(np.sum(np.square(x, dtype=np.float64))))


def adam_step(
    parameter: Array,
    gradient: Array,
    first: Array,
    second: Array,
    *,
    step: int,
    rate: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    decay: float = 0.0,
    decoupled: bool = False,
    scale: float = 1.0,
) -> None:
    """One step of Adam (Kingma and Ba 2015) or, decoupled, AdamW (Loshchilov and Hutter 2019), in place.

    parameter, first and second (the moving means of the gradient and its square) are changed; gradient counts
    times `scale`, which is how clipping costs no pass of its own. step: 1 for the first. decay: weight decay,
    added to the gradient, or decoupled: parameter *= 1 - rate * decay. All arrays have one shape and dtype;
    parameter, first and second must be contiguous.
    """
    if step < 1:
        raise KernelError(f"step must be at least 1, got {step}")
    given = {"gradient": gradient, "parameter": parameter, "first": first, "second": second}
    if engines.native() is None or (is_tensor(gradient) and gradient.device.type != "cpu"):
        for name, x in given.items():
            checks.float_like("gradient", gradient, name, x, *gradient.shape)
        _reference_step(parameter, gradient, first, second, step, rate, (beta1, beta2), eps,
                        decay, decoupled, scale)  # fmt: skip
        return
    held = [_held(name, x) for name, x in given.items()]
    _native_step(held, rate, beta1, beta2, eps, step, decay, decoupled, scale)


@numpy_native.refusing
def _native_step(held: list[np.ndarray], *how: float | bool) -> None:
    gradient, parameter, first, second = held
    numpy_native.module().adam(parameter, gradient, first, second, *how)


def _held(name: str, x: Array) -> np.ndarray:
    if isinstance(x, np.ndarray):
        return np.ascontiguousarray(x) if name == "gradient" else x
    if not is_tensor(x):
        raise KernelError(f"{name} must be a NumPy array or a torch tensor, got {type(x).__name__}")
    laid: np.ndarray = (x.detach().contiguous() if name == "gradient" else x.detach()).numpy()
    return laid


def _plain(x: Array) -> np.ndarray:
    array: np.ndarray = x.detach().numpy() if is_tensor(x) else x
    return array.reshape(-1)


def _reference_step(parameter: Array, gradient: Array, first: Array, second: Array, step: int, rate: float,
                    betas: tuple[float, float], eps: float, decay: float, decoupled: bool,
                    scale: float) -> None:  # fmt: skip
    xp = namespace(parameter)
    if is_tensor(parameter):
        parameter = parameter.detach()
    gradient = gradient * scale
    if decoupled:
        parameter *= 1.0 - rate * decay
    elif decay:
        gradient = gradient + decay * parameter
    first *= betas[0]
    first += (1.0 - betas[0]) * gradient
    second *= betas[1]
    second += (1.0 - betas[1]) * gradient * gradient
    below = xp.sqrt(second) / math.sqrt(1.0 - betas[1] ** step) + eps
    parameter -= rate / (1.0 - betas[0] ** step) * first / below
