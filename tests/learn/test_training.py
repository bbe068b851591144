from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_diabetes, load_digits
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import SGDClassifier, SGDRegressor
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from mossy.errors import UnknownMemory
from mossy.learn import TrainingMemory
from mossy.learn.coreset import medoids

X, Y = load_digits(return_X_y=True)
X = X.astype(np.uint8)


@parametrize_with_checks([TrainingMemory(), TrainingMemory("20 kB", keep="strong"), TrainingMemory(balanced=False)])
def test_scikit_learn_accepts_it(estimator, check):
    check(estimator)


def streamed(budget: int | str = "1 MB", n: int = 600, batch: int = 7, **settings) -> TrainingMemory:
    memory = TrainingMemory(budget, **settings)
    for first in range(0, n, batch):
        memory.store(X[first : min(first + batch, n)], Y[first : min(first + batch, n)])
    return memory


# --- store ---------------------------------------------------------------------------------------


def test_what_is_held_comes_back_as_it_was_given():
    memory = TrainingMemory()
    ids = memory.store(X[:50], Y[:50])
    x, y, named = memory.coreset(1.0)
    np.testing.assert_array_equal(ids, np.arange(50))
    np.testing.assert_array_equal(x, X[named])
    np.testing.assert_array_equal(y, Y[named])
    assert x.dtype == X.dtype
    assert y.dtype == Y.dtype


@settings(max_examples=20, deadline=None)
@given(
    budget=st.integers(3000, 60_000),
    batch=st.sampled_from([1, 3, 20, 600]),
    keep=st.sampled_from(["reservoir", "strong"]),
    seed=st.integers(0, 9),
)
def test_a_budget_is_never_exceeded_and_classes_share_it(budget, batch, keep, seed):
    memory = TrainingMemory(budget, keep=keep, random_state=seed)
    n = 60 if batch == 1 else 600
    for first in range(0, n, batch):
        memory.store(X[first : first + batch], Y[first : first + batch])
        assert memory.nbytes_ <= budget
    x, y, ids = memory.coreset(1.0)
    np.testing.assert_array_equal(x, X[ids])
    np.testing.assert_array_equal(y, Y[ids])
    assert len(np.unique(ids)) == len(ids)
    sizes, came = np.bincount(y), np.bincount(Y[:n])
    assert (
        sizes >= np.minimum(came, sizes.max() - 1)
    ).all()  # who has less than another has all that came, but for one


def test_the_reservoir_is_a_fair_sample_of_each_class():
    counts = np.zeros(200)
    for seed in range(150):
        memory = TrainingMemory(256 + 40 * 100, random_state=seed)
        for part in np.array_split(np.arange(200), 20):
            memory.store(part[:, None].astype(np.float32), part % 2)
        counts[memory.ids_] += 1
    assert counts.sum() == 150 * len(memory)
    expected = 150 * len(memory) / 200
    assert np.square(counts - expected).sum() / expected < 260  # chi square of 199 degrees of freedom, p < .003


def test_the_strongest_stay():
    memory = TrainingMemory(256 + 48 * 40, keep="strong", balanced=False)
    x = np.arange(200.0)[:, None]
    ids = memory.store(x[:10], x[:10, 0])
    memory.reinforce(ids[:3], 100.0)
    for first in range(10, 200, 10):
        memory.store(x[first : first + 10], x[first : first + 10, 0])
    assert set(ids[:3]) <= set(memory.ids_)
    assert set(ids[3:]).isdisjoint(memory.ids_)
    assert memory.ids_[-1] == 199


def test_the_same_seed_does_the_same():
    one, two = streamed("20 kB", random_state=3), streamed("20 kB", random_state=3)
    np.testing.assert_array_equal(one.ids_, two.ids_)
    np.testing.assert_array_equal(one.replay(9)[2], two.replay(9)[2])
    assert not np.array_equal(one.ids_, streamed("20 kB", random_state=4).ids_)


# --- replay --------------------------------------------------------------------------------------


def test_replay_is_even_among_classes():
    rare = np.concatenate([np.flatnonzero(Y == 0)[:100], np.flatnonzero(Y == 1)[:20]])
    memory = TrainingMemory()
    memory.store(X[rare], Y[rare])
    drawn = np.concatenate([memory.replay(2)[1] for _ in range(1000)])
    assert abs(drawn.mean() - 0.5) < 0.05


def test_surprise_decides_what_is_replayed():
    memory = TrainingMemory(balanced=False)
    ids = memory.store(X[:100], Y[:100])
    memory.report(ids, np.zeros(100)).report(ids[7], 5.0)
    assert all(memory.replay(1)[2] == ids[7] for _ in range(20))
    asked = []

    def loss(x, y):
        asked.append(len(x))
        return (y == 3).astype(float)

    assert (memory.replay(2, surprise=loss)[1] == 3).mean() >= 0  # may be none among the 16 that are looked at
    assert asked == [16]


