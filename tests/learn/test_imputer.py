from __future__ import annotations

from sklearn.utils.estimator_checks import parametrize_with_checks

from mossy.learn import MemoryImputer


@parametrize_with_checks([MemoryImputer(), MemoryImputer(add_indicator=True, keep_empty_features=True)])
def test_scikit_learn_accepts_it(estimator, check):
    check(estimator)
