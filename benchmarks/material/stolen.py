"""The memories whose file is stolen: how each is written, and what an attacker does with what ``state()`` holds.

A case has a name, and

- ``write(images, labels)``: the state of a memory that these images were written to;
- ``attacks(state, attacker)``: each attack by its name, not yet run; it returns at most ``n`` images;
- ``membership(state, attacker, images)``: scores by name, high for images that were stored;
- ``difference(before, after, attacker)``: the one image that was written between two states.

``black_and_white``: images are written as 0 and 1, the alphabet of the rule, and that is what is to be found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from material import attacks, bits
from material.attacks import Attacker, Span
from material.leaks import distinct, squares
from mossy import Matrix, Sparse
from mossy.encode import Dentate
from mossy.errors import NotFinite
from mossy.plasticity import Covariance
from mossy.synapses import under

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
State = Mapping[str, Any]
Attacks = dict[str, Callable[[], Floats]]

CLASSES = 10
UNITS = 1000
MOST_CUES = 150  # of each kind, where recall is the attacker's oracle
FEW_PIXELS = 100
NEIGHBOURS = 5
SHARES = np.eye(CLASSES)


class Case(Protocol):
    """A memory, and what is done to its file."""

    name: str
    black_and_white: bool

    def write(self, images: Floats, labels: Labels) -> State:
        """Return the state of a memory with these images."""

    def attacks(self, state: State, attacker: Attacker) -> Attacks:
        """Return the attacks by name, each of which returns images when it is called."""

    def membership(self, state: State, attacker: Attacker, images: Floats) -> dict[str, Floats]:
        """Return scores by name, higher where an image was stored."""

    def difference(self, before: State, after: State, attacker: Attacker) -> Floats:
        """Return the image that was written in between."""


def unmarked(gram: Floats, dark: int) -> Floats:
    """Return ``Σ x_i x_j`` of images from ``Σ (x_i − b)(x_j − b)``, by a pixel that is 0 in every image."""
    return gram - gram[dark][None, :] - gram[:, dark][:, None] + gram[dark, dark]


@dataclass
class Superposed:
    """A matrix memory of the images themselves, whose file holds the sums of products of pixels."""

    name: str
    rule: str
    to_labels: bool
    black_and_white: bool
    share: float  # of white pixels, for the covariance rule

    def write(self, images: Floats, labels: Labels) -> State:
        """Write images, with themselves or with their labels."""
        d = images.shape[1]
        rule = Covariance(pre_mean=self.share, post_mean=self.share) if self.rule == "covariance" else self.rule
        memory = Matrix(d, CLASSES if self.to_labels else None, rule)
        memory.write(2 * images - 1 if self.rule == "hebb" else images, SHARES[labels] if self.to_labels else None)
        return memory.state()

    def gram(self, state: State, attacker: Attacker) -> Floats:
        """Return ``K Kᵀ`` in pixels from 0 to 1, whole in units of the grey levels."""
        if self.rule == "projection":
            found = np.asarray(state["synapses.rule_state.gram"])
        else:
            dark = int(attacker.public.any(axis=0).argmin())
            found = unmarked(np.asarray(state["synapses.rule_state.sum"]), dark) / (4 if self.rule == "hebb" else 1)
        return np.rint(found * attacker.levels**2) / attacker.levels**2 + 0.0

    def attacks(self, state: State, attacker: Attacker) -> Attacks:
        """Find the factor of the sums; recall too, where images are recalled."""
        gram = self.gram(state, attacker)
        found = of_gram(gram, int(state["written"]), attacker)
        if not self.to_labels:
            found["attractors"] = partial(attractors, state, None, attacker, self.rule == "hebb")
        return found

    def membership(self, state: State, attacker: Attacker, images: Floats) -> dict[str, Floats]:
        """Score by leverage, and by products that are larger than the sums allow."""
        return of_membership(self.gram(state, attacker), images, attacker.public)

    def difference(self, before: State, after: State, attacker: Attacker) -> Floats:
        """Read the image off a column of ``k kᵀ``."""
        return first_factor(self.gram(after, attacker) - self.gram(before, attacker))


@dataclass
class Expanded:
    """A matrix memory with the projection rule behind a rectifying expansion."""

    name: str
    encoder: Dentate
    to_labels: bool
    black_and_white: bool = False

    def write(self, images: Floats, labels: Labels) -> State:
        """Write images, with themselves or with their labels."""
        memory = Matrix(images.shape[1], CLASSES if self.to_labels else None, encoder=self.encoder)
        memory.write(images, SHARES[labels] if self.to_labels else None)
        return memory.state()

    def attacks(self, state: State, attacker: Attacker) -> Attacks:
        """Find the factor of the codes' sums; of the images' sums too, which follow where images are the values."""
        encoder = Dentate.from_state(under(dict(state), "encoder."))
        codes, n = np.asarray(state["synapses.rule_state.gram"]), int(state["written"])
        found: Attacks = {}
        if not self.to_labels:
            through = np.asarray(state["synapses.rule_state.cross"]) @ Span(codes).inverse
            gram = np.rint(through @ through.T * attacker.levels**2) / attacker.levels**2 + 0.0
            found |= of_gram(gram, n, attacker)
            found["attractors"] = partial(attractors, state, encoder, attacker, False)
        found["nearest codes"] = partial(attacks.nearest_codes, codes, n, attacker, encoder)
        way = partial(attacks.factors_of_codes, encoder=encoder)
        found["factors of codes"] = Shared("factors of codes", way, codes, n, attacker)
        return found

    def membership(self, state: State, attacker: Attacker, images: Floats) -> dict[str, Floats]:
        """Score codes by leverage."""
        span = Span(np.asarray(state["synapses.rule_state.gram"]))
        return {"leverage of the code": -span.strangeness(self.encoder.encode(images))}

    def difference(self, before: State, after: State, attacker: Attacker) -> Floats:
        """Read the code off a column; then the value that was written with it, or solve for the image."""
        gram, cross = (
            np.asarray(after[f"synapses.rule_state.{name}"]) - np.asarray(before[f"synapses.rule_state.{name}"])
            for name in ("gram", "cross")
        )
        code = first_factor(gram, high=np.inf)
        if not self.to_labels:
            return np.clip(cross @ code / (code @ code), 0, 1)
        code[code < 1e-9 * code.max()] = 0
        return attacks.decode_exactly(code[None], self.encoder)[0]


@dataclass
class ClassSums:
    """Hebb's rule from images to labels: the file holds one sum of images for each class, and nothing else."""

    name: str
    black_and_white: bool = True

    def write(self, images: Floats, labels: Labels) -> State:
        """Write images with their labels."""
        memory = Matrix(images.shape[1], CLASSES, "hebb")
        memory.write(2 * images - 1, SHARES[labels])
        return memory.state()

    def sums(self, state: State, attacker: Attacker) -> tuple[Floats, NDArray[np.int64]]:
        """Return the sum of the images of each class, and how many there are: a pixel that is always dark counts."""
        found = np.asarray(state["synapses.rule_state.sum"])
        counts = np.rint(-found[:, int(attacker.public.any(axis=0).argmin())]).astype(np.int64)
        held = counts > 0
        return (found[held] + counts[held, None]) / 2, counts[held]

    def attacks(self, state: State, attacker: Attacker) -> Attacks:
        """Take the means, or part the sums into images that resemble public ones."""
        totals, counts = self.sums(state, attacker)
        return {
            "class means": lambda: totals / counts[:, None],
            "parted sums": lambda: np.concatenate(
                [parted(total, int(count), attacker) for total, count in zip(totals, counts, strict=True)]
            ),
        }

    def membership(self, state: State, attacker: Attacker, images: Floats) -> dict[str, Floats]:
        """Score by pixels that are white though in no image of the class, and by likeness to a class."""
        totals, counts = self.sums(state, attacker)
        against = np.array([(images * (total < 0.5)).sum(axis=1) for total in totals]).min(axis=0)
        share = np.clip((totals + 0.1) / (counts[:, None] + 0.2), 1e-3, 1 - 1e-3)
        usual = np.clip(attacker.public.mean(axis=0), 1e-3, 1 - 1e-3)
        likely = images @ np.log(share / usual).T + (1 - images) @ np.log((1 - share) / (1 - usual)).T
        return {"white where the class is dark": -against, "likeness to a class": likely.max(axis=1)}

    def difference(self, before: State, after: State, attacker: Attacker) -> Floats:
        """Read the image off the row that changed."""
        change = np.asarray(after["synapses.rule_state.sum"]) - np.asarray(before["synapses.rule_state.sum"])
        return (change[np.abs(change).sum(axis=1).argmax()] + 1) / 2


