"""Recall whole rows of a table from rows in which 30 % of the entries are missing.

The columns have unequal units: an area is in the thousands, a smoothness below one. A memory measures all entries
on one scale, so the columns are standardised before they are stored.

python examples/table.py
"""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_breast_cancer

import mossy


def main(n: int = 569, seed: int = 0) -> None:
    data = load_breast_cancer()
    rows, labels = data.data[:n], data.target_names[data.target[:n]].tolist()
    mean, deviation = rows.mean(axis=0), rows.std(axis=0)
    standardised = (rows - mean) / deviation

    known = np.random.default_rng(seed).random(rows.shape) > 0.3
    print(f"{n} rows of {rows.shape[1]} columns, 30 % of the entries missing")
    print("columns         separation    right row    returned bit for bit")
    for name, table in (("as they are", rows), ("standardised", standardised)):
        for separation in ("softmax", "winner"):
            memory = mossy.Memory(separation=separation)
            memory.store(table, payload=labels)  # complete rows; only a cue may have unknown entries
            found = memory.recall(np.where(known, table, np.nan), known=known, reinforce=False)
            right = (found.ids[:, 0] == np.arange(n)).mean()
            exact = (found.pattern == table.astype(np.float32)).all(axis=1).mean()
            print(f"{name:14s}  {separation:10s}  {right:11.1%}  {exact:22.1%}")

    # The last memory holds standardised rows. Back in their own units:
    one = memory.recall(np.where(known, standardised, np.nan)[0], known=known[0], reinforce=False)
    filled = one.pattern * deviation + mean
    print(f"\nrow 0, a {one.payload[0]} one, its missing entries:")
    for column in np.flatnonzero(~known[0])[:5]:
        print(f"  {data.feature_names[column]:24s} recalled {filled[column]:9.4f}   true {rows[0, column]:9.4f}")


if __name__ == "__main__":
    main()
