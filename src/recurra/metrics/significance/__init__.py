"""Is the difference more than chance? Paired tests with effect and interval, each a `Significance` record.

Every test takes what was measured on the *same* units for a and for b. The unit is the test item, sequence,
series or fold, never the seed: seeds tell how a method varies, not whether it is better.

| units | test |
|---|---|
| items, right or wrong | `mcnemar` |
| items, sequences, any score per unit | `paired_bootstrap`; a score of the whole set: `paired_bootstrap_of` |
| folds or repeated splits of one data set | `corrected_resampled_t` |
| data sets or series | `wilcoxon` |
| losses along time | `diebold_mariano`, `moving_block_bootstrap` |
| several of these at once | `holm` on their p-values |
| many methods on many data sets | `compare_ranks` |
| one score by itself, over units and seeds | `bootstrap_interval` |
"""

from recurra.metrics.significance.bootstrap import bootstrap_interval, paired_bootstrap, paired_bootstrap_of
from recurra.metrics.significance.dependent import block_length, diebold_mariano, moving_block_bootstrap
from recurra.metrics.significance.many import RankComparison, compare_ranks, holm
from recurra.metrics.significance.paired import (
    corrected_resampled_t,
    effect_size,
    mcnemar,
    mean_interval,
)
from recurra.metrics.significance.ranks import wilcoxon
from recurra.metrics.significance.result import Significance

__all__ = [
    "RankComparison",
    "Significance",
    "block_length",
    "bootstrap_interval",
    "compare_ranks",
    "corrected_resampled_t",
    "diebold_mariano",
    "effect_size",
    "holm",
    "mcnemar",
    "mean_interval",
    "moving_block_bootstrap",
    "paired_bootstrap",
    "paired_bootstrap_of",
    "wilcoxon",
]