def test_replay_follows_strength():
    memory = TrainingMemory(balanced=False, law="power_law")
    for part in np.split(np.arange(1000), 100):
        memory.store(part[:, None], part)
    drawn = np.concatenate([memory.replay(1)[2] for _ in range(500)])
    assert drawn.mean() > 600  # the new more often than the old
    memory.reinforce(0, 1e6)
    assert np.mean([memory.replay(1)[2] == 0 for _ in range(100)]) > 0.8


# --- coreset -------------------------------------------------------------------------------------


def covered(x: np.ndarray, kept: list[int]) -> float:
    return sum(min(np.linalg.norm(x[i] - x[k]) for k in kept) for i in range(len(x)))


def test_medoids_are_as_good_as_the_greedy_loops_or_better():
    x = np.random.default_rng(0).normal(size=(40, 3))
    kept: list[int] = []
    for _ in range(5):
        kept.append(min((i for i in range(40) if i not in kept), key=lambda i: covered(x, [*kept, i])))
    ours = medoids(x, np.zeros(40, np.intp), 5)
    assert len(ours) == 5
    assert covered(x, ours) <= covered(x, kept) + 1e-6


@settings(max_examples=25, deadline=None)
@given(n=st.integers(10, 200), seed=st.integers(0, 5))
def test_a_coreset_has_so_many_of_all_classes(n, seed):
    memory = TrainingMemory()
    memory.store(X[seed : seed + 200], Y[seed : seed + 200])
    x, y, ids = memory.coreset(n)
    assert n - 9 <= len(np.unique(ids)) == len(ids) <= n
    sizes = np.bincount(y, minlength=10)
    assert sizes.min() >= min(n // 10, np.bincount(Y[seed : seed + 200]).min())
    np.testing.assert_array_equal(x, X[seed + ids])


def test_equal_examples_are_no_trouble():
    x = np.zeros((30, 4))
    assert len(medoids(x, np.zeros(30, np.intp), 7)) == 7


def test_a_tenth_serves_better_than_a_random_tenth():
    better = []
    for seed in range(5):
        a, t, ya, u = train_test_split(X, Y, test_size=0.3, stratify=Y, random_state=seed)
        memory = TrainingMemory()
        memory.store(a, ya)
        x, y, _ = memory.coreset(0.1)
        rows = np.random.default_rng(seed).choice(len(a), len(x), replace=False)
        scores = [KNeighborsClassifier(1).fit(*part).score(t, u) for part in ((x, y), (a[rows], ya[rows]))]
        better.append(scores[0] - scores[1])
    assert np.mean(better) > 0.02


# --- drive ---------------------------------------------------------------------------------------


def test_what_a_plain_model_forgets_replay_keeps():
    a, t, ya, u = train_test_split(X, Y, test_size=0.2, stratify=Y, random_state=0)
    plain, kept = SGDClassifier(random_state=0), SGDClassifier(random_state=0)
    memory = TrainingMemory("50 kB")
    for c in range(10):
        for part in np.array_split(np.flatnonzero(ya == c), 14):
            plain.partial_fit(a[part], ya[part], classes=np.arange(10))
            assert memory.drive(kept, a[part], ya[part], classes=range(10), replay=50) is kept
    assert plain.score(t, u) < 0.5
    assert kept.score(t, u) > 0.8


def test_it_drives_a_regressor():
    x, y = load_diabetes(return_X_y=True)
    memory, model = TrainingMemory(balanced=False), SGDRegressor(random_state=0)
    for part in np.array_split(np.arange(len(x)), 20):
        memory.drive(model, x[part], y[part])
    assert len(memory) == len(x)
    assert memory.coreset(0.1)[0].shape == (44, 10)


def test_a_model_that_fails_leaves_the_memory_as_it_was():
    memory = streamed(n=30)

    class Failing:
        def partial_fit(self, x, y):
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        memory.drive(Failing(), X[:5], Y[:5])
    assert len(memory) == 30
    with pytest.raises(TypeError, match="partial_fit"):
        memory.drive(KNeighborsClassifier(), X[:5], Y[:5])


# --- forget --------------------------------------------------------------------------------------


@pytest.mark.parametrize("budget", ["1 MB", "20 kB"])
def test_what_is_forgotten_is_gone(budget):
    memory = streamed(budget)
    gone = memory.ids_[::3]
    before = len(memory)
    memory.forget(gone)
    assert set(gone).isdisjoint(memory.ids_)
    assert len(memory) == before - len(gone)
    x, y, ids = memory.coreset(1.0)
    np.testing.assert_array_equal(x, X[ids])
    np.testing.assert_array_equal(y, Y[ids])
    held = b"".join(column.rows.tobytes() for column in memory._held.values())
    assert not any(X[i].tobytes() in held for i in gone)
    with pytest.raises(UnknownMemory, match="id"):
        memory.forget(gone[0])


def test_a_class_is_forgotten_and_can_be_learned_again():
    memory = streamed()
    memory.forget(classes=[3, 5])
    np.testing.assert_array_equal(memory.classes_, [0, 1, 2, 4, 6, 7, 8, 9])
    _, y, ids = memory.coreset(1.0)
    np.testing.assert_array_equal(y, Y[ids])
    memory.store(X[Y == 3][:4], Y[Y == 3][:4])
    assert (memory.coreset(1.0)[1] == 3).sum() == 4
    with pytest.raises(UnknownMemory, match="class 5"):
        memory.forget(classes=5)


def test_all_is_forgotten():
    memory = streamed(n=20)
    memory.forget(memory.ids_)
    assert len(memory) == memory.nbytes_ == 0
    with pytest.raises(NotFittedError):
        memory.replay(1)
    memory.store(X[:3], np.array(["a", "b", "a"]))
    np.testing.assert_array_equal(memory.classes_, ["a", "b"])


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda m: m.store(X[:3, :5], Y[:3]), "features"),
        (lambda m: m.store(X[:3], Y[:2]), "inconsistent numbers"),
        (lambda m: m.store(np.full((1, 64), np.nan), [1]), "NaN"),
        (lambda m: m.store(np.full((1, 64), 0.5), [1]), "uint8 cannot hold"),
        (lambda m: m.store(X[:2], [0.5, 1.5]), "label"),
        (lambda m: m.replay(0), "n == 0"),
        (lambda m: m.replay(10_000), "n == 10000"),
        (lambda m: m.replay(2, surprise=lambda x, y: [1.0]), "shape"),
        (lambda m: m.report(0, -1.0), "Negative"),
        (lambda m: m.report(0, np.nan), "NaN"),
        (lambda m: m.report([0, 1], [1.0]), "shape"),
        (lambda m: m.reinforce(0, 0), "amount == 0"),
        (lambda m: m.coreset(9), "number of classes = 10"),
        (lambda m: m.coreset(0.001), "number of classes = 10"),
        (lambda m: m.coreset(1.5), "n == 1.5"),
        (lambda m: m.forget(), "ids, or classes"),
        (lambda m: m.forget(ids=["a"]), "integers"),
        (lambda m: m.forget(ids=[]), "integers"),
        (lambda m: m.drive(SGDClassifier(), X[:2], Y[:2], replay=-1), "replay == -1"),
    ],
)
def test_bad_input_changes_nothing(wrong, says):
    memory = streamed(n=100)
    before = memory.coreset(1.0)
    with pytest.raises(ValueError, match=says):
        wrong(memory)
    for was, now in zip(before, memory.coreset(1.0), strict=True):
        np.testing.assert_array_equal(was, now)


