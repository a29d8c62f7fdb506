"""`recurra demo`: the whole story offline in about a minute, ending with the path of a report."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from recurra.cli import options as o
from recurra.cli.output import print_json, say

SAMPLES = (
    "not bad at all",
    "the opening was charming, but the ending was dull",
    "although the plot was weak, the finale was brilliant",
    "the cast was not funny",
    "the pace was not boring",
)
BASELINES = ("majority", "tf-idf + logistic")
"""Two of the cheap ones: with all of them the story would take longer than a minute."""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(name="demo")(demo)


def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the winner and the report.")
    ] = Path("recurra-demo"),
    seeds: Annotated[int, typer.Option(help="How often each network is trained.")] = 1,
    epochs: Annotated[int, typer.Option(help="Passes over the training split.")] = 6,
    json_output: o.Json = False,
) -> None:
    """Compare four networks and two baselines on built-in reviews, save the winner, load it, predict; then store
    it in fewer bits, export, verify and measure it."""
    from recurra.cli.shipping import ship, shipped_lines
    from recurra.data.demo import demo_reviews
    from recurra.evaluation.compare import compare
    from recurra.evaluation.record import save_comparison
    from recurra.storage import check_target

    check_target(output)
    begin = time.perf_counter()
    reviews = demo_reviews()
    say(f"{len(reviews):,} made reviews whose sentiment depends on the order of words")
    outcome = compare(networks(epochs), reviews, seeds=seeds, baselines=BASELINES, on_row=say)
    record = save_comparison(outcome, output, reading={})
    answers = _answers(output)
    record["samples"] = answers
    record |= ship(output, reviews.part("test"))
    record["seconds"] = round(time.perf_counter() - begin, 1)
    if json_output:
        print_json(record)
        return
    print(outcome)
    _show(answers, output)
    for line in shipped_lines(record):
        print(line)
    print(f"report: {record['report']}")


def networks(epochs: int) -> dict[str, Any]:
    """The four networks of the demo, trained alike."""
    from recurra.spec import Network, Training
    from recurra.tasks.classifier import Classifier

    training = Training(epochs=epochs, patience=4, learning_rate=0.002)
    shapes = {
        "Vanilla RNN": Network(cell="rnn", hidden_size=64, num_layers=2),
        "LSTM": Network(cell="lstm", hidden_size=128, num_layers=2),
        "GRU": Network(cell="gru", hidden_size=128, num_layers=2),
        "Bidirectional LSTM": Network(cell="lstm", hidden_size=64, num_layers=2, bidirectional=True),
    }
    return {name: Classifier(network, training) for name, network in shapes.items()}


def _answers(folder: Path) -> list[dict[str, Any]]:
    """Predict the samples alone and in a batch with the stored model; the numbers are the same."""
    from recurra.runtime import load

    model = load(folder)
    together = list(model.records(list(SAMPLES)))
    return [
        {
            "text": text,
            "alone": next(iter(model.records([text]))),
            "in_a_batch": batched,
        }
        for text, batched in zip(SAMPLES, together, strict=True)
    ]


def _show(answers: list[dict[str, Any]], folder: Path) -> None:
    print(
        f"\nwinner saved in {folder} and loaded again, without torch; five texts, alone and in a batch of five:"
    )
    for answer in answers:
        alone, batched = answer["alone"], answer["in_a_batch"]
        print(
            f"  {alone['label']:<9} {alone['probability']:.9f}  {batched['probability']:.9f}  {answer['text']}"
        )
    same = all(answer["alone"] == answer["in_a_batch"] for answer in answers)
    print(f"  the same numbers, to the last bit: {'yes' if same else 'NO'}")
