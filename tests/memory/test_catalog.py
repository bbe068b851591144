"""The catalog counts flags in step with them, and finds the last memory, whatever happens to the rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mossy.memory import catalog as module
from mossy.memory.catalog import GONE, LONG, PINNED, SHORT, USED, Catalog

FLAGS = (LONG, USED, PINNED, SHORT)

happenings = st.lists(
    st.tuples(
        st.sampled_from(["append", "extend", "mark", "erase", "absorb", "truncate", "compact", "restore", "asked"]),
        st.integers(0, 2**31),
    ),
    max_size=30,
)


@given(happened=happenings)
def test_counts_are_in_step(happened):
    catalog = Catalog()
    for what, seed in happened:
        catalog = happens(catalog, what, np.random.default_rng(seed))
        if what == "asked":
            check(catalog)
    check(catalog)


def happens(catalog: Catalog, what: str, rng: np.random.Generator) -> Catalog:
    n, some = len(catalog.ids), int(rng.integers(1, 6))
    alive = catalog.alive()
    rows = alive[rng.random(len(alive)) < 0.5]
    if what == "append":
        catalog.append(some, rng.choice([np.uint8(0), PINNED]), None)
    elif what == "extend":
        ids = catalog.next_id + np.cumsum(rng.integers(1, 4, some))
        catalog.extend(ids, rng.integers(0, 16, some).astype(np.uint8))
    elif what == "mark":
        catalog.mark(rows, rng.integers(0, 16, len(rows)).astype(np.uint8))
        catalog.mark(rows[:1], LONG)
        catalog.mark(np.repeat(rows, 2), PINNED)  # a row named twice
    elif what == "erase":
        catalog.erase(rows)
    elif what == "absorb" and len(alive) > 2:
        catalog.absorb(int(alive[0]), alive[1:3])
        catalog.erase(alive[1:3])
    elif what == "truncate":
        catalog.truncate(int(rng.integers(0, n + 1)), catalog.next_id)
        catalog.rename({})
    elif what == "compact" and len(alive):
        for column in catalog.columns():
            column.put(column.rows[alive])
    elif what == "restore":
        state, catalog = catalog.state(), Catalog()
        catalog.restore(state)
    return catalog


def check(catalog: Catalog) -> None:
    flags = catalog.flags
    for flag in FLAGS:
        assert catalog.having(flag) == sum(1 for one in flags.tolist() if one & flag and not one & GONE)
    alive = [row for row, one in enumerate(flags.tolist()) if not one & GONE]
    assert catalog.last().tolist() == alive[-1:]


def test_the_last_is_found_far_from_the_end(monkeypatch):
    monkeypatch.setattr(module, "LOOKED_AT", 3)
    for n in range(9):
        for last in range(-1, n):
            catalog = Catalog()
            catalog.append(n, LONG, None)
            catalog.erase(np.arange(last + 1, n))
            assert catalog.last().tolist() == ([last] if last >= 0 else [])


def test_flags_are_changed_by_mark_alone():
    catalog = Catalog()
    catalog.append(3, LONG, None)
    with pytest.raises(ValueError, match="read-only"):
        catalog.flags[1] = PINNED


def test_an_interruption_leaves_the_counts_right(monkeypatch):
    catalog = Catalog()
    catalog.append(3, LONG, None)
    assert catalog.having(LONG) == 3

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "bincount", interrupted)
    with pytest.raises(KeyboardInterrupt):
        catalog.mark(np.array([1, 2]), PINNED)
    monkeypatch.undo()
    assert (catalog.having(LONG), catalog.having(PINNED)) == (3, 0)
