"""The scikit-learn side of every estimator: arguments by name, specifications changed through their constructors."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from recurra.errors import SpecError, nearest
from recurra.spec import Network, Spec, Training

SPEC_PARTS: Mapping[str, type[Spec]] = {"network": Network, "training": Training}


class Configured:
    """Base of the estimators. The constructor stores what it is given, under the same names."""

    parts: ClassVar[tuple[str, ...]] = ("network", "training", "inputs")
    """The arguments that are specifications."""

    @classmethod
    def _parameter_names(cls) -> list[str]:
        return [name for name in inspect.signature(cls.__init__).parameters if name != "self"]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Constructor arguments; with `deep` also those of the specifications as `network__hidden_size`."""
        found = {name: getattr(self, name) for name in self._parameter_names()}
        if deep:
            for part in self.parts:
                spec = self._spec(part)
                for name in spec.names() if spec is not None else ():
                    found[f"{part}__{name}"] = getattr(spec, name)
        return found

    def set_params(self, **changes: Any) -> Self:
        """Change arguments by name; `network__cell="gru"` rebuilds the specification, checked anew.

        Several options of one specification are changed together, so that they are judged together.
        """
        nested: dict[str, dict[str, Any]] = {}
        for name, value in changes.items():
            part, separator, option = name.partition("__")
            if part not in self._parameter_names():
                raise SpecError(
                    f"{type(self).__name__} has no argument {part!r}{nearest(part, self._parameter_names())}"
                )
            if separator:
                nested.setdefault(part, {})[option] = value
            else:
                setattr(self, part, value)
        for part, options in nested.items():
            spec = self._spec(part)
            if spec is None:
                raise SpecError(f"{part} has no options to set; give a specification for {part} first")
            setattr(self, part, spec.replace(**options))
        return self

    def _spec(self, part: str) -> Spec | None:
        given = getattr(self, part, None)
        if given is not None and not isinstance(given, Spec):
            raise SpecError(
                f"{part} must be a specification such as {part.title()}(...), got {type(given).__name__}"
            )
        return given if given is not None or part == "inputs" else self._usual(part)

    def _usual(self, part: str) -> Spec:
        """The specification that stands where this estimator is given none."""
        return self.default(part)

    @classmethod
    def default(cls, part: str) -> Spec:
        """The specification that stands where none is given: "network" or "training"."""
        return SPEC_PARTS[part]()

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "parameters_")

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self).__init__).parameters
        shown = [f"{k}={v!r}" for k, v in self.get_params(deep=False).items() if v is not defaults[k].default]
        return f"{type(self).__name__}({', '.join(shown)})"
