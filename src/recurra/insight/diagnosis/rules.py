"""The rules of a diagnosis: each reads the evidence and gives a finding, or None.

The thresholds were set on trainings made to fail and on healthy ones, several seeds of each (docs/diagnosis.md).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from recurra.insight.diagnosis.evidence import Evidence
from recurra.insight.diagnosis.finding import Finding

Rule = Callable[[Evidence], Finding | None]

UNLEARNT = 0.5
"""Share of the first loss above which something remains to be learnt."""
SHORT = 1 / 3
"""Share of the median length below which a memory is short."""
LEAST_LENGTH = 10
"""Sequences shorter than this are never too long for a memory."""
GROWN = 10.0
"""A gradient grown so many times on its way back explodes; so do steps whose norm is as many times the clip."""
SPIKE, FIRST = 100.0, 10
"""A gradient norm so many times the median, and that of so many first steps, is a spike."""
STUCK = 0.7
"""Share of saturated values from which on a gate is stuck."""
DEAD = 0.3
"""Share of dead units that is too large."""
CLIPPED = 0.5
"""Share of clipped steps from which on the clip sets the step size."""
FAST, SLOW = 0.1, 1e-5
"""Update-to-weight ratios that are too large and too small."""
STILL = 0.01
"""A loss that fell by less than this share over the last third of the epochs stands still."""
OFTEN = 0.05
"""Share of steps with a spike above which clipping does not make up for it."""
LEAST_EPOCHS = 6
"""Epochs that a statement on the course of the loss needs."""
RISE, GAP = 0.1, 0.3
"""Rise of the validation loss above its least, and gap between the losses, as shares of the first loss."""
HIGH_ALLOWED = (("forget", 1), ("update", 1))
"""Gates whose values near 1 mean a long memory."""
FREEZING = 1e-7


def vanishing(evidence: Evidence) -> Finding | None:
    """Gradients die on their way back, the answer is read at the end, and the loss has not come down."""
    if evidence.reads != "last" or evidence.length < LEAST_LENGTH or evidence.remaining < UNLEARNT:
        return None
    short = [
        r for r in evidence.reach.values() if r.memory is not None and r.memory < SHORT * evidence.length
    ]
    if not short or len(short) < len(evidence.reach):
        return None
    best = max(short, key=lambda reach: reach.memory or 0)
    plain = evidence.cell in ("rnn", "rnn_relu")
    cure = "Use cell='lstm' or 'gru', " if plain else f"Set chrono_steps={evidence.length:.0f}, "
    return Finding(
        name="vanishing gradients",
        level="problem",
        words=(
            f"Learning reaches back {best.memory} steps, sequences have {evidence.length:.0f}: there the gradient is "
            f"below 1% of its largest (weighted mean lag {best.mean_lag:.1f}; spectral radius "
            f"{_each(evidence.radius)}), and the training loss is still {evidence.remaining:.0%} of the first."
        ),
        advice=cure
        + "read all steps with pooling='max' or 'attention', or leave out steps that tell nothing.",
        figure="reach",
    )


def exploding(evidence: Evidence) -> Finding | None:
    """Gradients grow on their way back and steps suffer: spikes, clipping of nearly all steps, or skipped steps."""
    grown = [reach for reach in evidence.reach.values() if reach.growth > GROWN]
    norms = evidence.norms[np.isfinite(evidence.norms)]
    limit = evidence.training.gradient_clip
    middle = float(np.median(norms)) if len(norms) else 0.0
    largest = float(norms.max()) if len(norms) else 0.0
    # Norms that fall from a large beginning are no spike, and the scale of a loss is none of our business.
    usual = max(middle, float(np.median(norms[:FIRST])) if len(norms) else 0.0, 1.0)
    far_over = limit is not None and middle > GROWN * limit and grown
    spikes = float(np.mean(norms > SPIKE * usual)) if len(norms) else 0.0
    # A spike now and then is what clipping is for.
    if not (evidence.skipped or far_over or spikes > (0.0 if limit is None else OFTEN)):
        return None
    back = (
        f"on its way back the gradient grows {max(r.growth for r in grown):.3g} times (layer "
        f"{max(grown, key=lambda r: r.growth).layer}); "
        if grown
        else ""
    )
    return Finding(
        name="exploding gradients",
        level="problem",
        words=(
            f"Gradients explode: {back}gradient norms have the median {middle:.3g} and reach {largest:.3g}, "
            f"{evidence.skipped} steps were skipped as not finite, spectral radius {_each(evidence.radius)}."
        ),
        advice=(
            ("Set gradient_clip (1 to 5), " if limit is None else "Lower learning_rate, ")
            + "use cell='lstm' or 'gru', recurrent_init='orthogonal', or shorter windows (sequence_length)."
        ),
        figure="norms",
    )


def saturated(evidence: Evidence) -> Finding | None:
    """A gate sits at its ends nearly always, where its gradient is nought."""
    stuck = []
    for (layer, gate), shares in evidence.saturated.items():
        counted = [share for end, share in enumerate(shares) if (gate, end) not in HIGH_ALLOWED]
        if sum(counted) > STUCK:
            stuck.append((sum(counted), f"{layer} {gate} {sum(counted):.0%}"))
    if not stuck:
        return None
    told = "; ".join(text for _, text in sorted(stuck, reverse=True)[:4])
    return Finding(
        name="saturated gates",
        level="problem",
        words=f"Gates are saturated, so that hardly any gradient passes: {told} of their values are at an end.",
        advice=(
            "Lower learning_rate, start anew with another seed, scale the inputs (Signal(scaling='standard')), "
            "or use layer_norm=True."
        ),
        figure="gates",
    )


def dead_units(evidence: Evidence) -> Finding | None:
    """Many units never move."""
    dead = {name: share for name, share in evidence.dead.items() if share > DEAD}
    if not dead:
        return None
    relu = evidence.cell == "rnn_relu"
    return Finding(
        name="dead units",
        level="problem",
        words=f"Units have the same state on all tokens, and so carry nothing: {_each(dead, '.0%')}.",
        advice="Lower learning_rate" + (", or use cell='gru' or 'rnn'." if relu else ", or use fewer units."),
        figure="gates",
    )


def skipped_steps(evidence: Evidence) -> Finding | None:
    """Steps were not finite."""
    if not evidence.skipped:
        return None
    return Finding(
        name="skipped steps",
        level="problem",
        words=f"{evidence.skipped} of {len(evidence.norms)} steps were skipped: loss or gradient was not finite.",
        advice="Lower learning_rate, set gradient_clip, and look for extreme values in the data (recurra inspect).",
        figure="norms",
    )


def much_clipped(evidence: Evidence) -> Finding | None:
    """The clip, not the learning rate, sets the size of the steps."""
    rate = evidence.clip_rate
    if rate is None or rate <= CLIPPED:
        return None
    return Finding(
        name="clipped steps",
        level="note",
        words=(
            f"{rate:.0%} of the later steps were clipped to {evidence.training.gradient_clip:g}; the median gradient "
            f"norm is {np.nanmedian(evidence.norms):.3g}: the clip sets the step size."
        ),
        advice="Raise gradient_clip towards the usual norm, or see to why gradients are large.",
        figure="norms",
    )


def rate_too_high(evidence: Evidence) -> Finding | None:
    """Updates are large beside the weights, or the training loss ends where it began or far above its least."""
    fast = {name: ratio for name, ratio in evidence.updates.items() if ratio > FAST}
    losses = evidence.train[np.isfinite(evidence.train)]
    least = float(losses.min()) if len(losses) else float("nan")
    risen = len(losses) > 1 and losses[-1] > least + max(0.5 * least, 0.25 * evidence.start)
    above = len(losses) > 1 and losses[-1] > 1.1 * evidence.start
    if not (fast or risen or above):
        return None
    told = [f"one step changes the weights by {_each(fast, '.0%')} of their size"] if fast else []
    if risen or above:
        told.append(
            f"the training loss went from {evidence.start:.3g} to {losses[-1]:.3g} (least {least:.3g})"
        )
    return Finding(
        name="learning rate too high",
        level="problem",
        words=f"The learning rate is too high: {'; '.join(told)}.",
        advice="Divide learning_rate by 3 to 10, or use learning_rate='auto' or warmup=0.1.",
        figure="updates" if fast else "loss",
    )


def rate_too_low(evidence: Evidence) -> Finding | None:
    """No layer moves, and the loss has hardly fallen."""
    if not evidence.updates or max(evidence.updates.values()) > SLOW or evidence.remaining < 0.9:
        return None
    if max(evidence.updates.values()) <= FREEZING and evidence.skipped:
        return None
    return Finding(
        name="learning rate too low",
        level="problem",
        words=(
            f"One step changes the weights by {_each(evidence.updates, '.1e')} of their size, and the training loss "
            f"is still {evidence.remaining:.0%} of the first."
        ),
        advice="Multiply learning_rate by 10, or use learning_rate='auto'.",
        figure="updates",
    )


def _stands_still(evidence: Evidence) -> bool:
    losses = evidence.train
    if len(losses) < LEAST_EPOCHS or not np.isfinite(losses).all() or not evidence.start > 0:
        return False
    third = len(losses) // 3
    before, after = float(losses[-2 * third : -third].mean()), float(losses[-third:].mean())
    return before - after < STILL * evidence.start


def underfitting(evidence: Evidence) -> Finding | None:
    """The training loss stands still, and high."""
    if evidence.remaining <= UNLEARNT or not _stands_still(evidence):
        return None
    return Finding(
        name="underfitting",
        level="problem",
        words=(
            f"The training loss stands still at {evidence.train[-1]:.3g}, {evidence.remaining:.0%} of the first "
            f"({evidence.start:.3g}): the network does not fit what it is shown."
        ),
        advice=(
            "See to the other findings first; else use a higher learning_rate, more units or layers, less dropout, "
            "or ask whether the inputs tell the target at all (recurra inspect)."
        ),
        figure="loss",
    )


def converged(evidence: Evidence) -> Finding | None:
    """The training loss stands still, and low: nothing is wrong, but more epochs would not help."""
    if evidence.remaining > UNLEARNT or not _stands_still(evidence) or overfitting(evidence) is not None:
        return None
    return Finding(
        name="converged",
        level="note",
        words=(
            f"The training has converged: over the last third of {len(evidence.train)} epochs the loss moved by "
            f"less than 1% of the first loss and ended at {evidence.train[-1]:.3g} ({evidence.remaining:.1%})."
        ),
        advice="More epochs will not help; fewer would do, or patience=3 stops by itself.",
        figure="loss",
    )


def overfitting(evidence: Evidence) -> Finding | None:
    """The validation loss rises, or stays far above, while the training loss falls."""
    train, held = evidence.train, evidence.held
    if len(held) < 3 or len(train) != len(held) or not np.isfinite([*train, *held]).all():
        return None
    if evidence.remaining >= 1.0:  # nothing was learnt by heart where nothing was learnt
        return None
    least = int(held.argmin())
    rise, gap = float(held[-1] - held[least]), float(held[-1] - train[-1])
    scale = evidence.start
    rises = least < len(held) - 1 and rise > RISE * scale and train[-1] < train[least]
    apart = gap > GAP * scale and train[-1] < 0.5 * held[-1]
    if not (rises or apart):
        return None
    kept = " The weights of the best epoch were restored." if evidence.training.restore_best else ""
    return Finding(
        name="overfitting",
        level="problem",
        words=(
            f"The network learns its training split by heart: the training loss ends at {train[-1]:.3g}, that on "
            f"validation at {held[-1]:.3g}, after {held[least]:.3g} in epoch {least + 1}.{kept}"
        ),
        advice="Use more dropout or recurrent_dropout, weight_decay, fewer units, patience=3, or more data.",
        figure="loss",
    )


def _each(values: dict[str, float], form: str = ".2f") -> str:
    return ", ".join(f"{name} {value:{form}}" for name, value in values.items()) or "not measured"


RULES: tuple[Rule, ...] = (
    exploding,
    vanishing,
    saturated,
    dead_units,
    skipped_steps,
    rate_too_high,
    rate_too_low,
    much_clipped,
    overfitting,
    underfitting,
    converged,
)
"""In the order in which their findings are told."""
