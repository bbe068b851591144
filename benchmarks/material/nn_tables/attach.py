"""Tables of what a memory adds to a trained model, and of how much of it moves into the weights."""

from __future__ import annotations

from typing import Any

from material.markdown import Results, markdown, number

__all__ = ["attached", "attached_language"]


def attached(results: Results) -> str:
    """List the accuracy of image models alone, with memory, and distilled, beside neighbours on the same features."""
    found = results["nn_attach"]["result"]
    parts = {"images": "all classes were learned", "classes": "two of ten classes were not"}
    rows = [
        (f"{says}: {name}", f"{row['accuracy']:.4f} ± {row['accuracy_sd']:.4f}", _loss(row))
        for part, says in parts.items()
        for name, row in found[part]["rows"].items()
    ]
    rows += [(f"{says}: gain kept", f"{_kept(found[part], 'kept_accuracy')}", _kept(found[part], "kept"))
             for part, says in parts.items()]  # fmt: skip
    return markdown(("Fashion-MNIST, a CNN", "accuracy", "loss, nats"), rows)


def attached_language(results: Results) -> str:
    """List the perplexity of a language model alone, with memory, and distilled."""
    found = results["nn_attach"]["result"]["domain"]
    rows = [
        (
            name,
            number(row["perplexity_loss"]) if "perplexity_loss" in row else "–",
            f"{row['accuracy']:.4f}",
            number(row["perplexity_elsewhere"]) if "perplexity_elsewhere" in row else "–",
        )
        for name, row in found["rows"].items()
    ]
    rows.append(("gain kept", _kept(found, "kept"), "", ""))
    return markdown(("a GRU, words of another domain", "perplexity", "accuracy", "perplexity of its own domain"), rows)


def _loss(row: dict[str, Any]) -> str:
    return f"{row['loss']:.3f} ± {row['loss_sd']:.3f}" if "loss" in row else "–"


def _kept(found: dict[str, Any], what: str) -> str:
    return f"{100 * found[what]['mean']:.0f} % (least {100 * found[what]['least']:.0f} %)"
