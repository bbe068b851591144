"""``NeuralMemory``: a small network that learns at test time, as a layer."""

from __future__ import annotations

import math
from typing import Any, Final, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mossy.arrays import check_flag, check_integer, check_number, choose
from mossy.errors import EmptyBatch, InvalidDtype, InvalidInput, InvalidParameter, InvalidShape
from mossy.nn.convolution import convolved
from mossy.nn.neural_memory.gradient import advance
from mossy.nn.neural_memory.network import Learned, Options, Weights, some
from mossy.nn.neural_memory.nonlinearity import NONLINEARITIES
from mossy.nn.neural_memory.state import NeuralMemoryState
from mossy.nn.neural_memory.stream import DEPTHS, Gates, Moment, Tokens, begin, finished
from mossy.nn.tensors import check_fits, check_floating, check_mask, check_shape, wide, without_autocast

__all__ = ["NeuralMemory"]

GRADIENTS: Final = {"chunk": False, "token": True}
LEAST_FORGETTING = 1e-4  # a chunk; above 0, so that a bound on the memory's norm exists
LARGEST_MOMENTUM = 0.999
CLIPS = (1e-6, 1e30)  # float32 can divide by their squares
EPSILON = 1e-6  # of the norm of x
NORMALIZE = "NeuralMemory.normalize"
GATES_AT_START = (0.0, -2.0, -5.0)  # before the sigmoid: θ half of the largest, η .12 of the largest, α .0067


