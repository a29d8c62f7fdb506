"""Rerun the figures that Recurra publishes, on the real data sets beside the checkout.

`make reproduce`, or `python benchmarks/reproduce.py [NAME ...] [--data FOLDER] [--out FOLDER] [--baselines all]`.
Each figure is one `recurra compare`, or one benchmark of its own where a comparison does not fit; a set that is not
there is left out and said. A table is printed as they are done: score, baselines, seconds; for the benchmarks score,
what it is put beside, seeds, seconds. The hardware stands above it.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from recurra.runtime.doctor import examine

HERE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One published figure: the arguments after `recurra compare`, the score and what it should reach."""

    name: str
    task: str
    data: tuple[str, ...]
    arguments: str
    score: str = "accuracy"
    least: float | None = None
    most: float | None = None


BILSTM = "--networks bilstm --seeds 1 --num-layers 1 --patience 3"
TEXT = f"{BILSTM} --embedding-size 300 --set network.input_dropout=0.5 --set network.output_dropout=0.5"
TAGGED = "--networks bilstm --seeds 1 --target upos"
SPANS = "--networks bilstm --seeds 3 --input 0 --target -1"
WNUT = tuple(
    f"wnut17/{name}.gz" for name in ("wnut17train.conll", "emerging.dev.conll", "emerging.test.annotated")
)


def treebank(name: str) -> tuple[str, ...]:
    """The three files of a treebank of Universal Dependencies, split as it is published."""
    return tuple(f"{name}-ud-{part}.conllu.gz" for part in ("train", "dev", "test"))


FIGURES = (
    Figure(
        name="mr_polarity",
        task="classifier",
        data=("mr_polarity",),
        arguments=f"{TEXT} --seeds 3 --encoding latin-1 --set data.validation=0.1 --set data.test=0.1 "
        "--set input.min_count=1 --epochs 7 --hidden-size 64 --set network.input_dropout=0.6",
        least=0.765,
    ),
    Figure(
        name="sst2",
        task="classifier",
        data=("sst/stsa.binary.train.gz", "sst/stsa.binary.dev.gz", "sst/stsa.binary.test.gz"),
        arguments=f"{TEXT} --target 0 --input 1 --separator ' ' --epochs 8",
    ),
    Figure(
        name="banking77",
        task="classifier",
        data=("banking77",),
        arguments=f"{TEXT} --epochs 30 --learning-rate 0.002",
    ),
    Figure(
        name="imdb_10k",
        task="classifier",
        data=("imdb_10k",),
        arguments=f"{BILSTM} --epochs 6 --sequence-length 400 --set input.clean_html=true "
        "--set network.input_dropout=0.5 --set network.output_dropout=0.5",
    ),
    Figure(
        name="japanese_vowels",
        task="classifier",
        data=("uea_japanesevowels",),
        arguments="--networks bilstm --seeds 3 --num-layers 1 --hidden-size 64 --epochs 60 --patience 20 "
        "--batch-size 16 --learning-rate 0.003 --set network.output_dropout=0.3",
        least=0.97,
    ),
    Figure(
        name="uci_har",
        task="classifier",
        data=("uci_har_subset",),
        arguments="--input 'Inertial_Signals/*' --target 'y_*' --networks bigru --seeds 3 --num-layers 1 "
        "--hidden-size 64 --epochs 30 --patience 8 --learning-rate 0.003 --sequence-length none --pooling mean "
        "--set network.output_dropout=0.3",
        least=0.90,
    ),
    Figure(
        name="names",
        task="classifier",
        data=("names/names",),
        arguments=f"{BILSTM} --unit characters --embedding-size 32 --epochs 12 --learning-rate 0.003",
    ),
    Figure(
        name="ewt_upos",
        task="tagger",
        data=treebank("ud_english_ewt/en_ewt"),
        arguments=TAGGED,
        least=0.94,
    ),
    Figure(name="telugu_upos", task="tagger", data=treebank("ud_telugu_mtg/te_mtg"), arguments=TAGGED),
    Figure(name="uyghur_upos", task="tagger", data=treebank("ud_uyghur_udt/ug_udt"), arguments=TAGGED),
    Figure(
        name="wnut17_crf", task="tagger", data=WNUT, arguments=f"{SPANS} --set task.head=crf", score="span_f1"
    ),
    Figure(
        name="wnut17_softmax",
        task="tagger",
        data=WNUT,
        arguments=f"{SPANS} --set task.head=softmax",
        score="span_f1",
    ),
    Figure(
        name="covid3month",
        task="regressor",
        data=("uea_covid3month",),
        arguments="--networks gru --seeds 3 --num-layers 1 --hidden-size 32 --epochs 60 --patience 15 "
        "--batch-size 16 --learning-rate 0.003",
        score="rmse",
    ),
    Figure(
        name="war_and_peace",
        task="language-model",
        data=("war_and_peace/warandpeace.txt.gz",),
        arguments="--networks lstm --seeds 1 --num-layers 1 --hidden-size 512 --embedding-size 64 --epochs 6 "
        "--batch-size 32 --sequence-length 100 --learning-rate 0.003 --set training.schedule=one_cycle "
        "--set training.precision=bfloat16 --set data.validation=0.02 --set network.output_dropout=0",
        score="nats_per_token",
        most=1.292,
    ),
)


@dataclass(frozen=True, kw_only=True)
class Script:
    """A figure of a benchmark of its own: what it is run with, the score on its lines, and what that should reach.

    The score is the mean of the lines, one for each seed. data: what it is given of the data folder; "" for none.
    published: what the score is put beside; names in braces are looked up in the line.
    """

    name: str
    file: str
    data: str
    arguments: str
    score: str
    published: str
    least: float | None = None
    most: float | None = None


