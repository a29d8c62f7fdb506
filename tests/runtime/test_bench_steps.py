"""The bench of models with an answer per step: who takes part, down to tags, and what is compared first."""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import Any
from unittest import mock

import numpy as np
import pytest

import recurra as rc
from recurra.cli.app import run
from recurra.runtime.bench.models import bench_model, torch_eager
from recurra.runtime.bench.models import run as running
from recurra.runtime.bench.models import workload as loads
from recurra.runtime.bench.models.cold import write_inputs
from recurra.runtime.bench.models.outcome import STREAM
from recurra.runtime.export.probes import made_probe
from recurra.runtime.store import save_predictor
from runtime.language_models import writer
from runtime.quick_bench import few_and_short, start_once, without_flair, without_programs, without_starts
from runtime.taggers import STEPS, TAGS, WORDS, tagger
from shared import require
from tasks.test_frame_model import NETWORK, TRAINING, rolls

KINDS: dict[str, tuple[dict[str, Any], Any]] = {
    "chain over words and characters": ({"affixes": 2}, [WORDS, [], WORDS[:3]]),
    "rules without a chain": ({"crf": False, "bidirectional": True}, [WORDS, WORDS[:1]]),
    "two numbers per step of events": ({"kind": "events", "numbers": 2}, [STEPS, STEPS[:2]]),
}


@pytest.fixture(autouse=True)
def _small():
    """Few and short sequences."""
    require("torch", find_spec("torch") is not None, "pip install 'recurra[train]'")
    require("onnxruntime", find_spec("onnxruntime") is not None, "pip install 'recurra[onnx]'")
    with few_and_short(), without_flair():
        yield


@pytest.fixture
def no_starts():
    """Fresh processes are left out."""
    with without_starts():
        yield


@pytest.fixture
def no_programs():
    """No program of torch.export takes part."""
    with without_programs():
        yield


def test_programs_take_part_too(no_starts):
    found = bench_model(tagger(bidirectional=True, num_layers=1), [WORDS], seconds=0.0, only=["float32"])
    assert not found.unequal
    assert {each.engine for each in found.rows} == {"recurra", "onnxruntime", "torch", "torch-export"}


@pytest.mark.parametrize("kind", KINDS)
def test_every_engine_answers_every_step_alike_before_it_is_timed(kind, no_starts, no_programs):
    options, data = KINDS[kind]
    found = bench_model(tagger(scale=1.2, **options), data, seconds=0.0, only=["float32"])
    assert not found.unequal
    assert {each.engine for each in found.rows} == {"recurra", "onnxruntime", "torch"}
    assert {each.batch for each in found.rows} == {1, 8, *([] if options.get("bidirectional") else [STREAM])}


def test_an_engine_whose_steps_are_shifted_is_named_and_not_timed(no_starts, no_programs):
    honest = torch_eager._batch

    def shifted(*arguments: Any) -> Any:
        answer = honest(*arguments)
        return lambda: np.roll(answer(), 1, axis=0)

    with mock.patch.object(torch_eager, "_batch", shifted):
        found = bench_model(tagger(), [WORDS], seconds=0.0, only=["float32"])
    assert ["torch float32 differs" in note for note in found.unequal] == [True]
    assert "torch" not in {each.engine for each in found.rows}


def usual_tags(predictor: Any, lengths: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Codes by the usual walk in torch, and by the model itself."""
    strong = np.random.default_rng(7).normal(0.0, 3.0, (len(TAGS) + 2, len(TAGS))).astype(np.float32)
    strong[-1] = 20.0 * (np.arange(len(TAGS)) == 0)  # where a sentence ends matters
    if predictor.head.chain:
        names = [f"chain.{part}.0" for part in ("transitions", "start", "end")]
        predictor.parameters = {
            **predictor.parameters,
            **dict(zip(names, (strong[:-2], strong[-2], strong[-1]), strict=True)),
        }
    probe = made_probe(predictor, lengths, 4)
    torch, network = torch_eager.in_float32(predictor)
    found = torch_eager._decided(torch, predictor, network, probe)()
    real = np.arange(max(lengths))[None, :] < np.array(lengths)[:, None]
    codes = predictor.codes(predictor.outputs_of(probe.batch), probe.batch.offsets)
    return np.stack([part.numpy()[real] for part in found], axis=1), codes


TWO = {"columns": (TAGS, ("x", "y", "z")), "schemes": ("bio", None)}


@pytest.mark.parametrize("options", [{}, {"crf": False}, TWO])
def test_what_is_timed_of_torch_gives_the_tags_of_the_model(options):
    predictor = tagger(bidirectional=True, **options)
    found, expected = usual_tags(predictor, (5, 1, 12, 2, 30))
    np.testing.assert_array_equal(found, expected)


def test_a_walk_that_forgets_its_mask_would_be_seen():
    honest = torch_eager.program()

    def unmasked(torch: Any, scores: Any, lengths: Any, chain: Any) -> Any:
        return honest.best_paths(torch, scores, lengths * 0 + scores.shape[1], chain)

    with mock.patch.object(torch_eager, "program") as program:
        program.return_value = mock.Mock(network=honest.network, best_paths=unmasked)
        found, expected = usual_tags(tagger(bidirectional=True), (5, 1, 12, 2, 30))
    assert (found != expected).any()


def test_a_tagger_starts_and_answers_in_fresh_processes(tmp_path, no_programs):
    predictor = tagger(affixes=1)
    work = loads.workload(predictor, [WORDS, WORDS[:2]])
    assert isinstance(work.first, list)
    everybody = list(running._contenders(predictor, tmp_path, write_inputs(predictor, work, tmp_path), []))
    started = [each for each in everybody if each.precision == "float32"]
    assert {each.engine for each in started} == {"recurra", "onnxruntime", "torch"}
    start_once(started)


def test_a_frame_model_starts_and_answers_in_a_fresh_process(tmp_path, no_programs):
    predictor = rc.FrameModel(NETWORK, TRAINING).fit(rolls()).predictor_
    work = loads.workload(predictor, rolls(2))
    everybody = running._contenders(predictor, tmp_path, write_inputs(predictor, work, tmp_path), [])
    ours = [each for each in everybody if each.name == "recurra float32"]
    assert len(ours) == 1
    start_once(ours)


@pytest.mark.parametrize(
    ("model", "text"),
    [(tagger(), "\n".join(f"{word} O" for word in WORDS) + "\n\n"), (writer(scale=1.0), "the cat sat")],
)
def test_the_command_measures_taggers_and_language_models_on_their_files(
    model, text, no_starts, no_programs, tmp_path, capsys
):
    path = tmp_path / ("a.conll" if model.task == "tagger" else "a.txt")
    path.write_text(text)
    save_predictor(model, tmp_path / "m", training={}, scores={}, data={"reading": {"input": 0}}
                   if model.task == "tagger" else {})  # fmt: skip
    arguments = [str(path), "--only", "float32", "--seconds", "0", "--for", "stream", "--json"]
    assert run(["bench", str(tmp_path / "m"), *arguments]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {row["engine"] for row in told["rows"]} >= {"recurra", "onnxruntime", "torch"}
    assert STREAM in {row["batch"] for row in told["rows"]}