@dataclass
class Clipped:
    """One-bit synapses from the codes of images to themselves, or to labels; with counters, if asked."""

    name: str
    encoder: Dentate
    decode: Callable[[Floats], Floats]
    to_labels: bool = False
    counts: bool = False
    black_and_white: bool = False

    def write(self, images: Floats, labels: Labels) -> State:
        """Write the codes of images."""
        out, k = (CLASSES, 1) if self.to_labels else (UNITS, self.encoder.k)
        memory = Sparse(UNITS, out, k=k, counts=self.counts, count_bits=16)
        memory.write(self.encoder.encode(images), SHARES[labels] if self.to_labels else None)
        return memory.state()

    def attacks(self, state: State, attacker: Attacker) -> Attacks:
        """Find the codes, and decode them."""
        n, k, on = int(state["pairs"]), int(self.encoder.k or 0), bits.synapses(dict(state))
        if self.to_labels:
            return {
                "unions": partial(self._unions, on),
                "nearest codes": partial(self._nearest, on, n, attacker),
                "nearest codes, within unions": partial(self._within, on, n, attacker),
            }
        ways = {"nearest codes": bits.most_complete}
        if not self.counts:
            ways |= {"partners": bits.partners, "cliques": bits.cliques, "attractors": bits.attractors}
        found: Attacks = {
            name: lambda way=way: self.decode(way(on, n, k, attacker, self.encoder)) for name, way in ways.items()
        }
        if self.counts:
            gram = np.asarray(state["counters"], np.float64)
            coded = replace(attacker, public=self.encoder.encode(attacker.public), levels=1)
            found["lattice of codes"] = lambda: self._decoded(attacks.lattice(gram, n, coded))
            found["factors of codes"] = lambda: self._decoded(attacks.factors(gram, n, coded))
        return found

    def _decoded(self, codes: Floats) -> Floats:
        return self.decode(codes) if len(codes) else codes.reshape(0, self.encoder.d)

    def _unions(self, on: NDArray[np.bool_]) -> Floats:
        unions = on.T[on.any(axis=0)].astype(np.float64)
        return self.decode(unions * (self.encoder.k or 1) / unions.sum(axis=1, keepdims=True))

    def _nearest(self, on: NDArray[np.bool_], n: int, attacker: Attacker) -> Floats:
        share = (self.encoder.encode(attacker.public) @ on).max(axis=1)
        return attacker.public[np.argsort(-share, kind="stable")[:n]]

    def _within(self, on: NDArray[np.bool_], n: int, attacker: Attacker) -> Floats:
        near = self._nearest(on, n, attacker)
        label = (self.encoder.encode(near) @ on).argmax(axis=1)
        return self.decode(self._winners(near, on.T[label]))

    def _winners(self, images: Floats, allowed: NDArray[np.bool_]) -> Floats:
        """Return the codes of images if only some neurons could fire."""
        weights, thresholds = attacks.drives(self.encoder)
        drive = np.where(allowed, images @ weights.T + thresholds, -np.inf)
        codes = np.zeros(drive.shape)
        np.put_along_axis(codes, np.argsort(-drive, axis=1, kind="stable")[:, : self.encoder.k], 1.0, axis=1)
        return codes * allowed

    def membership(self, state: State, attacker: Attacker, images: Floats) -> dict[str, Floats]:
        """Score by the share of a code's synapses that are on."""
        on, codes = bits.synapses(dict(state)), self.encoder.encode(images)
        if self.to_labels:
            return {"synapses that are on": (codes @ on).max(axis=1)}
        scores = {"synapses that are on": bits.completeness(on, codes)}
        if self.counts:
            scores["leverage of the code"] = -Span(np.asarray(state["counters"], np.float64)).strangeness(codes)
        return scores

    def difference(self, before: State, after: State, attacker: Attacker) -> Floats:
        """Take the neurons with new synapses, and those that all of these reach."""
        if self.counts:
            change = np.asarray(after["counters"], np.int64) - np.asarray(before["counters"], np.int64)
            return self.decode(change.diagonal()[None].astype(np.float64))[0]
        on = bits.synapses(dict(after))
        new = on & ~bits.synapses(dict(before))
        if not new.any():
            return attacker.public.mean(axis=0)
        k = int(self.encoder.k or 0)
        if self.to_labels:  # its neurons are those with new synapses, and others that the label has already
            label = int(new.any(axis=0).argmax())
            code = sure = new[:, label].astype(np.float64)
            for _ in range(5):
                image = self.decode(code[None] * k / code.sum())
                code = self._winners(image, on[None, :, label])[0]
                code = within_size(code + 2 * sure, k)
        else:
            touched = new.sum(axis=1)
            reached = on[touched > 0].sum(axis=0) + touched / (1 + touched.max())
            code = within_size(reached, k)
        return self.decode(code[None] * k / code.sum())[0]


