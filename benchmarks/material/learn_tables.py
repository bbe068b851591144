"""Tables of what was measured of estimators: streams, few examples, images, sounds, imputation, novelty, efficiency."""

from __future__ import annotations

from typing import Any

from material.markdown import NotMeasured, Results, markdown, number

__all__ = [
    "calibration",
    "characters",
    "cheapest",
    "coresets",
    "efficiency",
    "few_shot",
    "images",
    "imputation",
    "long_tables",
    "novelty",
    "one_pass",
    "sounds",
    "streams",
]

ORDERS = ("class after class", "i.i.d.")


def one_pass(results: Results) -> str:
    """List accuracy in both orders, bytes and CPU time of learners that see a stream once."""
    rows = [
        (
            f"{images}: {name}",
            *(f"{row[order]['accuracy']:.4f} ± {row[order]['deviation']:.4f}" for order in ORDERS),
            "yes" if row["same_answers_in_both_orders"] else "",
            number(row["bytes"] / 1e6, 2),
            number(row[ORDERS[0]]["cpu_s"], 2),
        )
        for images, measured in results["one_pass"]["result"]["sets"].items()
        for name, row in measured["learners"].items()
    ]
    return markdown(("one pass, batches of 10", *ORDERS, "same answers", "MB", "CPU s"), rows)


def few_shot(results: Results) -> str:
    """List the accuracy from 1, 5 and 10 examples a class."""
    by_shots = results["few_shot"]["result"]["digits"]
    shots = sorted(by_shots, key=int)
    rows = [
        (
            name,
            *(f"{by_shots[n][name]['accuracy']:.3f} ± {by_shots[n][name]['standard_error']:.3f}" for n in shots),
            *("–" if loss is None else f"{loss:.2f}" for loss in (by_shots[n][name]["log_loss"] for n in shots)),
        )
        for name in by_shots[shots[0]]
    ]
    return markdown(("digits, examples a class", *shots, *(f"log loss, {n}" for n in shots)), rows)


def images(results: Results) -> str:
    """List accuracy, CPU time and bytes of memories behind an encoder of images, and of peers."""
    rows = []
    for name, measured in results["images"]["result"].items():
        for goal, mine in measured["mossy"].items():
            rows += [(f"{goal}: mossy, {kind}", *_cost(row)) for kind, row in mine["rows"].items()]
        rows += [(f"{name}: {peer}, all at once", *_cost(row)) for peer, row in measured["peers"].items()]
    return markdown(("images", "accuracy", "CPU s", "MB"), rows)


def cheapest(results: Results) -> str:
    """List the cheapest peer that reaches a bar on Fashion-MNIST, beside mossy."""
    measured = results["images"]["result"]
    if "Fashion-MNIST" not in measured:
        raise NotMeasured("images")
    rows = [
        (
            f"≥ {found['bar']:.2f}",
            found["cheapest"] or "none",
            "–" if found["cheapest_cpu_s"] is None else number(found["cheapest_cpu_s"]),
            f"{found['mossy_accuracy']:.4f}",
            number(found["mossy_cpu_s"]),
        )
        for found in measured["Fashion-MNIST"]["cheapest"].values()
    ]
    return markdown(("Fashion-MNIST", "cheapest peer", "its CPU s", "mossy, one pass", "CPU s"), rows)


def characters(results: Results) -> str:
    """List how often a character that was seen once is known again among twenty."""
    features = results["characters"]["result"]["features"]
    learners = [name for name, row in next(iter(features.values())).items() if isinstance(row, dict)]
    rows = [
        (name, f"{row['entries']:,}", *(f"{row[one]['accuracy']:.3f} ± {row[one]['sd']:.3f}" for one in learners))
        for name, row in features.items()
    ]
    return markdown(("one of twenty, seen once", "entries", *learners), rows)


def sounds(results: Results) -> str:
    """List how many spoken digits are recognised."""
    rows = [
        (name, *_cost(row), f"{row['unheard_speaker']:.3f}")
        for name, row in results["sounds"]["result"]["learners"].items()
    ]
    return markdown(("spoken digits", "accuracy", "CPU s", "MB", "speaker never heard"), rows)


def imputation(results: Results) -> str:
    """List the error of completed tables and its CPU time, by the part that is missing."""
    rows = []
    for name, measured in results["imputation"]["result"]["tables"].items():
        rows += _by_share(name, measured)
    return markdown(_shares(results["imputation"]["result"]["tables"]), rows)


