"""Whether the weights of a module are still those that they were."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, final

import torch
from torch import Tensor, nn

from mossy.nn.intermediate.fingerprint import digest

__all__ = ["Watch", "counted", "parts_of", "weights_of"]

SAMPLES = 64  # entries of each tensor that are compared
INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def parts_of(module: nn.Module) -> list[nn.Module]:
    """Return the module and all within it, each once."""
    found, waiting = {id(module): module}, [module]
    for one in waiting:
        for child in one._modules.values():
            if child is not None and id(child) not in found:
                found[id(child)] = child
                waiting.append(child)
    return waiting


def weights_of(parts: Iterable[nn.Module]) -> list[Tensor]:
    """Return the parameters and buffers that these modules hold themselves."""
    found: list[Tensor] = []
    for part in parts:
        found += [weight for weight in part._parameters.values() if weight is not None]
        found += [buffer for buffer in part._buffers.values() if buffer is not None]
    return found


class _Seen(NamedTuple):
    parts: list[nn.Module]
    tensors: list[Tensor]
    aliases: list[Tensor]  # they keep the memory, so that no other tensor comes to be at its address
    places: list[tuple[object, ...]]
    entries: list[list[Tensor]]  # views of what is compared
    content: list[Tensor]  # what was in these
    digests: list[bytes]


@final
class Watch:
    """Sees whether modules or their weights were changed since they were last looked at.

    Four things are compared: which modules and tensors these are; their address, shape and dtype; how often PyTorch
    has counted a change in place (optimizers, ``load_state_dict``, ``copy_``); and some of the content, since writes
    through ``.data`` are not counted.

    Parameters
    ----------
    whole
        True compares all bytes, by their digests; False compares 64 evenly spaced entries of each tensor, which
        sees a write to all of a tensor, and may miss one to a few entries through ``.data``.
    """

    def __init__(self, whole: bool) -> None:
        self.whole = whole
        self._seen: _Seen | None = None

    def changed(self, parts: Sequence[nn.Module], tensors: Sequence[Tensor]) -> bool:
        """Say whether these differ from those of the last call, and remember them. The first call says no."""
        seen = self._seen
        if seen is not None and self._same(parts, tensors, seen):
            return False
        self._seen = self._look(list(parts), list(tensors))
        return seen is not None

    def _same(self, parts: Sequence[nn.Module], tensors: Sequence[Tensor], seen: _Seen) -> bool:
        if not _are(parts, seen.parts) or not _are(tensors, seen.tensors):
            return False
        if [_place(one) for one in tensors] != seen.places:
            return False
        if self.whole:
            return [digest(alias) for alias in seen.aliases] == seen.digests
        return all(torch.equal(torch.cat(views), old) for views, old in zip(seen.entries, seen.content, strict=True))

    def _look(self, parts: list[nn.Module], tensors: list[Tensor]) -> _Seen:
        aliases = [one.detach() for one in tensors]
        places = [_place(one) for one in tensors]
        if self.whole:
            return _Seen(parts, tensors, aliases, places, [], [], [digest(alias) for alias in aliases])
        groups: dict[tuple[object, ...], list[Tensor]] = {}
        for alias in aliases:
            if alias.numel():
                groups.setdefault((alias.device, alias.element_size()), []).append(_entries(alias))
        entries = list(groups.values())
        return _Seen(parts, tensors, aliases, places, entries, [torch.cat(views) for views in entries], [])


def _are(ones: Sequence[object], others: Sequence[object]) -> bool:
    return len(ones) == len(others) and all(one is other for one, other in zip(ones, others, strict=True))


def counted(tensor: Tensor) -> int:
    """Return how often a tensor was changed in place. Of one made in inference mode that is not counted."""
    return 0 if tensor.is_inference() else tensor._version


def _place(tensor: Tensor) -> tuple[object, ...]:
    return tensor.data_ptr(), counted(tensor), tensor.shape, tensor.stride(), tensor.dtype


def _entries(alias: Tensor) -> Tensor:
    """Return a view of evenly spaced entries, as integers: NaN equals NaN there, and -0 differs from 0."""
    if alias.is_complex():
        alias = torch.view_as_real(alias)
    span = 1 + sum((size - 1) * stride for size, stride in zip(alias.shape, alias.stride(), strict=True))
    flat = alias.as_strided((span,), (1,))
    return flat.view(INTEGERS[alias.element_size()])[:: max(span // SAMPLES, 1)]
