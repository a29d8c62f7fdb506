"""The loop: steps, epochs, scores, and every way in which training ends."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

from recurra.errors import DivergedError
from recurra.spec import Training
from recurra.training.averaging import Average
from recurra.training.batches import mixed_seed, steps_of_epoch
from recurra.training.callbacks import Callback, EpochEvent, StepEvent
from recurra.training.diagnosing import Collector, copies
from recurra.training.fitted import Fitted
from recurra.training.gradients import Pass, clip_gradients, compute_gradients, make_leaves, norms_by_layer
from recurra.training.monitor import Monitor
from recurra.training.optimizers import depths, make_optimizer
from recurra.training.problem import IndexArray, Problem
from recurra.training.schedules import Place, rate_at
from recurra.training.state import Snapshot, State, all_finite, restore, snapshot

GOOD_EVERY = 200
"""Steps between two copies of weights that are known to be good."""

Watch = Callable[[str], None]
"""Called after every "step" and scored "epoch", and before the "stop"; may save the state or raise."""


def is_good(loss: float, norm: float) -> bool:
    """Tell whether a step may be applied: its loss and all its gradients are finite."""
    return math.isfinite(loss) and math.isfinite(norm)


class Loop:
    """One training run over a problem: parameters, optimizer and `State`, moved on step by step.

    `run` can be called on a fresh loop or on one whose parts were restored from a checkpoint, and does
    the same steps either way, as everything that it reads is in `state`, `parameters` and `optimizer`.
    """

    def __init__(
        self, problem: Problem, training: Training, *, device: str, callbacks: Sequence[Callback] = ()
    ) -> None:
        self.problem, self.training, self.device = problem, training.resolved(), device
        self.callbacks = tuple(callbacks)
        self.parameters = make_leaves(problem.parameters, device)
        self.optimizer = make_optimizer(self.training, self.parameters, problem.roles, problem.layers)
        self._depths = depths(problem.layers)
        self.collector = Collector(problem, self.training)
        rate = training.learning_rate
        self.state = State(
            monitor=Monitor.of(problem, training),
            base_rate=math.nan if isinstance(rate, str) else rate,
            good=snapshot(self.parameters),
            average=Average.of(training),
        )
        self._mark = time.monotonic()
        self._asked = False

    def run(self, watch: Watch) -> str:
        """Train to the end; return why it ended. Where cut short, the unfinished epoch is scored as well."""
        self._mark = time.monotonic()
        stop = self.finished() or self._stop_asked()
        while stop is None:
            stop = self._epoch(watch)
        watch("stop")
        if stop not in ("epochs", "patience") and (self.state.step or self.state.window):
            self._score_epoch(partial=True)
        return stop

    def finished(self) -> str | None:
        """Return why no further epoch is due, or None."""
        patience, state = self.training.patience, self.state
        if patience is not None and state.monitor.stale >= patience:
            return "patience"
        return "epochs" if state.epoch >= self.training.passes else None

    def seconds(self) -> float:
        """Return the time spent so far, all sittings together."""
        now = time.monotonic()
        self.state.seconds, self._mark = self.state.seconds + now - self._mark, now
        return self.state.seconds

    def steps(self) -> list[list[IndexArray]]:
        """Return the steps of the current epoch."""
        training = self.training
        return steps_of_epoch(
            self.problem.lengths,
            batch_size=training.batch_size,
            batch_tokens=training.batch_tokens,
            accumulate=training.accumulate,
            bucket=training.bucket,
            seed=training.seed,
            epoch=self.state.epoch,
        )

    def _epoch(self, watch: Watch) -> str | None:
        steps, state = self.steps(), self.state
        while state.step < len(steps):
            self.take(steps[state.step], len(steps))
            watch("step")
            stop = self._stop_asked() if state.step < len(steps) else None
            if stop is not None:
                return stop
        self._score_epoch()
        state.next_epoch()
        watch("epoch")
        return self.finished() or self._stop_asked()

    def _stop_asked(self) -> str | None:
        if self._asked:
            return "callback"
        limit = self.training.max_seconds
        return "max_seconds" if limit is not None and self.seconds() >= limit else None

    def take(self, batches: Sequence[IndexArray], steps: int) -> None:
        """Do one window of one of `steps` steps: gradients, norms, clipping, update; skip it if it is not finite."""
        state, training = self.state, self.training
        windows = max(self.problem.windows(index) for index in batches)
        seed = mixed_seed(training.seed, state.epoch, state.step)
        self.optimizer.clear()
        self._freeze()
        done = compute_gradients(
            self.problem, self.parameters, batches, seed=seed, window=state.window, carried=state.carried
        )
        norm, layers = norms_by_layer(self.parameters, self.problem.layers)
        rate = rate_at(training, state.base_rate, self._place(steps, windows))
        good = is_good(done.loss, norm)
        probe = self.collector.before(self.parameters, batches) if self.collector.is_due(state) else None
        held = {} if probe is None else copies(self.parameters)
        if good and done.weight > 0:
            self._keep_good()
            scale = clip_gradients(self.parameters, training.gradient_clip, training.clip_by, norm)
            self.optimizer.step(rate, scale)
            if state.average is not None:
                state.average.add(self.parameters)
        # An epoch of one step is a language model's: people count its windows.
        place = (state.step + 1, steps) if steps > 1 else (state.window + 1, windows)
        event = self._recorded(done, norm, layers, rate, batches, place, skipped=not good)
        if probe is not None:
            self._add_probe(
                {**probe, "updates": self.collector.updates(held, self.parameters) if good else {}}
            )
        state.carried = done.carried
        state.advance(windows, give_up=not good)
        self._tell(lambda callback: callback.on_step(event))
        if state.bad_in_row >= training.max_bad_steps:
            self._give_up()

    def _freeze(self) -> None:
        """Let only those parts learn that it is the time of."""
        if self.training.unfreeze == "gradual":
            for name, parameter in self.parameters.items():
                parameter.requires_grad_(self._depths[name] <= self.state.epoch)

    def _add_probe(self, found: dict[str, Any]) -> None:
        state = self.state
        record = state.history.add_probe({"step": state.total, "epoch": state.epoch + 1, **found})
        self._tell(lambda callback: callback.on_probe(record))

    def _place(self, steps: int, windows: int) -> Place:
        state = self.state
        begin, end = ((state.step + (state.window + ahead) / windows) / steps for ahead in (0, 1))
        return Place(epoch=state.epoch, begin=begin, end=end, cuts=state.monitor.cuts)

    def _keep_good(self) -> None:
        """Now and then keep the weights that have just given a finite loss and gradient."""
        if self.state.total % GOOD_EVERY == 0 or (self.state.step == 0 and self.state.window == 0):
            self.state.good = snapshot(self.parameters)

    def _recorded(
        self,
        done: Pass,
        norm: float,
        layers: dict[str, float],
        rate: float,
        batches: Sequence[IndexArray],
        place: tuple[int, int],
        *,
        skipped: bool,
    ) -> StepEvent:
        state, tally = self.state, self.state.tally
        sequences = sum(len(index) for index in batches) if state.window == 0 else 0
        state.total += 1
        state.bad_steps += skipped
        state.bad_in_row = state.bad_in_row + 1 if skipped else 0
        tally.skipped += skipped
        tally.sequences += sequences
        tally.rate = rate
        if not skipped:
            tally.loss += done.loss * done.weight
            tally.weight += done.weight
            tally.norm += norm
            tally.norm_max = max(tally.norm_max, norm)
            tally.steps += 1
        event = StepEvent(
            epoch=state.epoch + 1,
            step=place[0],
            steps=place[1],
            total=state.total,
            loss=done.loss,
            gradient_norm=norm,
            layers=layers,
            learning_rate=rate,
            sequences=sequences,
            skipped=skipped,
            seconds=self.seconds(),
        )
        state.history.add_step(event)
        return event

    def _score_epoch(self, *, partial: bool = False) -> None:
        """Score the weights as they are (or their average), keep them if they are the best, and record the epoch."""
        state = self.state
        weights = self._weights()
        split, scores = self.scores(weights) if all_finite(weights) else ("validation", {})
        usable = math.isfinite(scores.get("loss", math.nan))
        score = state.monitor.read(scores) if usable else math.nan
        improved = state.monitor.update(score, state.epoch + 1)
        if improved:
            state.best = weights
        if not partial:
            state.monitor.cut_if_plateau(self.training)
            if state.average is not None:
                state.average.heed(score, higher=state.monitor.higher)
        record: dict[str, Any] = {"epoch": state.epoch + 1, "step": state.total, **state.tally.record()}
        record |= {f"{split}_{name}": value for name, value in scores.items()}
        record |= {"seconds": self.seconds(), "best": improved, "partial": partial}
        event = EpochEvent(
            epoch=state.epoch + 1,
            epochs=self.training.passes,
            record=state.history.add_epoch(record),
            scores=scores,
            improved=improved,
            parameters=weights,
        )
        self._tell(lambda callback: callback.on_epoch(event))

    def _weights(self) -> Snapshot:
        """Copies of what is scored and kept: the weights, or their average once that has begun."""
        average = self.state.average
        return snapshot(self.parameters if average is None else average.weights(self.parameters))

    def scores(self, weights: Snapshot) -> tuple[str, dict[str, float]]:
        """Return the validation scores, or those of the training split where there is no validation."""
        scores = self.problem.evaluate(weights, "validation")
        if scores:
            return "validation", scores
        return "train", self.problem.evaluate(weights, "train")

    def _tell(self, call: Callable[[Callback], bool | None]) -> None:
        for callback in self.callbacks:
            if call(callback):
                self._asked = True

    def _give_up(self) -> None:
        restore(self.parameters, self.state.good)
        error = DivergedError(
            f"loss or gradients were not finite in {self.state.bad_in_row} steps in a row (max_bad_steps) in "
            f"epoch {self.state.epoch + 1}; the last good weights were restored; use a lower learning_rate "
            f"than {self.state.base_rate:g}, a gradient_clip, or look for extreme values in the data"
        )
        error.fitted = self.fitted("diverged")
        raise error

    def fitted(self, stopped_by: str) -> Fitted:
        """Return the outcome as it is now."""
        state = self.state
        last = self._weights()
        chosen = state.best if state.best is not None and self.training.restore_best else last
        if not all_finite(chosen):
            chosen = state.best or state.good
        return Fitted(
            parameters={name: value.copy() for name, value in chosen.items()},
            last_parameters=last,
            history=state.history,
            monitor=state.monitor.name,
            best_epoch=state.monitor.epoch,
            best_score=state.monitor.score,
            stopped_by=stopped_by,
            learning_rate=state.base_rate,
            device=self.device,
            seconds=self.seconds(),
            steps=state.total,
            skipped_steps=state.bad_steps,
            notes=tuple(self.problem.notes),
        )
