"""Pages about models of three kinds of data: their size, the time they take, and what a browser says of them.

    python benchmarks/explain_reports.py ../shared/data --out DIR [names] [uci_har] [imdb_10k]

A small model of each set is trained (or taken from --out, where it was before); its page is made on 1,000 sequences
that it has not learnt from (all 950 of uci_har). Where Chromium is installed, every page is opened in it: told are
messages on the console, texts with too little contrast in light and dark, faults of the structure for assistive
technology, and whether the page is wider than a phone of 360 pixels.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import recurra as rc
from recurra.data.splits import stratified
from recurra.insight.pages import write_explained
from recurra.runtime import load

TESTS = Path(__file__).parent.parent / "tests"
ROWS = 1000
GRU = {"cell": "gru", "hidden_size": 64, "num_layers": 1}


def names(data: Path) -> tuple[Any, Any, Any]:
    """Languages by surname, letter by letter."""
    made = rc.read(data / "names" / "names")
    split = stratified(made.targets, (0.8, 0.1, 0.1), seed=0)
    model = rc.Classifier(rc.Network(**GRU), rc.Training(epochs=3, learning_rate=0.004), rc.Characters())
    return model, made.select(split.train), made.select(split.test)


def uci_har(data: Path) -> tuple[Any, Any, Any]:
    """Activities by nine channels of a phone's sensors, 128 steps."""
    made = rc.read(data / "uci_har_subset", input="Inertial_Signals/*", target="y_*")
    training = rc.Training(epochs=4, learning_rate=0.004, sequence_length=None)
    model = rc.Classifier(rc.Network(**GRU), training, pooling="mean")
    return model, made.part("train"), made.part("test")


def imdb_10k(data: Path) -> tuple[Any, Any, Any]:
    """Film reviews, some hundred words each."""
    made = rc.read(data / "imdb_10k" / "aclImdb_id_lt_2500.tar.gz")
    network = rc.Network(cell="lstm", hidden_size=64, num_layers=1)
    training = rc.Training(epochs=3, learning_rate=0.003, sequence_length=200)
    model = rc.Classifier(
        network, training, rc.Words(min_count=3, max_size=20_000, clean_html=True), pooling="mean"
    )
    return model, made.part("train"), made.part("test")


SETS: dict[str, Callable[[Path], tuple[Any, Any, Any]]] = {
    "names": names,
    "uci_har": uci_har,
    "imdb_10k": imdb_10k,
}


def page(name: str, data: Path, out: Path) -> Path:
    """Train where there is no model yet, make the page and tell what it took."""
    model, train, test = SETS[name](data)
    folder = out / name
    if not folder.exists():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(train).save(folder)
    chosen = test.select(np.sort(np.random.default_rng(0).permutation(len(test))[:ROWS]))
    begin = time.perf_counter()
    written = write_explained(out / f"{name}.html", load(folder), chosen, title=name)
    took = time.perf_counter() - begin
    files = 0 if written.folder is None else len(list(written.folder.iterdir()))
    print(
        f"{name}: {len(chosen):,} sequences, {written.size / 1e6:.2f} MB in {took:.1f} s, {files} files",
        flush=True,
    )
    for sentence in written.insights:
        print(f"    {sentence}")
    return written.path


def checked(pages: list[Path]) -> bool:
    """Open every page in Chromium and print what is wrong with it."""
    sys.path.insert(0, str(TESTS))
    from report.audit import audit  # type: ignore[import-not-found]
    from report.browser import chromium, installed  # type: ignore[import-not-found]

    if not installed():
        print("Chromium is not installed (make services): the pages were not opened")
        return True
    clean = True
    with tempfile.TemporaryDirectory() as folder, chromium(Path(folder)) as browser:
        for path in pages:
            faults = audit(browser, path)
            clean = clean and not faults
            print(f"{path.name} in Chromium: {'clean' if not faults else f'{len(faults)} faults'}")
            for fault in faults[:10]:
                print(f"    {fault}")
    return clean


def main() -> int:
    """Make and check the chosen pages; 1 where a browser finds a fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("names", nargs="*", help="sets; all if none is named")
    parser.add_argument("--out", type=Path, default=None, help="keep the models and pages here")
    options = parser.parse_args()
    out = options.out or Path(tempfile.mkdtemp(prefix="recurra-explained-"))
    out.mkdir(parents=True, exist_ok=True)
    made = [page(name, options.data, out) for name in options.names or SETS]
    print(f"pages under {out}")
    return 0 if checked(made) else 1


if __name__ == "__main__":
    sys.exit(main())