@final
class NeuralMemory(nn.Module):
    """A memory whose weights learn, at test time, from each token that surprises it.

    Each sequence has its own memory ``M``, a network of one or two layers. Token ``x_t`` gives a query, a key, a value
    and three gates; the key and the query are brought to length 1. The surprise is the gradient of how wrong the
    memory is about the value, ``ℓ_t(M) = ½‖M(k_t) − v_t‖²``::

        S_t = η_t S_{t−1} − θ_t ∇ℓ_t(M_{t−1})
        M_t = M_{t−1} − α_t (M_{t−1} − M_0) + S_t
        y_t = M_t(q_t)

    ``θ_t`` is how much a token teaches, ``η_t`` how much of the last surprise goes on, ``α_t`` how much is forgotten:
    forgetting leads back to ``M_0``, which holds nothing: its last layer is 0, a first of two layers is a parameter.
    That is the law with ``chunk=1``. A longer chunk is one mini-batch: momentum and forgetting act once, at its first
    token and with that token's gates; gradients are those at the end of the last chunk; but what a token taught is
    there for the very next one.

    Parameters
    ----------
    d_model
        Neurons of ``x`` and ``y``.
    depth
        1: ``M(k) = Wᵀk``. 2: ``M(k) = W₂ᵀ φ(W₁ᵀk) · g/√m`` with ``m = expansion · d_head``.
    heads, d_head
        Independent memories side by side, each of ``d_head`` neurons (unless set, ``d_model / heads``).
    expansion
        Hidden neurons for each neuron of a head; only for ``depth=2``.
    nonlinearity
        ``φ``: ``"gelu"``, ``"relu"``, ``"silu"`` or ``"tanh"``, less its mean over N(0, 1), which makes the features of
        unlike keys near orthogonal.
    chunk
        Tokens of a mini-batch. Results depend on it, since forgetting and momentum act once a chunk, and ``clip`` looks
        at the errors of its start. Without all three (``depth=1, gradients="token", momentum=0, clip=None``, and ``α``
        near 0) it is the delta rule, whatever the chunk. In no case do they depend on where a stream is cut.
    gradients
        ``"token"``: the error of a token counts what the earlier tokens of its chunk changed (at ``depth=2``, in the
        second layer), so that a chunk of similar tokens cannot overshoot. ``"chunk"``: it does not, as in the paper.
    rate
        The largest ``θ``, at most 1.
    momentum
        The largest ``η``, below 1; at 0 there is no momentum and no state for it.
    clip
        The largest error at the chunk's start, as a root mean square over the neurons of a head; a larger one is scaled
        down to it. With two layers, steps of the first are bounded likewise, and long features teach as if they had the
        length that is expected of them. None for no bounds: the published law. From 10⁻⁶
        to 10³⁰, so that float32 can square and divide by it.
    convolution
        Width of a short causal convolution over queries, keys and values, so that a key may come from an earlier token
        than its value; 1 for none.
    normalize
        Whether ``x`` is first brought to a root mean square of 1, with a learned scale.

    Notes
    -----
    All that the memory holds is in float32 (float64 in a layer of float64), also in half precision and under autocast.
    The state has a constant size. With ``clip`` the norm of each of the memory's layers is bounded whatever comes:
    ``‖M − M_0‖ ≤ chunk · rate · clip · √d_head / ((1 − momentum) · 10⁻⁴)``.

    References
    ----------
    A. Behrouz, P. Zhong and V. Mirrokni (2024), *Titans: learning to memorize at test time*, arXiv:2501.00663,
    sections 3.1 and 3.2. Ours are the ½ of ``ℓ`` and that forgetting leads to ``M_0``; the paper's leads to 0.
    The triangular system of ``gradients="token"``: S. Yang and others (2024), *Parallelizing linear transformers with
    the delta rule over sequence length*, arXiv:2406.06484, section 3.
    """

    def __init__(
        self,
        d_model: int,
        *,
        depth: int = 2,
        heads: int = 1,
        d_head: int | None = None,
        expansion: int = 4,
        nonlinearity: str = "silu",
        chunk: int = 64,
        gradients: str = "token",
        rate: float = 1.0,
        momentum: float = 0.9,
        clip: float | None = 4.0,
        convolution: int = 4,
        normalize: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.d_model = check_integer(d_model, "NeuralMemory.d_model", 1)
        self.heads = check_integer(heads, "NeuralMemory.heads", 1)
        if d_head is None and self.d_model % self.heads:
            raise InvalidParameter(
                f"NeuralMemory.heads: {heads} was given; a divisor of d_model = {d_model} is allowed; any, with d_head."
            )
        self.d_head = check_integer(self.d_model // self.heads if d_head is None else d_head, "NeuralMemory.d_head", 1)
        self.depth = check_integer(depth, "NeuralMemory.depth", min(DEPTHS), max(DEPTHS))
        self.expansion = check_integer(expansion, "NeuralMemory.expansion", 1)
        self.chunk = check_integer(chunk, "NeuralMemory.chunk", 1)
        self.rate = check_number(rate, "NeuralMemory.rate", 0.0, 1.0, open_low=True)
        self.momentum = check_number(momentum, "NeuralMemory.momentum", 0.0, LARGEST_MOMENTUM)
        self.clip = None if clip is None else check_number(clip, "NeuralMemory.clip", *CLIPS)
        self.convolution = check_integer(convolution, "NeuralMemory.convolution", 1)
        self.nonlinearity, self.gradients = nonlinearity, gradients
        self._options = Options(
            choose(GRADIENTS, gradients, "NeuralMemory.gradients"),
            None if self.clip is None else self.clip * math.sqrt(self.d_head),
            choose(NONLINEARITIES, nonlinearity, "NeuralMemory.nonlinearity"),
        )

        inner = self.heads * self.d_head
        place: Any = {"device": device, "dtype": dtype}
        self.norm = nn.RMSNorm(self.d_model, eps=EPSILON, **place) if check_flag(normalize, NORMALIZE) else None
        self.project = nn.Linear(self.d_model, 3 * inner, bias=False, **place)
        self.gate = nn.Linear(self.d_model, 3 * self.heads, **place)
        self.taps = nn.Parameter(torch.empty(self.convolution, 3 * inner, **place)) if self.convolution > 1 else None
        plain = self.heads == 1 and inner == self.d_model
        self.combine = None if plain else nn.Linear(inner, self.d_model, bias=False, **place)
        self.start = nn.ParameterList(  # the last layer starts at 0
            nn.Parameter(torch.empty(self.heads, *shape, **place)) for shape in self._shapes[:-1]
        )
        self._begin_fresh()

    def reset_parameters(self) -> None:
        """Draw all parameters anew, such as after ``to_empty``."""
        for part in (self.norm, self.project, self.gate, self.combine):
            if part is not None:
                part.reset_parameters()
        self._begin_fresh()

    def _begin_fresh(self) -> None:
        """Draw ``M_0``, and set what torch's own layers draw otherwise."""
        inner = self.heads * self.d_head
        drawn = DEPTHS[self.depth].start(self.heads, self.d_head, self.expansion * self.d_head)
        with torch.no_grad():
            for parameter, w in zip(self.start, some(drawn), strict=True):
                parameter.copy_(w)
            self.project.weight[:inner] = self.project.weight[inner : 2 * inner]  # so that it recalls untrained
            self.gate.weight.zero_()
            self.gate.bias.copy_(torch.tensor(GATES_AT_START).repeat_interleave(self.heads))
            if self.taps is not None:
                self.taps.zero_()
                self.taps[-1] = 1.0

    def extra_repr(self) -> str:
        """Return the choices that were made."""
        return (
            f"d_model={self.d_model}, depth={self.depth}, heads={self.heads}, d_head={self.d_head}, "
            f"chunk={self.chunk}, gradients={self.gradients!r}, momentum={self.momentum:g}"
        )

    def forward(
        self, x: Tensor, state: NeuralMemoryState | None = None, *, learn: Tensor | None = None
    ) -> tuple[Tensor, NeuralMemoryState]:
        """Learn from each token and answer it.

        Parameters
        ----------
        x
            ``(b, s, d_model)``, with any ``s`` of at least 1.
        state
            What the last call on the same stream returned; None begins a stream. Gradients flow back through it:
            ``state.detach()`` ends them.
        learn
            Which tokens may teach, ``(b, s)`` booleans; None means all. It is no padding mask: a token that may not
            teach is answered, and time passes with it as with any other. It takes a place in the chunk, its gates
            forget and move on by the momentum, and the convolution sees it. Its NaN and ±inf count as 0.

        Returns
        -------
        tuple
            ``y`` ``(b, s, d_model)`` in the dtype of ``x``, and the state after the last token.

        Raises
        ------
        InvalidDtype, InvalidShape, InvalidInput, EmptyBatch
        """
        self._check(x, state)
        if learn is not None:
            check_mask(learn, "NeuralMemory: learn", tuple(x.shape[:2]))
            x = x.masked_fill(~(learn.unsqueeze(-1) | x.isfinite()), 0)  # 0 · NaN would teach
        tokens, gates, tail = self._tokens(x, None if state is None else state.tail)
        with without_autocast(x.device):
            if learn is not None:
                taught = learn.unsqueeze(1).expand(-1, self.heads, -1).reshape(-1, learn.shape[1], 1)
                gates = gates._replace(rate=gates.rate * taught)
            found, moment = advance(
                DEPTHS[self.depth],
                self._start(x.shape[0]),
                begin(_owned(self._start(x.shape[0])), self.momentum > 0) if state is None else _moment(state),
                tokens,
                gates,
                self.chunk,
                self._options,
            )
            after = self._state(moment, x.shape[0], tail)
        return self._merged(found, x), after

    def read(self, x: Tensor, state: NeuralMemoryState | None = None) -> Tensor:
        """Answer tokens and learn nothing: ``y_t = M(q_t)`` with the memory as it is in ``state``.

        Parameters
        ----------
        x
            ``(b, s, d_model)``: what would come next in the stream.
        state
            What ``forward`` returned; None is a memory before the first token.

        Returns
        -------
        Tensor
            ``y`` ``(b, s, d_model)``.

        Raises
        ------
        InvalidDtype, InvalidShape, InvalidInput, EmptyBatch
        """
        self._check(x, state)
        (queries, _, _), _, _ = self._tokens(x, None if state is None else state.tail)
        with without_autocast(x.device):
            moment = begin(self._start(x.shape[0]), False) if state is None else _moment(state)
            found = DEPTHS[self.depth].apply(finished(moment).memory, queries, self._options)
        return self._merged(found, x)

    def begin(self, b: int) -> NeuralMemoryState:
        """Return the state of ``b`` streams before their first token; it is what ``state=None`` stands for."""
        b, h = check_integer(b, "NeuralMemory.begin: b", 1), self.heads
        given = _owned(self._start(b))
        like = self.gate.weight.new_zeros((), dtype=self._precise)
        memory = tuple(
            like.new_zeros(b, h, *shape) if w is None else w.view(b, h, *shape)
            for w, shape in zip(given, self._shapes, strict=True)
        )
        velocity = tuple(torch.zeros_like(w) for w in memory) if self.momentum else ()
        inputs = tuple(like.new_zeros(b, h, 0, i) for i, _ in self._shapes)
        changes = tuple(like.new_zeros(b, h, 0, o) for _, o in self._shapes)
        tail = like.new_zeros(b, self.convolution - 1, 3 * h * self.d_head)
        return NeuralMemoryState(memory, memory, velocity, inputs, changes, tail)

    @property
    def _shapes(self) -> list[tuple[int, int]]:
        return DEPTHS[self.depth].shapes(self.d_head, self.expansion * self.d_head)

    @property
    def _precise(self) -> torch.dtype:
        return wide(self.gate.weight.dtype)

    def _start(self, b: int) -> Weights:
        given = (w.to(self._precise).expand(b, *w.shape).flatten(0, 1) for w in self.start)
        return tuple(next(given) if i < len(self.start) else None for i in range(self.depth))

    def _state(self, moment: Moment, b: int, tail: Tensor) -> NeuralMemoryState:
        parts = (*moment[:3], *(moment.learned or ()))
        memory, carried, velocity, inputs, changes = (
            tuple(part.view(b, self.heads, *part.shape[1:]) for part in some(each)) for each in parts
        )
        return NeuralMemoryState(memory, carried, velocity, inputs, changes, tail)

    def _tokens(self, x: Tensor, tail: Tensor | None) -> tuple[Tokens, Gates, Tensor]:
        """Return queries, keys and values, the gates, and the last inputs of the convolution."""
        normed = x if self.norm is None else self.norm(x)
        projected, raw = self.project(normed).to(self._precise), self.gate(normed).to(self._precise)
        if tail is None:
            tail = projected.new_zeros(x.shape[0], self.convolution - 1, projected.shape[2])
        with without_autocast(x.device):
            if self.taps is not None:
                projected, tail = convolved(projected, self.taps.to(self._precise), tail)
            queries, keys, values = self._by_head(projected)
            rate, momentum, forget = self._by_head(raw.sigmoid())
            forget = LEAST_FORGETTING + (1 - LEAST_FORGETTING) * forget
            tokens = Tokens(F.normalize(queries, dim=-1), F.normalize(keys, dim=-1), values)
            gates = Gates(rate * self.rate, momentum * self.momentum, forget)
        return tokens, gates, tail

    def _by_head(self, part: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Turn ``(b, s, 3 h n)`` into three of ``(b h, s, n)``."""
        b, s, n = part.shape
        parts = part.view(b, s, 3, self.heads, n // (3 * self.heads)).transpose(1, 3).unbind(2)
        first, second, third = (each.flatten(0, 1) for each in parts)
        return first, second, third

    def _merged(self, found: Tensor, x: Tensor) -> Tensor:
        y = found.view(x.shape[0], self.heads, x.shape[1], self.d_head).transpose(1, 2).flatten(2)
        if self.combine is not None:
            y = self.combine(y.to(self.combine.weight.dtype))
        return y.to(x.dtype)

    def _check(self, x: Tensor, state: NeuralMemoryState | None) -> None:
        check_shape(check_floating(x, "NeuralMemory: x"), "NeuralMemory: x", ("b", "s", self.d_model))
        check_fits(x, "NeuralMemory: x", self.gate.weight, "the layer")
        if not x.shape[0] or not x.shape[1]:
            raise EmptyBatch(f"NeuralMemory: x of shape {tuple(x.shape)} was given; give at least one token.")
        if state is not None:
            self._check_state(state, x)

    def _check_state(self, state: NeuralMemoryState, x: Tensor) -> None:
        """Raise if a state is not one of this layer's, for as many sequences as ``x`` has."""
        if not isinstance(state, NeuralMemoryState):
            raise InvalidInput(
                f"NeuralMemory: state: {type(state).__name__} was given; what forward() returned is allowed."
            )
        b, h, pairs = x.shape[0], self.heads, self._shapes
        kinds = {"memory": 2, "carried": 2, "velocity": 2, "inputs": 0, "changes": 1}
        for field, kind in kinds.items():
            parts = getattr(state, field)
            if not isinstance(parts, tuple | list):
                raise InvalidInput(
                    f"NeuralMemory: state.{field}: {type(parts).__name__} was given; a tuple with a tensor for each "
                    "layer is allowed. Give what forward() returned."
                )
            count = len(pairs) if field != "velocity" or self.momentum else 0
            if len(parts) != count:
                raise InvalidInput(
                    f"NeuralMemory: state: {field} of {len(parts)} layers was given; {count} is allowed. It is the "
                    "state of a layer of another depth, or with another choice of momentum."
                )
            for part, pair in zip(parts, pairs, strict=False):
                self._check_part(part, field, (b, h, *pair) if kind == 2 else (b, h, "p", pair[kind]))
        self._check_part(state.tail, "tail", (b, self.convolution - 1, 3 * h * self.d_head))
        lengths = [part.shape[2] for part in (*state.inputs, *state.changes)]
        if len(set(lengths)) > 1:
            raise InvalidShape(
                f"NeuralMemory: state: inputs and changes of {lengths} tokens were given; all hold the same running "
                "chunk. Give what forward() returned."
            )
        if state.inputs[0].shape[2] > self.chunk:
            raise InvalidInput(
                f"NeuralMemory: state: a running chunk of {state.inputs[0].shape[2]} tokens was given; at most "
                f"{self.chunk} are allowed. It is the state of a layer with a longer chunk."
            )

    def _check_part(self, part: Tensor, field: str, shape: tuple[int | str, ...]) -> None:
        check_shape(check_floating(part, f"NeuralMemory: state.{field}"), f"NeuralMemory: state.{field}", shape)
        if part.dtype != self._precise:
            raise InvalidDtype(
                f"NeuralMemory: state.{field}: {part.dtype} was given; {self._precise} is allowed in a layer of "
                f"{self.gate.weight.dtype}."
            )
        if part.device != self.gate.weight.device:
            raise InvalidInput(
                f"NeuralMemory: state.{field}: a tensor on {part.device} was given; the layer is on "
                f"{self.gate.weight.device}. Give state.to({str(self.gate.weight.device)!r})."
            )


def _moment(state: NeuralMemoryState) -> Moment:
    memory, carried, velocity, inputs, changes = (tuple(part.flatten(0, 1) for part in parts) for parts in state[:5])
    return Moment(memory, carried, velocity, Learned(inputs, changes) if inputs[0].shape[1] else None)


def _owned(weights: Weights) -> Weights:
    """Return copies, each sequence its own: what goes into a state shares nothing with the layer's parameters."""
    return tuple(None if w is None else w.clone(memory_format=torch.contiguous_format) for w in weights)
