"""LongTermMemory: product keys for what is learned, full keys for what is written."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Self, cast, final

import numpy as np
import torch
from torch import Tensor, nn

from mossy.arrays import check_flag, check_integer, check_number
from mossy.errors import (
    EmptyMemory,
    InvalidDtype,
    InvalidInput,
    InvalidParameter,
    InvalidShape,
    NotFinite,
    UnknownMemory,
)
from mossy.memory import Memory
from mossy.nn.long_term.product_keys import bag, read_slots
from mossy.nn.long_term.transfer import contents_of, memory_of
from mossy.nn.long_term.written import (
    Written,
    cosines,
    excited,
    forgotten,
    log_strength,
    nothing,
    occupied,
    reach,
    stored,
)
from mossy.nn.tensors import check_fits, check_floating, wide, without_autocast

__all__ = ["LongTermMemory", "Recalled"]

Numbers = int | Iterable[int] | Tensor

SHORTEST = 1e-12  # length of a key: below it a cosine means nothing

_WRITING = threading.RLock()  # of all layers: a lock of its own would keep a layer from being copied


@dataclass(frozen=True)
class Recalled:
    """What was written that fits ``x (..., d)``, best first.

    Attributes
    ----------
    values
        ``(..., k, d_value)``: what was stored there, to the bit.
    places
        ``(..., k)``: where they are written.
    fit
        ``(..., k)``: the cosine of each key to the cue.
    familiar
        ``(...)``: whether the best fits by at least the layer's ``familiar``.
    """

    values: Tensor
    places: Tensor
    fit: Tensor
    familiar: Tensor


@final
class LongTermMemory(nn.Module):
    r"""A long-term memory of two kinds: slots that training fills, and memories that are written in one call.

    **What is learned** lies in ``slots = n²`` values that product keys find (Lample et al. 2019). Each head has a query
    in two halves, and ``2n`` sub-keys instead of ``n²`` keys:

    .. math::  (q_1, q_2) = \text{norm}(W x), \quad s_{ij} = q_1·c_i + q_2·c'_j, \quad
               l(x) = \sum_\text{heads} \sum_{ij \in \text{top } k} \text{softmax}(s)_{ij} v_{ij}

    The top ``k`` of all ``n²`` sums is exact. Only the values, and the sub-keys, of chosen slots get a gradient.

    **What is written** lies in ``room`` places, each with a full key ``k_m`` of its own in the space of ``x``, and a
    content ``u_m``. It is found by its cosine, and competes with what was learned, which counts as a memory whose
    cosine is ``familiar``:

    .. math::  a_m = \frac{e^{β(\cos(x, k_m) - θ)}}{1 + \sum_j e^{β(\cos(x, k_j) - θ)}}, \qquad
               y = \Bigl(1 - \sum_m a_m\Bigr)\, l(x) + \sum_m a_m u_m

    So what was stored is found again by its own key, what is far from everything written is left to what was learned,
    and training never touches what was written: keys and contents are buffers, that no optimizer knows. Gradients reach
    ``x`` through the cosines. Values begin at 0: an untrained layer answers with what is written, else with 0.

    **Strength** decides who leaves when the room is full: the weakest. It is a linear law of one mode, in units of
    memories stored: 1 when stored, plus what ``recall`` and ``reinforce`` add, falling by ``exp(-1/fading)`` with each
    memory that is stored after. It is kept in float32 in a layer of any dtype.

    Parameters
    ----------
    d
        Entries of ``x`` and of the keys that are written.
    slots
        ``n²``: a square number.
    heads, top_k
        Queries for each ``x``, and slots read for each of them.
    d_key
        Entries of half a query; ``max(d // 2, 1)`` unless set.
    d_value
        Entries of values; ``d`` unless set.
    room
        The most memories that are written at once.
    familiar
        ``θ``: the cosine above which what is written outweighs what was learned, from −1 to 1.
    sharpness
        ``β``, above 0: by how much evidence rises with a cosine.
    fading
        The time constant of strength, in memories stored; ``room`` unless set.
    device, dtype
        Of parameters and buffers, as for any layer of torch.

    Attributes
    ----------
    values : Parameter
        ``(slots, d_value)``.
    keys, contents : Tensor
        Buffers ``(room, d)`` and ``(room, d_value)``: 0 where nothing is written.
    uses : Tensor
        Buffer ``(room,)``: how often each was recalled with ``reinforce``, since it was stored.

    Notes
    -----
    Writing and forgetting cost a copy of ``keys`` and ``contents``, so that a gradient that is still to be computed is
    of what was there. A forward pass compares with all that is written (compiled, or on an accelerator, with all of the
    room): hundreds to a few thousand memories; more belong in a ``mossy.Memory``, and ``mossy.nn.attach``. Cosines
    separate little where all activations point the same way: put a ``LayerNorm`` before. Forgetting is exact: no
    parameter or buffer of this layer holds a byte of what was forgotten. Threads may read at once, and exclude one
    another when they write; whoever reads sees all of a write or nothing of it.

    References
    ----------
    Lample et al. (2019), Large memory layers with product keys, NeurIPS, arXiv:1907.05242, sections 3.1 and 3.2. The
    competition of episodes with what is known by familiarity: Grave et al. (2017), arXiv:1612.04426, section 3.

    Examples
    --------
    >>> import torch
    >>> from mossy.nn import LongTermMemory
    >>> layer = LongTermMemory(d=16, slots=64, top_k=4)
    >>> x, y = torch.randn(3, 16), torch.randn(3, 16)
    >>> places = layer.store(x, y)
    >>> bool(torch.allclose(layer(x), y, atol=1e-2))
    True
    >>> layer.forget(places)
    >>> layer(x).abs().max().item()
    0.0
    """

    keys: Tensor
    contents: Tensor
    log_amounts: Tensor
    times: Tensor
    uses: Tensor
    clock: Tensor

    def __init__(
        self,
        d: int,
        slots: int = 16_384,
        *,
        heads: int = 4,
        top_k: int = 32,
        d_key: int | None = None,
        d_value: int | None = None,
        room: int = 1024,
        familiar: float = 0.9,
        sharpness: float = 100.0,
        fading: float | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        name = "LongTermMemory"
        self.d = check_integer(d, f"{name}.d", 1)
        self.slots = check_integer(slots, f"{name}.slots", 1)
        self.heads = check_integer(heads, f"{name}.heads", 1)
        self.top_k = check_integer(top_k, f"{name}.top_k", 1, self.slots)
        self.d_key = max(self.d // 2, 1) if d_key is None else check_integer(d_key, f"{name}.d_key", 1)
        self.d_value = self.d if d_value is None else check_integer(d_value, f"{name}.d_value", 1)
        self.room = check_integer(room, f"{name}.room", 1)
        self.familiar = check_number(familiar, f"{name}.familiar", -1.0, 1.0)
        self.sharpness = check_number(sharpness, f"{name}.sharpness", 0.0, open_low=True)
        self.fading = float(room) if fading is None else check_number(fading, f"{name}.fading", 0.0, open_low=True)
        n = math.isqrt(self.slots)
        if n * n != self.slots:
            raise InvalidParameter(
                f"{name}.slots: {slots} was given; a square number is allowed, such as {n * n} or {(n + 1) ** 2}."
            )
        like: dict[str, Any] = {"device": device, "dtype": dtype}
        self.query = nn.Linear(self.d, 2 * self.heads * self.d_key, bias=False, **like)
        self.norm = nn.LayerNorm(self.d_key, **like)
        self.sub_keys = nn.Parameter(torch.empty(2, self.heads, n, self.d_key, **like))
        self.values = nn.Parameter(torch.empty(self.slots, self.d_value, **like))
        for part, empty in nothing(self.room, self.d, self.d_value, device, self.values.dtype)._asdict().items():
            self.register_buffer(part, empty)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Make the layer anew: draw the query and the sub-keys, empty the slots, and forget all that is written."""
        self.query.reset_parameters()
        self.norm.reset_parameters()
        nn.init.normal_(self.sub_keys, std=self.d_key**-0.5)
        nn.init.zeros_(self.values)
        with _WRITING:
            self._put(nothing(self.room, self.d, self.d_value, self.values.device, self.values.dtype))

    def _held(self) -> Written:
        buffers = self._buffers  # looked up once: whoever writes puts another dictionary in its place
        return Written(*[cast("Tensor", buffers[part]) for part in Written._fields])

    def _put(self, held: Written) -> None:
        self._buffers = {**self._buffers, **held._asdict()}

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # Log-strengths stay in float32 in a layer that is moved to another dtype: small steps would be rounded away.
        kept = self.log_amounts

        def moved(one: Tensor) -> Tensor:
            new = fn(one)
            return kept.to(new.device) if one is kept and new.dtype != kept.dtype else new

        super()._apply(moved, recurse)  # type: ignore[no-untyped-call]
        return self

    # --- read ------------------------------------------------------------------------------------

    def forward(self, x: Tensor) -> Tensor:
        """Return ``y (..., d_value)`` for ``x (..., d)``; nothing is changed.

        Raises
        ------
        InvalidDtype, InvalidShape, InvalidInput
        """
        flat = self._flat(x, "x")
        learned = self._learned(flat)
        held = self._held()
        most = reach(held)
        if most:
            learned = self._with_written(flat, learned, held, most)
        return learned.reshape(*x.shape[:-1], self.d_value)

    def _learned(self, x: Tensor) -> Tensor:
        slots, weights = self._addressed(x)
        return bag(slots, weights.to(self.values.dtype), self.values)

    def _addressed(self, x: Tensor) -> tuple[Tensor, Tensor]:
        queries = self.norm(self.query(x).view(len(x), 2 * self.heads, self.d_key))
        return read_slots(queries, self.sub_keys, self.top_k)

    def _with_written(self, x: Tensor, learned: Tensor, held: Written, most: int) -> Tensor:
        contents = held.contents[:most]
        with without_autocast(x.device):
            evidence = self.sharpness * (cosines(x, held.keys[:most]) - self.familiar)
            evidence = evidence.masked_fill(~occupied(held)[:most], -math.inf)
            shares = torch.cat([evidence, torch.zeros_like(evidence[:, :1])], 1).softmax(-1).to(contents.dtype)
            return shares[:, -1:] * learned.to(contents.dtype) + shares[:, :-1] @ contents

    def addressed(self, x: Tensor) -> Tensor:
        """Return which slots ``x (..., d)`` reads: ``(..., heads, top_k)``, the strongest of each head first."""
        with torch.no_grad():
            slots, _ = self._addressed(self._flat(x, "x"))
        return slots.view(*x.shape[:-1], self.heads, self.top_k)

    @torch.no_grad()
    def recall(self, cue: Tensor, k: int = 1, *, reinforce: bool = True) -> Recalled:
        """Return the ``k`` memories that fit ``cue (..., d)`` best, of those that are written.

        Parameters
        ----------
        cue
            ``(..., d)``.
        k
            From 1 to ``len(layer)``.
        reinforce
            Excite the best memory of each cue by 1, if it is familiar. False leaves no trace.

        Raises
        ------
        EmptyMemory, InvalidInput
        """
        flat, held = self._flat(cue, "cue"), self._held()
        some = occupied(held)
        n = int(some.sum())
        if not n:
            raise EmptyMemory("recall: nothing is written in this layer; store something first.")
        k = check_integer(k, "recall.k", 1, n)
        reinforce = check_flag(reinforce, "recall.reinforce")
        most = reach(held)
        with without_autocast(flat.device):
            fit, places = cosines(flat, held.keys[:most]).masked_fill(~some[:most], -math.inf).topk(k)
        familiar = fit[:, 0] >= self.familiar
        if reinforce:
            self._used(places[familiar, 0], held)
        shape = cue.shape[:-1]
        values = held.contents[places].view(*shape, k, self.d_value)
        return Recalled(values, places.view(*shape, k), fit.view(*shape, k), familiar.view(shape))

    @torch.inference_mode(False)
    @torch.no_grad()
    def _used(self, at: Tensor, seen: Written) -> None:
        """Excite what was seen at these places by 1, unless another thread has put something else there since."""
        with _WRITING:
            held = self._held()
            at = at[occupied(held)[at] & (held.keys[at] == seen.keys[at]).all(1)]
            self._put(excited(held, at, torch.zeros_like(at, dtype=torch.float32), self.fading))

    # --- write -----------------------------------------------------------------------------------

    @torch.inference_mode(False)
    @torch.no_grad()
    def store(self, keys: Tensor, values: Tensor, strength: float | Tensor = 1.0) -> Tensor:
        """Write memories without a gradient, over free places first, then over the weakest. Return where.

        Parameters
        ----------
        keys
            ``(d,)`` or ``(n, d)``, ``n`` at most ``room``. Each has a length above 0.
        values
            ``(d_value,)`` or ``(n, d_value)``.
        strength
            Above 0: one number, or ``(n,)``.

        Returns
        -------
        tensor
            The places ``()`` or ``(n,)``. A place is the memory's until it is forgotten, or weakest when the room is
            full.

        Raises
        ------
        InvalidShape, InvalidDtype, NotFinite, InvalidInput, InvalidParameter
            Nothing was written.
        """
        rows = self._batch(keys, "keys", self.d)
        _check_lengths(rows)
        new = self._batch(values, "values", self.d_value)
        if keys.dim() != values.dim() or len(rows) != len(new):
            raise InvalidShape(
                f"values: shape {tuple(values.shape)} was given for keys of shape {tuple(keys.shape)}; one value for "
                "each key is allowed."
            )
        if len(rows) > self.room:
            raise InvalidShape(
                f"keys: {len(rows)} were given; this layer has room for {self.room}. Make it with a greater room, or "
                "attach a mossy.Memory, which grows."
            )
        amounts = self._log_amounts(strength, "strength", len(rows))
        with _WRITING:
            held, at = stored(self._held(), rows, new, amounts, self.fading)
            self._put(held)
        return at if keys.dim() == 2 else at[0]

    @torch.inference_mode(False)
    @torch.no_grad()
    def forget(self, places: Numbers) -> None:
        """Forget what is written at these places, exactly: key, content, strength and uses become 0.

        Raises
        ------
        UnknownMemory, InvalidDtype
            Nothing is written at one of them. Nothing was forgotten.
        """
        with _WRITING:
            held = self._held()
            self._put(forgotten(held, self._places(places, held)))

    @torch.no_grad()
    def forget_learned(self, slots: Numbers, optimizer: torch.optim.Optimizer | None = None) -> None:
        """Empty learned slots: their values become 0, and so do their rows of what the optimizer keeps, if it is given.

        What the query, the sub-keys and other layers learned with them stays. ``addressed`` tells which slots are read.

        Raises
        ------
        InvalidParameter, InvalidDtype
            Also if the optimizer does not train this layer. Nothing was changed.
        """
        at = self._numbers(slots, "slots")
        if at.numel() and not 0 <= int(at.min()) <= int(at.max()) < self.slots:
            raise InvalidParameter(f"slots: {at.min()} to {at.max()} were given; 0 to {self.slots - 1} is allowed.")
        kept = [self.values, self.values.grad, *([] if optimizer is None else self._kept_by(optimizer))]
        for one in kept:
            if isinstance(one, Tensor) and one.dim() and len(one) == self.slots:
                one[at] = 0

    def _kept_by(self, optimizer: object) -> Iterable[object]:
        """Return what an optimizer keeps of the values."""
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise InvalidDtype(
                f"optimizer: {type(optimizer).__name__} was given; a torch.optim.Optimizer, or None, is allowed."
            )
        if not any(one is self.values for group in optimizer.param_groups for one in group["params"]):
            raise InvalidParameter("optimizer: it does not train this layer; give the one that holds its parameters.")
        return optimizer.state[self.values].values() if self.values in optimizer.state else ()

    # --- strength --------------------------------------------------------------------------------

    @torch.no_grad()
    def strength(self) -> Tensor:
        """Return how strong each memory is now ``(room,)``; 0 where nothing is written."""
        return log_strength(self._held(), self.fading).exp()

    @torch.inference_mode(False)
    @torch.no_grad()
    def reinforce(self, places: Numbers, amount: float | Tensor = 1.0) -> None:
        """Excite memories: add ``amount``, above 0, one number or one for each, to their strength.

        Raises
        ------
        UnknownMemory, InvalidParameter, InvalidShape, InvalidDtype
        """
        with _WRITING:
            held = self._held()
            at = self._places(places, held)
            self._put(excited(held, at, self._log_amounts(amount, "amount", len(at)), self.fading))

    def __len__(self) -> int:
        """Return how many memories are written."""
        return int(occupied(self._held()).sum())

    def __bool__(self) -> bool:
        """Return True: a layer is there even when nothing is written in it."""
        return True

    # --- to and from a Memory --------------------------------------------------------------------

    def to_memory(self, **settings: Any) -> Memory:
        """Return a ``mossy.Memory`` of what is written, with its strengths; ``settings`` are the memory's.

        Unless set, its similarity is the cosine.
        """
        held = self._held()
        at, strength = occupied(held), log_strength(held, self.fading).exp()
        keys, contents, strengths = (part[at].float().cpu().numpy() for part in (held.keys, held.contents, strength))
        return memory_of(keys, contents, strengths, settings)

    def from_memory(self, memory: Memory) -> Tensor:
        """Write all that a ``mossy.Memory`` holds, with its strengths, and return the places, in the order of its ids.

        Payloads stay behind: a layer holds numbers.

        Raises
        ------
        InvalidDtype, InvalidShape
            It has other sizes, or more memories than there is room. Nothing was written.
        """
        keys, values, strengths = contents_of(memory, self.d, self.d_value)
        if not len(keys):
            return torch.empty(0, dtype=torch.long, device=self.keys.device)
        rows, contents = (torch.as_tensor(part).to(self.keys) for part in (keys, values))
        return self.store(rows, contents, torch.as_tensor(strengths))

    # --- checks ----------------------------------------------------------------------------------

    def _flat(self, x: Tensor, name: str) -> Tensor:
        """Return ``(..., d)`` as ``(t, d)``."""
        check_fits(check_floating(x, name), name, self.values, "the layer")
        if not x.dim() or x.shape[-1] != self.d:
            raise InvalidShape(f"{name}: shape {tuple(x.shape)} was given; (..., {self.d}) is allowed.")
        return x.reshape(-1, self.d)

    def _batch(self, given: Tensor, name: str, d: int) -> Tensor:
        check_fits(check_floating(given, name), name, self.keys, "the layer")
        if given.dim() not in (1, 2) or given.shape[-1] != d:
            raise InvalidShape(f"{name}: shape {tuple(given.shape)} was given; ({d},) or (n, {d}) is allowed.")
        if not bool(torch.isfinite(given).all()):
            raise NotFinite(f"{name}: NaN or infinity was given; finite numbers are allowed.")
        return given.detach().reshape(-1, d).to(self.keys.dtype)

    def _log_amounts(self, given: float | Tensor, name: str, n: int) -> Tensor:
        amounts = _as_tensor(given, name, "numbers above 0")
        if amounts.dtype == torch.bool or amounts.is_complex():
            raise InvalidDtype(f"{name}: a tensor of {amounts.dtype} was given; numbers above 0 are allowed.")
        if amounts.shape not in ((), (n,)):
            raise InvalidShape(f"{name}: shape {tuple(amounts.shape)} was given; one number or ({n},) is allowed.")
        logs = amounts.detach().to(wide(amounts.dtype)).log()
        if not bool(torch.isfinite(logs).all()):
            raise InvalidParameter(f"{name}: finite numbers above 0 are allowed.")
        return logs.to(self.log_amounts.device, torch.float32).expand(n)

    def _numbers(self, given: Numbers, name: str) -> Tensor:
        if isinstance(given, Iterable) and not isinstance(given, Tensor):
            given = list(given)
        numbers = _as_tensor(given, name, "integers")
        if (numbers.is_floating_point() and numbers.numel()) or numbers.dtype == torch.bool or numbers.is_complex():
            raise InvalidDtype(f"{name}: a tensor of {numbers.dtype} was given; integers are allowed.")
        return numbers.to(self.values.device, torch.long).reshape(-1)

    def _places(self, given: Numbers, held: Written) -> Tensor:
        at = self._numbers(given, "places")
        known = (at >= 0) & (at < self.room) & occupied(held)[at.clamp(0, self.room - 1)]
        if not bool(known.all()):
            raise UnknownMemory(f"places: nothing is written at {int(at[~known][0])}. Nothing was changed.")
        return at

    def extra_repr(self) -> str:
        """Return the sizes."""
        written = "?" if self.log_amounts.is_meta else len(self)
        return f"d={self.d}, slots={self.slots}, heads={self.heads}, top_k={self.top_k}, written={written}/{self.room}"


def _as_tensor(given: object, name: str, allowed: str) -> Tensor:
    if isinstance(given, Tensor):
        return given
    try:
        return torch.as_tensor(np.asarray(given))
    except (TypeError, ValueError) as error:
        raise InvalidDtype(f"{name}: {given!r:.60} was given; {allowed} are allowed.") from error


def _check_lengths(keys: Tensor) -> None:
    """Refuse keys ``(n, d)`` that point nowhere, or are too long for their length to be computed."""
    lengths = keys.to(wide(keys.dtype)).norm(dim=1)
    bad = torch.nonzero(~((lengths >= SHORTEST) & torch.isfinite(lengths)))
    if len(bad):
        raise InvalidInput(
            f"keys: row {int(bad[0])} has the length {float(lengths[bad[0]]):.3g}; a cosine needs one of at least "
            f"{SHORTEST:g} whose square is finite. Scale it, or leave it out."
        )
