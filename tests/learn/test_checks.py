"""scikit-learn's own checks, over every estimator of the package, with no exemption."""

from __future__ import annotations

from sklearn.utils.estimator_checks import parametrize_with_checks

from mossy.learn import MemoryClassifier, MemoryRegressor

ESTIMATORS = [
    MemoryClassifier(),
    MemoryClassifier("matrix", units=100),
    MemoryRegressor(),
    MemoryRegressor("matrix", units=100),
]


@parametrize_with_checks(ESTIMATORS)
def test_scikit_learn_checks(estimator, check):
    check(estimator)
