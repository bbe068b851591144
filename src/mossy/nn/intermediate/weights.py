"""Whether the weights of a module are still those that they were."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, final

import torch
from torch import Tensor, nn

from mossy.nn.intermediate.fingerprint import digest, encode
from mossy.nn.intermediate.tree import PLAIN, leaves

__all__ = ["Watch", "beside_of", "counted", "dense_of", "is_dense", "parts_of", "weights_of"]

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


def is_dense(tensor: Tensor) -> bool:
    """Say whether a tensor has its numbers at an address."""
    return tensor.layout == torch.strided and not tensor.is_quantized


def dense_of(tensor: Tensor) -> list[Tensor]:
    """Return dense tensors that say all of one: its parts if it is sparse, integers and scales if it is quantized."""
    one = tensor.detach()
    if one.is_quantized:
        if one.qscheme() in (torch.per_tensor_affine, torch.per_tensor_symmetric):
            scale = torch.tensor([one.q_scale(), one.q_zero_point()], dtype=torch.float64)
            return [one.int_repr(), scale]
        return [one.int_repr(), one.q_per_channel_scales(), one.q_per_channel_zero_points()]
    if one.layout == torch.sparse_coo:
        return [one._indices(), one._values()]
    if one.layout in (torch.sparse_csr, torch.sparse_bsr):
        return [one.crow_indices(), one.col_indices(), one.values()]
    if one.layout in (torch.sparse_csc, torch.sparse_bsc):
        return [one.ccol_indices(), one.row_indices(), one.values()]
    return [one if one.layout == torch.strided else one.to_dense()]


def beside_of(parts: Iterable[nn.Module]) -> list[Any]:
    """Return what these modules save by code of their own (packed weights, extra state): tensors and plain values."""
    found: list[Any] = []
    for part in parts:
        kind, plain = type(part), nn.Module
        if (kind._save_to_state_dict, kind.get_extra_state) != (plain._save_to_state_dict, plain.get_extra_state):
            state: dict[str, Any] = {}
            part._save_to_state_dict(state, "", True)
            held = {id(weight) for weight in weights_of([part])}
            found += [leaf for leaf in leaves(state) if id(leaf) not in held and isinstance(leaf, (Tensor, *PLAIN))]
    return found


class _Seen(NamedTuple):
    parts: list[nn.Module]
    tensors: list[Tensor]
    odd: list[bytes]  # digests of what has no address
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
        sees a write to all of a tensor, and may miss one to a few entries through ``.data``. Of what is sparse or
        quantized, and of what modules save by code of their own, all bytes are compared always.
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
        if [_place(one) for one in tensors] != seen.places or _odd(parts, tensors) != seen.odd:
            return False
        if self.whole:
            return [digest(alias) for alias in seen.aliases] == seen.digests
        return all(torch.equal(torch.cat(views), old) for views, old in zip(seen.entries, seen.content, strict=True))

    def _look(self, parts: list[nn.Module], tensors: list[Tensor]) -> _Seen:
        aliases = [one.detach() for one in tensors if is_dense(one)]
        places, odd = [_place(one) for one in tensors], _odd(parts, tensors)
        if self.whole:
            return _Seen(parts, tensors, odd, aliases, places, [], [], [digest(alias) for alias in aliases])
        groups: dict[tuple[object, ...], list[Tensor]] = {}
        for alias in aliases:
            if alias.numel():
                groups.setdefault((alias.device, alias.element_size()), []).append(_entries(alias))
        entries = list(groups.values())
        return _Seen(parts, tensors, odd, aliases, places, entries, [torch.cat(views) for views in entries], [])


def _are(ones: Sequence[object], others: Sequence[object]) -> bool:
    return len(ones) == len(others) and all(one is other for one, other in zip(ones, others, strict=True))


def counted(tensor: Tensor) -> int:
    """Return how often a tensor was changed in place. Of one made in inference mode that is not counted."""
    return 0 if tensor.is_inference() else tensor._version


def _place(tensor: Tensor) -> tuple[object, ...]:
    if not is_dense(tensor):
        return counted(tensor), tensor.shape, tensor.dtype
    return tensor.data_ptr(), counted(tensor), tensor.shape, tensor.stride(), tensor.dtype


def _odd(parts: Sequence[nn.Module], tensors: Sequence[Tensor]) -> list[bytes]:
    odd = [*(one for one in tensors if not is_dense(one)), *beside_of(parts)]
    return [encode(one) for leaf in odd for one in (dense_of(leaf) if isinstance(leaf, Tensor) else [leaf])]


def _entries(alias: Tensor) -> Tensor:
    """Return a view of evenly spaced entries, as integers: NaN equals NaN there, and -0 differs from 0."""
    if alias.is_complex():
        alias = torch.view_as_real(alias)
    span = 1 + sum((size - 1) * stride for size, stride in zip(alias.shape, alias.stride(), strict=True))
    flat = alias.as_strided((span,), (1,))
    return flat.view(INTEGERS[alias.element_size()])[:: max(span // SAMPLES, 1)]
