from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from mossy.errors import InvalidParameter, MissingExtra
from mossy.lab import demo
from mossy.lab.completion import METHODS, SHARES
from mossy.lab.fading import USES
from mossy.lab.images import digits, photo_patches


@pytest.fixture(scope="module")
def told():
    return []


@pytest.fixture(scope="module")
def found(tmp_path_factory, told):
    return demo(tmp_path_factory.mktemp("demo"), n=120, progress=lambda *now: told.append(now))


def test_mossy_finds_every_image_and_cosine_hardly_any(found):
    for done in found.completions:
        for share in SHARES:
            answers = done.answers[share]
            assert answers["mossy, known="].right == answers["mossy, known="].exact == 1
            assert answers["masked NumPy search"].right == 1
            assert answers["cosine"].right < 0.5
            assert answers["mean image"].exact == 0
            assert set(answers) == set(METHODS)


def test_bytes_and_times_are_given(found):
    for done in found.completions:
        for answers in done.answers.values():
            assert all(one.seconds >= 0 for one in answers.values())
            assert answers["mossy, known="].bytes >= 4 * done.images.patterns.shape[1]


def test_cues_hold_the_known_part_and_another_image(found):
    for done in found.completions:
        images = done.images
        assert (images.source[done.covers] != images.source).all()
        for share, part in (("half", 0.5), ("quarter", 0.25)):
            known = images.known(share)
            assert known.mean() == part
            cues = done.cues(share)
            np.testing.assert_array_equal(cues[:, known], images.patterns[:, known])
            np.testing.assert_array_equal(cues[:, ~known], images.patterns[done.covers][:, ~known])


def test_what_is_used_lasts_and_the_rest_fades(found):
    fading = found.fading
    assert len(fading.readings) == 5
    assert fading.uses == len(USES)
    for line in fading.readings:
        assert line.used_long > line.unused_long
    unused = [line.unused_short + line.unused_long for line in fading.readings]
    assert unused == sorted(unused, reverse=True)
    assert fading.readings[-1].used_short < 1e-6 < 0.5 < fading.recalled[0]
    assert fading.found == 1
    assert (fading.kept, fading.let_go) == (fading.used, fading.stored - fading.used)
    assert fading.kept_used


def test_a_killed_process_loses_nothing(found):
    survival = found.survival
    assert survival.signal == 9
    assert survival.stored == survival.there == 120
    assert survival.found == 1


def test_figures_are_drawn(found):
    assert [path.name for path in found.figures] == ["mossy-demo.png", "mossy-demo-fading.png"]
    for path in found.figures:
        assert path.read_bytes().startswith(b"\x89PNG")
        assert path.stat().st_size > 10_000


def test_progress_reaches_the_end_of_each_part(found, told):
    last = {what: (done, total) for what, done, total in told}
    assert len(last) == 4
    assert all(done == total for done, total in last.values())


def test_the_result_is_plain_and_repeatable(found):
    plain = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    again = json.loads(json.dumps(demo(n=120).as_dict()))
    for result in (plain, again):
        for kind in result["completion"].values():
            for share in kind["answers"].values():
                for answers in share.values():
                    del answers["seconds"]
        del result["survival"]["seconds"]
        result["figures"] = []
    assert plain == again


def test_the_images_are_whole():
    assert digits().pictures.shape == (1797, 8, 8)
    patches = photo_patches()
    assert patches.pictures.shape == (884, 24, 24, 3)
    from sklearn.datasets import load_sample_images

    first = load_sample_images().images[0]
    np.testing.assert_array_equal(patches.pictures[1], (first[:24, 24:48] / np.float32(255)).astype(np.float32))
    assert len(np.unique(patches.patterns, axis=0)) == 884


def test_bad_input_is_named(tmp_path):
    with pytest.raises(InvalidParameter, match=r"demo\.n"):
        demo(n=3)
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(InvalidParameter, match="is a file"):
        demo(out=file)


@pytest.mark.parametrize("package", ["sklearn", "PIL"])
def test_without_the_extra_the_message_installs_it(package, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra, match=r"pip install 'mossy\[lab\]'"):
        photo_patches()
