"""How sketches lie in memory, and what is searched with them. It is a file of its own: reading it loads no compiler."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from numpy.typing import NDArray

__all__ = ["COSINE", "DOT", "EUCLIDEAN", "MANHATTAN", "NONE", "PAGE", "Ask", "Memories", "Pages"]

Array = NDArray[Any]

PAGE: Final = 32  # sketches a page
NONE: Final = -1
EUCLIDEAN: Final = 0
COSINE: Final = 1
DOT: Final = 2
MANHATTAN: Final = 3


class Pages(NamedTuple):
    """The arrays of all cells ``(C,)`` and pages ``(P,)``.

    ``first`` page, ``counts`` of sketches and sum ``squares`` of ``r²`` of each cell; the page ``after`` each, and its
    ``words (P, D/64 + 1, 32)``: the bits of its sketches, and last, for each, its row and one more (0 where there is
    none) in the upper half of a word, and ``r`` and ``f`` in the lower. ``free[0]`` is the first free page.
    """

    first: Array
    counts: Array
    squares: Array
    after: Array
    words: Array
    free: Array


class Memories(NamedTuple):
    """What is searched, and the geometry of its cells.

    ``keys (n, d)``, ``norms (n,)`` (1/length, for cosine alone), ``dead (n,)``, ``logs (n,)`` of strengths or none; the
    ``centres`` of the cells as they are ``(C, d)`` and ``turned (C, D)``; the ``signs`` of the rotation; the ``bits
    (D/64, C)`` of the turned centres, whether an entry exceeds that of ``middle (D,)``.
    """

    keys: Array
    norms: Array
    dead: Array
    logs: Array
    centres: Array
    turned: Array
    signs: Array
    middle: Array
    bits: Array


class Ask(NamedTuple):
    """What is asked with one cue, in scalars.

    The ``kind`` of similarity, and whether it is estimated as a ``product``, times ``gain``, or as a distance; the
    ``unit`` of similarity and the ``share`` of the variance that is known; by how much the mask makes lengths
    ``uneven``; ``reach`` and ``margin`` of scores; the ``weight`` of ``ln s``, and ``top``, the greatest.
    """

    kind: Any
    product: Any
    unit: Any
    share: Any
    gain: Any
    uneven: Any
    reach: Any
    margin: Any
    weight: Any
    top: Any
