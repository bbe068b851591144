"""``memoize``: a module that remembers what it has computed."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from mossy.arrays import as_bytes, check_flag, check_number, choose
from mossy.cache import Cache
from mossy.errors import EmptyBatch, FullMemory, InvalidInput, InvalidParameter, InvalidShape
from mossy.nn.intermediate.calibrate import Differs, ToleranceCalibration, as_differs, calibrated, margins
from mossy.nn.intermediate.call import (
    Call,
    Output,
    check_alike,
    copied,
    first_tensor,
    is_dual,
    is_wrapped,
    join,
    random_state,
    size,
    split,
)
from mossy.nn.intermediate.fingerprint import combine
from mossy.nn.intermediate.near import REACH, Neighbours, apart, distances, leaders, sketch
from mossy.nn.intermediate.statistics import MemoStats
from mossy.nn.intermediate.weights import Watch, counted, parts_of, weights_of
from mossy.nn.tensors import check_floating, without_autocast

__all__ = ["Memoized", "memoize"]

GRADIENTS = {"pass": False, "refuse": True}
WEIGHTS = {"sample": False, "bytes": True}
ITEM = 600  # bytes of an output's objects beside its entries, about
NEAR = 1000  # bytes of the objects that keep an input for near ones, about
ROOM = 1.6  # sketches that are held for each that is needed, at most: a quarter is spare, a quarter of those outdated
AT_ONCE = 256  # rows that are computed together in a calibration


def memoize(
    module: nn.Module,
    budget: int | str = "256 MB",
    *,
    tolerance: float | None = None,
    margin: float = 0.0,
    rows: bool = False,
    gradients: str = "pass",
    weights: str = "sample",
    embed: Callable[[Tensor], Tensor] | None = None,
) -> Memoized:
    """Return a module that gives the outputs of ``module``, and computes each only once.

    See ``Memoized``, which says all of it.
    """
    return Memoized(
        module, budget, tolerance=tolerance, margin=margin, rows=rows, gradients=gradients, weights=weights, embed=embed
    )


@dataclass(frozen=True, slots=True)
class _Entry:
    """One output, how long the module took for it, and the vector of its input, if it may stand for near ones."""

    output: Output
    seconds: float
    nbytes: int
    vector: Tensor | None


@dataclass(slots=True)
class _Looked:
    """What was found for the rows of a call, and what is missing."""

    keys: list[bytes]  # of each row
    places: dict[bytes, int]  # of the first of equal rows
    held: dict[bytes, _Entry]
    missing: list[bytes]
    near: int = 0  # how many are answered by near ones
    shared: dict[bytes, bytes] = field(default_factory=dict)  # rows near to another of this call, which is computed
    about: bytes = b""  # all that rows near to each other have in common
    vectors: dict[bytes, Tensor] = field(default_factory=dict)  # of missing rows, and of those that are shared
    sketches: dict[bytes, Tensor] = field(default_factory=dict)


@final
class Memoized(nn.Module):
    r"""A module that remembers its outputs, under a byte budget.

    ::

        trunk = memoize(trunk.eval(), "256 MB", rows=True)
        with torch.no_grad():
            h = trunk(x)  # only rows that were not seen before are computed
        trunk.stats().hit_ratio

    An input is known by a digest of its bytes, shape, dtype and device (``mossy.nn.intermediate.fingerprint``), of
    all other arguments, and of what else decides the output: autocast, the default dtype. With a ``tolerance``, an
    input that is not known takes the output of the nearest that is, if it is near enough. Outputs are held in a
    ``mossy.Cache``, which learns what will be needed again. What is returned is always a copy.

    Parameters
    ----------
    module
        Computes outputs from tensors and plain values, in tuples, lists, dicts and dataclasses; returns the like.
        It is held as ``.module``; ``state_dict`` has the names of the bare module.
    budget
        Bytes of all that is held, overheads included: an integer or a string such as ``"256 MB"``. Outputs stay on
        the device on which they were computed.
    tolerance
        None: equal inputs only. A number: the r.m.s. difference per entry up to which an input, the only tensor
        argument and one of floats, stands for another. Inputs are held then too, and compared entry by entry; which
        of them are compared, short vectors propose (``mossy.nn.intermediate.near.sketch``). ``calibrate`` chooses it
        from data.
    margin
        An output stands for near inputs only if its greatest entry (of the last axis of its first tensor) exceeds the
        next by as much: near a border between classes a small change of the input is enough for another class.
    rows
        True: the first axis of all tensor arguments and outputs counts items that do not depend on each other. Each
        row is looked up for itself, and the rows that are missing are computed in one smaller batch. Its outputs are
        those of the whole batch up to rounding. That rows are independent is tried on the first batch.
    gradients
        What is done if gradients are asked for (grad mode is on, and an argument or a weight requires grad; or one
        carries a tangent of forward mode):
        ``"pass"`` computes as if there were no cache, ``"refuse"`` raises.
    weights
        How changed weights are noticed, at each call: ``"sample"`` by PyTorch's own counts, addresses, and 64 entries
        of each tensor; ``"bytes"`` by all their bytes, so that also a write through ``.data`` to a single entry is
        seen, for the time that it takes to read them all. All outputs are dropped then.
    embed
        Returns vectors ``(n, ...)`` whose differences say how near inputs ``(n, ...)`` are. None: the inputs. A module
        is watched as ``module`` is, and is no part of this one: it is neither moved nor saved with it.

    Raises
    ------
    InvalidParameter, UnknownName
        A parameter is outside its range; at once.
    InvalidInput
        When called: gradients are refused; an argument or an output is of a kind that cannot be kept; rows are not
        independent.
    InvalidShape, InvalidDtype
        When called: with ``rows`` a tensor has another number of rows; with a ``tolerance`` it is not one of floats.

    Notes
    -----
    While any part of the module is in training mode, calls pass: dropout is random, and batch normalisation learns.
    Not noticed are changes to what is neither parameter nor buffer (``clear()`` is there for it), random numbers that
    are not from PyTorch's default generators, and effects other than the output. Threads may share it. A copy
    (``deepcopy``, pickle) begins with an empty cache. ``torch.compile`` leaves it as it is; to compile what it
    computes, memoize a compiled module.
    """

    def __init__(
        self,
        module: nn.Module,
        budget: int | str = "256 MB",
        *,
        tolerance: float | None = None,
        margin: float = 0.0,
        rows: bool = False,
        gradients: str = "pass",
        weights: str = "sample",
        embed: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(module, nn.Module):
            raise InvalidParameter(f"memoize.module: {type(module).__name__} was given; a torch.nn.Module is allowed.")
        if embed is not None and not callable(embed):
            raise InvalidParameter(f"memoize.embed: {embed!r} was given; a function of inputs, or None, is allowed.")
        self.module = module
        self.budget = as_bytes(budget, "memoize.budget")
        if self.budget <= Cache.overhead:
            raise InvalidParameter(
                f"memoize.budget: {budget!r} was given; more than {Cache.overhead} bytes are allowed, which is what "
                "one output needs beside its entries."
            )
        self.tolerance = None if tolerance is None else check_number(tolerance, "memoize.tolerance", 0.0)
        self.margin = check_number(margin, "memoize.margin", 0.0)
        self.rows = check_flag(rows, "memoize.rows")
        self.refuse = choose(GRADIENTS, gradients, "memoize.gradients")
        self.whole = choose(WEIGHTS, weights, "memoize.weights")
        self._embed = (embed,)  # in a tuple, since a module would become a part, with weights in the state dict
        self._begin()
        self.register_state_dict_post_hook(_without_prefix)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(_with_prefix)  # type: ignore[no-untyped-call]

    def _begin(self) -> None:
        self._cache: Cache[bytes, _Entry] = Cache(self.budget, sizeof=lambda entry: entry.nbytes)
        self._neighbours: dict[bytes, Neighbours] = {}
        self._sketched = 0  # rows in all of them
        self._stood_under = self.margin  # when they were stored
        self._watch = Watch(self.whole)
        self._epoch = 0  # of the weights
        self._independent = False
        self._counts: Counter[str] = Counter()
        self._passed: Counter[str] = Counter()
        self._seconds = {"saved": 0.0, "spent": 0.0}
        self._lock, self._process = threading.RLock(), os.getpid()

    # --- calling ---------------------------------------------------------------------------------
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the module returns, computed now or before."""
        if torch.compiler.is_compiling():  # here, since as a decorator it would load the compiler, which takes seconds
            return torch.compiler.disable(self._remembered)(*args, **kwargs)  # type: ignore[no-untyped-call]
        return self._remembered(*args, **kwargs)

    def _remembered(self, *args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        call = Call(args, kwargs, self.rows)
        reason, epoch = self._look(call)
        if reason:
            with self._alone():
                self._passed[reason] += 1
            return self.module(*args, **kwargs)
        at = self._found(call)
        answer, whole, seconds = None, False, 0.0
        outputs = {key: entry.output for key, entry in at.held.items()}
        if at.missing:
            answer, whole, fresh, seconds, reason = self._computed(call, at, epoch)
            outputs |= fresh
        if reason and not whole:  # what is not to be kept is not to be shared either
            began = time.perf_counter()
            answer = self.module(*args, **kwargs)
            seconds += time.perf_counter() - began
        elif not whole:
            answer = join([outputs[key] for key in at.keys], self.rows)
        with self._alone():
            self._passed.update([reason] if reason else [])
            self._seconds["spent"] += time.perf_counter() - start - seconds
            if whole or not reason:
                self._counted(at, seconds)
        return answer

    def _counted(self, at: _Looked, seconds: float) -> None:
        misses, shared = len(at.missing), len(at.shared)
        near = at.near + shared
        self._counts.update(hits=len(at.keys) - misses - near, near_hits=near, misses=misses)
        self._seconds["saved"] += sum(entry.seconds for entry in at.held.values()) + shared * seconds / max(misses, 1)

    def _found(self, call: Call) -> _Looked:
        """Look for the rows of a call, and for near ones."""
        about = call.about()
        keys = call.keys(about)
        places: dict[bytes, int] = {}
        for place, key in enumerate(keys):
            places.setdefault(key, place)
        held = {key: entry for key in places if (entry := self._cache.get(key)) is not None}
        at = _Looked(keys, places, held, [key for key in places if key not in held])
        if at.missing and self.tolerance is not None:
            self._found_near(call, at, about, self.tolerance)
        return at

    def _found_near(self, call: Call, at: _Looked, about: bytes, tolerance: float) -> None:
        """Look for stored rows near to those that are missing, and for rows near to each other among the rest."""
        floats = call.the_floats()
        vectors = self._vectors(floats[[at.places[key] for key in at.missing]])
        about_vectors = f"{floats.shape[1:]},{floats.dtype},{floats.device},{vectors.shape[1:]},{vectors.dtype}"
        at.about = combine(about, about_vectors.encode())
        with torch.no_grad(), without_autocast(vectors.device):
            sketches = sketch(vectors)
            beside = self._near(at, vectors, sketches, tolerance)
            far = [row for row, key in enumerate(at.missing) if key not in beside]
            asked, vectors, sketches = [at.missing[row] for row in far], vectors[far], sketches[far]
            led = leaders(distances(sketches), tolerance)
            rows = [row for row, first in enumerate(led) if row != first]
            close = (apart(vectors[rows], vectors[[led[row] for row in rows]]) <= tolerance).tolist()
        at.held |= beside
        at.near = len(beside)
        at.shared = {asked[row]: asked[led[row]] for row, fine in zip(rows, close, strict=True) if fine}
        at.missing = [key for key in asked if key not in at.shared]
        at.vectors = dict(zip(asked, vectors, strict=True))
        at.sketches = dict(zip(asked, sketches, strict=True))

    def _look(self, call: Call) -> tuple[str, int]:
        """Return why this call passes, or an empty text, and the epoch of the weights."""
        parts = parts_of(self.module)
        weights = weights_of(parts)
        given = (*call.tensors, *weights)
        if is_dual(given) or (torch.is_grad_enabled() and any(one.requires_grad for one in given)):
            if self.refuse:
                raise InvalidInput(
                    "memoize: gradients were asked for, and gradients='refuse'. Call it under torch.no_grad(), freeze "
                    "the module with module.requires_grad_(False), or allow gradients='pass'."
                )
            return "gradients", 0
        if is_wrapped(given):
            return "transforms", 0
        if isinstance(self.embed, nn.Module):
            beside = parts_of(self.embed)
            parts, weights = parts + beside, weights + weights_of(beside)
        if any(part.training for part in parts):
            return "training", 0
        if not call.n:
            return "empty", 0
        if any(is_lazy(weight) for weight in weights):
            return "changed", 0
        with self._alone():
            if self._watch.changed(parts, weights):
                self._drop()
                self._counts["invalidations"] += 1
            return "", self._epoch

    def _computed(self, call: Call, at: _Looked, epoch: int) -> tuple[Any, bool, dict[bytes, Output], float, str]:
        """Compute and keep what is missing.

        Returns what the module returned, whether that is the whole answer, outputs by key, the module's seconds, and
        why nothing was kept.
        """
        whole = len(at.missing) == len(at.keys)
        answer, fresh, seconds, reason = self._compute(call, [at.places[key] for key in at.missing], epoch)
        sure = self._sure(fresh) if at.shared else []
        unsure = {key for key, fine in zip(at.missing, sure, strict=False) if not fine}
        alone = [key for key, first in at.shared.items() if first in unsure]
        if alone and not reason:
            _, more, took, reason = self._compute(call, [at.places[key] for key in alone], epoch)
            at.shared = {key: first for key, first in at.shared.items() if first not in unsure}
            at.missing, fresh, seconds = at.missing + alone, fresh + more, seconds + took
        outputs = dict(zip(at.missing, fresh, strict=True))
        outputs |= {key: outputs[first] for key, first in at.shared.items()}
        if not reason:
            self._store(at, fresh, seconds, epoch)
        return answer, whole, outputs, seconds, reason

    def _compute(self, call: Call, rows: list[int], epoch: int) -> tuple[Any, list[Output], float, str]:
        """Return what the module returns for these rows, whole and row by row, its seconds, and why not to keep it."""
        args, kwargs = call.part(rows)
        written, drawn = [counted(tensor) for tensor in call.tensors], random_state(call.tensors)
        start = time.perf_counter()
        answer = self.module(*args, **kwargs)
        seconds = time.perf_counter() - start
        outputs = split(answer, len(rows), self.rows)
        if any(isinstance(leaf, Tensor) and leaf.requires_grad for leaf in outputs[0][0]):
            return answer, outputs, seconds, "gradients"
        if drawn != random_state(call.tensors):
            return answer, outputs, seconds, "random"
        if written != [counted(tensor) for tensor in call.tensors] or self._look(call) != ("", epoch):
            return answer, outputs, seconds, "changed"
        if self.rows and not self._independent and len(rows) > 1:
            args, kwargs = call.part([rows[-1]] * 2)  # by itself, in a batch that any module takes
            check_alike(outputs[-1], split(self.module(*args, **kwargs), 2, True)[0])
            self._independent = True
        return answer, outputs, seconds, ""

    def _store(self, at: _Looked, fresh: list[Output], seconds: float, epoch: int) -> None:
        """Keep copies of outputs, unless the weights were changed since."""
        entries = []
        for key, output in zip(at.missing, fresh, strict=True):
            nbytes, vector = size(output) + ITEM, at.vectors.get(key)
            if vector is not None:
                vector = vector.clone()
                nbytes += NEAR + vector.nbytes + int(ROOM * at.sketches[key].nbytes)
            entries.append(_Entry(copied(output), seconds / len(fresh), nbytes, vector))
        with self._alone():
            if epoch != self._epoch:
                return
            kept = []
            stands = self._sure(fresh) if at.vectors else [False] * len(fresh)
            for key, entry, sure in zip(at.missing, entries, stands, strict=True):
                try:
                    self._cache[key] = entry
                except FullMemory:
                    self._passed["large"] += 1
                else:
                    kept += [key] if sure else []
            if kept:
                sketches = torch.stack([at.sketches[key] for key in kept])
                self._beside().setdefault(at.about, Neighbours(sketches)).add(kept, sketches)
                self._sketched += len(kept)
            self._tidy()

    # --- near inputs -----------------------------------------------------------------------------
    def _sure(self, outputs: list[Output]) -> list[bool]:
        """Say which outputs may stand for others."""
        if not self.margin:
            return [True] * len(outputs)
        firsts = [first_tensor(leaves, rows=True) for leaves, _ in outputs]
        stacked = torch.stack(firsts if self.rows else [first[None] for first in firsts])
        return (margins(stacked) >= self.margin).tolist()

    @property
    def embed(self) -> Callable[[Tensor], Tensor] | None:
        """What returns the vectors that are compared."""
        return self._embed[0]

    def _vectors(self, given: Tensor) -> Tensor:
        """Return vectors ``(n, d)`` whose differences say how near rows ``(n, ...)`` are."""
        if self.embed is None:
            return given.detach().reshape(len(given), -1)
        with torch.no_grad():
            vectors = check_floating(self.embed(given if self.rows else given[0]), "memoize.embed")
        if not self.rows:
            vectors = vectors[None]
        if not vectors.dim() or len(vectors) != len(given):
            raise InvalidShape(
                f"memoize.embed: it returned shape {tuple(vectors.shape)} for {len(given)} rows; ({len(given)}, ...) "
                "is allowed."
            )
        return vectors.reshape(len(vectors), -1)

    def _near(self, at: _Looked, vectors: Tensor, sketches: Tensor, tolerance: float) -> dict[bytes, _Entry]:
        """Return what is held of the nearest input to each that is missing, where one is near enough."""
        with self._alone():
            stored = self._beside().get(at.about)
            proposed = [] if stored is None else stored.propose(sketches, REACH * tolerance)
        nearest = dict[bytes, tuple[float, bytes]]()
        for rank in range(max(map(len, proposed), default=0)):
            asked = [(row, keys[rank]) for row, keys in enumerate(proposed) if len(keys) > rank]
            held = [(row, near, entry.vector) for row, near in asked if (entry := self._cache.peek(near)) is not None]
            rows = [row for row, _, vector in held if vector is not None]
            if rows:
                others = torch.stack([vector for _, _, vector in held if vector is not None])
                for (row, near, _), far in zip(held, apart(vectors[rows], others).tolist(), strict=True):
                    if far <= min(tolerance, nearest.get(at.missing[row], (torch.inf, b""))[0]):
                        nearest[at.missing[row]] = far, near
        found = {key: self._cache.get(near) for key, (_, near) in nearest.items()}
        return {key: entry for key, entry in found.items() if entry is not None}

    def _beside(self) -> dict[bytes, Neighbours]:
        """Return what is held of inputs that may stand for others; none, if that was said of another margin."""
        if self._stood_under != self.margin:
            self._stood_under, self._neighbours, self._sketched = self.margin, {}, 0
        return self._neighbours

    def _tidy(self) -> None:
        """Leave out sketches of outputs that are gone, when they may be a quarter of those held."""
        if self._sketched > 1.25 * len(self._cache) + 8:
            for one in self._neighbours.values():
                one.keep(self._cache.__contains__)
            self._neighbours = {about: one for about, one in self._neighbours.items() if one.keys}
            self._sketched = sum(len(one.keys) for one in self._neighbours.values())

    def calibrate(
        self,
        inputs: Tensor | Iterable[Tensor],
        *,
        rate: float = 0.01,
        differs: str | float | Differs = "argmax",
        confidence: float = 0.95,
    ) -> ToleranceCalibration:
        """Set ``tolerance`` and ``margin`` to those with the most near hits of which few are false, by data.

        A near hit is false if the output that was found differs from the true one. The inputs are taken in their
        order, as they would be looked up; give them as they will come. The bound is that of Clopper & Pearson for
        independent trials. It holds for inputs like these, as many as these; the cache is neither read nor changed.

        Parameters
        ----------
        inputs
            With ``rows=True`` a tensor ``(n, ...)``, or batches of one; else inputs of one shape, each as the module
            takes it. ``16 n²`` bytes, and 8 for each entry of an input, are needed.
        rate
            What part of near hits may be false.
        differs
            When an output differs: ``"argmax"``, another greatest entry of the last axis; a number c, where
            ``‖true - found‖ > c ‖true‖``; or a function of true and found outputs ``(n, ...)`` that returns ``(n,)``
            booleans. Of an output of several tensors, the first counts.
        confidence
            How certain the bound is.

        Returns
        -------
        ToleranceCalibration

        Raises
        ------
        InvalidInput
            No tolerance meets the rate on these inputs, or the module is in training mode. Nothing was changed.
        EmptyBatch, InvalidShape, InvalidDtype, InvalidParameter
        """
        rate = check_number(rate, "Memoized.calibrate: rate", 0.0, 1.0, open_low=True)
        confidence = check_number(confidence, "Memoized.calibrate: confidence", 0.0, 1.0, open_low=True)
        if max(rate, confidence) >= 1:
            raise InvalidParameter("Memoized.calibrate: 1 was given as rate or confidence; less than 1 is allowed.")
        said = as_differs(differs)
        if any(part.training for part in parts_of(self.module)):
            raise InvalidInput("Memoized.calibrate: the module is in training mode. Call .eval() first.")
        given = torch.split(inputs, AT_ONCE) if isinstance(inputs, Tensor) and self.rows else inputs
        known: set[bytes] = set()
        vectors, outputs = list[Tensor](), list[Tensor]()
        for one in given:
            call = Call((one,), {}, self.rows)
            floats = call.the_floats()
            places = {key: place for place, key in enumerate(call.keys(b"")) if key not in known}
            if not places:
                continue
            known |= places.keys()
            rows = sorted(places.values())
            with torch.no_grad():
                output = self.module(*call.part(rows)[0])
            vectors.append(self._vectors(floats[rows]))
            outputs.append(first_tensor(output, self.rows))
            for name, them in (("inputs", vectors), ("outputs", outputs)):
                if them[-1].shape[1:] != them[0].shape[1:]:
                    shapes = f"{tuple(them[0].shape[1:])} and {tuple(them[-1].shape[1:])}"
                    raise InvalidShape(f"Memoized.calibrate: {name} of shapes {shapes} came; all have one shape.")
        if not vectors:
            raise EmptyBatch("Memoized.calibrate.inputs: nothing was given; give at least one input.")
        found = calibrated(
            torch.cat(vectors), torch.cat(outputs), said, rate, confidence, by_margin=differs == "argmax"
        )
        self.tolerance, self.margin = found.tolerance, found.margin
        return found

    # --- upkeep ----------------------------------------------------------------------------------
    def stats(self) -> MemoStats:
        """Return counts, bytes and seconds."""
        with self._alone():
            cache, counts = self._cache.stats(), self._counts
            return MemoStats(
                hits=counts["hits"],
                near_hits=counts["near_hits"],
                misses=counts["misses"],
                passed=dict(self._passed),
                invalidations=counts["invalidations"],
                items=cache.items,
                bytes=cache.bytes,
                capacity=cache.capacity,
                evictions=cache.evictions,
                saved_s=self._seconds["saved"],
                spent_s=self._seconds["spent"],
            )

    def clear(self) -> None:
        """Drop all outputs, after a change that cannot be noticed."""
        with self._alone():
            self._drop()

    def extra_repr(self) -> str:
        """Return the settings."""
        return f"budget={self.budget:,}, tolerance={self.tolerance}, rows={self.rows}"

    def _drop(self) -> None:
        self._epoch += 1
        self._cache.clear()
        self._neighbours, self._sketched = {}, 0

    def _alone(self) -> threading.RLock:
        """Return the lock. In a forked child it is a new one, since whoever held the old one is not there."""
        if self._process != os.getpid():
            self._process, self._lock = os.getpid(), threading.RLock()
            self._neighbours, self._sketched = {}, 0
        return self._lock

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in FRESH}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._begin()