# --- what several cases share ----------------------------------------------------------------------


def of_gram(gram: Floats, n: int, attacker: Attacker) -> Attacks:
    """Return the attacks on sums of products of pixels."""
    ways = {
        "nearest in span": attacks.nearest_in_span,
        "columns": attacks.columns,
        "components": attacks.components,
        "lattice": attacks.lattice,
        "factors": attacks.factors,
        "bent public images": attacks.bent,
        "bent prototypes": attacks.bent_prototypes,
    }
    return {name: Shared(name, way, gram, n, attacker) for name, way in ways.items()}


@dataclass
class Shared:
    """An attack on sums of products; equal sums in two files are attacked once."""

    name: str
    way: Callable[[Floats, int, Attacker], Floats]
    gram: Floats
    n: int
    attacker: Attacker

    @property
    def key(self) -> tuple[str, bytes, int]:
        """What makes two of these equal, with the same attacker."""
        return self.name, self.gram.tobytes(), self.n

    def __call__(self) -> Floats:
        """Run it."""
        return self.way(self.gram, self.n, self.attacker)


def of_membership(gram: Floats, images: Floats, public: Floats) -> dict[str, Floats]:
    """Score images by what the sums of products allow."""
    span = Span(gram)
    strange = span.strangeness(images)
    spread = public.T @ public / len(public)
    usual = np.einsum(
        "nd,nd->n",
        images,
        np.linalg.solve(spread + 1e-3 * np.trace(spread) / len(spread) * np.eye(len(spread)), images.T).T,
    )
    scores = {"leverage": -strange, "leverage beside the usual": -strange / usual}
    if gram.shape[0] <= FEW_PIXELS:
        over = np.array([np.maximum(np.outer(image, image) - gram, 0).sum() for image in images])
        scores["products above the sums"] = -over
    return scores


