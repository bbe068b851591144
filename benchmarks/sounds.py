"""How many spoken digits are recognised after one pass over recordings, beside peers on the same spectra?

Free Spoken Digit Dataset as it is under ``MOSSY_DATA``: digits of five speakers, 8 kHz, filled up with zeros to the
longest. The takes 0 to 4 of every digit and speaker are tested, all others are learned. Settings are chosen by learning
the takes from 9 on and asking for the takes 5 to 8; then all takes from 5 on are learned, with five seeds.

- mossy: a matrix memory behind a ``SoundEncoder``, and behind that an ``ImageEncoder`` that learns patches of the
  spectrum as of an image. Recordings come once, digit after digit, in batches of 50, and the first batch alone decides
  the patches. Beside it: the spectrum through a ``Dentate``, and recall of the nearest recording.
- Peers learn all recordings at once, from the same spectrum or from its cepstrum (MFCC, 13 coefficients with deltas).
- CPU time is that of all threads to encode, learn and test, on one BLAS thread.

Another question is a voice that was never heard: four speakers are learned, the fifth is asked for, each in turn.

``--quick`` runs two seeds and writes no result.
"""

from __future__ import annotations

import argparse
import itertools
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from material.streams import batches, bytes_held
from mossy.learn import Dentate, ImageEncoder, MemoryClassifier, SoundEncoder
from record import data_dir, record

SEEDS = 5
BATCH = 50
TESTED = 5  # takes
CHOSEN_BY = 9  # takes below it, and from TESTED on, choose the settings
BANDS = 40
COEFFICIENTS = 13

Recordings = NDArray[np.float32]
Make = Callable[[dict[str, Any], int], Any]  # (setting, seed) → learner


def spoken() -> tuple[Recordings, NDArray[Any], NDArray[Any], NDArray[Any], float]:
    """Return recordings ``(n, samples)``, their digits, takes and speakers, and the rate."""
    held = np.load(data_dir("fsdd") / "fsdd.npz")
    samples, starts = held["samples"], held["offsets"]
    sounds = np.zeros((len(starts) - 1, int(np.diff(starts).max())), np.float32)
    for row, (first, last) in zip(sounds, itertools.pairwise(starts), strict=True):
        row[: last - first] = samples[first:last]
    return sounds, held["digit"].astype(np.intp), held["take"], held["speaker"], float(held["rate"])


def cepstrum(spectra: NDArray[Any], steps: int) -> NDArray[Any]:
    """Return the first coefficients of spectra ``(n, steps · BANDS)``, and their changes over time."""
    first = dct(spectra.reshape(len(spectra), steps, BANDS), axis=2, norm="ortho")[:, :, :COEFFICIENTS]
    return np.concatenate([first, np.gradient(first, axis=1)], axis=1).reshape(len(spectra), -1)


def spectra(setting: dict[str, Any], deltas: bool = True) -> SoundEncoder:
    """Return the encoder of this setting."""
    given = {name: setting[name] for name in ("steps", "silence", "range") if name in setting}
    return SoundEncoder(bands=BANDS, deltas=deltas, **given)


def patches(setting: dict[str, Any], seed: int) -> Any:
    """Return a memory of spectra as images."""
    image = ImageEncoder(
        (setting["steps"], BANDS), patches=setting["patches"], size=setting["size"], power=0.5, random_state=seed
    )
    return MemoryClassifier("matrix", encoder=make_pipeline(spectra(setting, deltas=False), image))


def mfcc(setting: dict[str, Any], last: Any) -> Any:
    """Return a peer behind the cepstrum."""
    turn = FunctionTransformer(cepstrum, kw_args={"steps": setting["steps"]})
    return make_pipeline(spectra(setting, deltas=False), turn, StandardScaler(), last)


IMAGES = [
    {"steps": steps, "silence": silence, "patches": n, "size": size}
    for steps in (32,)
    for silence in (25.0, 35.0)
    for n in (100, 200)
    for size in (6, 8)
]
SPECTRA = [{"steps": steps, "silence": silence} for steps in (10, 20) for silence in (25.0, 35.0)]
WITH_C = [{**setting, "C": c} for setting in SPECTRA for c in (0.1, 1.0, 10.0)]