FRESH = {
    *("_cache", "_neighbours", "_watch", "_epoch", "_independent", "_counts", "_passed", "_seconds"),
    *("_lock", "_process", "_sketched", "_stood_under"),
}


def _without_prefix(module: nn.Module, state: Any, prefix: str, _: Any) -> None:
    """Give the weights in a state dict the names that they have in the bare module; its versions have both."""
    about = getattr(state, "_metadata", None) or {}
    _rename(state, f"{prefix}module.", prefix)
    about[prefix[:-1]] = about.get(f"{prefix}module", {})
    about |= {prefix + name.removeprefix(f"{prefix}module."): about[name] for name in _under(about, f"{prefix}module.")}


def _with_prefix(module: nn.Module, state: Any, prefix: str, about: dict[str, Any], *_: Any) -> None:
    _rename(state, prefix, f"{prefix}module.")
    versions = getattr(state, "_metadata", None)
    if versions is not None and "module" not in versions:  # of a bare module: PyTorch looks for them by our names
        versions |= {f"module.{name}": versions[name] for name in _under(versions, "") if name} | {"module": about}


def _under(names: Any, prefix: str) -> list[str]:
    return [name for name in names if name.startswith(prefix)]


def _rename(state: Any, old: str, new: str) -> None:
    for name in _under(state, old):
        state[new + name.removeprefix(old)] = state.pop(name)
