"""What a Hopfield layer can be told, under the names that hflayers gave it."""

from __future__ import annotations

from typing import TypedDict

from torch import Tensor

__all__ = ["Options"]


class Options(TypedDict, total=False):
    """The arguments of :class:`mossy.nn.Hopfield`, which the layers around it hand on; it says what each means."""

    hidden_size: int | None
    output_size: int | None
    pattern_size: int | None
    num_heads: int
    scaling: float | Tensor | None
    update_steps_max: int | None
    update_steps_eps: float
    separation: str
    similarity: str
    stored_pattern_size: int | None
    pattern_projection_size: int | None
    stored_pattern_as_static: bool
    state_pattern_as_static: bool
    pattern_projection_as_static: bool
    pattern_projection_as_connected: bool
    normalize_stored_pattern: bool | None
    normalize_stored_pattern_affine: bool
    normalize_state_pattern: bool | None
    normalize_state_pattern_affine: bool
    normalize_pattern_projection: bool | None
    normalize_pattern_projection_affine: bool
    normalize_hopfield_space: bool
    normalize_hopfield_space_affine: bool
    normalize_eps: float
    batch_first: bool
    association_activation: str | None
    dropout: float
    input_bias: bool
    concat_bias_pattern: bool
    add_zero_association: bool
    disable_out_projection: bool