def within_size(score: Floats, k: int) -> Floats:
    """Return the code of the ``k`` neurons that score highest, above 0."""
    code = np.zeros(len(score))
    code[np.argsort(-score, kind="stable")[:k]] = 1.0
    return code * (score > 0)


def first_factor(change: Floats, high: float = 1.0) -> Floats:
    """Return ``k`` of ``k kᵀ``, for ``k`` without negative entries."""
    top = int(np.diag(change).argmax())
    return np.clip(change[top] / np.sqrt(max(change[top, top], 1e-300)), 0, high)


def attractors(state: State, encoder: Dentate | None, attacker: Attacker, bipolar: bool) -> Floats:
    """Recall from noise, public images and nothing, and take what most of it ends in; then what moved least."""
    memory, n = Matrix.from_state(dict(state), encoder), int(state["written"])
    count = min(max(n, 20), MOST_CUES)
    public = attacker.guesses(count)
    noise = attacker.rng.random(public.shape)
    cues = np.concatenate([public, np.rint(noise) if attacker.levels == 1 else noise, np.zeros((1, public.shape[1]))])
    try:
        ends = memory.read(2 * cues - 1 if bipolar else cues)
    except NotFinite:
        return np.empty((0, public.shape[1]))
    seen = np.clip((ends + 1) / 2 if bipolar else ends, 0, 1)
    alike, first, times = np.unique(np.round(seen, 3), axis=0, return_index=True, return_counts=True)
    moved = np.square(seen[first] - cues[first]).sum(axis=1)
    return distinct(alike, np.lexsort((moved, -times)), n)


def parted(total: Floats, count: int, attacker: Attacker) -> Floats:
    """Part a sum into ``count`` images that resemble public ones."""
    if count == 1:
        return total[None]
    near = attacker.public[np.argsort(squares(attacker.public, total[None] / count)[:, 0])[: max(50, count)]]
    seen = near[attacker.rng.permutation(len(near))[:count]]
    for _ in range(30):
        order = np.argpartition(squares(seen, attacker.public), NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
        seen = 0.5 * seen + 0.5 * attacker.public[order].mean(axis=1)
        for _ in range(3):
            seen = np.clip(seen + (total - seen.sum(axis=0)) / count, 0, 1)
    return seen