@pytest.mark.parametrize(("given", "says"), [({"budget": 0}, "budget"), ({"keep": "all"}, "keep"), ({"law": 3}, "law")])
def test_bad_parameters(given, says):
    with pytest.raises(ValueError, match=says):
        TrainingMemory(**given).store(X[:20], Y[:20])


@pytest.mark.parametrize(
    "column",
    [
        pd.Series(["a", "b", "a"], dtype="category"),
        pd.to_datetime(pd.Series(["2020-01-01", "2021-01-01", "2022-01-01"])),
        pd.to_timedelta(pd.Series([1, 2, 3]), unit="s"),
    ],
)
def test_only_numbers_are_examples(column):
    frame, memory = pd.DataFrame({"x": column}), TrainingMemory()
    with pytest.raises(ValueError, match="must be numbers"):
        memory.store(frame, [0, 1, 0])
    with pytest.raises(NotFittedError):
        memory.replay(1)
    memory.store(pd.DataFrame({"x": [1.0, 2.0, 3.0]}), [0, 1, 0])
    with pytest.raises(ValueError, match="must be numbers"):
        memory.store(frame, [0, 1, 0])
    assert len(memory) == 3


@pytest.mark.parametrize("balanced", [True, False])
def test_whether_classes_are_balanced_is_settled_with_the_first_batch(balanced):
    memory = TrainingMemory(balanced=balanced).fit(X[:60], Y[:60] + 5)
    before = memory.coreset(1.0)
    memory.set_params(balanced=not balanced)
    with pytest.raises(ValueError, match="balanced"):
        memory.store(X[60:80], Y[60:80])
    with pytest.raises(ValueError, match="balanced"):
        memory.drive(SGDClassifier(), X[60:80], Y[60:80])
    for was, now in zip(before, memory.coreset(1.0), strict=True):
        np.testing.assert_array_equal(was, now)
    memory.forget([0, 1])
    np.testing.assert_array_equal(memory.coreset(1.0)[1], Y[2:60] + 5)
    assert hasattr(memory, "classes_") == balanced
    memory.fit(X[:20], Y[:20])
    assert hasattr(memory, "classes_") != balanced


def test_a_budget_below_one_class_is_refused():
    with pytest.raises(ValueError, match="there are 10 classes"):
        TrainingMemory("1 kB").store(X[:100], Y[:100])
    memory = TrainingMemory("1 kB")
    memory.store(X[Y == 0], Y[Y == 0])
    with pytest.raises(ValueError, match="too small"):
        memory.store(X[:100], Y[:100])
    assert set(memory.coreset(1.0)[1]) == {0}


def test_what_is_remembered_must_be_there():
    with pytest.raises(NotFittedError):
        TrainingMemory().replay(1)
    with pytest.raises(AttributeError, match="balanced"):
        _ = TrainingMemory(balanced=False).fit(X[:9], Y[:9]).classes_
