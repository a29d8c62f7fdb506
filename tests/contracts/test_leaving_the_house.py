"""Viterbi, marginals and writing are one piece of code in both wings: models with an answer per step leave the house.

Each is trained, stored, loaded where torch cannot be imported, verified, streamed, and exported; what is left to be
done outside of its graph is done there, and gives the answers of the model.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnxruntime")

import recurra as rc
from recurra.ragged import Ragged
from recurra.runtime.export import export_onnx, export_torch, read_decoder, torch_writing
from recurra.runtime.export.check import Gap, Session
from recurra.runtime.export.graphs import OUT
from recurra.runtime.export.probes import Probe, batch_feed
from recurra.runtime.export.torch_nodes import state_sizes
from recurra.runtime.export.torch_programs import program_bytes, ragged_feed
from recurra.runtime.export.torch_session import ProgramSession
from recurra.runtime.verify import verify
from tasks.made import texts
from tasks.test_frame_model import rolls
from tasks.test_tagger import spans

NET = rc.Network(hidden_size=8, num_layers=1)
QUICK = rc.Training(epochs=2, batch_size=8, learning_rate=0.02)
STEPS = 12


def tagger() -> Any:
    small = rc.Tokens(min_count=1, character_size=4, units=3, affixes=1)
    return rc.Tagger(NET, QUICK, small, tags=rc.Tags(head="crf")).fit(*spans(40))


def language_model() -> Any:
    network = NET.replace(embedding_size=6)
    return rc.LanguageModel(network, QUICK.replace(sequence_length=9), rc.Characters()).fit(texts(40)[0])


def frame_model() -> Any:
    return rc.FrameModel(NET, QUICK.replace(sequence_length=9)).fit(rolls())


SENTENCES = [["the", "Mr", "Li", "dog"], ["Bo"], ["dog", "never", "seen"]]

ANSWERS = f"""
import json, sys
sys.modules["torch"] = None
import recurra as rc
model = rc.load(sys.argv[1])
if model.task == "tagger":
    sentences = {SENTENCES!r}
    found = [model.predict(sentences), [table.tolist() for table in model.predict_proba(sentences)]]
elif model.task == "language_model":
    found = [model.generate("the ", length={STEPS}, temperature=0), model.generate("g", length={STEPS}, seed=3)]
else:
    found = [model.generate(frames={STEPS}, temperature=0).tolist(), model.generate(frames={STEPS}, seed=3).tolist()]
