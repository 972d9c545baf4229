"""Boosted trees as plain arrays: trained by scikit-learn, stored and asked without it.

A file of arrays runs no code when it is read, unlike a pickle, and does not depend on the version that wrote it.
numpy is imported inside the functions.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

__all__ = ["BoostedTrees"]

_BLOCK = 256  # lines at a time: lines x trees stays in the cache


@dataclass(frozen=True, eq=False)
class BoostedTrees:
    """A sum of decision trees; all arrays but `base` have shape (trees, nodes of the largest tree).

    Attributes:
        feature: the column that a node looks at; -1 at a leaf.
        threshold: a row goes left where its value is at most this.
        left: the node on the left; a leaf's own number at a leaf.
        right: the node on the right, likewise.
        value: what a leaf adds to the log-odds.
        base: log-odds before the first tree; shape (1,).
    """

    feature: Any
    threshold: Any
    left: Any
    right: Any
    value: Any
    base: Any

    @classmethod
    def of_sklearn(cls, model: Any) -> BoostedTrees:
        """Take over a fitted binary `HistGradientBoostingClassifier` without categorical features."""
        import numpy as np

        trees = [stage[0].nodes for stage in model._predictors]
        shape = (len(trees), max(len(nodes) for nodes in trees))
        feature = np.full(shape, -1, dtype=np.int16)
        threshold, value = np.zeros(shape), np.zeros(shape, dtype=np.float32)
        left = np.tile(np.arange(shape[1], dtype=np.int16), (shape[0], 1))
        right = left.copy()
        for number, nodes in enumerate(trees):
            own = slice(0, len(nodes))
            inner = nodes["is_leaf"] == 0
            feature[number, own] = np.where(inner, nodes["feature_idx"], -1)
            threshold[number, own] = np.where(inner, nodes["num_threshold"], 0)
            left[number, own] = np.where(inner, nodes["left"], left[number, own])
            right[number, own] = np.where(inner, nodes["right"], right[number, own])
            value[number, own] = np.where(inner, 0, nodes["value"])
        return cls(feature, threshold, left, right, value, np.ravel(model._baseline_prediction).astype(np.float64))

    def log_odds(self, rows: Any) -> Any:
        """The sum over trees for each row; (rows, features) gives (rows,), float64."""
        import numpy as np

        total = np.empty(len(rows))
        trees = np.arange(len(self.feature))
        for start in range(0, len(rows), _BLOCK):
            block = np.asarray(rows[start : start + _BLOCK], dtype=np.float64)
            number = np.arange(len(block))[:, None]
            node = np.zeros((len(block), len(trees)), dtype=np.int16)
            while (column := self.feature[trees, node]).max() >= 0:  # a leaf's column is -1, and it leads to itself
                goes_left = block[number, column] <= self.threshold[trees, node]
                node = np.where(goes_left, self.left[trees, node], self.right[trees, node])
            total[start : start + len(block)] = self.base[0] + self.value[trees, node].sum(axis=1, dtype=np.float64)
        return total

    def arrays(self) -> dict[str, Any]:
        """The arrays by name, as `of_arrays` takes them."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def of_arrays(cls, arrays: dict[str, Any]) -> BoostedTrees:
        """The other way round."""
        return cls(**{field.name: arrays[field.name] for field in fields(cls)})
