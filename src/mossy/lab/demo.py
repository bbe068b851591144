"""The demo: real images from fragments, memories that last or fade, and a process that is killed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mossy.arrays import check_integer
from mossy.lab.completion import METHODS, SHARES, Completion, Progress, complete
from mossy.lab.demo_figure import draw_completion, draw_fading
from mossy.lab.fading import Fading, fade
from mossy.lab.figures import Out, as_folder, new_figure, save
from mossy.lab.images import digits, photo_patches
from mossy.lab.survival import Survival, survive

__all__ = ["Demo", "demo"]


@dataclass(frozen=True)
class Demo:
    """What ``demo()`` found."""

    completions: tuple[Completion, ...]
    fading: Fading
    survival: Survival
    seed: int
    figures: tuple[Path, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return it as numbers, strings, lists and dicts, for JSON."""
        fading = asdict(self.fading)
        del fading["times"], fading["curve"]
        return {
            "completion": {
                done.images.name: {
                    "stored": len(done.images),
                    "neurons": done.images.patterns.shape[1],
                    "answers": {
                        share: {method: asdict(done.answers[share][method]) for method in METHODS} for share in SHARES
                    },
                    "default_separation": dict(zip(("right", "exact"), done.blend, strict=True)),
                }
                for done in self.completions
            },
            "fading": fading,
            "survival": asdict(self.survival),
            "seed": self.seed,
            "figures": [str(path) for path in self.figures],
        }


def demo(out: Out | None = None, seed: int = 0, n: int | None = None, progress: Progress | None = None) -> Demo:
    """Store real images, recall them from fragments, let what is not used fade, and kill a process that stored.

    The images are scikit-learn's digits, and two photographs of its own cut into 24 × 24 patches in colour. A cue knows
    half or a quarter of an image; the rest is covered by *another* one, which is stored as well.

    Parameters
    ----------
    out
        A folder for the figures ``mossy-demo.png`` and ``mossy-demo-fading.png``. None draws nothing.
    seed
        Draws what covers, and which examples are shown.
    n
        At most so many images of each kind, at least 40; None takes all.
    progress
        Called with what is being done, how much of it is done, and how much there is.

    Raises
    ------
    InvalidParameter
        ``out`` cannot be written, or a number is outside its range.
    MissingExtra
        scikit-learn is not installed, or ``out`` is set and Matplotlib is not.
    """
    seed = check_integer(seed, "demo.seed", 0)
    n = None if n is None else check_integer(n, "demo.n", 40)
    folder = None if out is None else as_folder(out)
    if folder is not None:
        new_figure(1, 1)  # so that a missing extra is said before the work, not after it
    tell: Progress = progress or (lambda what, done, total: None)
    kinds = [photo_patches().first(n), digits().first(n)]
    completions = tuple(complete(images, seed, tell) for images in kinds)
    tell("a year on a fast clock", 0, 1)
    fading = fade(kinds[1].first(200))
    tell("a year on a fast clock", 1, 1)
    tell("a process that is killed", 0, 1)
    survival = survive(kinds[1])
    tell("a process that is killed", 1, 1)
    figures: tuple[Path, ...] = ()
    if folder is not None:
        figures = (
            save(draw_completion(completions, seed), folder, "mossy-demo.png", dpi=110),
            save(draw_fading(fading), folder, "mossy-demo-fading.png", dpi=110),
        )
    return Demo(completions, fading, survival, seed, figures)
