"""The weights of an association, under the names that hflayers gave them."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from mossy.arrays import check_integer
from mossy.errors import InvalidParameter

__all__ = ["ROLES", "AssociationCore"]

ROLES = ("state", "stored", "projection")  # q, k and v, as they are packed
SPREAD = 0.02  # of new weights, as in hflayers


@final
class AssociationCore(nn.Module):
    """Projections into the association space, and out of it.

    Where all patterns have one size, the projections are rows of one ``in_proj_weight``.

    Parameters
    ----------
    sizes
        Entries of a state pattern, a stored pattern and a pattern projection, by role.
    static
        Whether each is taken as it is, by role.
    hidden_size, pattern_size, output_size, num_heads
        Entries of ``q`` and ``k`` in each head, of ``v``, of the output, and how many heads.
    bias, connected, bias_pattern, normalize, affine, out_projection
        What :class:`mossy.nn.Hopfield` calls ``input_bias``, ``pattern_projection_as_connected``,
        ``concat_bias_pattern``, ``normalize_hopfield_space``, ``normalize_hopfield_space_affine`` and
        not ``disable_out_projection``.

    Raises
    ------
    InvalidParameter
    """

    q_proj_weight: nn.Parameter | None
    k_proj_weight: nn.Parameter | None
    v_proj_weight: nn.Parameter | None
    out_proj: nn.Linear | None

    def __init__(
        self,
        sizes: dict[str, int],
        static: dict[str, bool],
        hidden_size: int | None,
        pattern_size: int | None,
        output_size: int | None,
        num_heads: int,
        *,
        bias: bool,
        connected: bool,
        bias_pattern: bool,
        normalize: bool,
        affine: bool,
        out_projection: bool,
    ) -> None:
        super().__init__()
        h, d = num_heads, sizes["state"]
        taken = [sizes[role] for role in ROLES[:2] if static[role]]  # as they are, so they say the size of the space
        if hidden_size is None and not taken and d % h:
            raise InvalidParameter(
                f"num_heads: {h} was given; a divisor of input_size = {d} is allowed. Or give hidden_size, the entries "
                "of each head."
            )
        own = taken[0] if taken else d // h
        hidden = own if hidden_size is None else check_integer(hidden_size, "hidden_size", 1)
        own = sizes["projection"] if static["projection"] else hidden
        width = own if pattern_size is None else check_integer(pattern_size, "pattern_size", 1)
        for role, wanted in zip(ROLES, (hidden, hidden, width), strict=True):
            if static[role] and sizes[role] != wanted:
                name = "pattern_size" if role == "projection" else "hidden_size"
                raise InvalidParameter(
                    f"{name}: {wanted} was given, or follows from input_size; {sizes[role]} is allowed, since the "
                    f"{role} pattern is static: every head takes it as it is."
                )
        if connected and (sizes["stored"] != sizes["projection"] or width != hidden or static["stored"]):
            raise InvalidParameter(
                "pattern_projection_as_connected: True was given; it needs a stored pattern that is not static, "
                "pattern_projection_size = stored_pattern_size, and pattern_size = hidden_size."
            )
        if bias_pattern and (static["stored"] or static["projection"]):
            raise InvalidParameter(
                "concat_bias_pattern: True was given; it needs a stored pattern and a pattern projection that are "
                "not static."
            )
        self.hidden_size, self.pattern_size = hidden, width
        rows = {"state": h * hidden, "stored": h * hidden, "projection": h * width}
        self.rows = {role: 0 if static[role] else rows[role] for role in ROLES}
        self.packed = len(set(sizes.values())) == 1 and pattern_size is None and not connected
        total = sum(self.rows.values())
        self.in_proj_weight = nn.Parameter(torch.empty(total, d)) if self.packed and total else None
        names = {"state": "q_proj_weight", "stored": "k_proj_weight", "projection": "v_proj_weight"}
        for role, name in names.items():
            size = h * hidden if role == "projection" and connected else sizes[role]
            apart = not self.packed and not static[role]
            self.register_parameter(name, nn.Parameter(torch.empty(self.rows[role], size)) if apart else None)
        self.in_proj_bias = nn.Parameter(torch.empty(total)) if bias and total else None
        self.bias_k = nn.Parameter(torch.empty(1, 1, h * hidden)) if bias_pattern else None
        self.bias_v = nn.Parameter(torch.empty(1, 1, h * width)) if bias_pattern else None
        self.p_norm_weight = nn.Parameter(torch.empty(hidden)) if normalize and affine else None
        self.p_norm_bias = nn.Parameter(torch.empty(hidden)) if normalize and affine else None
        self.out_proj = None
        if out_projection:
            output = d if output_size is None else check_integer(output_size, "output_size", 1)
            self.out_proj = nn.Linear(h * width, output, bias=bias)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights from a normal distribution of deviation .02; biases are 0, gains 1."""
        for name, parameter in self.named_parameters():
            if name in ("in_proj_bias", "p_norm_bias", "out_proj.bias"):
                nn.init.zeros_(parameter)
            elif name == "p_norm_weight":
                nn.init.ones_(parameter)
            else:
                nn.init.normal_(parameter, std=SPREAD)

    def weights(self) -> dict[str, tuple[Tensor | None, Tensor | None]]:
        """Return weight and bias of each role, None where there is none."""
        if self.packed:
            weights = self._parts(self.in_proj_weight)
        else:
            own = {"state": self.q_proj_weight, "stored": self.k_proj_weight, "projection": self.v_proj_weight}
            weights = {role: weight for role, weight in own.items() if weight is not None}
        biases = self._parts(self.in_proj_bias)
        return {role: (weights.get(role), biases.get(role)) for role in ROLES}

    def _parts(self, packed: Tensor | None) -> dict[str, Tensor]:
        """Return the rows of each role that has some."""
        if packed is None:
            return {}
        own = [role for role in ROLES if self.rows[role]]
        return dict(zip(own, torch.split(packed, [self.rows[role] for role in own]), strict=True))
