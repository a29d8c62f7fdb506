"""States that go into a checkpoint come back as they were."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from recurra.training.state import _packed_tree, _unpacked_tree, all_finite, snapshot


def round_trip(tree: Any) -> Any:
    arrays: dict[str, Any] = {}
    packed = _packed_tree(tree, arrays)
    return _unpacked_tree(packed, arrays, torch.device("cpu"))


def test_carried_states_of_any_shape_come_back() -> None:
    tree = [None, {"recur": {"l0": (torch.ones(2, 3), None)}, "pool": [torch.zeros(1), 3, "x", True]}]
    back = round_trip(tree)
    assert back[0] is None
    assert torch.equal(back[1]["recur"]["l0"][0], torch.ones(2, 3))
    assert back[1]["recur"]["l0"][1] is None
    assert isinstance(back[1]["recur"]["l0"], tuple)
    assert back[1]["pool"][1:] == [3, "x", True]


def test_states_that_cannot_be_saved_are_refused() -> None:
    with pytest.raises(TypeError, match="made of tensors, tuples, lists and dictionaries"):
        round_trip([object()])


def test_a_snapshot_does_not_follow_its_parameters() -> None:
    leaf = torch.ones(2, requires_grad=True)
    taken = snapshot({"w": leaf})
    with torch.no_grad():
        leaf.zero_()
    assert taken["w"].tolist() == [1.0, 1.0]
    assert all_finite(taken)
    assert not all_finite({"w": np.asarray([np.inf])})
