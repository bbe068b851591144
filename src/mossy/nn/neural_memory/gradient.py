"""The gradient through a memory that learns, written out: half the passes over the weights that autograd makes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, final

import torch
from torch import Tensor

from mossy.errors import InvalidInput
from mossy.nn.neural_memory.network import Gradients, Learned, Network, Options, Weights, some
from mossy.nn.neural_memory.stream import Gates, Moment, Passed, Tokens, filled, pieces, run
from mossy.nn.tensors import without_autocast

__all__ = ["advance"]


# Compiled, its loop over chunks would be unrolled, once for each length.
@torch.compiler.disable  # type: ignore[untyped-decorator]
def advance(
    network: Network, start: Weights, moment: Moment, tokens: Tokens, gates: Gates, chunk: int, options: Options
) -> tuple[Tensor, Moment]:
    """Do what ``run`` does, with a gradient. It can be differentiated once; all of the moment after is tensors."""
    learned = moment.learned or Learned((), ())
    groups = (tokens, gates, start, *moment[:3], *learned)
    if not (torch.is_grad_enabled() and any(part.requires_grad for group in groups for part in some(group))):
        found, after = run(network, start, moment, tokens, gates, chunk, options)
        return found, _solid(after)
    counts = [len(group) for group in groups]
    flat = (part for group in groups for part in group)
    found, *rest = _Advance.apply(network, chunk, options, counts, *flat)  # type: ignore[no-untyped-call]
    memory, carried, velocity, inputs, changes = _grouped(rest, [len(start), len(start), counts[5], *[len(start)] * 2])
    return found, Moment(memory, carried, velocity, Learned(inputs, changes))


def _grouped(flat: Iterable[Any], counts: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    each = iter(flat)
    return (tuple(islice(each, count)) for count in counts)


def _solid(moment: Moment) -> Moment:
    """Return a moment without None, and without slices, which would hold on to the whole sequence."""
    inputs, changes = moment.learned or ((), ())
    b, p, _ = inputs[0].shape
    ends = [(w if c is None else c) for w, c in zip(moment.memory, changes, strict=True)]
    shapes = [(x.shape[2], end.shape[2]) for x, end in zip(inputs, some(ends), strict=True)]

    def whole(weights: Weights) -> Weights:
        return tuple(
            inputs[0].new_zeros(b, *shape) if w is None else w for w, shape in zip(weights, shapes, strict=False)
        )

    new = tuple(inputs[0].new_zeros(b, p, o) if c is None else c for c, (_, o) in zip(changes, shapes, strict=True))
    learned = Learned(tuple(x.clone() for x in inputs), new)
    return Moment(whole(moment.memory), whole(moment.carried), whole(moment.velocity), learned)


@final
class _Advance(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, network: Network, chunk: int, options: Options, counts: list[int], *flat: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        tokens, gates, start, memory, carried, velocity, inputs, changes = _grouped(flat, counts)
        moment = Moment(memory, carried, velocity, Learned(inputs, changes) if inputs else None)
        passed: list[Passed] = []
        found, after = run(network, start, moment, Tokens(*tokens), Gates(*gates), chunk, options, passed)
        ctx.choices = network, chunk, options, counts
        ctx.set_materialize_grads(False)
        ctx.layouts, kept = [], []
        for each in passed:
            parts = [part if isinstance(part, tuple) else () for part in _opened(each)]
            ctx.layouts.append((each.began, [len(part) for part in parts]))
            kept += [held for part in parts for held in part]
        ctx.save_for_backward(*flat, *kept)
        whole = _solid(after)
        return found, *(part for parts in (*whole[:3], *(whole.learned or ())) for part in parts)

    @staticmethod
    def backward(ctx: Any, d_found: Tensor | None, *d_after: Tensor | None) -> tuple[Any, ...]:
        if torch.is_grad_enabled():
            raise InvalidInput(
                "NeuralMemory: a gradient with create_graph=True was asked for; it can be differentiated once only. "
                "Leave create_graph at False."
            )
        with without_autocast(ctx.saved_tensors[0].device):
            return _gradients(ctx, d_found, d_after)


def _gradients(ctx: Any, d_found: Tensor | None, d_after: Iterable[Tensor | None]) -> tuple[Any, ...]:
    network, chunk, options, counts = ctx.choices
    saved = ctx.saved_tensors
    tokens, gates, start, _, _, _, inputs, changes = _grouped(saved, counts)
    rest = islice(saved, sum(counts), None)
    passed = [_closed(began, list(_grouped(rest, lengths))) for began, lengths in ctx.layouts]
    cut = pieces(Tokens(*tokens), Gates(*gates), chunk, Learned(inputs, changes) if inputs else None)
    answers = torch.split(
        torch.zeros_like(tokens[2]) if d_found is None else d_found, [part.keys.shape[1] for part, _ in cut], 1
    )
    layers = len(start)
    back = _Back(network, options, start, list(_grouped(d_after, [layers, layers, counts[5], layers, layers])))
    found = [
        back.step(part, gate, d, each)
        for (part, gate), d, each in zip(reversed(cut), reversed(answers), reversed(passed), strict=True)
    ]
    each_token = (torch.cat(parts[::-1], 1) for parts in zip(*found, strict=True))
    d_moment = (back.memory, back.carried, back.velocity, back.inputs[: counts[6]], back.changes[: counts[7]])
    return None, None, None, None, *each_token, *back.start, *(part for parts in d_moment for part in parts)


def _opened(passed: Passed) -> list[tuple[Tensor | None, ...] | None]:
    """Return its tensors, layer by layer, in groups."""
    return [
        *(passed.memory, passed.carried, passed.velocity),
        *(part for learned in (passed.held, passed.before, passed.learned) for part in (learned or (None, None))),
        *(passed.by_learning, passed.by_reading),
    ]


def _closed(began: bool, groups: list[tuple[Any, ...]]) -> Passed:
    memory, carried, velocity, *learned, by_learning, by_reading = groups
    held, before, after = (Learned(*learned[i : i + 2]) if learned[i] else None for i in (0, 2, 4))
    return Passed(began, memory, carried, velocity, held, before, after or Learned((), ()), by_learning, by_reading)


@final
class _Back:
    """The gradients with respect to ``M₀`` and to the moment, on the way from the last chunk to the first."""

    def __init__(
        self, network: Network, options: Options, start: Weights, after: list[tuple[Tensor | None, ...]]
    ) -> None:
        self.network, self.options, self.weights = network, options, start
        self.start: Gradients = [None] * len(start)
        self.memory, self.carried, self.velocity, self.inputs, self.changes = (
            [None if d is None else d.clone() for d in parts] for parts in after
        )

    def step(self, tokens: Tokens, gates: Gates, d_answers: Tensor, passed: Passed) -> tuple[Tensor, ...]:
        """Go back over one piece; return the gradients of its tokens and of its gates."""
        d_queries, *d_read = self.network.read_back(
            passed.carried, passed.learned, tokens.queries, self.options, passed.by_reading, d_answers, self.carried
        )
        at = filled(passed.before)
        summed = [
            [_sum(d, more) for d, more in zip(parts, later, strict=True)]
            for parts, later in zip(d_read, (self.inputs, self.changes), strict=True)
        ]
        d_inputs, d_changes = ([None if d is None else d[:, at:] for d in parts] for parts in summed)
        mine = Learned(
            tuple(x[:, at:] for x in passed.learned.inputs),
            tuple(None if c is None else c[:, at:] for c in passed.learned.changes),
        )
        d_keys, d_values, d_rate, *d_before = self.network.learn_back(
            passed.memory,
            passed.before,
            tokens.keys,
            gates.rate,
            self.options,
            mine,
            passed.by_learning,
            d_inputs,
            d_changes,
            self.memory,
        )
        d_momentum, d_forget = torch.zeros_like(gates.momentum), torch.zeros_like(gates.forget)
        if passed.began:
            d_momentum[:, :1], d_forget[:, :1] = self._begin(gates, passed)
        else:
            self.inputs, self.changes = (
                [_sum(None if d is None else d[:, :at], more) for d, more in zip(parts, earlier, strict=True)]
                for parts, earlier in zip(summed, d_before, strict=True)
            )
        return d_queries, d_keys, d_values, d_rate, d_momentum, d_forget

    def _begin(self, gates: Gates, passed: Passed) -> tuple[Tensor, Tensor]:
        """Go back over the end of the last chunk and the beginning of this; return ``d_momentum`` and ``d_forget``."""
        momentum, forget = gates.momentum[:, :1], gates.forget[:, :1]
        d_momentum, d_forget = torch.zeros_like(momentum), torch.zeros_like(forget)
        for i, (w, w0) in enumerate(zip(passed.memory, self.weights, strict=True)):
            d, d_memory, d_step = self.carried[i], self.memory[i], None
            self.carried[i] = self.inputs[i] = self.changes[i] = None
            if w is None or d is None:  # it was 0, whatever came before
                self.memory[i] = None
                if passed.velocity:
                    self.velocity[i] = None
                continue
            d_forget -= _dot(w if w0 is None else w - w0, d)
            faded = d * forget
            d_step = d_memory = _sum(d - faded, d_memory)
            if w0 is not None:
                self.start[i] = _sum(faded, self.start[i])
            if passed.velocity:
                d_velocity, s = _sum(d, self.velocity[i]), passed.velocity[i]
                self.velocity[i] = None
                if s is not None and d_velocity is not None:
                    d_momentum += _dot(s, d_velocity) / momentum.clamp(min=1e-30)  # s is η S; it is 0 where η is
                    self.velocity[i] = d_velocity = d_velocity.mul_(momentum)
                    d_step = d_memory + d_velocity if d_memory is not None else d_velocity
            self.memory[i] = d_memory
            if passed.held is not None:
                self.memory[i], self.carried[i] = None, d_memory
                x, c = passed.held.inputs[i], passed.held.changes[i]
                if c is not None and d_step is not None:
                    self.inputs[i], self.changes[i] = torch.bmm(c, d_step.mT), torch.bmm(x, d_step)
        return d_momentum, d_forget


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    """Return the sum of two gradients, of which None is 0; the first may be overwritten."""
    if a is None or b is None:
        return b if a is None else a
    return a.add_(b)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Return the inner products of matrices ``(b, i, o)``: ``(b, 1, 1)``."""
    found: Tensor = torch.linalg.vecdot(a.flatten(1), b.flatten(1))
    return found.view(-1, 1, 1)
