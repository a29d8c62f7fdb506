"""The alternatives that every recurrent model is shown beside, with one contract; `choose` picks them by cost."""

from recurra.evaluation.baselines.choice import BASELINES, Chosen, choose, fitting
from recurra.evaluation.baselines.contract import Baseline, Setting, Sizes

__all__ = ["BASELINES", "Baseline", "Chosen", "Setting", "Sizes", "choose", "fitting"]
