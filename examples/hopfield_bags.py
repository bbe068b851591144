"""Find out which sets of digits hold a 9, from labels of whole sets: a Hopfield pooling picks the digit that decides.

Multiple instance learning (Ilse, Tomczak & Welling 2018, arXiv:1802.04712, section 4.2): a bag of digits is positive if
a 9 is in it; no digit has a label of its own. The same network is trained with each way to pool a bag.

python examples/hopfield_bags.py --out out
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

from mossy.nn import HopfieldPooling

WIDTH = 32
LOOKED_FOR = 9


class Pooled(nn.Module):
    """Digits through an encoder, a bag through a pooling, one logit a bag."""

    def __init__(self, pool: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, WIDTH))
        self.pool = pool
        self.head = nn.Linear(WIDTH, 1)

    def forward(self, bags: Tensor) -> Tensor:
        """Return one logit a bag ``(b,)`` of ``(b, n, 64)``."""
        return self.head(self.pool(self.encoder(bags)))[:, 0]


class AttentionPooling(nn.Module):
    """``Σ a_i x_i`` with ``a = softmax(wᵀ tanh(V x))``: Ilse et al. (2018), eq. 8."""

    def __init__(self) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh(), nn.Linear(WIDTH, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(b, size)`` of ``(b, n, size)``."""
        return (self.score(x).softmax(1) * x).sum(1)


POOLINGS: dict[str, Callable[[], Callable[[Tensor], Tensor]]] = {
    "mean": lambda: lambda x: x.mean(1),
    "max": lambda: lambda x: x.amax(1),
    "attention": AttentionPooling,
    "Hopfield": lambda: HopfieldPooling(WIDTH, scaling=1.0),
    "Hopfield, sparsemax": lambda: HopfieldPooling(WIDTH, scaling=1.0, separation="sparsemax"),
}


def bags_of(x: Tensor, y: Tensor, n: int, size: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return ``n`` bags of ``size`` digits, half of them with a 9; their labels; and where a 9 is."""
    generator = torch.Generator().manual_seed(seed)
    nine = torch.nonzero(y == LOOKED_FOR)[:, 0]
    others = torch.nonzero(y != LOOKED_FOR)[:, 0]
    chosen = others[torch.randint(len(others), (n, size), generator=generator)]
    for bag in range(0, n, 2):
        place = int(torch.randint(size, (1,), generator=generator))
        chosen[bag, place] = nine[torch.randint(len(nine), (1,), generator=generator)]
    there = y[chosen] == LOOKED_FOR
    return x[chosen], there.any(1).float(), there


def trained(model: nn.Module, bags: Tensor, labels: Tensor, epochs: int, seed: int) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(model.parameters(), 2e-3)
    for _ in range(epochs):
        for batch in torch.randperm(len(bags), generator=generator).split(32):
            loss = nn.functional.binary_cross_entropy_with_logits(model(bags[batch]), labels[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return model.eval()


def main(n: int = 400, size: int = 20, epochs: int = 30, seeds: int = 3, out: str | None = None) -> None:
    images, digits = load_digits(return_X_y=True)
    split = train_test_split(images / 16, digits, test_size=0.4, stratify=digits, random_state=0)
    x, t, y, u = (torch.as_tensor(each).float() if each.ndim == 2 else torch.as_tensor(each) for each in split)
    test, labels, there = bags_of(t, u, 1000, size, seed=99)
    print(f"{n} bags of {size} digits, half with a {LOOKED_FOR}; accuracy on 1,000 bags of other digits")
    for name, make in POOLINGS.items():
        right = []
        for seed in range(seeds):
            torch.manual_seed(seed)
            model = trained(Pooled(make()), *bags_of(x, y, n, size, seed)[:2], epochs, seed)
            with torch.no_grad():
                right.append(float(((model(test) > 0) == (labels > 0)).float().mean()))
        print(f"  {name:20} " + " ".join(f"{accuracy:.3f}" for accuracy in right))
    with torch.no_grad():
        activity = model.pool.get_association_matrix(model.encoder(test))[:, 0, 0]
    positive = labels > 0
    found = there[positive].gather(1, activity[positive].argmax(1, keepdim=True)).float().mean()
    read = (activity > 0).sum(1).float().mean()
    print(
        f"in a bag that holds a {LOOKED_FOR}, it is what is read most: {found:.3f}; digits read of {size}: {read:.1f}"
    )
    if out is not None:
        print(f"drawn: {drawn(test[0], activity[0], Path(out))}")


def drawn(bag: Tensor, activity: Tensor, folder: Path) -> Path:
    """Draw the digits of a bag, and how much of each was read."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, len(bag) // 2, figsize=(len(bag) * 0.45, 2.4), layout="constrained")
    for axis, image, share in zip(axes.flat, bag, activity, strict=False):
        axis.imshow(image.reshape(8, 8), cmap="gray_r")
        axis.set(xticks=[], yticks=[], title=f"{float(share):.2f}")
        for edge in axis.spines.values():
            edge.set(color="C0" if share > 0 else "0.8", linewidth=0.5 + 3 * float(share))
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "hopfield_bags.png", dpi=150)
    plt.close(figure)
    return folder / "hopfield_bags.png"


if __name__ == "__main__":
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--out", help="a folder for the figure")
    main(out=ask.parse_args().out)
