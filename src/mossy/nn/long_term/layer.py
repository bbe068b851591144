"""LongTermMemory: product keys for what is learned, full keys for what is written."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mossy.arrays import check_flag, check_integer, check_number
from mossy.errors import EmptyMemory, InvalidDtype, InvalidParameter, InvalidShape, NotFinite, UnknownMemory
from mossy.memory import Memory
from mossy.nn.long_term.product_keys import bag, read_slots
from mossy.nn.long_term.transfer import contents_of, memory_of
from mossy.nn.tensors import check_fits, check_floating

__all__ = ["LongTermMemory", "Recalled"]

Slots = int | Iterable[int] | Tensor

_WRITING = threading.RLock()  # of all layers: a lock of its own would keep a layer from being copied


@dataclass(frozen=True)
class Recalled:
    """What was written that fits ``x (..., d)``, best first.

    Attributes
    ----------
    values
        ``(..., k, d_value)``: what was stored there, to the bit.
    slots
        ``(..., k)``: where they are written.
    fit
        ``(..., k)``: the cosine of each key to the cue.
    familiar
        ``(...)``: whether the best fits by at least the layer's ``familiar``.
    """

    values: Tensor
    slots: Tensor
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
    memory that is stored.

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
    Writing costs a copy of ``keys`` and ``contents``, so that a gradient that is still to be computed is of what was
    there. A forward pass compares with all that is written: hundreds to a few thousand memories; more belong in a
    ``mossy.Memory``, and ``mossy.nn.attach``. Cosines separate little where all activations point the same way: put a
    ``LayerNorm`` before. Forgetting is exact: no parameter or buffer of this layer holds a byte of what was forgotten.
    Threads may read at once, and exclude one another when they write.

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
    >>> slots = layer.store(x, y)
    >>> bool(torch.allclose(layer(x), y, atol=1e-2))
    True
    >>> layer.forget(slots)
    >>> layer(x).abs().max().item()
    0.0
    """

    keys: Tensor
    contents: Tensor
    uses: Tensor
    amounts: Tensor
    written: Tensor
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
        self.register_buffer("keys", torch.zeros(self.room, self.d, **like))
        self.register_buffer("contents", torch.zeros(self.room, self.d_value, **like))
        self.register_buffer("amounts", torch.zeros(self.room, **like))  # strength when last excited; 0 where free
        self.register_buffer("written", torch.zeros(self.room, dtype=torch.long, device=device))  # when last excited
        self.register_buffer("uses", torch.zeros(self.room, dtype=torch.long, device=device))
        self.register_buffer("clock", torch.zeros((), dtype=torch.long, device=device))  # memories stored so far
        self._held = 0  # how many are written
        self._reach = 0  # no place from here on is written; a power of two, so that few programs are compiled
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the query and the sub-keys anew, and empty the slots; what is written stays."""
        self.query.reset_parameters()
        self.norm.reset_parameters()
        nn.init.normal_(self.sub_keys, std=self.d_key**-0.5)
        nn.init.zeros_(self.values)

    # --- read ------------------------------------------------------------------------------------

    def forward(self, x: Tensor) -> Tensor:
        """Return ``y (..., d_value)`` for ``x (..., d)``; nothing is changed.

        Raises
        ------
        InvalidDtype, InvalidShape, InvalidInput
        """
        flat = self._flat(x, "x")
        learned = self._learned(flat)
        if self._reach:
            learned = self._with_written(flat, learned)
        return learned.reshape(*x.shape[:-1], self.d_value)

    def _learned(self, x: Tensor) -> Tensor:
        slots, weights = self._addressed(x)
        return bag(slots, weights.to(self.values.dtype), self.values)

    def _addressed(self, x: Tensor) -> tuple[Tensor, Tensor]:
        queries = self.norm(self.query(x).view(len(x), 2 * self.heads, self.d_key))
        return read_slots(queries, self.sub_keys, self.top_k)

    def _with_written(self, x: Tensor, learned: Tensor) -> Tensor:
        keys, contents, amounts = (part[: self._reach] for part in (self.keys, self.contents, self.amounts))
        with torch.autocast(x.device.type, enabled=False):
            evidence = self.sharpness * (cosines(x, keys) - self.familiar)
            evidence = evidence.masked_fill(amounts == 0, -math.inf)
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
        flat = self._flat(cue, "cue")
        if not self._held:
            raise EmptyMemory("recall: nothing is written in this layer; store something first.")
        k = check_integer(k, "recall.k", 1, self._held)
        fits = cosines(flat, self.keys[: self._reach]).masked_fill(self.amounts[: self._reach] == 0, -math.inf)
        fit, slots = fits.topk(k)
        familiar = fit[:, 0] >= self.familiar
        if check_flag(reinforce, "recall.reinforce"):
            self._excite(slots[familiar, 0], 1.0)
        shape = cue.shape[:-1]
        values = self.contents[slots].view(*shape, k, self.d_value)
        return Recalled(values, slots.view(*shape, k), fit.view(*shape, k), familiar.view(shape))

    # --- write -----------------------------------------------------------------------------------

    @torch.no_grad()
    def store(self, keys: Tensor, values: Tensor, strength: float | Tensor = 1.0) -> Tensor:
        """Write memories without a gradient, over free places first, then over the weakest. Return where.

        Parameters
        ----------
        keys
            ``(d,)`` or ``(n, d)``, ``n`` at most ``room``.
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
        InvalidShape, InvalidDtype, NotFinite, InvalidParameter
            Nothing was written.
        """
        rows = self._batch(keys, "keys", self.d)
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
        amounts = self._amounts(strength, len(rows))
        with _WRITING:
            at = self.strength().argsort(stable=True)[: len(rows)]
            self.keys = self.keys.index_copy(0, at, rows)
            self.contents = self.contents.index_copy(0, at, new)
            self.uses = self.uses.index_fill(0, at, 0)
            self.written = self.written.index_copy(0, at, self.clock + torch.arange(len(at), device=at.device))
            self.clock = self.clock + len(at)
            self.amounts = self.amounts.index_copy(0, at, amounts)
            self._count()
        return at if keys.dim() == 2 else at[0]

    @torch.no_grad()
    def forget(self, slots: Slots) -> None:
        """Forget what is written at these places, exactly: key, content, strength and uses become 0.

        Raises
        ------
        UnknownMemory
            Nothing is written at one of them. Nothing was forgotten.
        """
        at = self._places(slots)
        with _WRITING:
            for held in (self.keys, self.contents, self.amounts, self.written, self.uses):
                held[at] = 0  # in place: no other tensor of this layer's holds it
            self._count()

    @torch.no_grad()
    def forget_learned(self, slots: Slots, optimizer: torch.optim.Optimizer | None = None) -> None:
        """Empty learned slots: their values become 0, and so do their rows of what the optimizer keeps, if it is given.

        What the query, the sub-keys and other layers learned with them stays. ``addressed`` tells which slots are read.

        Raises
        ------
        InvalidParameter
        """
        at = self._numbers(slots)
        if at.numel() and not 0 <= int(at.min()) <= int(at.max()) < self.slots:
            raise InvalidParameter(f"slots: {at.min()} to {at.max()} were given; 0 to {self.slots - 1} is allowed.")
        kept = [self.values, self.values.grad] + ([] if optimizer is None else [*optimizer.state[self.values].values()])
        for one in kept:
            if isinstance(one, Tensor) and one.shape == self.values.shape:
                one[at] = 0

    # --- strength --------------------------------------------------------------------------------

    @torch.no_grad()
    def strength(self) -> Tensor:
        """Return how strong each memory is now ``(room,)``; 0 where nothing is written."""
        return self.amounts.float() * torch.exp((self.written - self.clock) / self.fading)

    @torch.no_grad()
    def reinforce(self, slots: Slots, amount: float | Tensor = 1.0) -> None:
        """Excite memories: add ``amount``, above 0, one number or one for each, to their strength.

        Raises
        ------
        UnknownMemory, InvalidParameter
        """
        at = self._places(slots)
        self._excite(at, self._amounts(amount, len(at)))

    def _excite(self, at: Tensor, amount: float | Tensor) -> None:
        with _WRITING:
            added = torch.zeros_like(self.amounts).index_add(
                0, at, torch.ones_like(at, dtype=self.amounts.dtype) * amount
            )
            times = torch.bincount(at, minlength=self.room)
            self.amounts = torch.where(times > 0, self.strength().to(self.amounts.dtype) + added, self.amounts)
            self.written = torch.where(times > 0, self.clock, self.written)
            self.uses = self.uses + times

    def __len__(self) -> int:
        """Return how many memories are written."""
        return self._held

    def __bool__(self) -> bool:
        """Return True: a layer is there even when nothing is written in it."""
        return True

    # --- to and from a Memory --------------------------------------------------------------------

    def to_memory(self, **settings: Any) -> Memory:
        """Return a ``mossy.Memory`` of what is written, with its strengths; ``settings`` are the memory's.

        Unless set, its similarity is the cosine.
        """
        at = self._occupied()
        keys, contents, strengths = (
            part[at].float().cpu().numpy() for part in (self.keys, self.contents, self.strength())
        )
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
        rows, contents, amounts = (torch.as_tensor(part).to(self.keys) for part in (keys, values, strengths))
        return self.store(rows, contents, amounts)

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

    def _amounts(self, given: float | Tensor, n: int) -> Tensor:
        amounts = torch.as_tensor(given, device=self.keys.device).to(self.keys.dtype)
        if amounts.shape not in ((), (n,)):
            raise InvalidShape(f"strength: shape {tuple(amounts.shape)} was given; one number or ({n},) is allowed.")
        if not bool((torch.isfinite(amounts) & (amounts > 0)).all()):
            raise InvalidParameter("strength: finite numbers above 0 are allowed.")
        return amounts.expand(n)

    def _numbers(self, slots: Slots) -> Tensor:
        if isinstance(slots, Iterable) and not isinstance(slots, Tensor):
            slots = list(slots)
        given = torch.as_tensor(slots)
        if (given.is_floating_point() and given.numel()) or given.dtype == torch.bool:
            raise InvalidDtype(f"slots: a tensor of {given.dtype} was given; integers are allowed.")
        return given.to(self.keys.device, torch.long).reshape(-1)

    def _places(self, slots: Slots) -> Tensor:
        at = self._numbers(slots)
        inside = (at >= 0) & (at < self.room)
        known = inside & (self.amounts[at.clamp(0, self.room - 1)] > 0)
        if not bool(known.all()):
            raise UnknownMemory(f"slots: nothing is written at {int(at[~known][0])}. Nothing was changed.")
        return at

    def _occupied(self) -> Tensor:
        return torch.nonzero(self.amounts > 0).flatten()

    def _count(self) -> None:
        """Count what is written, after a change."""
        at = self._occupied()
        self._held = len(at)
        self._reach = min(self.room, 1 << int(at[-1]).bit_length()) if len(at) else 0

    def _load_from_state_dict(self, *given: Any, **more: Any) -> None:
        super()._load_from_state_dict(*given, **more)
        self._count()

    def extra_repr(self) -> str:
        """Return the sizes."""
        return (
            f"d={self.d}, slots={self.slots}, heads={self.heads}, top_k={self.top_k}, written={len(self)}/{self.room}"
        )


def cosines(x: Tensor, keys: Tensor) -> Tensor:
    """Return the cosine of each of ``x (t, d)`` to each of ``keys (m, d)``, ``(t, m)``, at least in float32."""
    wide = torch.promote_types(x.dtype, torch.float32)
    return F.normalize(x.to(wide), dim=-1) @ F.normalize(keys.to(wide), dim=-1).T
