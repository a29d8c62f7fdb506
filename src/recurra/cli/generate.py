"""`recurra generate MODEL`: a language model writes, a frame model plays, without torch."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from recurra.cli import options as o
from recurra.cli.output import print_json
from recurra.cli.under import Condition, under
from recurra.errors import InputError


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(name="generate")(generate)


def generate(
    model: Annotated[str, typer.Argument(help="Folder of a bundle.")],
    prompt: Annotated[
        list[str] | None,
        typer.Option("--prompt", "-p", help="What it begins with, repeatable; of a frame model a file."),
    ] = None,
    condition: Condition = None,
    length: Annotated[
        int | None, typer.Option(help="Tokens at most, 200 if left out; or frames, 64.")
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(help="Below 1 safer, above 1 bolder, 0 always the likeliest; 1 if left out."),
    ] = None,
    top_k: Annotated[int | None, typer.Option(help="Draw among the k likeliest tokens.")] = None,
    top_p: Annotated[
        float | None,
        typer.Option(help="Draw among the likeliest tokens that together have this probability."),
    ] = None,
    beam: Annotated[
        int | None, typer.Option(help="Beam search with so many hypotheses, instead of drawing.")
    ] = None,
    length_penalty: Annotated[
        float | None, typer.Option(help="Beam search: how far long texts are forgiven their length; 0.6.")
    ] = None,
    repetition_penalty: Annotated[
        float | None, typer.Option(help="Above 1: tokens that were written already become less likely.")
    ] = None,
    repetition_window: Annotated[
        int | None, typer.Option(help="How many of the last tokens count as written already; all.")
    ] = None,
    ban: Annotated[list[str] | None, typer.Option(help="A text that must not occur; repeatable.")] = None,
    require: Annotated[
        list[str] | None, typer.Option(help="A text that must occur, with --beam; repeatable.")
    ] = None,
    stop: Annotated[list[str] | None, typer.Option(help="A text that ends the writing; repeatable.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the draws: the same seed, the same text; 0.")] = None,
    count: Annotated[int | None, typer.Option(help="Texts per prompt.")] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Frame model: a MIDI file to write, such as song.mid."),
    ] = None,
    steps_per_quarter: Annotated[
        int | None,
        typer.Option(help="With --output: frames of a quarter note; as in training, else 2.", min=1),
    ] = None,
    json_output: o.Json = False,
) -> None:
    """Write on from a prompt (or from nothing), piece by piece as it comes.

    The same seed gives the same text, whatever the number of threads and whatever else is asked for beside it. A
    frame model goes on with the frames of a file; it prints the sequence as JSON, or writes it as music.
    """
    from recurra.runtime import load

    predictor = load(model)
    if predictor.task not in ("language_model", "frame_model"):
        raise InputError(
            f"{model} is a {predictor.task}, which writes nothing; generate needs a language or a frame model"
        )
    predictor = under(predictor, condition)
    asked: dict[str, Any] = {
        "length": length,
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "beam": beam,
        "length_penalty": length_penalty,
        "repetition_penalty": repetition_penalty,
        "repetition_window": repetition_window,
        "banned": tuple(ban or ()),
        "required": tuple(require or ()),
        "stop": tuple(stop or ()),
        "seed": seed,
        "count": count,
    }
    if predictor.task == "frame_model":
        from recurra.cli.frames import generate_frames

        places: dict[str, Any] = {"output": output, "steps_per_quarter": steps_per_quarter}
        generate_frames(predictor, model, prompt or [], asked, **places, as_json=json_output)
        return
    if output is not None or steps_per_quarter is not None:
        raise InputError(
            "--output and --steps-per-quarter have no effect on a language model; leave them out"
        )
    options = {name: value for name, value in asked.items() if value is not None}
    prompts = prompt or [""]
    if json_output:
        print_json({"model": model, "texts": list(_records(predictor, prompts, options))})
    elif len(prompts) == 1 and (count or 1) == 1:
        _stream(predictor, prompts[0], options)
    else:
        for number, record in enumerate(_records(predictor, prompts, options)):
            print(f"{'' if number == 0 else chr(10)}--- {number + 1}\n{record['prompt']}{record['text']}")


def _stream(predictor: Any, prompt: str, options: dict[str, Any]) -> None:
    pieces = predictor.pieces(prompt, **options)
    print(prompt, end="", flush=True)
    for piece in pieces:
        print(piece, end="", flush=sys.stdout.isatty())
    print(flush=True)


def _records(predictor: Any, prompts: list[str], options: dict[str, Any]) -> Any:
    for prompt, texts in zip(prompts, predictor.generations(prompts, **options), strict=True):
        for written in texts:
            record = {"prompt": prompt, "text": written.text, "tokens": written.tokens}
            record |= {"log_probability": written.log_probability, "ended": written.ended}
            yield record if written.score is None else {**record, "score": written.score}
