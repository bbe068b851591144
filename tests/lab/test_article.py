from __future__ import annotations

import json
import sys

import numpy as np
import pytest

import mossy
from mossy.errors import InvalidParameter, MissingExtra
from mossy.lab import article
from mossy.lab.article import run_program, worked_example
from mossy.plasticity import RULES


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return article(out=tmp_path_factory.mktemp("article"), seed=3)


def test_the_worked_example_is_the_article_s_to_the_last_digit():
    worked = worked_example()
    assert (worked.a_i, worked.a_j, worked.w_ij, worked.w_ji) == (0.2, 0.2, 0.2, 0.0)
    assert worked.identical


@pytest.mark.parametrize("seed", range(5))
def test_the_program_as_written_never_moves_a_weight(seed):
    run = run_program("difference", seed)
    assert run.weights.shape == (11, 2, 2)
    assert run.largest_change == 0.0
    np.testing.assert_array_equal(run.weights, np.broadcast_to(run.weights[0], run.weights.shape))
    assert ((run.weights[0] >= 0) & (run.weights[0] < 1)).all()


def test_the_program_equals_the_article_s_loops():
    """w += α(a_i − a_j) for each pair, with a = sigmoid(Σ w x); hebb: w += α a_i a_j."""
    w = np.random.default_rng(4).uniform(0, 1, (2, 2))
    for _ in range(10):
        for i in range(2):
            for j in range(2):
                x = 1.0 if i == j else 0.0
                a = 1 / (1 + np.exp(-sum(w[p, q] * x for p in range(2) for q in range(2))))
                w = w + 0.1 * a * a
    np.testing.assert_allclose(run_program("hebb", 4).weights[-1], w, rtol=1e-12)


def test_every_rule_but_the_article_s_moves_the_weights(found):
    assert [run.rule for run in found.runs] == list(RULES)
    assert found.program is found.runs[0]
    assert [run.rule for run in found.runs if run.largest_change == 0] == ["difference"]


def test_the_article_s_rule_stores_nothing_and_others_do(found):
    stores = {one.rule: one for one in found.storage}
    assert stores["difference"].once == stores["difference"].often == 0
    assert 0.4 < stores["difference"].entries_once < 0.6
    for rule in ("hebb", "oja", "covariance", "storkey", "delta", "projection"):
        assert stores[rule].entries_once > 0.9, rule
    assert stores["projection"].once == stores["delta"].often == 1


def test_the_limits_of_the_article_s_rule(found):
    assert found.limits.asymmetry < 1e-12
    assert found.limits.both_fire == 0
    assert found.limits.growth == {10: 1.0, 100: 10.0, 1000: 100.0}
    assert found.limits.rank <= 2


def test_the_figure_is_drawn_where_asked_and_nowhere_else(found, tmp_path, monkeypatch):
    (path,) = found.figures
    assert path.name == "article-weights.png"
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size > 10_000
    monkeypatch.chdir(tmp_path)
    assert article(epochs=1).figures == ()
    assert list(tmp_path.iterdir()) == []


def test_the_result_is_plain_and_repeatable(found):
    text = json.dumps(found.as_dict(), allow_nan=False)
    again = article(seed=3).as_dict()
    assert {**json.loads(text), "figures": []} == json.loads(json.dumps(again))
    assert json.loads(text)["worked"]["identical"] is True


def test_lab_is_an_attribute_of_mossy():
    assert mossy.lab.article is article
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        mossy.nothing


@pytest.mark.parametrize("name", ["seed", "epochs", "repeats"])
def test_bad_numbers_are_named(name):
    with pytest.raises(InvalidParameter, match=f"article.{name}"):
        article(**{name: -1})


def test_a_file_is_no_folder(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    for out in (file, file / "below"):
        with pytest.raises(InvalidParameter, match="out: "):
            article(out=out)


def test_without_matplotlib_the_message_installs_it(tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match=r"pip install 'mossy\[lab\]'"):
        article(out=tmp_path)
    assert article(epochs=1).program.largest_change == 0
