"""Records as `fit` and `compare` hand them to the report, from a seeded generator; no model is trained."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from recurra.report import Report, compare_report, fit_report, render

GOOD, BAD = "positive", "negative"
_TEXTS = (
    "the first act drags, but once the storm hits it never lets go",
    "not the disaster everyone predicted; in fact it is rather charming",
    "a clever premise wasted on a script that explains every joke twice",
    "i wanted to hate it and could not",
    "hardly a scene goes by without something to admire, and yet it left me cold",
    "beautifully shot, competently acted and completely forgettable",
)


def lengths(generator: np.random.Generator, count: int) -> list[int]:
    return np.maximum(generator.lognormal(2.9, 0.45, count), 2).astype(int).tolist()


def data(seed: int = 0, sizes: tuple[int, int, int] = (1200, 400, 400)) -> dict[str, Any]:
    generator = np.random.default_rng(seed)
    names = ("train", "validation", "test")
    split = dict(zip(names, sizes, strict=True))
    return {
        "n": sum(sizes),
        "lengths_by_split": {name: lengths(generator, size) for name, size in split.items()},
        "class_balance": {
            name: {GOOD: size // 2 + 7, BAD: size - size // 2 - 7} for name, size in split.items()
        },
        "vocabulary": 1834,
        "notes": ["The sentence frames of the test split do not occur in training."],
    }


def history(seed: int, epochs: int = 15, floor: float = 0.32) -> list[dict[str, Any]]:
    generator = np.random.default_rng(seed)
    epoch = np.arange(1, epochs + 1)
    loss = 0.15 + 0.58 * np.exp(-epoch / 4.5) + generator.normal(0, 0.008, epochs)
    held = (
        floor
        + 0.4 * np.exp(-epoch / 3.2)
        + 0.006 * np.maximum(epoch - 9, 0)
        + generator.normal(0, 0.01, epochs)
    )
    return [
        {
            "epoch": int(epoch[i]),
            "train_loss": float(loss[i]),
            "validation_loss": float(held[i]),
            "train_accuracy": float(1 - loss[i] * 0.55),
            "validation_accuracy": float(1 - held[i] * 0.52),
            "gradient_norm": float(3.1 * np.exp(-i / 6) + generator.uniform(0.2, 0.6)),
            "gradient_norm_max": float(9 * np.exp(-i / 6) + generator.uniform(0.5, 2)),
            "best": bool(held[i] == held[: i + 1].min()),
            "learning_rate": 0.001 * 0.5 ** (i // 5),
            "seconds": 1.2,
        }
        for i in range(epochs)
    ]


def classifier_model(name: str, seed: int, accuracy: float = 0.86, kind: str = "recurrent") -> dict[str, Any]:
    generator = np.random.default_rng(seed)
    count = 400
    correct = generator.random(count) < accuracy
    sure = np.where(correct, generator.beta(7, 1.4, count), generator.beta(2.2, 2.0, count)) * 0.5 + 0.5
    wrong = np.flatnonzero(~correct)
    good = wrong[: len(wrong) // 2].size
    confusion = [[207 - good, good], [len(wrong) - good, 193 - (len(wrong) - good)]]
    rate = np.linspace(0, 1, 120)
    edges = np.linspace(0.5, 1, 11)
    place = np.clip(np.digitize(sure, edges) - 1, 0, 9)
    bins = [
        {
            "confidence": float(sure[place == b].mean()),
            "accuracy": float(correct[place == b].mean()),
            "count": int((place == b).sum()),
        }
        for b in range(10)
        if (place == b).any()
    ]
    model = {
        "name": name,
        "kind": kind,
        "scores": {
            "train": {"accuracy": accuracy + 0.07, "macro_f1": accuracy + 0.069, "log_loss": 0.21},
            "validation": {"accuracy": accuracy + 0.01, "macro_f1": accuracy + 0.009, "log_loss": 0.33},
            "test": {
                "accuracy": float(correct.mean()),
                "macro_f1": float(correct.mean()) - 0.002,
                "log_loss": 0.36,
            },
        },
        "parameters": {"embedding": 117_376, "recurrence": 264_192, "pooling": 0, "output": 258},
        "seconds": 18.4,
        "labels": [BAD, GOOD],
        "confusion": confusion,
        "confidence": {
            "confidence": sure.tolist(),
            "correct": correct.tolist(),
            "lengths": lengths(generator, count),
            "summary": {
                "mean_of_right": float(sure[correct].mean()),
                "mean_of_wrong": float(sure[~correct].mean()),
            },
        },
        "calibration": bins,
        "roc": {GOOD: (rate, rate ** (0.12 + (1 - accuracy)), 1 / (1.12 + (1 - accuracy)))},
        "precision_recall": {GOOD: (rate, 1 - 0.45 * rate**6, 0.93)},
        "errors": [
            {
                "text": text,
                "label": GOOD if i % 2 else BAD,
                "predicted": BAD if i % 2 else GOOD,
                "confidence": 0.97 - 0.06 * i,
            }
            for i, text in enumerate(_TEXTS)
        ],
    }
    if kind == "recurrent":
        model["history"] = history(seed, floor=1.15 * (1 - accuracy) + 0.12)
    return model


def fit_record(seed: int = 1) -> dict[str, Any]:
    return {
        "title": "Sentiment of reviews: bidirectional LSTM",
        "task": "classifier",
        "data": data(),
        "models": [classifier_model("LSTM, bidirectional, 2×64", seed, 0.88)],
        "settings": {
            "cell": "lstm",
            "hidden_size": 64,
            "num_layers": 2,
            "bidirectional": True,
            "dropout": 0.3,
            "seed": 0,
        },
        "made_with": {"recurra": "0.1.0", "threads": 2, "engine": "native, AVX-512"},
    }


def compare_record(seeds: int = 5) -> dict[str, Any]:
    plan = (
        ("Vanilla RNN, 2×64", 0.79, "recurrent", 20_992, 6.1),
        ("LSTM, 2×128", 0.865, "recurrent", 264_192, 18.4),
        ("GRU, 2×128", 0.872, "recurrent", 198_144, 15.9),
        ("LSTM, bidirectional, 2×64", 0.884, "recurrent", 198_656, 17.2),
        ("Majority", 0.517, "baseline", 1, 0.01),
        ("TF-IDF + logistic regression", 0.731, "baseline", 9_214, 0.4),
    )
    generator = np.random.default_rng(5)
    models, rows = [], []
    for at, (name, accuracy, kind, parameters, seconds) in enumerate(plan):
        model = classifier_model(name, at + 10, accuracy, kind) | {"seconds": seconds}
        if kind == "baseline":
            model["parameters"] = parameters
        values = generator.normal(accuracy, 0.008, seeds)
        rows.append(
            {
                "name": name,
                "kind": kind,
                "scores": {
                    "accuracy": float(values.mean()),
                    "macro_f1": float(values.mean()) - 0.003,
                    "log_loss": 1.2 - accuracy,
                },
                "intervals": {"accuracy": (float(values.mean()) - 0.016, float(values.mean()) + 0.015)},
                "seeds": {"accuracy": values.tolist()},
                "overfitting_gap": 0.06 if kind == "recurrent" else 0.01,
                "parameters": parameters,
                "seconds": seconds,
            }
        )
        models.append(model)
    return {
        "title": "Which network for the reviews?",
        "task": "classifier",
        "data": data(),
        "models": models,
        "rows": rows,
        "winner": "LSTM, bidirectional, 2×64",
        "verdict": "A recurrent model is justified here: the bidirectional LSTM is 15 points of accuracy above "
        "the best baseline on the same 400 test reviews (paired test over 5 seeds, p = 0.002).",
        "settings": {"seeds": seeds, "splits": "60/20/20, stratified", "epochs": 15},
        "made_with": {"recurra": "0.1.0", "threads": 2},
    }


def regressor_record() -> dict[str, Any]:
    generator = np.random.default_rng(3)
    true = generator.gamma(2.0, 12.0, 500)
    predicted = true + generator.normal(0, 3 + 0.1 * true)
    model = {
        "name": "GRU, 2×64",
        "kind": "recurrent",
        "history": history(4),
        "seconds": 31.0,
        "scores": {"validation": {"rmse": 5.1, "r2": 0.86}, "test": {"rmse": 5.4, "mae": 3.9, "r2": 0.84}},
        "parameters": {"recurrence": 38_000, "output": 65},
        "predictions": {"truth": true.tolist(), "predicted": predicted.tolist()},
    }
    return {"title": "Remaining hours", "task": "regressor", "data": {"n": 2500}, "models": [model]}


def many_class_record(classes: int = 77) -> dict[str, Any]:
    generator = np.random.default_rng(8)
    names = [
        f"{word}_{number}"
        for number in range(classes)
        for word in ("card_payment", "top_up", "exchange_rate")
    ][:classes]
    matrix = np.diag(generator.integers(20, 40, classes))
    for _ in range(classes * 4):
        true, predicted = generator.integers(0, classes, 2)
        matrix[true, predicted] += generator.integers(1, 4)
    record = fit_record()
    record["title"] = "Intents of a bank's customers"
    model = record["models"][0]
    model["labels"], model["confusion"] = names, matrix.tolist()
    rate = np.linspace(0, 1, 400)
    model["roc"] = {name: (rate, rate ** generator.uniform(0.02, 0.2), 0.9) for name in names}
    record["data"]["class_balance"] = {
        split: dict(zip(names, generator.integers(15, 180, classes).tolist(), strict=True))
        for split in ("train", "test")
    }
    return record


@cache
def fit() -> Report:
    """The page of one classifier, drawn once for all tests."""
    return fit_report(fit_record())


@cache
def compared() -> Report:
    """The page of a comparison of six with the details of three, drawn once for all tests."""
    record = compare_record()
    return compare_report(record | {"models": record["models"][::2]})


@cache
def fit_page() -> str:
    return render(fit())


@cache
def compare_page() -> str:
    return render(compared())


def without_models(**changes: Any) -> dict[str, Any]:
    """A comparison of rows alone: quick to draw."""
    record = {key: value for key, value in compare_record().items() if key not in ("models", "data")}
    return record | changes