def long_tables(results: Results) -> str:
    """List the error and the CPU time for ten thousand rows."""
    found = results["imputation"]["result"]["ten_thousand_rows"]
    return markdown(_shares(found), [row for name, measured in found.items() for row in _by_share(name, measured)])


def novelty(results: Results) -> str:
    """List how well a class that was never seen is told from those that were."""
    rows = [
        (
            f"{name}: {detector}",
            f"{row['auc']:.4f} ± {row['sd']:.4f}",
            number(row["fit_cpu_s"], 2),
            number(row["score_cpu_s"], 2),
            number(row["bytes"] / 1e6, 2),
        )
        for name, measured in results["novelty"]["result"].items()
        for detector, row in measured.items()
        if isinstance(row, dict)
    ]
    return markdown(("a class never seen", "AUC", "fit, CPU s", "score, CPU s", "MB"), rows)


def streams(results: Results) -> str:
    """List who learns classes that come two at a time, within a number of bytes."""
    rows = []
    for name, measured in results["streams"]["result"]["sets"].items():
        images_of, budget = name.rsplit(", ", 1)
        within = f"{images_of}, {int(budget) / 1e6:g} MB"
        ordered = sorted(measured.items(), key=lambda pair: -pair[1]["accuracy"])
        rows += [
            (
                f"{within}: {learner}",
                f"{row['accuracy']:.4f} ± {row['deviation']:.4f}",
                number(row["bytes"] / 1e6, 2),
                number(row["cpu_s"], 2),
            )
            for learner, row in ordered
        ]
    return markdown(("two classes at a time", "accuracy", "MB", "CPU s"), rows)


def calibration(results: Results) -> str:
    """List how far probabilities can be believed."""
    rows = []
    for group, found in results["calibration"]["result"]["measured"].items():
        if group == "images":  # their components were whitened, which those that compare distances suffer from
            continue
        for learner, row in found.get("mean", {}).items():
            rows.append(
                (
                    f"{group}: {learner}",
                    f"{row['log_loss']:.3f}",
                    f"{row['ece']:.3f}",
                    f"{row['accuracy']:.3f}",
                )
            )
    return markdown(("mean over the sets", "log loss", "calibration error", "accuracy"), rows)


def _cost(row: dict[str, Any]) -> tuple[str, str, str]:
    """Return accuracy, CPU time and megabytes of a row."""
    return f"{row['accuracy']:.4f} ± {row['sd']:.4f}", number(row["cpu_s"]), number(row["bytes"] / 1e6, 2)


def _shares(tables: dict[str, Any]) -> tuple[str, ...]:
    """Return the head of a table of imputers."""
    shares = next(row for row in next(iter(tables.values())).values() if isinstance(row, dict))
    return ("error / CPU s, part missing", *shares)


def _by_share(name: str, measured: dict[str, Any]) -> list[tuple[str, ...]]:
    """Return a row for each imputer: error and CPU time by the part that is missing."""
    return [
        (
            f"{name}, {measured['rows']:,} × {measured['columns']}: {imputer}",
            *(f"{cell['error']:.3f} / {number(cell['cpu_s'], 2)}" for cell in row.values()),
        )
        for imputer, row in measured.items()
        if isinstance(row, dict)
    ]


def efficiency(results: Results) -> str:
    """List the CPU time to a fixed accuracy, all costs counted."""
    rows = [
        (
            f"{images}, {question}, ≥ {found['goal']}: {row['name']}",
            "–" if row["cpu_s"] is None else number(row["cpu_s"], 2),
            f"{row['accuracy']:.3f}",
            row["reached"],
        )
        for images, questions in results["efficiency"]["result"]["sets"].items()
        for question, found in questions.items()
        for row in found["rows"]
    ]
    return markdown(("CPU time to an accuracy", "CPU s", "accuracy", "seeds that reached it"), rows)


def coresets(results: Results) -> str:
    """List the accuracy of models that learn from a part of a training set, by how the part was chosen."""
    rows = [
        (
            f"{images}, {share} of it: {way}",
            row["kept"],
            *(f"{one['mean']:.3f} ± {one['deviation']:.3f}" for one in row.values() if isinstance(one, dict)),
            f"{row['cpu_s']:.2f}",
        )
        for images, shares in results["coresets"]["result"].items()
        for share, ways in shares.items()
        for way, row in ways.items()
    ]
    first = next(iter(next(iter(next(iter(results["coresets"]["result"].values())).values())).values()))
    models = [name for name, one in first.items() if isinstance(one, dict)]
    return markdown(("accuracy of what learns from", "images", *models, "CPU s to choose"), rows)
