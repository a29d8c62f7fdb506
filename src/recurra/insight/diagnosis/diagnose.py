"""`diagnose`: from a finished training, or one that broke off, to its findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recurra.errors import NotFittedError, SpecError
from recurra.insight.diagnosis.evidence import Evidence
from recurra.insight.diagnosis.finding import Finding
from recurra.insight.diagnosis.rules import RULES
from recurra.report.figure import Figure
from recurra.spec import Training
from recurra.training.fitted import Fitted
from recurra.training.history import History


@dataclass(frozen=True, kw_only=True, eq=False)
class Diagnosis:
    """What a training shows.

    findings: the gravest first; none where all is well. measures: named numbers, whether or not they are a finding.
    drawn: the columns that figures are made of; see `report.figures.diagnosis`.
    """

    findings: tuple[Finding, ...]
    measures: Mapping[str, Any]
    drawn: Mapping[str, Any]

    @property
    def problems(self) -> tuple[Finding, ...]:
        """The findings that something should be done about."""
        return tuple(finding for finding in self.findings if finding.level == "problem")

    def __str__(self) -> str:
        return "\n".join(map(str, self.findings)) or "Nothing stands out: the training looks healthy."

    def to_dict(self) -> dict[str, Any]:
        """Return findings and measures as plain values."""
        return {"findings": [f.to_dict() for f in self.findings], "measures": dict(self.measures)}

    def record(self) -> dict[str, Any]:
        """Return what a page shows."""
        return {**self.to_dict(), "drawn": dict(self.drawn)}

    def figures(self) -> tuple[Figure, ...]:
        """Return the drawings of the evidence."""
        from recurra.report.figures.diagnosis import diagnosis_figures

        return diagnosis_figures(self.drawn)

    def _repr_html_(self) -> str:
        from recurra.report.diagnosis import diagnosis_items
        from recurra.report.html import render_item

        return "".join(render_item(item) for item in diagnosis_items(self.record()))


def diagnose(model: Any, training: Training | None = None) -> Diagnosis:
    """Judge a training that was run with `Training(diagnose=True)`.

    model: an estimator that has learnt, or the `fitted` of an error that ended its training (then `training` is
    needed, as it was asked for). Raises NotFittedError, and SpecError where nothing was measured.
    """
    fitted = model if isinstance(model, Fitted) else getattr(model, "fitted_", None)
    if fitted is None:
        name = type(model).__name__
        raise NotFittedError(
            f"this {name} holds no training; call fit(...) with Training(diagnose=True) first"
        )
    asked = training if training is not None else getattr(model, "training_", None)
    if asked is None:
        raise SpecError("training must be given with a Fitted: the Training that it was made with")
    history: History = fitted.history
    if not history.probes:
        raise SpecError(
            "this training was not measured; use Training(diagnose=True) (--diagnose) and fit again"
        )
    evidence = Evidence(history, asked.resolved())
    found = tuple(finding for rule in RULES if (finding := rule(evidence)) is not None)
    ordered = sorted(found, key=lambda finding: finding.level != "problem")
    return Diagnosis(findings=tuple(ordered), measures=_measures(evidence), drawn=_drawn(evidence))


def _measures(evidence: Evidence) -> dict[str, Any]:
    """The numbers, by layer where there are several, medians over the later half of the probes."""
    return {
        "median_length": evidence.length,
        "memory": {name: reach.memory for name, reach in evidence.reach.items()},
        "mean_lag": {name: reach.mean_lag for name, reach in evidence.reach.items()},
        "spectral_radius": evidence.radius,
        "saturated": {
            f"{name}.{gate}": {"low": low, "high": high}
            for (name, gate), (low, high) in evidence.saturated.items()
        },
        "dead_units": evidence.dead,
        "update_ratio": evidence.updates,
        "clip_rate": evidence.clip_rate,
        "skipped_steps": evidence.skipped,
        "probes": len(evidence.probes),
    }


def _drawn(evidence: Evidence) -> dict[str, Any]:
    probes = evidence.probes
    layers = dict.fromkeys(name for probe in probes for name in probe.get("layers", {}))
    return {
        "steps": [probe["step"] for probe in probes],
        "reach": {
            name: {"lags": reach.lags.tolist(), "norms": reach.norms.tolist()}
            for name, reach in evidence.reach.items()
        },
        "radius": {name: [_first(_layer(probe, name).get("radius")) for probe in probes] for name in layers},
        "saturated": {
            f"{name} {gate}": [_share(_layer(probe, name).get("saturated", {}).get(gate)) for probe in probes]
            for name, gate in evidence.saturated
        },
        "updates": {
            name: [probe["updates"].get(name) for probe in probes]
            for name in dict.fromkeys(name for probe in probes for name in probe["updates"])
        },
        "norms": [float(norm) for norm in evidence.norms],
        "clip": evidence.training.gradient_clip if evidence.training.clip_by == "norm" else None,
        "epochs": [dict(epoch) for epoch in evidence.history.epochs],
    }


def _layer(probe: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = probe.get("layers", {}).get(name, {})
    return found


def _first(values: Sequence[float] | None) -> float | None:
    return None if values is None else values[0]


def _share(ends: Sequence[float] | None) -> float | None:
    return None if ends is None else sum(ends)