LEARNERS: dict[str, tuple[list[dict[str, Any]], Make]] = {
    "mossy, patches of the spectrum, matrix": (IMAGES, patches),
    "mossy, spectrum, dentate, matrix": (
        SPECTRA,
        lambda s, seed: MemoryClassifier(
            "matrix", encoder=make_pipeline(spectra(s), Dentate(2000, random_state=seed)), random_state=seed
        ),
    ),
    "mossy, spectrum, index": (SPECTRA, lambda s, seed: MemoryClassifier("index", encoder=spectra(s))),
    "spectrum, 1 nearest neighbour": (SPECTRA, lambda s, seed: make_pipeline(spectra(s), KNeighborsClassifier(1))),
    "spectrum, SVC": (WITH_C, lambda s, seed: make_pipeline(spectra(s), StandardScaler(), SVC(C=s["C"]))),
    "spectrum, LogisticRegression": (
        WITH_C,
        lambda s, seed: make_pipeline(spectra(s), StandardScaler(), LogisticRegression(C=s["C"], max_iter=500)),
    ),
    "MFCC, 1 nearest neighbour": (SPECTRA, lambda s, seed: mfcc(s, KNeighborsClassifier(1))),
    "MFCC, SVC": (WITH_C, lambda s, seed: mfcc(s, SVC(C=s["C"]))),
    "MFCC, LogisticRegression": (WITH_C, lambda s, seed: mfcc(s, LogisticRegression(C=s["C"], max_iter=500))),
}


def trial(learner: Any, x: Recordings, y: NDArray[Any], t: Recordings, u: NDArray[Any], seed: int) -> dict[str, float]:
    """Learn and test: in batches, digit after digit, where that is possible."""
    start = time.process_time()
    if isinstance(learner, MemoryClassifier):
        for rows in batches(y, "class after class", BATCH, seed):
            learner.partial_fit(x[rows], y[rows])
    else:
        learner.fit(x, y)
    right = float((learner.predict(t) == u).mean())
    held = bytes_held(learner) + bytes_held(getattr(learner, "encoder_", ()))
    return {"accuracy": right, "cpu_s": time.process_time() - start, "bytes": held}


def main() -> None:
    """Measure, print and record."""
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--quick", action="store_true", help="two seeds; writes no result")
    quick = ask.parse_args().quick
    warnings.filterwarnings("ignore", module="sklearn")  # a peer that has not converged is measured as it is
    sounds, digits, takes, speakers, _ = spoken()
    test, chosen_by = takes < TESTED, (takes >= TESTED) & (takes < CHOSEN_BY)
    rest = takes >= CHOSEN_BY
    result: dict[str, Any] = {"recordings": len(digits), "learned": int((~test).sum()), "tested": int(test.sum())}
    result["learners"] = {}
    seeds = 2 if quick else SEEDS
    with threadpool_limits(1):
        for name, (settings, make) in LEARNERS.items():
            tried = [
                trial(make(s, 0), sounds[rest], digits[rest], sounds[chosen_by], digits[chosen_by], 0)["accuracy"]
                for s in settings
            ]
            setting = settings[int(np.argmax(tried))]
            varies = seeds if name.startswith("mossy") else 1  # peers that have no random numbers
            runs = [
                trial(make(setting, seed), sounds[~test], digits[~test], sounds[test], digits[test], seed)
                for seed in range(varies)
            ]
            unheard = []
            for speaker in np.unique(speakers):
                heard = speakers != speaker
                unheard.append(
                    trial(make(setting, 0), sounds[heard], digits[heard], sounds[~heard], digits[~heard], 0)["accuracy"]
                )
            accuracy = [run["accuracy"] for run in runs]
            row = {
                "accuracy": float(np.mean(accuracy)),
                "sd": float(np.std(accuracy, ddof=1)) if varies > 1 else 0.0,
                "cpu_s": float(np.median([run["cpu_s"] for run in runs])),
                "bytes": runs[0]["bytes"],
                "validation": max(tried),
                "setting": setting,
                "unheard_speaker": float(np.mean(unheard)),
            }
            result["learners"][name] = row
            print(
                f"{name:40}{row['accuracy']:.3f} ± {row['sd']:.3f}  {row['cpu_s']:5.2f} s CPU"
                f" {row['bytes'] / 1e6:6.1f} MB  unheard speaker {row['unheard_speaker']:.3f}  {setting}",
                flush=True,
            )
    if not quick:
        question = "How many spoken digits are recognised after one pass over recordings?"
        record("sounds", question, result, range(SEEDS), ["scikit-learn"])


if __name__ == "__main__":
    main()
