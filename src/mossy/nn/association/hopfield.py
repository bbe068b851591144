"""Hopfield: retrieval between two sets of patterns."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeAlias, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mossy.arrays import check_flag, check_fraction, check_integer, check_number, choose
from mossy.errors import EmptyBatch, InvalidInput, InvalidParameter, InvalidShape, UnknownName
from mossy.nn.association.core import ROLES, AssociationCore
from mossy.nn.association.masks import join
from mossy.nn.association.projection import Projection, absorbed, normalise, project
from mossy.nn.association.retrieval import Beta, Move, activity, read, read_unprojected, settle
from mossy.nn.association.similarity import SIMILARITIES
from mossy.nn.separation import SEPARATIONS
from mossy.nn.tensors import check_fits, check_floating, check_mask, check_shape, check_some
from mossy.separation import as_separation
from mossy.similarity import as_similarity

__all__ = ["Hopfield"]

NAMES = {"state": "state_pattern", "stored": "stored_pattern", "projection": "pattern_projection"}
USUAL = 4  # reads, where the states settle after a number of steps that nobody knows

Input: TypeAlias = Tensor | tuple[Tensor, Tensor] | tuple[Tensor, Tensor, Tensor]
Roles: TypeAlias = dict[str, Projection]


class Read(Protocol):
    """What settled states read."""

    def __call__(self, q: Tensor, *, dropout: float) -> Tensor: ...


@dataclass
class Asked:
    """States, and what there is to do with them.

    Attributes
    ----------
    q
        ``(b, h, l, d)``.
    move, first
        How they move, and how they do at first, where that differs.
    answer
        What they read.
    weigh
        With which activities; None where it isn't needed.
    shape, single
        ``(b, l)`` as was asked, and whether it was one set.
    """

    q: Tensor
    move: Move
    answer: Read
    weigh: Move | None = None
    first: Move | None = None
    shape: tuple[int, int] = (1, 1)
    single: bool = False


@final
class Hopfield(nn.Module):
    r"""Retrieval between two sets: each state pattern reads from the stored patterns that fit it.

    With state patterns ``R (b, l, input_size)``, stored patterns ``Y (b, n, stored_pattern_size)`` and pattern
    projection ``P (b, n, pattern_projection_size)``, for each head

    .. math::  q = W_q\,\mathrm{norm}(R), \quad k = W_k\,\mathrm{norm}(Y), \quad v = W_v\,\mathrm{norm}(P)

    .. math::  q ← \mathrm{separation}(β\,\mathrm{sim}(q, k))\,k \;\text{ at most update\_steps\_max times}, \qquad
               \mathrm{out} = W_o\,[\mathrm{separation}(β\,\mathrm{sim}(q, k))\,v]_\text{heads} + b_o

    Ramsauer et al. (2021), Hopfield Networks is All You Need, ICLR, arXiv:2008.02217, eq. 3 and section 3.

    ``sim`` is ``q·k`` unless set. Without ``input_size`` nothing is projected or normalised, so that it works untrained
    and on any size: ``Hopfield()((stored, cues))``.

    Parameters
    ----------
    input_size
        Entries of a state pattern. None: identity projections, no norms, no output projection, and no weights at all.
    hidden_size, pattern_size
        Entries of ``q`` and ``k``, and of ``v``, in each head; ``input_size // num_heads`` unless given.
    output_size
        Entries of the output; ``input_size`` unless given.
    num_heads
        ``h``, how many associations there are beside each other.
    scaling
        ``β``: a number above 0, or a tensor ``(num_heads,)``; an ``nn.Parameter`` is learned. ``1/√hidden_size``
        unless given; 1 without projections.
    update_steps_max
        How many times a state is updated before it reads: 0 is attention, None is until it rests,
        but at most 1,000 times.
    update_steps_eps
        A state rests when an update moves it by at most this part of its length. 0: all updates are taken.
    separation
        How reading chooses: ``"softmax"``, ``"sparsemax"``, ``"entmax"``, ``"winner"``, ``"polynomial"`` or
        ``"linear"``.
    similarity
        How a state and a stored pattern are compared: ``"dot"``, which longer patterns win, or ``"euclidean"``,
        ``-½‖q - k‖²``, which the nearest wins, whatever its length.
    stored_pattern_size, pattern_projection_size
        Entries of a stored pattern and of what is read for it; ``input_size`` unless given.
    stored_pattern_as_static, state_pattern_as_static, pattern_projection_as_static
        Whether ``W_k``, ``W_q``, ``W_v`` is the identity, for each head.
    pattern_projection_as_connected
        Whether the pattern projection runs through ``W_k`` first: ``v = W_v W_k P``.
    normalize_stored_pattern, normalize_state_pattern, normalize_pattern_projection
        Whether there is a layer norm before the projection; with ``_affine``, one with gain and offset. They are on
        where there is an ``input_size``.
    normalize_hopfield_space, normalize_hopfield_space_affine
        Whether there is a layer norm of ``q`` and ``k`` in each head.
    normalize_eps
        What is added to the variances.
    batch_first
        Whether patterns are ``(b, n, size)``, else ``(n, b, size)``.
    association_activation
        The name of a function of torch that maps each entry, such as ``"relu"``, for the output.
    dropout
        The rate at which activities are dropped in training.
    input_bias
        Whether the projections have biases.
    concat_bias_pattern, add_zero_association
        Whether a learned pattern, and a pattern of zeros, are stored beside the others.
    disable_out_projection
        Whether ``W_o`` is left out.

    Raises
    ------
    InvalidParameter, UnknownName, InvalidInput
    """

    scaling: float | Tensor
    association_core: AssociationCore | None

    def __init__(
        self,
        input_size: int | None = None,
        hidden_size: int | None = None,
        output_size: int | None = None,
        pattern_size: int | None = None,
        num_heads: int = 1,
        scaling: float | Tensor | None = None,
        update_steps_max: int | None = 0,
        update_steps_eps: float = 1e-4,
        *,
        separation: str = "softmax",
        similarity: str = "dot",
        stored_pattern_size: int | None = None,
        pattern_projection_size: int | None = None,
        stored_pattern_as_static: bool = False,
        state_pattern_as_static: bool = False,
        pattern_projection_as_static: bool = False,
        pattern_projection_as_connected: bool = False,
        normalize_stored_pattern: bool | None = None,
        normalize_stored_pattern_affine: bool = True,
        normalize_state_pattern: bool | None = None,
        normalize_state_pattern_affine: bool = True,
        normalize_pattern_projection: bool | None = None,
        normalize_pattern_projection_affine: bool = True,
        normalize_hopfield_space: bool = False,
        normalize_hopfield_space_affine: bool = False,
        normalize_eps: float = 1e-5,
        batch_first: bool = True,
        association_activation: str | None = None,
        dropout: float = 0.0,
        input_bias: bool = True,
        concat_bias_pattern: bool = False,
        add_zero_association: bool = False,
        disable_out_projection: bool = False,
    ) -> None:
        super().__init__()
        if input_size is None:
            sized = (hidden_size, output_size, pattern_size, stored_pattern_size, pattern_projection_size)
            if any(size is not None for size in sized) or concat_bias_pattern or pattern_projection_as_connected:
                raise InvalidParameter(
                    "Hopfield: sizes, a bias pattern or a connection were given without input_size, so that nothing is "
                    "projected. Give input_size too."
                )
        self.input_size = None if input_size is None else check_integer(input_size, "input_size", 1)
        self.num_heads = check_integer(num_heads, "num_heads", 1)
        steps = update_steps_max
        self.update_steps_max = None if steps is None else check_integer(steps, "update_steps_max", 0)
        self.update_steps_eps = check_number(update_steps_eps, "update_steps_eps", 0, open_low=steps is None)
        choose(SEPARATIONS, separation, "separation")
        self.separation = separation
        choose(SIMILARITIES, similarity, "similarity")
        self.similarity = similarity
        if not (as_separation(separation).shift_invariant or as_similarity(similarity).zero_based):
            raise InvalidParameter(
                f"separation: {separation!r} was given with {similarity!r} similarity; it needs one whose zero means "
                "unrelated. Use similarity='dot', or separation='softmax'."
            )
        self.batch_first = check_flag(batch_first, "batch_first")
        self.dropout = check_fraction(dropout, "dropout")
        self.connected = check_flag(pattern_projection_as_connected, "pattern_projection_as_connected")
        self.add_zero_association = check_flag(add_zero_association, "add_zero_association")
        self.normalize_hopfield_space = check_flag(normalize_hopfield_space, "normalize_hopfield_space")
        self.normalize_eps = check_number(normalize_eps, "normalize_eps", 0)
        self.association_activation = association_activation
        if association_activation is not None and not _maps_entries(association_activation):
            raise UnknownName(
                f"association_activation: {association_activation!r} was given; the name of a function of torch that "
                "maps each entry is allowed, such as 'relu' or 'tanh'."
            )
        static = (state_pattern_as_static, stored_pattern_as_static, pattern_projection_as_static)
        self.static = {
            role: check_flag(flag, f"{NAMES[role]}_as_static") for role, flag in zip(ROLES, static, strict=True)
        }
        wanted = {
            "state": (normalize_state_pattern, normalize_state_pattern_affine),
            "stored": (normalize_stored_pattern, normalize_stored_pattern_affine),
            "projection": (normalize_pattern_projection, normalize_pattern_projection_affine),
        }
        self.association_core = None
        self.sizes: dict[str, int] = {}
        if self.input_size is None:
            self.static = dict.fromkeys(ROLES, True)
            if normalize_hopfield_space or any(flag for flag, _ in wanted.values()):
                raise InvalidParameter(
                    "Hopfield: a normalization was given without input_size, which says over how many entries. "
                    "Give input_size too."
                )
        else:
            given = (input_size, stored_pattern_size, pattern_projection_size)
            self.sizes = {
                role: self.input_size if size is None else check_integer(size, f"{NAMES[role]}_size", 1)
                for role, size in zip(ROLES, given, strict=True)
            }
            self.association_core = AssociationCore(
                self.sizes,
                self.static,
                hidden_size,
                pattern_size,
                output_size,
                self.num_heads,
                bias=check_flag(input_bias, "input_bias"),
                connected=self.connected,
                bias_pattern=check_flag(concat_bias_pattern, "concat_bias_pattern"),
                normalize=self.normalize_hopfield_space,
                affine=check_flag(normalize_hopfield_space_affine, "normalize_hopfield_space_affine"),
                out_projection=not check_flag(disable_out_projection, "disable_out_projection"),
            )
        self.norm_state_pattern = self._norm("state", *wanted["state"])
        self.norm_stored_pattern = self._norm("stored", *wanted["stored"])
        self.norm_pattern_projection = self._norm("projection", *wanted["projection"])
        self._set_scaling(scaling)

    def _norm(self, role: str, normalize: bool | None, affine: bool) -> nn.LayerNorm | None:
        if not self.sizes or not (normalize is None or check_flag(normalize, f"normalize_{NAMES[role]}")):
            return None
        affine = check_flag(affine, f"normalize_{NAMES[role]}_affine")
        return nn.LayerNorm(self.sizes[role], eps=self.normalize_eps, elementwise_affine=affine)

    def _set_scaling(self, scaling: float | Tensor | None) -> None:
        if isinstance(scaling, Tensor):
            check_shape(check_floating(scaling, "scaling"), "scaling", (self.num_heads,))
            if not scaling.is_meta and not bool(((scaling > 0) & scaling.isfinite()).all()):
                raise InvalidParameter(
                    f"scaling: {scaling.tolist()} was given; finite numbers above 0 are allowed, one for each head."
                )
            if isinstance(scaling, nn.Parameter):
                self.scaling = scaling
            else:
                self.register_buffer("scaling", scaling.detach().clone(), persistent=False)
        elif scaling is not None:
            self.scaling = check_number(scaling, "scaling", 0, open_low=True)
        else:
            core = self.association_core
            bare = core is None or (core.out_proj is None and all(self.static.values()))
            self.scaling = 1.0 if core is None or bare else 1 / math.sqrt(core.hidden_size)

    def reset_parameters(self) -> None:
        """Draw new weights; gains of norms are 1, offsets 0."""
        for module in self.children():
            if isinstance(module, AssociationCore | nn.LayerNorm):
                module.reset_parameters()

    def forward(
        self,
        input: Input,
        stored_pattern_padding_mask: Tensor | None = None,
        association_mask: Tensor | None = None,
        *,
        known: Tensor | None = None,
    ) -> Tensor:
        """Return what each state pattern retrieves, ``(b, l, output_size)``.

        Parameters
        ----------
        input
            ``(stored, state, projection)``; ``(stored, state)``, where the stored patterns are read themselves; or one
            tensor that is all three. Shapes are ``(b, n, size)`` and ``(b, l, size)``, or ``(n, size)`` for one set of
            patterns that the whole batch shares (as does a batch of 1; it is never copied).
        stored_pattern_padding_mask
            ``(b, n)``, True where a stored pattern is padding, which is as if it were not there, even where it is NaN.
        association_mask
            ``(l, n)``, ``(b·num_heads, l, n)`` or ``(b, num_heads, l, n)``: True where a state may not read, or floats
            that are added to the evidence.
        known
            ``(size,)``, ``(l, size)`` or as the state pattern has it: True where its entry is known. What is unknown,
            NaN included, is neither compared nor normalised. With identity projections the known entries stay as they
            are while the state is updated, so that it is completed.

        A state that may read from no pattern reads 0. NaN is not looked for: a state that holds it reads NaN, or 0
        where torch's fused attention on the CPU gives that.

        Raises
        ------
        InvalidInput, InvalidShape, InvalidDtype, EmptyBatch, NothingKnown
        """
        asked = self._asked(input, stored_pattern_padding_mask, association_mask, known, unprojected=True)
        dropout = self.dropout if self.training else 0.0
        seen = asked.answer(self._settled(asked), dropout=dropout)
        out = seen.transpose(1, 2).flatten(2)
        core = self.association_core
        if core is not None and core.out_proj is not None:
            out = core.out_proj(out)
        if self.association_activation is not None:
            out = getattr(torch, self.association_activation)(out)
        out = out.reshape(*asked.shape, -1)
        if asked.single:
            return out[0]
        return out if self.batch_first else out.transpose(0, 1)

    def get_association_matrix(
        self,
        input: Input,
        stored_pattern_padding_mask: Tensor | None = None,
        association_mask: Tensor | None = None,
        *,
        known: Tensor | None = None,
    ) -> Tensor:
        """Return the activities ``(b, num_heads, l, n)`` with which the settled states read; as :meth:`forward` asks.

        A bias pattern and the association to zero are its last columns.
        """
        asked = self._asked(input, stored_pattern_padding_mask, association_mask, known, unprojected=False)
        q = self._settled(asked)
        a = q if asked.weigh is None else asked.weigh(q)
        batch, length = asked.shape
        return a if len(a) == batch else a[0].reshape(-1, batch, length, a.shape[-1]).transpose(0, 1)

    def _settled(self, asked: Asked) -> Tensor:
        return settle(asked.q, asked.move, self.update_steps_max, self.update_steps_eps, asked.first)

    def _beta(self) -> Beta:
        return self.scaling if isinstance(self.scaling, float) else self.scaling[:, None, None]

    def _asked(
        self,
        input: Input,
        padding: Tensor | None,
        association: Tensor | None,
        known: Tensor | None,
        *,
        unprojected: bool,
    ) -> Asked:
        """Check what was given, project what must be, and return what there is to settle and to read."""
        stored, state, projection, single = self._patterns(input)
        batch, length = max(len(state), len(stored)), state.shape[1]
        mask = join(padding, association, batch, self.num_heads, length, stored.shape[1])
        if padding is not None:
            clean = _emptied(stored, padding)
            state = clean if state is stored else state
            projection = clean if projection is stored else _emptied(projection, padding)
            stored = clean
        if known is not None:
            known = self._known(known, state)
        if len(stored) == 1 and mask is None:  # all states ask the same patterns, as one set of states
            known = None if known is None else known.expand(state.shape).reshape(1, -1, state.shape[-1])
            state = state if len(state) == 1 else state.reshape(1, -1, state.shape[-1])
        roles = self._roles()
        found = self._unprojected(roles, stored, state, projection, known, mask) if unprojected else None
        found = self._projected(roles, stored, state, projection, known, mask) if found is None else found
        found.shape = (batch, length)
        found.single = single
        return found

    def _patterns(self, input: Input) -> tuple[Tensor, Tensor, Tensor, bool]:
        """Return stored patterns, state patterns and pattern projection ``(b, n, size)``, and whether it was one set.

        What was the same tensor still is.
        """
        given = input if isinstance(input, tuple | list) else (input,)
        if len(given) not in (1, 2, 3):
            raise InvalidInput(
                f"input: {len(given)} tensors were given; one, (stored, state) or (stored, state, projection) is "
                "allowed."
            )
        places = {1: (0, 0, 0), 2: (0, 1, 0), 3: (0, 1, 2)}[len(given)]
        names = ("stored pattern", "state pattern", "pattern projection")
        found: list[Tensor] = []
        for place, name, role in zip(places, names, ("stored", "state", "projection"), strict=True):
            x = check_floating(given[place], name)
            size = self.sizes.get(role, "size")
            check_shape(x, name, ("n", size), ("b", "n", size) if self.batch_first else ("n", "b", size))
            if not x.numel():
                raise EmptyBatch(f"{name}: shape {tuple(x.shape)} was given, which holds nothing; give at least one.")
            found.append(x)
        stored, state, projection = found
        own = next(self.parameters(), None)
        for x, name in zip(found, names, strict=True):
            check_fits(x, name, stored if own is None else own, "the stored pattern" if own is None else "the layer")
        single = state.dim() == stored.dim() == 2
        stored, state, projection = (self._batched(x) for x in found)
        if projection.shape[:2] != stored.shape[:2]:
            raise InvalidShape(
                f"pattern projection: shape {tuple(found[2].shape)} was given; as many patterns as there are stored "
                f"ones, which have shape {tuple(found[0].shape)}, is allowed."
            )
        if len(state) != len(stored) and 1 not in (len(state), len(stored)):
            raise InvalidShape(
                f"state pattern: a batch of {len(state)} was given; {len(stored)}, as of the stored pattern, or 1 is "
                "allowed."
            )
        if not self.sizes and state.shape[-1] != stored.shape[-1]:
            raise InvalidShape(
                f"state pattern: {state.shape[-1]} entries were given; {stored.shape[-1]}, as the stored pattern has, "
                "is allowed. Or give input_size, so that both are projected."
            )
        if found[2] is found[0]:
            projection = stored
        return stored, stored if found[1] is found[0] else state, projection, single

    def _batched(self, x: Tensor) -> Tensor:
        if x.dim() == 2:
            return x[None]
        return x if self.batch_first else x.transpose(0, 1)

    def _known(self, known: Tensor, state: Tensor) -> Tensor:
        """Return the mask of known entries as ``(b, l, size)``, where an axis of 1 is for all."""
        b, l, size = state.shape
        whole = (b, l, size) if self.batch_first else (l, b, size)
        check_mask(known, "known", (size,), (l, size), whole)
        if not torch.compiler.is_compiling():
            check_some(known, "known", "what is known of a state")
        return self._batched(known if known.dim() > 1 else known[None])

    def _projected(
        self,
        roles: Roles,
        stored: Tensor,
        state: Tensor,
        projection: Tensor,
        known: Tensor | None,
        mask: Tensor | None,
    ) -> Asked:
        inputs = dict(zip(ROLES, (state, stored, projection), strict=True))
        made: dict[str, Tensor] = {}
        if known is not None:
            made["state"] = roles["state"].masked(state, known)
        for role in ROLES:
            alike = [each for each in ROLES if each not in made and inputs[each] is inputs[role]]
            if role in alike:
                made |= zip(alike, project(inputs[role], [roles[each] for each in alike]), strict=True)
        core = self.association_core
        if self.connected and core is not None:
            weight, bias = core.weights()["projection"]
            made["projection"] = made["projection"] if weight is None else F.linear(made["projection"], weight, bias)
        q, k, v = (self._in_heads(made[role], role) for role in ROLES)
        if core is not None and self.normalize_hopfield_space:
            shape = (core.hidden_size,)
            q, k = (F.layer_norm(x, shape, core.p_norm_weight, core.p_norm_bias, self.normalize_eps) for x in (q, k))
        if core is not None and core.bias_k is not None and core.bias_v is not None:
            k, v = (_beside(x, self._in_heads(row, "")) for x, row in ((k, core.bias_k), (v, core.bias_v)))
        if self.add_zero_association:
            k, v = (_beside(x, x.new_zeros(1, 1, 1, x.shape[-1])) for x in (k, v))
        if mask is not None and k.shape[2] > mask.shape[-1]:
            mask = F.pad(mask, (0, k.shape[2] - mask.shape[-1]), value=mask.dtype == torch.bool)
        see = partial(read, k=k, beta=self._beta(), separation=self.separation, mask=mask, similarity=self.similarity)
        weigh = partial(
            activity, k=k, beta=self._beta(), separation=self.separation, mask=mask, similarity=self.similarity
        )
        move: Move = partial(see, v=k)
        if known is None or not (self.static["state"] and self.static["stored"]):
            return Asked(q, move, partial(see, v=v), weigh)
        sure = known[:, None]
        if self.update_steps_max == 0:  # what is read is read by the cue itself
            return Asked(q, move, partial(see, v=v, known=sure), partial(weigh, known=sure))
        first = _clamped(partial(see, v=k, known=sure), q, sure)
        return Asked(q, _clamped(move, q, sure), partial(see, v=v), weigh, first)

    def _unprojected(
        self,
        roles: Roles,
        stored: Tensor,
        state: Tensor,
        projection: Tensor,
        known: Tensor | None,
        mask: Tensor | None,
    ) -> Asked | None:
        """Return the same without a projection of the stored patterns, or None where that is not possible or slower."""
        core = self.association_core
        key, value = roles["stored"].weight, roles["projection"].weight
        special = self.connected or self.normalize_hopfield_space or self.add_zero_association
        if core is None or key is None or value is None or special or core.bias_k is not None:
            return None
        size, n, length = stored.shape[-1], stored.shape[1], state.shape[1]
        if self.separation != "softmax" or self.similarity != "dot" or projection.shape[-1] != size:
            return None
        reads = USUAL if self.update_steps_max is None else self.update_steps_max + 1
        hidden = core.hidden_size  # what each read costs more, against the products with the weights that are saved
        if reads * length * (size * hidden + n * (size - hidden)) >= n * size * hidden:
            return None
        (key, offset), (value, bias) = absorbed(roles["stored"], key), absorbed(roles["projection"], value)
        if bias is not None and self.training and self.dropout:  # a pattern that is dropped takes its bias along
            return None
        q = roles["state"](state) if known is None else roles["state"].masked(state, known)
        x = normalise(stored, roles["stored"].norm)
        alike = projection is stored and (self.norm_stored_pattern is None) == (self.norm_pattern_projection is None)
        y = x if alike else normalise(projection, roles["projection"].norm)
        if offset is not None and bias is not None:
            bias = bias + 0 * offset.sum()  # softmax does not see it, but distributed training wants its gradient
        h = self.num_heads
        key, value = (each.reshape(h, -1, size) for each in (key, value))
        offset, bias = (None if each is None else each.reshape(h, 1, -1) for each in (offset, bias))
        see = partial(read_unprojected, x=x, beta=self._beta(), key=key, mask=mask)
        return Asked(
            self._in_heads(q, "state"),
            partial(see, y=x, value=key, bias=offset),
            partial(see, y=y, value=value, bias=bias),
        )

    def _roles(self) -> Roles:
        norms = (self.norm_state_pattern, self.norm_stored_pattern, self.norm_pattern_projection)
        core = self.association_core
        if core is None:
            return {role: Projection(None, None, None) for role in ROLES}
        weights = core.weights()
        if self.connected:
            weights["projection"] = weights["stored"]
        return {role: Projection(*weights[role], norm) for role, norm in zip(ROLES, norms, strict=True)}

    def _in_heads(self, x: Tensor, role: str) -> Tensor:
        """Return ``(b, n, h·d)`` as ``(b, h, n, d)``; what is static is the same for every head."""
        if self.static.get(role, False):
            return x[:, None].expand(-1, self.num_heads, -1, -1)
        return x.view(*x.shape[:2], self.num_heads, -1).transpose(1, 2)


def _maps_entries(name: Any) -> bool:
    """Return whether torch has a function of this name that makes of one tensor another of the same shape."""
    if not isinstance(name, str) or not hasattr(torch.ops.aten, name):
        return False
    try:
        made = getattr(torch, name)(torch.empty(2, 3, device="meta"))
    except (AttributeError, TypeError, RuntimeError):
        return False
    return isinstance(made, Tensor) and made.shape == (2, 3)


def _emptied(x: Tensor, padding: Tensor) -> Tensor:
    """Return ``x (b | 1, n, size)`` without the NaN and inf of padding, which times an activity of 0 would be NaN."""
    hole = padding if len(x) == len(padding) else padding.all(0, keepdim=True)
    return torch.where(hole[..., None], torch.nan_to_num(x, 0.0, 0.0, 0.0), x)


def _beside(x: Tensor, row: Tensor) -> Tensor:
    """Return ``x (b, h, n, d)`` with one more pattern ``row (1, h | 1, 1, d)`` behind the others."""
    return torch.cat([x, row.to(x.dtype).expand(len(x), x.shape[1], 1, -1)], 2)


def _clamped(move: Move, cue: Tensor, known: Tensor) -> Move:
    """Return the move after which the known entries are those of the cue again."""
    return lambda q: torch.where(known, cue, move(q))
