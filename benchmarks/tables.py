"""Write the tables of README.md, README.zh.md and docs/*.md from benchmarks/results/*.json.

A page marks where a table stands::

    <!-- table: NAME -->
    <!-- end -->

Everything between the two lines is written here. To add a table: one function from the results to Markdown
(``results["NAME"]`` is what ``record`` wrote), and one line in ``TABLES``. A result that is not there yet
makes the table say so.

``python benchmarks/tables.py`` writes. With ``--check`` it only looks, and exits 1 if a page is out of date.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PAGES = ("README.md", "README.zh.md", "docs/*.md")
MARKED = re.compile(r"^(?P<open><!-- table: (?P<name>[\w-]+) -->\n)(?P<body>.*?)(?P<close>^<!-- end -->$)", re.M | re.S)


class NotMeasured(LookupError):
    """A result that no benchmark has written yet."""


class Results(dict[str, dict[str, Any]]):
    """What the benchmarks wrote, by name. Each has result, question, seeds, machine, versions and date."""

    def __missing__(self, name: str) -> dict[str, Any]:
        """Say that it is not measured yet; a table that needs it says so too."""
        raise NotMeasured(name)


def load(folder: Path = RESULTS) -> Results:
    """Read every result in ``folder``."""
    paths = sorted(folder.glob("*.json"))
    return Results({path.stem: json.loads(path.read_text(encoding="utf-8")) for path in paths})


def markdown(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Lay out a Markdown table: the first column to the left, the others to the right."""
    names = [str(name) for name in head]
    lines = [names, ["---", *("---:" for _ in names[1:])], *([str(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def number(value: float, digits: int = 3) -> str:
    """Write a number with ``digits`` significant digits and commas: 0.98, 1.00, 1,230,000."""
    if value == 0:
        return "0"
    rounded = float(f"{value:.{digits}g}")
    exponent = math.floor(math.log10(abs(rounded)))
    if exponent < -4:
        return f"{rounded:.{digits - 1}e}"
    return f"{rounded:,.{max(0, digits - 1 - exponent)}f}"


# --- the tables ----------------------------------------------------------------------------------


def questions(results: Results) -> str:
    """List what was asked, by which script, when and on which machine."""
    if not results:
        raise NotMeasured("all")
    rows = []
    for name, entry in sorted(results.items()):
        box = entry["machine"]
        where = f"{box['cpu']}, {box['cores']} cores, {box['memory_gib']:.0f} GiB"
        rows.append((f"`{name}.py`", entry["question"], where, entry["date"]))
    return markdown(("script", "question", "machine", "date"), rows)


def fixed_matrices(results: Results) -> str:
    """Compare the exact recall of one weight matrix under each rule, at rising loads."""
    rows = results["fixed_matrices"]["result"]["rules"]
    loads = list(next(iter(rows.values()))["exact"])
    return markdown(
        ("patterns a neuron", *loads, "bits/synapse"),
        (
            (
                name,
                *(f"{rate:.2f}" for rate in row["exact"].values()),
                f"{row['bits_a_synapse']:.2f}" if "bits_a_synapse" in row else "–",
            )
            for name, row in rows.items()
        ),
    )


def projection_batches(results: Results) -> str:
    """List the largest difference of a projection weight between batchings and orders."""
    found = results["fixed_matrices"]["result"]["projection_batches"]
    rows = [(name, number(worst, 2)) for name, worst in found.items()]
    return markdown(("written in a random order", "largest difference of a weight"), rows)


def article(results: Results) -> str:
    """List what each rule does to the weights of the article's program, and whether it stores patterns."""
    found = results["article"]["result"]
    rows = []
    for run, kept in zip(found["runs"], found["storage"], strict=True):
        shares = (kept["entries_once"], kept["once"], kept["often"])
        rows.append((f"`{run['rule']}`", number(run["largest_change"]), *(f"{share:.3f}" for share in shares)))
    head = ("rule", "largest change of a weight", "covered entries right", "patterns right", "... written 10 times")
    return markdown(head, rows)


def article_limits(results: Results) -> str:
    """List what the article's rule does, measured."""
    limits = results["article"]["result"]["limits"]
    growth = sorted(limits["growth"].items(), key=lambda item: int(item[0]))
    rows = [
        ("antisymmetric: the largest sum of `w_ij` and `w_ji` after random activities", number(limits["asymmetry"])),
        ("silent when both fire: the largest change of a weight", number(limits["both_fire"])),
        *((f"unbounded: the weight after {int(n):,} writes of one pair", number(w)) for n, w in growth),
        ("the rank of all weights after writing 10 random patterns", str(limits["rank"])),
    ]
    return markdown(("what it does", "measured"), rows)


def fragments(results: Results) -> str:
    """List which images come back from fragments, by kind, share and method."""
    kinds = results["fragments"]["result"]["completion"]
    methods = ("mossy, known=", "masked NumPy search", "cosine", "mean image")
    head = ["right image", *(f"{kind}, {share}" for kind in kinds for share in ("half", "quarter"))]
    rows = [
        [
            name,
            *(f"{kind['answers'][share][name]['right']:.4f}" for kind in kinds.values() for share in kind["answers"]),
        ]
        for name in methods
    ]
    return markdown(head, rows)


TABLES: dict[str, Callable[[Results], str]] = {
    "article": article,
    "article_limits": article_limits,
    "fixed_matrices": fixed_matrices,
    "projection_batches": projection_batches,
    "fragments": fragments,
    "questions": questions,
}

# -------------------------------------------------------------------------------------------------


def table(name: str, results: Results, tables: Mapping[str, Callable[[Results], str]] = TABLES) -> str:
    """Return the Markdown of one table, or a line that says what is not measured yet."""
    if name not in tables:
        raise SystemExit(f"table: {name!r} is on a page; TABLES holds {', '.join(sorted(tables))}.")
    try:
        return tables[name](results)
    except NotMeasured as missing:
        script = "" if str(missing) == "all" else f" (`benchmarks/{missing}.py`)"
        return f"*Not measured yet{script}.*"


def render(text: str, results: Results, tables: Mapping[str, Callable[[Results], str]] = TABLES) -> str:
    """Return a page's text with each of its tables written anew."""
    found = list(MARKED.finditer(text))
    if len(found) != text.count("<!-- table:") or any("<!-- table:" in hit["body"] for hit in found):
        raise SystemExit("table: '<!-- table: NAME -->' and '<!-- end -->' each need a line of their own.")

    def written(hit: re.Match[str]) -> str:
        return f"{hit['open']}\n{table(hit['name'], results, tables)}\n\n{hit['close']}"

    return MARKED.sub(written, text)


def outdated(root: Path, results: Results, *, write: bool) -> list[str]:
    """Return the pages whose tables differ from the results; with ``write``, bring them up to date."""
    stale = []
    for path in sorted(path for pattern in PAGES for path in root.glob(pattern)):
        text = path.read_text(encoding="utf-8")
        fresh = render(text, results)
        if fresh != text:
            stale.append(path.relative_to(root).as_posix())
            if write:
                path.write_text(fresh, encoding="utf-8")
    return stale


def main(arguments: list[str]) -> int:
    """Write the tables, or with ``--check`` only look; return the exit status."""
    if arguments not in ([], ["--check"]):
        print("usage: python benchmarks/tables.py [--check]", file=sys.stderr)
        return 2
    check = bool(arguments)
    stale = outdated(ROOT, load(), write=not check)
    for page in stale:
        print(f"{page}: out of date; run: make tables" if check else f"wrote {page}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
