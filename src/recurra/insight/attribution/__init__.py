"""Attribution: how much each step and channel of a sequence adds to the explained number.

`METHODS` names the ways: each is a function of a `Subject`, a `Reading` and a `Question`, one `Attribution` per
sequence, the same bits for a sequence alone and in a batch. `faithfulness` tells which to trust on a given model.
"""

from recurra.insight.attribution.methods import METHODS, attribute, attributions_of
from recurra.insight.attribution.record import Attribution, Share

__all__ = ["METHODS", "Attribution", "Share", "attribute", "attributions_of"]
