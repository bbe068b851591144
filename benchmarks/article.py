"""What can the article's rule do, and what can't it, beside the rules that store?

Its worked example, its program as written and the same program under every rule are ``mossy.lab.article``; patterns are
100 neurons, 10 patterns a set, recalled from half, over 20 sets.
"""

from __future__ import annotations

from mossy.lab import article
from record import record

QUESTION = "What can the article's rule do, and what can't it, beside the rules that store?"


def main() -> None:
    found = article(seed=0, repeats=20).as_dict()
    for run in found["runs"]:
        del run["weights"]  # they are in the figure
    result = {name: found[name] for name in ("worked", "runs", "storage", "limits")}
    record("article", QUESTION, result, seeds=[found["seed"]])


if __name__ == "__main__":
    main()
