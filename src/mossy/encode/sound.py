"""How loud each band of pitch is, in each part of a sound: recordings as patterns."""

from __future__ import annotations

from typing import Any, TypeAlias, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mossy.arrays import as_batch, check_flag, check_integer, check_number
from mossy.errors import InvalidParameter

__all__ = ["SoundEncoder", "mel_filters"]

Floats: TypeAlias = NDArray[np.float32]

BLOCK = 64  # recordings at once
QUIET = 1e-8  # the power of a recording without any sound, so that its logarithm is a number


@final
class SoundEncoder:
    r"""Turn a recording into the pattern of its logarithmic mel spectrum over time.

    .. math::

        P_{tm} = \sum_f H_{mf} \bigl|\mathrm{FFT}(w·x_t)_f\bigr|^2, \qquad
        L_{tm} = \ln \max(P_{tm},\ 10^{-\text{range}/10} \max P)

    for frames ``x_t`` under a Hann window ``w`` and triangular filters ``H`` that are equally wide in mel. Silence
    before and after is left out, and what sounds is divided into ``steps`` parts of equal length, whose ``L`` is
    averaged; so it doesn't matter when a recording begins, how long it is, or how loud. Last, the mean of each
    recording is subtracted, and with ``deltas`` the difference from the part before to the part after follows.

    Parameters
    ----------
    d
        Samples of a recording. Shorter ones are filled up with zeros, which count as silence.
    rate
        Samples a second.
    bands
        Bands of pitch, from ``low`` to ``high`` Hz (None: half of ``rate``).
    steps
        Parts of time.
    window, hop
        Seconds of a frame, and from one frame to the next.
    deltas
        Add the changes over time: twice as many entries.
    range
        Decibels below the loudest that are still told from silence.
    silence
        Decibels below the loudest frame under which the ends of a recording count as silence.

    Raises
    ------
    InvalidInput
        A parameter is outside its range; the message names it.

    Source: S. B. Davis and P. Mermelstein (1980), doi:10.1109/TASSP.1980.1163420; deltas S. Furui (1986),
    doi:10.1109/TASSP.1986.1164788.
    """

    def __init__(
        self,
        d: int,
        rate: float = 8000.0,
        bands: int = 40,
        steps: int = 20,
        window: float = 0.032,
        hop: float = 0.01,
        low: float = 60.0,
        high: float | None = None,
        deltas: bool = True,
        range: float = 60.0,
        silence: float = 30.0,
    ) -> None:
        self.d = check_integer(d, "SoundEncoder.d", 1)
        self.rate = check_number(rate, "SoundEncoder.rate", 0.0, open_low=True)
        self.bands = check_integer(bands, "SoundEncoder.bands", 1)
        self.steps = check_integer(steps, "SoundEncoder.steps", 1)
        self.window = check_number(window, "SoundEncoder.window", 0.0, open_low=True)
        self.hop = check_number(hop, "SoundEncoder.hop", 0.0, open_low=True)
        self.low = check_number(low, "SoundEncoder.low", 0.0)
        self.high = None if high is None else check_number(high, "SoundEncoder.high", 0.0, self.rate / 2)
        top = self.rate / 2 if self.high is None else self.high
        if self.low >= top:
            raise InvalidParameter(f"SoundEncoder.low: {self.low:g} Hz was given; below {top:g} Hz (high) is allowed.")
        self.deltas = check_flag(deltas, "SoundEncoder.deltas")
        self.range = check_number(range, "SoundEncoder.range", 0.0, open_low=True)
        self.silence = check_number(silence, "SoundEncoder.silence", 0.0, open_low=True)
        self._frame = max(2, round(self.window * self.rate))
        self._hop = max(1, round(self.hop * self.rate))
        self._hann = np.hanning(self._frame + 1)[:-1].astype(np.float32)
        self._filters = mel_filters(self.bands, self._frame, self.rate, self.low, top)

    @property
    def units(self) -> int:
        """Entries of a pattern: steps × bands, and twice that with ``deltas``."""
        return self.steps * self.bands * (2 if self.deltas else 1)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self._hann.nbytes + self._filters.nbytes

    def encode(self, x: ArrayLike) -> Floats:
        """Return the pattern ``(units,)`` of one recording ``(d,)``, or ``(n, units)`` of a batch ``(n, d)``.

        Entries are ordered by time, then by band; the changes follow.

        Raises
        ------
        InvalidInput
        """
        sounds, single = as_batch(x, "x", self.d)
        found = np.empty((len(sounds), self.units), np.float32)
        for first in np.arange(0, len(sounds), BLOCK):
            part = sounds[first : first + BLOCK]
            spectra, power = self._spectra(part)
            for i, (spectrum, loud) in enumerate(zip(spectra, power, strict=True)):
                found[first + i] = self._pattern(spectrum, loud)
        return found[0] if single else found

    def _spectra(self, sounds: Floats) -> tuple[Floats, Floats]:
        """Return the mel power ``(n, frames, bands)`` and the power ``(n, frames)`` of each frame."""
        loudest: Floats = np.abs(sounds).max(axis=1, keepdims=True)
        loudest[loudest == 0] = 1
        sounds = sounds / loudest
        lead = -(-self._frame // self._hop) * self._hop  # so that every frame that touches a sample is there
        framed = np.pad(sounds, ((0, 0), (lead, lead + -sounds.shape[1] % self._hop)))
        frames = np.lib.stride_tricks.sliding_window_view(framed, self._frame, axis=1)[:, :: self._hop]
        waves = np.fft.rfft(frames * self._hann, axis=2)
        power: Floats = np.square(waves.real) + np.square(waves.imag)
        return power @ self._filters.T, np.square(frames).mean(axis=2)

    def _pattern(self, spectrum: Floats, loud: Floats) -> Floats:
        """Return the pattern of one recording."""
        sounding = np.flatnonzero(loud > loud.max() * 10 ** (-self.silence / 10))
        if len(sounding):
            spectrum = spectrum[sounding[0] : sounding[-1] + 1]
        floor = max(float(spectrum.max()) * 10 ** (-self.range / 10), QUIET)
        pooled = _parts(np.log(np.maximum(spectrum, floor)), self.steps)
        pooled -= pooled.mean()
        if not self.deltas:
            return pooled.reshape(-1)
        ends = np.concatenate([pooled[:1], pooled, pooled[-1:]])
        return np.concatenate([pooled, (ends[2:] - ends[:-2]) / 2]).reshape(-1)

    def state(self) -> dict[str, Any]:
        """Return the configuration; there is nothing else."""
        names = ("d", "rate", "bands", "steps", "window", "hop", "low", "high", "deltas", "range", "silence")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> SoundEncoder:
        """Make the encoder again that ``state()`` was taken from."""
        return cls(**state)


def mel_filters(bands: int, frame: int, rate: float, low: float, high: float) -> Floats:
    """Return triangular filters ``(bands, frame // 2 + 1)`` over frequencies, of area one, equally wide in mel.

    ``mel(f) = 1127 ln(1 + f/700)``. A filter that falls between two frequencies of the spectrum takes the nearest one.
    """
    edges = 700 * np.expm1(np.linspace(np.log1p(low / 700), np.log1p(high / 700), bands + 2))
    frequencies = np.fft.rfftfreq(frame, 1 / rate)
    left, middle, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    filters = np.minimum((frequencies - left) / (middle - left), (right - frequencies) / (right - middle)).clip(0)
    empty = np.flatnonzero(filters.sum(axis=1) == 0)
    filters[empty, np.abs(frequencies - middle[empty]).argmin(axis=1)] = 1
    found: Floats = (filters / filters.sum(axis=1, keepdims=True)).astype(np.float32)
    return found


def _parts(rows: Floats, n: int) -> Floats:
    """Return the means of ``n`` parts of equal length of ``rows (m, p)``.

    A row on a border counts in both by its share; with fewer rows than parts, a row is in several.
    """
    total = np.concatenate([np.zeros((1, rows.shape[1])), np.cumsum(rows, axis=0, dtype=np.float64)])
    at = np.linspace(0, len(rows), n + 1)
    below = np.minimum(at.astype(np.intp), len(rows) - 1)
    until = total[below] + (at - below)[:, None] * rows[below]
    found: Floats = (np.diff(until, axis=0) * (n / len(rows))).astype(np.float32)
    return found
