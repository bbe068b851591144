"""One contract for every substrate: ``write``, ``read``, ``forget``, ``state``, ``from_state``, ``len``, ``nbytes``."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from tests.naive.same import differences, same

from mossy.errors import (
    CannotForget,
    EmptyBatch,
    EmptyMemory,
    InvalidDtype,
    InvalidParameter,
    InvalidShape,
    MossyError,
    NotFinite,
    NothingKnown,
    UnknownMemory,
)

substrates = pytest.importorskip("mossy.substrate")
SUBSTRATES = substrates.SUBSTRATES

D, D_VALUE, N = 64, 16, 6


@dataclass(frozen=True)
class Case:
    """A substrate, how to make one, with values or without, of which kind, and whether it can forget a pair."""

    name: str
    settings: dict[str, Any]
    valued: bool = False
    sparse: bool = False
    forgets: bool = True

    def make(self):
        """Return an empty one."""
        return SUBSTRATES[self.name](**self.settings)

    def pairs(self, seed: int = 0, n: int = N) -> tuple[np.ndarray, np.ndarray | None]:
        """Return keys and values that this one can hold."""
        rng = np.random.default_rng(seed)
        if self.sparse:
            keys, values = np.zeros((n, D)), np.zeros((n, D_VALUE))
            for i in range(n):
                keys[i, rng.choice(D, 6, replace=False)] = 1
                values[i, rng.choice(D_VALUE, 3, replace=False)] = 1
        else:
            keys, values = rng.choice([-1.0, 1.0], (n, D)), rng.choice([-1.0, 1.0], (n, D_VALUE))
        return keys, values if self.valued else None

    def __str__(self) -> str:
        return "-".join([self.name, *(f"{key}={value}" for key, value in self.settings.items())])


CASES = [
    Case("index", {}),
    Case("index", {"similarity": "cosine", "separation": "sparsemax"}, valued=True),
    Case("index", {"similarity": "manhattan", "separation": "winner"}),
    Case("matrix", {"d_key": D}),
    Case("matrix", {"d_key": D, "d_value": D_VALUE}, valued=True),
    Case("matrix", {"d_key": D, "keep_examples": True}),
    Case("matrix", {"d_key": D, "rule": "hebb"}),
    Case("matrix", {"d_key": D, "d_value": D_VALUE, "rule": "hebb", "activation": "sign"}, valued=True),
    Case("matrix", {"d_key": D, "d_value": D_VALUE, "rule": "delta"}, valued=True, forgets=False),
    Case("sparse", {"n": D}, sparse=True, forgets=False),
    Case("sparse", {"n": D, "counts": True}, sparse=True),
    Case("sparse", {"n": D, "n_out": D_VALUE, "k": 3, "counts": True}, valued=True, sparse=True),
]
every = pytest.mark.parametrize("case", CASES, ids=str)
forgetful = pytest.mark.parametrize("case", [case for case in CASES if case.forgets], ids=str)


def test_every_substrate_is_held_to_the_contract():
    assert {case.name for case in CASES} == set(SUBSTRATES)
    assert set(substrates.__all__) == {"SUBSTRATES"} | {kind.__name__ for kind in SUBSTRATES.values()}


@pytest.mark.parametrize("name", SUBSTRATES)
def test_the_verbs_take_the_same_arguments(name):
    kind = SUBSTRATES[name]
    assert list(inspect.signature(kind.write).parameters)[:3] == ["self", "keys", "values"]
    assert list(inspect.signature(kind.read).parameters)[:3] == ["self", "cues", "known"]
    assert list(inspect.signature(kind.forget).parameters)[:3] == ["self", "keys", "values"]
    assert list(inspect.signature(kind.from_state).parameters)[:1] == ["state"]
    assert isinstance(kind.nbytes, property)
    for verb in ("write", "read", "forget", "state", "from_state"):
        assert getattr(kind, verb).__doc__
        assert getattr(kind, verb).__annotations__["return"]


@every
def test_what_was_written_is_read(case):
    keys, values = case.pairs()
    substrate = case.make()
    assert len(substrate) == 0
    substrate.write(keys, values)
    assert len(substrate) == N
    assert substrate.nbytes > 0
    found = substrate.read(keys)
    assert found.shape == (N, D_VALUE if case.valued else D)
    expected = keys if values is None else values
    if case.sparse:
        assert (found[expected == 1] == 1).all(), "a stored key always gets its whole value back"
    elif "delta" not in str(case) and "hebb" not in str(case):
        assert found == pytest.approx(expected, abs=0.01)


@every
def test_one_in_one_out(case):
    keys, values = case.pairs()
    one, batch = case.make(), case.make()
    for i in range(N):
        one.write(keys[i], None if values is None else values[i])
    batch.write(keys, values)
    assert len(one) == N
    found = batch.read(keys)
    single = one.read(keys[2])
    assert single.shape == found.shape[1:]
    assert single == pytest.approx(found[2], abs=1e-6)
    assert np.array_equal(batch.read(keys[2]), batch.read(keys[2:3])[0])


@every
def test_a_state_makes_it_again(case):
    keys, values = case.pairs()
    substrate = case.make()
    substrate.write(keys, values)
    state = substrate.state()
    again = SUBSTRATES[case.name].from_state(state)
    assert len(again) == N
    cues = keys.copy()
    cues[:, :3] = 0
    assert np.array_equal(again.read(cues), substrate.read(cues))
    known = np.arange(D) >= 3
    assert np.array_equal(again.read(cues, known), substrate.read(cues, known))
    assert differences(again.state(), state) == []
    more = case.pairs(seed=1)
    again.write(*more)
    assert len(substrate) == N, "what was made again is another one"
    substrate.write(*more)
    assert np.array_equal(again.read(more[0]), substrate.read(more[0]))


@every
def test_an_empty_state_makes_an_empty_one(case):
    again = SUBSTRATES[case.name].from_state(case.make().state())
    assert len(again) == 0
    with pytest.raises(EmptyMemory):
        again.read(case.pairs()[0])
    again.write(*case.pairs())
    assert len(again) == N


@every
def test_a_state_is_flat_and_a_copy(case):
    keys, values = case.pairs()
    substrate = case.make()
    substrate.write(keys, values)
    state = substrate.state()
    before, found = substrate.state(), substrate.read(keys)
    for key, part in state.items():
        assert isinstance(key, str)
        assert part is None or isinstance(part, np.ndarray | np.generic | bool | int | float | str), key
        if isinstance(part, np.ndarray):
            assert part.dtype != object
            part[...] = 0
    assert differences(substrate.state(), before) == []
    assert np.array_equal(substrate.read(keys), found)


@every
def test_what_is_given_and_handed_out_is_a_copy(case):
    keys, values = case.pairs()
    substrate = case.make()
    given = keys.copy(), None if values is None else values.copy()
    substrate.write(*given)
    before = substrate.state()
    for array in given:
        if array is not None:
            array[:] = 0
    substrate.read(keys)[:] = 0
    substrate.read(keys[0])[:] = 0
    assert differences(substrate.state(), before) == []


@every
def test_reading_changes_nothing_and_unknown_entries_may_hold_anything(case):
    keys, values = case.pairs()
    substrate = case.make()
    substrate.write(keys, values)
    before = substrate.state()
    known = np.ones((N, D), bool)
    known[:, ::5] = False
    clean = substrate.read(np.where(known, keys, 0), known)
    for filler in (np.nan, np.inf, 1.0, 7.5):
        assert np.array_equal(substrate.read(np.where(known, keys, filler), known), clean)
    one = substrate.read(np.where(known[0], keys[0], np.nan), known[0])
    assert np.array_equal(one, substrate.read(keys[:1] * known[0], known[0])[0])
    assert differences(substrate.state(), before) == []


@forgetful
def test_forgetting_is_exact(case):
    keys, values = case.pairs(n=9)
    never, substrate = case.make(), case.make()
    left = [0, 2, 3, 5, 8]
    gone = [1, 4, 6, 7]
    never.write(keys[left], None if values is None else values[left])
    substrate.write(keys, values)
    substrate.forget(keys[gone], None if values is None else values[gone])
    assert len(substrate) == len(left)
    cues = np.concatenate([keys, case.pairs(seed=5)[0]])
    assert substrate.read(cues) == pytest.approx(never.read(cues), abs=1e-6)
    known = np.arange(D) % 3 > 0
    assert substrate.read(cues, known) == pytest.approx(never.read(cues, known), abs=1e-6)
    substrate.forget(keys[left], None if values is None else values[left])
    assert len(substrate) == 0
    with pytest.raises(EmptyMemory):
        substrate.read(keys)


@forgetful
def test_forgetting_takes_out_one_writing_of_each_pair_that_is_given(case):
    keys, values = case.pairs()

    def some(rows):
        return keys[rows], None if values is None else values[rows]

    substrate, never = case.make(), case.make()
    substrate.write(*some([0, 1, 2, 1, 1, 3, 1]))  # the pair 1 four times
    substrate.forget(*some(1))
    assert len(substrate) == 6
    substrate.forget(*some([1, 2, 1]))
    assert len(substrate) == 3
    never.write(*some([0, 3, 1]))
    cues = np.concatenate([keys, case.pairs(seed=5)[0]])
    assert substrate.read(cues) == pytest.approx(never.read(cues), abs=1e-6)
    before = substrate.state()
    with pytest.raises(UnknownMemory):
        substrate.forget(*some([1, 1, 0, 3]))  # four, and three are left
    assert differences(substrate.state(), before) == []
    if "hebb" not in str(case):
        with pytest.raises(UnknownMemory):
            substrate.forget(*some([1, 1]))
        assert differences(substrate.state(), before) == []
    substrate.forget(*some([0, 1, 3]))
    assert len(substrate) == 0


@pytest.mark.parametrize("case", [case for case in CASES if not case.forgets], ids=str)
def test_or_refused(case):
    keys, values = case.pairs()
    substrate = case.make()
    substrate.write(keys, values)
    before = substrate.state()
    with pytest.raises(CannotForget):
        substrate.forget(keys[:1], None if values is None else values[:1])
    assert differences(substrate.state(), before) == []


@forgetful
def test_what_was_never_written_cannot_be_forgotten(case):
    keys, values = case.pairs()
    substrate = case.make()
    with pytest.raises((UnknownMemory, EmptyMemory)):
        substrate.forget(keys[:1], None if values is None else values[:1])
    substrate.write(keys, values)
    if "hebb" in str(case):
        return  # a sum does not tell what is in it
    before = substrate.state()
    other = case.pairs(seed=7)
    with pytest.raises(UnknownMemory):
        substrate.forget(other[0][:1], None if other[1] is None else other[1][:1])
    assert differences(substrate.state(), before) == []


@every
@pytest.mark.parametrize(
    ("keys", "error"),
    [
        (np.zeros((2, D + 1)), InvalidShape),
        (np.zeros((2, 2, D)), InvalidShape),
        (np.zeros((0, D)), EmptyBatch),
        (np.full(D, np.nan), NotFinite),
        (np.full(D, np.inf), NotFinite),
        (np.zeros(D, complex), InvalidDtype),
        (np.array(["a"] * D), InvalidDtype),
        (np.array([None] * D), InvalidDtype),
        ([[1.0] * D, [1.0]], InvalidShape),
        (None, MossyError),
    ],
)
def test_bad_keys_and_cues(case, keys, error):
    substrate = case.make()
    good = case.pairs()
    substrate.write(*good)
    before = substrate.state()
    values = None if good[1] is None else good[1][:1]
    for call in (lambda: substrate.write(keys, values), lambda: substrate.read(keys)):
        with pytest.raises(error) as caught:
            call()
        assert isinstance(caught.value, MossyError)
        assert same(substrate.state(), before)


@every
@pytest.mark.parametrize(
    ("known", "error"),
    [
        (np.zeros(D, bool), NothingKnown),
        (np.ones(D - 1, bool), InvalidShape),
        (np.ones((3, D), bool), InvalidShape),
        (np.full(D, 2), InvalidDtype),
        (np.full(D, "x"), InvalidDtype),
        ([[True] * D, [True]], InvalidShape),
    ],
)
def test_bad_masks(case, known, error):
    substrate = case.make()
    keys, values = case.pairs()
    substrate.write(keys, values)
    before = substrate.state()
    with pytest.raises(error):
        substrate.read(keys[:2], known)
    assert same(substrate.state(), before)


@every
def test_what_is_wrong_with_a_cue_is_said_of_the_cue(case):
    substrate = case.make()
    substrate.write(*case.pairs())
    for wrong in (np.ones(D + 1), np.full(D, np.nan), np.array(["a"] * D), np.ones((0, D)), np.ones((1, 1, D))):
        with pytest.raises(MossyError, match=r"^cue: "):
            substrate.read(wrong)


@every
def test_bad_values(case):
    substrate = case.make()
    keys, values = case.pairs()
    substrate.write(keys, values)
    before = substrate.state()
    if values is None:
        if case.sparse:
            wrong = [np.zeros((N, D + 1)), np.zeros((N - 1, D))]  # a value of its own is another pair
        else:
            wrong = [np.zeros((N, D))]
    else:
        wrong = [None, values[:-1], values[:, :-1], np.full_like(values, np.nan)]
    for one in wrong:
        with pytest.raises(MossyError):
            substrate.write(keys, one)
        assert same(substrate.state(), before)


@every
def test_nothing_is_read_from_nothing(case):
    with pytest.raises(EmptyMemory, match="write at least one"):
        case.make().read(case.pairs()[0])


@every
def test_forgetting_nothing_in_particular(case):
    substrate = case.make()
    substrate.write(*case.pairs())
    before = substrate.state()
    with pytest.raises(InvalidParameter):
        substrate.forget()
    assert same(substrate.state(), before)