SCRIPTS = (
    Script(
        name="tinyshakespeare",
        file="tinyshakespeare.py",
        data="tinyshakespeare/input.txt.gz",
        arguments="",
        score="nats_per_character",
        most=1.50,
        published="{nats_with_cache:.3f} with a cache; published 1.47, a transformer on another tenth",
    ),
    *(
        Script(
            name=name.lower(),
            file="polyphonic.py",
            data="polyphonic_music",
            arguments=f"--set {name} --seeds 3",
            score="nats_per_frame",
            most=most,
            published=f"published {most}, {cell} of Bai et al. 2018; {{with_first_frames:.3f}} with first frames",
        )
        for name, most, cell in (("JSB_Chorales", 8.43, "a GRU"), ("Nottingham", 3.29, "an LSTM"))
    ),
    Script(
        name="adding_600",
        file="long_memory.py",
        data="",
        arguments="adding",
        score="mse",
        most=1e-3,
        published="published 5.3e-5, a GRU of Bai et al. 2018",
    ),
    Script(
        name="copy_1000",
        file="long_memory.py",
        data="",
        arguments="copy",
        score="cross_entropy",
        published="published 0.0197, a GRU of Bai et al. 2018; without memory {no_memory:.4f}",
    ),
    Script(
        name="fine_tuning",
        file="fine_tuning.py",
        data="imdb_10k/aclImdb_id_lt_2500.tar.gz",
        arguments="--unlabelled --language-epochs 5",
        score="least_gain",
        least=0.0,
        published="accuracy {language_model:.4f} from a language model, {random:.4f} from a random start: {test}",
    ),
)


def run_script(script: Script, data: Path, out: Path) -> bool:
    """Run one benchmark and print its line; True unless it fell short."""
    place = data / script.data
    if script.data and not place.exists():
        print(f"{script.name:<16} left out: {script.data} is not under {data}", flush=True)
        return True
    file = str(HERE / "benchmarks" / script.file)
    command = [sys.executable, file, *([str(place)] if script.data else []), *shlex.split(script.arguments)]
    out.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=out)
    records = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not records:
        said = done.stderr.strip().splitlines() if done.returncode else []
        print(f"{script.name:<16} failed: {said[-1] if said else 'it printed no figure'}", flush=True)
        return False
    found = [record[script.score] for record in records]
    reached = sum(found) / len(found)
    met, goal = judged(reached, script.least, script.most)
    each = f" ({', '.join(format(value, '.4g') for value in found)})" if len(found) > 1 else ""
    print(
        f"{script.name:<16} {script.score} {reached:.4g}{each}{goal}; {script.published.format(**records[0])}; "
        f"seed {', '.join(str(record['seed']) for record in records)}, "
        f"{sum(record['seconds'] for record in records):.0f} s",
        flush=True,
    )
    return met


def judged(reached: float, least: float | None, most: float | None) -> tuple[bool, str]:
    """Whether a score is within its bounds, and words that say so; none for a score without bounds."""
    met = (least is None or reached >= least) and (most is None or reached <= most)
    bounds = {"at least": least, "at most": most}
    words = ", ".join(f"{word} {bound:g}" for word, bound in bounds.items() if bound is not None)
    return met, f" ({words}: {'met' if met else 'FALLS SHORT'})" if words else ""


def setting() -> str:
    """The version, the processor, the threads and the day."""
    found = examine()
    return f"recurra {found.version} on {found.threads.count} x {found.processor['name']}, {date.today():%d %B %Y}"


def main() -> int:
    """Run the chosen figures and print the table; 1 where one falls short."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="figures to run; all if none is named")
    parser.add_argument("--data", type=Path, default=HERE.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, default=None, help="keep the models and reports here")
    parser.add_argument("--baselines", default="auto", help="as of `recurra compare`, for every figure")
    options = parser.parse_args()
    chosen = [figure for figure in FIGURES if not options.names or figure.name in options.names]
    out = options.out or Path(tempfile.mkdtemp(prefix="recurra-reproduce-"))
    print(setting(), flush=True)
    met = [show(figure, options.data, out, options.baselines) for figure in chosen]
    scripts = [script for script in SCRIPTS if not options.names or script.name in options.names]
    met += [run_script(script, options.data, out) for script in scripts]
    print(f"reports under {out}")
    return 0 if all(met) else 1


def show(figure: Figure, data: Path, out: Path, baselines: str = "auto") -> bool:
    """Run one figure and print its line; True unless it fell short."""
    places = [str(data / place) for place in figure.data]
    if not all(Path(place).exists() for place in places):
        print(f"{figure.name:<16} left out: {', '.join(figure.data)} is not under {data}", flush=True)
        return True
    target = out / figure.name
    command = [
        sys.executable,
        "-m",
        "recurra",
        "compare",
        figure.task,
        *places,
        "-o",
        str(target),
    ]
    command += [*shlex.split(figure.arguments), "--baselines", baselines, "--json", "-q"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{figure.name:<16} failed: {done.stderr.strip().splitlines()[-1]}", flush=True)
        return False
    record = json.loads(done.stdout)
    rows = " | ".join(
        f"{row['name']} {row['scores'][figure.score]:.4f}"
        + (
            f" (seeds {', '.join(format(s[figure.score], '.4f') for s in row['seeds'])})"
            if len(row["seeds"]) > 1
            else ""
        )
        + f", {row['seconds']:.0f} s"
        for row in record["rows"]
    )
    reached = next(row["scores"][figure.score] for row in record["rows"] if row["name"] == record["winner"])
    met, goal = judged(reached, figure.least, figure.most)
    print(f"{figure.name:<16} {rows}{goal}\n{'':<16} {record['verdict']}", flush=True)
    return met


if __name__ == "__main__":
    sys.exit(main())