print(json.dumps(found))
"""


def answers_of_tagger(model: Any) -> Any:
    return [model.predict(SENTENCES), [table.tolist() for table in model.predict_proba(SENTENCES)]]


def answers_of_text(model: Any) -> Any:
    return [model.generate("the ", length=STEPS, temperature=0), model.generate("g", length=STEPS, seed=3)]


def answers_of_frames(model: Any) -> Any:
    found = [model.generate(frames=STEPS, temperature=0), model.generate(frames=STEPS, seed=3)]
    return [frames.tolist() for frames in found]


# ---- what is done with the graphs and programs, by somebody who has the export alone -----------------------------


def tags_by_graph(folder: Path, model: Any) -> Any:
    batch = model.encode(SENTENCES)
    if (folder / "batch.pt2").is_file():
        with program(folder, "batch", {}) as session:
            emissions = session.run(ragged_feed(model, batch))["emissions"]
    else:
        found = Session((folder / "batch.onnx").read_bytes()).run(batch_feed(model, Probe(batch=batch)))
        emissions = found["emissions"][found["mask"]]
    return read_decoder(folder).tags(emissions, batch.offsets)


def program(folder: Path, name: str, states: dict[str, tuple[int, ...]]) -> ProgramSession:
    """Of `torch.export`, at work in another process; a step there knows nothing of Recurra."""
    return ProgramSession((folder / f"{name}.pt2").read_bytes(), operators=name == "batch", states=states)


def step_by_step(made: Callable[[Any, Any], Any]) -> Callable[[Path, Any], Any]:
    """What is made with the step graph, or program, of an export."""

    def by_graph(folder: Path, model: Any) -> Any:
        if not (folder / "step.pt2").is_file():
            return made(Session((folder / "step.onnx").read_bytes()), model)
        with program(folder, "step", state_sizes(model.answering.model)) as session:
            return made(session, model)

    return by_graph


def text_of_steps(session: Any, model: Any) -> Any:
    """Greedy writing: the prompt behind the boundary, then always the likeliest."""
    ids = [model.boundary, *np.asarray(model.encoder.encode(["the "]).values).tolist()]
    states, prompt = session.start(1), len(ids)
    for place in range(prompt + STEPS - 1):
        found = session.run({"ids": np.array([ids[place]]), **states})
        states = {name: found[name + OUT] for name in states}
        if place >= prompt - 1:
            # Never the end, nor the token for what is unknown: as `generate` writes.
            ids.append(int(np.argmax(found["logits"][0, 1:-1])) + 1)
    return model.encoder.decode(ids[1:])[len("the ") :]


def frames_of_steps(session: Any, model: Any) -> Any:
    frame, made = np.zeros((1, 5), np.float32), []
    states = session.start(1)
    for _ in range(STEPS):
        found = session.run({"features": frame, **states})
        states = {name: found[name + OUT] for name in states}
        frame = (found["probabilities"] > 0.5).astype(np.float32)
        made.append(frame[0].astype(int).tolist())
    return made


# ---- what a stream gives ------------------------------------------------------------------------------------------


def tagger_streamed(model: Any) -> None:
    """Steps are answered at once: the marginals and tags of what was read, behind what was given."""
    sentence = SENTENCES[0]
    stream, outputs = model.stream(), model.outputs([sentence])
    found = [record for word in sentence for record in stream.push(word)]
    stream.reset()
    assert (
        np.concatenate([stream.push_outputs(word)[:, 0] for word in sentence]).tobytes() == outputs.tobytes()
    )
    before = None
    for step, record in enumerate(found):
        codes, _ = model.decoder.continued(outputs[step : step + 1], before, ended=False)
        before = codes[0].tolist()
        assert record["label"] == model.classes[before[0]]


def text_streamed(model: Any) -> None:
    stream = model.stream()
    stream.push("the go")
    whole = model.answering.probabilities(model.answering.outputs(["the go"]))
    assert stream.outputs().tobytes() == model.answering.outputs(["the go"])[0].tobytes()
    assert whole.shape == (1, model.head.outputs)


def frames_streamed(model: Any) -> None:
    stream, roll = model.stream(), rolls(1)[0]
    for frame in roll:
        stream.push(frame)
    assert stream.probabilities().tobytes() == model.next_frame([roll])[0].tobytes()


@dataclass(frozen=True, kw_only=True)
class Walk:
    """One kind of model on its way out of the house."""

    made: Callable[[], Any]
    inputs: Any
    answers: Callable[[Any], Any]
    by_graph: Callable[[Path, Any], Any]
    streamed: Callable[[Any], None]
    outside: str


WALKS = {
    "tagger": Walk(
        made=tagger,
        inputs=SENTENCES,
        answers=answers_of_tagger,
        by_graph=tags_by_graph,
        streamed=tagger_streamed,
        outside="The decoding of tags",
    ),
    "language model": Walk(
        made=language_model,
        inputs=["the good", "bad b", ""],
        answers=answers_of_text,
        by_graph=step_by_step(text_of_steps),
        streamed=text_streamed,
        outside="read first: the id",
    ),
    "frame model": Walk(
        made=frame_model,
        inputs=rolls(3),
        answers=answers_of_frames,
        by_graph=step_by_step(frames_of_steps),
        streamed=frames_streamed,
        outside="read first: a frame of zeros",
    ),
}


@pytest.mark.parametrize("walk", WALKS.values(), ids=WALKS)
def test_a_model_is_verified_exported_and_streamed_and_answers_by_one_piece_of_code(walk: Walk, tmp_path):
    estimator = walk.made()
    estimator.save(tmp_path / "m")
    wanted = walk.answers(estimator.predictor_)
    command = [sys.executable, "-c", ANSWERS, str(tmp_path / "m")]
    service = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert json.loads(service.stdout) == json.loads(json.dumps(wanted))
    model = rc.load(tmp_path / "m")
    checked = verify(model, walk.inputs)
    assert checked.passed, checked.checks
    assert {"streamed = batch", "recurra = torch.nn", "recurra = ONNX Runtime"} <= {
        check.name for check in checked.checks
    }
    walk.streamed(model)
    done = export_onnx(model, tmp_path / "onnx")
    assert walk.outside in (done.folder / "README.md").read_text()
    assert walk.by_graph(done.folder, model) == wanted[0]


@pytest.mark.parametrize("walk", WALKS.values(), ids=WALKS)
def test_programs_of_torch_export_give_the_same_answers(walk: Walk, tmp_path, monkeypatch):
    """Without the export's own check of both programs, which takes a process for each: the answers are the check."""

    def unchecked(predictor, name, build, measure, *, operators):
        made = build(predictor)
        return torch_writing._Checked(program=made, content=program_bytes(made), gap=Gap())

    monkeypatch.setattr(torch_writing, "_checked", unchecked)
    model = walk.made().predictor_
    done = export_torch(model, tmp_path / "programs")
    assert walk.outside in (done.folder / "README.md").read_text()
    assert walk.by_graph(done.folder, model) == walk.answers(model)[0]


def test_a_wrong_path_through_the_graphs_scores_would_be_seen(tmp_path, monkeypatch):
    """The saboteur: decoding outside takes the best tag of each step, as if there were no chain."""
    from recurra.decoding.tag_decoder import TagDecoder

    model = tagger().predictor_
    strong = {**model.parameters, "chain.transitions.0": 9 * np.eye(3, dtype=np.float32)[::-1].copy()}
    model.parameters = strong
    folder = export_onnx(model, tmp_path / "onnx").folder
    assert tags_by_graph(folder, model) == model.predict(SENTENCES)
    monkeypatch.setattr(TagDecoder, "codes", lambda self, scores, offsets: scores.argmax(axis=1)[:, None])
    greedy = tags_by_graph(folder, model)
    monkeypatch.undo()
    assert greedy != model.predict(SENTENCES)
    assert isinstance(model.encode(SENTENCES).values, Ragged)
