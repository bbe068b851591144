"""What all encoders have in common as transformers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin, _fit_context
from sklearn.utils.validation import check_is_fitted, validate_data

__all__ = ["Transformer"]


class Transformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator, ABC):  # type: ignore[misc]
    """A transformer whose fitted state is one of mossy's encoders, ``encoder_``. Patterns are float32."""

    accepts: ClassVar[tuple[str, ...] | bool] = False  # sparse formats

    n_features_in_: int
    encoder_: Any

    @abstractmethod
    def _make(self, X: Any) -> Any:
        """Return an encoder for rows like those of ``X``."""

    @abstractmethod
    def _learn(self, X: Any) -> None:
        """Let ``encoder_`` learn from ``X``."""

    @abstractmethod
    def _encode(self, X: Any) -> NDArray[np.float32]:
        """Return the patterns of ``X``."""

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Learn what the encoder learns from rows ``X (n, d)``, from nothing. ``y`` is not used."""
        x = self._checked(X, reset=True)
        self.encoder_ = self._make(x)
        self._learn(x)
        return self

    def transform(self, X: ArrayLike) -> Any:
        """Return the patterns ``(n, n_features_out)`` of rows ``X (n, d)``."""
        check_is_fitted(self)
        return self._encode(self._checked(X, reset=False))

    def _checked(self, X: Any, reset: bool) -> Any:
        return validate_data(self, X, reset=reset, dtype=np.float32, accept_sparse=self.accepts)

    @property
    def _n_features_out(self) -> int:
        return int(self.encoder_.units)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "encoder_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = bool(self.accepts)
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags
