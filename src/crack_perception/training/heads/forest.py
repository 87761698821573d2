# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Random forest as flat arrays: fitted by scikit-learn, pruned and evaluated in numpy.

Paper sections 3.2.2 and 3.3.3: 100 trees, depth 20, "feature subsampling 0.8", pruned. The subsampling is implemented
as scikit-learn's ``max_features``: each split chooses from a random 80 % of the inputs. "Reduce input features" is
implemented by :func:`most_important_inputs`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import RandomForestClassifier

from crack_perception.errors import UserError

Array = npt.NDArray[np.float64]
Features = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

TREES = 100
DEPTH = 20
FEATURE_SHARE = 0.8

_LEAF = -1
_RANKING_TREES = 40
_REMEDY = "Pass the arrays that forest_to_arrays returned"


@dataclass(frozen=True)
class Forest:
    """Trees in preorder, one after the other: the left child of a node is the next node.

    Args:
        roots: ``(T,)`` int32, index of the first node of every tree, ascending.
        inputs: ``(M,)`` int16, index of the feature that a node compares; -1 in a leaf.
        values: ``(M,)`` float32, largest feature value that goes left; in a leaf the probability of a crack.
        skips: ``(M,)`` uint16, offset of the right child in nodes; 0 in a leaf.
    """

    roots: npt.NDArray[np.int32]
    inputs: npt.NDArray[np.int16]
    values: npt.NDArray[np.float32]
    skips: npt.NDArray[np.uint16]

    @property
    def stored_bytes(self) -> int:
        """Size of the arrays: 8 bytes for each node and 4 for each tree."""
        return sum(array.nbytes for array in forest_to_arrays(self).values())

    def probability(self, features: Features) -> Array:
        """Crack probabilities: means over the trees of the share of cracks in the leaf of a row.

        Args:
            features: ``(N, F)`` float32.

        Returns:
            ``(N,)`` float64.
        """
        rows = np.arange(len(features))
        total = np.zeros(len(features))
        for root in self.roots:
            nodes = np.full(len(features), root, np.intp)
            inside = self.inputs[nodes] != _LEAF
            while inside.any():
                here = nodes[inside]
                left = features[rows[inside], self.inputs[here]] <= self.values[here]
                nodes[inside] = here + np.where(left, 1, self.skips[here])
                inside = self.inputs[nodes] != _LEAF
            total += self.values[nodes]
        return total / len(self.roots)


def forest_to_arrays(forest: Forest) -> dict[str, npt.NDArray[np.generic]]:
    """Return the arrays of a forest by name, for ``numpy.savez``; see :class:`Forest`."""
    return {"roots": forest.roots, "inputs": forest.inputs, "values": forest.values, "skips": forest.skips}


def forest_from_arrays(arrays: Mapping[str, npt.NDArray[np.generic]]) -> Forest:
    """Restore a forest from the arrays of :func:`forest_to_arrays`.

    Raises:
        UserError: An array is missing or of another type, or a node refers outside its tree.
    """
    wanted = {"roots": np.int32, "inputs": np.int16, "values": np.float32, "skips": np.uint16}
    for name, dtype in wanted.items():
        if name not in arrays or arrays[name].dtype != dtype or arrays[name].ndim != 1:
            raise UserError(f"the forest has no one-dimensional array {name} of {np.dtype(dtype).name}", _REMEDY)
    forest = Forest(**{name: np.asarray(arrays[name], dtype) for name, dtype in wanted.items()})
    count = len(forest.inputs)
    if not len(forest.values) == len(forest.skips) == count or not len(forest.roots) or forest.roots[0] != 0:
        raise UserError("the arrays of the forest have inconsistent lengths", _REMEDY)
    ends = np.append(forest.roots[1:], count).astype(np.int64)
    sizes = ends - forest.roots
    if (sizes <= 0).any():
        raise UserError("a tree of the forest is empty", _REMEDY)
    inner = np.nonzero(forest.inputs != _LEAF)[0]
    skips = forest.skips[inner].astype(np.int64)
    if (forest.inputs[inner] < 0).any() or (skips < 2).any() or (inner + skips >= np.repeat(ends, sizes)[inner]).any():
        raise UserError("a node of the forest refers outside its tree", _REMEDY)
    return forest


@dataclass(frozen=True)
class GrownForest:
    """Fitted forest before pruning, with the figures that pruning needs.

    Args:
        forest: Forest with all nodes.
        impurities: ``(M,)`` Gini impurity of a node times the share of the rows of the tree that reach it.
        shares: ``(M,)`` share of cracks in every node, inner nodes included.
    """

    forest: Forest
    impurities: Array
    shares: npt.NDArray[np.float32]

    def pruned(self, price: float) -> Forest:
        """Prune by minimal cost complexity (Breiman et al. 1984, chapter 3).

        Keeps the smallest subtree that minimises impurity + price * number of leaves.

        Args:
            price: Cost of a leaf, at least 0; scikit-learn's ``ccp_alpha``.
        """
        forest = self.forest
        kept: list[npt.NDArray[np.intp]] = []
        ends = np.append(forest.roots[1:], len(forest.inputs))
        collapsed = np.zeros(len(forest.inputs), bool)
        for root, end in zip(forest.roots, ends, strict=True):
            kept.append(self._kept_nodes(int(root), int(end), price, collapsed))
        return self._subtree(kept, collapsed)

    def _kept_nodes(self, root: int, end: int, price: float, collapsed: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
        """Indices of the remaining nodes of one tree; nodes that become leaves are marked in ``collapsed``."""
        skips, leaf = self.forest.skips, self.forest.inputs == _LEAF
        cost = self.impurities[root:end] + price
        for node in range(end - 1, root - 1, -1):
            if not leaf[node]:
                branch = cost[node + 1 - root] + cost[node + int(skips[node]) - root]
                collapsed[node] = cost[node - root] <= branch
                cost[node - root] = min(cost[node - root], branch)
        kept, ahead = [], [root]
        while ahead:
            node = ahead.pop()
            kept.append(node)
            if not (leaf[node] or collapsed[node]):
                ahead += [node + int(skips[node]), node + 1]
        return np.array(kept, np.intp)

    def _subtree(self, kept: Sequence[npt.NDArray[np.intp]], collapsed: npt.NDArray[np.bool_]) -> Forest:
        nodes = np.concatenate(kept)
        forest = self.forest
        place = np.zeros(len(forest.inputs), np.int64)
        place[nodes] = np.arange(len(nodes))
        leaf = (forest.inputs[nodes] == _LEAF) | collapsed[nodes]
        right = np.where(leaf, nodes, nodes + forest.skips[nodes])
        return Forest(
            np.cumsum([0, *map(len, kept[:-1])]).astype(np.int32),
            np.where(leaf, _LEAF, forest.inputs[nodes]).astype(np.int16),
            np.where(leaf, self.shares[nodes], forest.values[nodes]).astype(np.float32),
            np.where(leaf, 0, place[right] - place[nodes]).astype(np.uint16),
        )


def grow_forest(
    features: Features, labels: Labels, seed: int, inputs: npt.NDArray[np.intp] | None = None, trees: int = TREES
) -> GrownForest:
    """Fit a forest with the settings of the paper.

    Args:
        features: ``(N, F)``, ``F`` at most 32767.
        labels: ``(N,)`` 0/1, both present.
        seed: Seed of the bootstrap and of the split candidates.
        inputs: Columns that the trees may use; ``None`` for all.
        trees: Number of trees.
    """
    columns = np.arange(features.shape[1]) if inputs is None else inputs
    library = RandomForestClassifier(trees, max_depth=DEPTH, max_features=FEATURE_SHARE, random_state=seed)
    grown = [estimator.tree_ for estimator in library.fit(features[:, columns], labels).estimators_]
    parts = [_preorder(tree, columns) for tree in grown]
    shares = np.concatenate([tree.value[:, 0, 1] for tree in grown]).astype(np.float32)
    impurities = [tree.impurity * tree.weighted_n_node_samples / tree.weighted_n_node_samples[0] for tree in grown]
    roots = np.cumsum([0, *(tree.node_count for tree in grown[:-1])]).astype(np.int32)
    joined = [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]
    return GrownForest(Forest(roots, *joined), np.concatenate(impurities), shares)


def most_important_inputs(features: Features, labels: Labels, count: int, seed: int) -> npt.NDArray[np.intp]:
    """Select the columns that reduce impurity most ("reduce input features", paper section 3.2.2).

    They are ranked by a forest of 40 trees with ``sqrt(F)`` candidates for each split, which takes seconds instead of
    the minutes of the 80 % of the paper.

    Args:
        features: ``(N, F)``, fitting rows only.
        labels: ``(N,)`` 0/1.
        count: Number of columns.
        seed: Seed of the ranking forest.

    Returns:
        Indices ``(count,)``, ascending.
    """
    ranking = RandomForestClassifier(_RANKING_TREES, max_depth=DEPTH, random_state=seed).fit(features, labels)
    return np.sort(np.argsort(-ranking.feature_importances_, kind="stable")[:count])


def _preorder(
    tree: object, columns: npt.NDArray[np.intp]
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.float32], npt.NDArray[np.uint16]]:
    """Inputs, values and skips of one fitted tree; scikit-learn stores nodes in preorder already."""
    left, right = tree.children_left, tree.children_right  # type: ignore[attr-defined]
    thresholds, features = tree.threshold, tree.feature  # type: ignore[attr-defined]
    shares = tree.value[:, 0, 1]  # type: ignore[attr-defined]
    leaf = left == -1
    nodes = np.arange(len(left))
    # scikit-learn compares a float32 feature with a float64 threshold: the next float32 below gives the same result.
    rounded = thresholds.astype(np.float32)
    rounded = np.where(rounded > thresholds, np.nextafter(rounded, np.float32(-np.inf)), rounded)
    return (
        np.where(leaf, _LEAF, columns[np.maximum(features, 0)]).astype(np.int16),
        np.where(leaf, shares, rounded).astype(np.float32),
        np.where(leaf, 0, right - nodes).astype(np.uint16),
    )
