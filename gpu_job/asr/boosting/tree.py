"""The boosting tree: phrases of tokens -> a bonus for each token, by what was decoded before. Pure.

A trie of the phrases with failure links (Aho and Corasick 1975), as in NeMo's GPU-PB (arXiv 2508.07014): a token that
goes on with a phrase has a bonus, larger behind the first token. Decoding is greedy, so bonuses choose between tokens
at the same place; a blank stays a blank, so no token is written where the model hears none. Unlike NeMo's own trees,
leaving a phrase before its end costs nothing: that would be a penalty for all other words wherever a phrase happens to
begin like one of them (docs/decisions/116-phrase-boosting.md has the figures).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import log

import numpy as np
from numpy.typing import NDArray

FIRST_BONUS = 1.0
"""Of a phrase's first token at weight 1, in logits; NeMo's `context_score`."""

DEPTH_SCALING = 2.0
"""Times the first one's: the bonus of each later token, with the logarithm of its place on top; NeMo's default for
transducers."""

ROOT = 0

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class TokenPhrase:
    """A phrase as the model spells it."""

    ids: Sequence[int]
    weight: float = 1.0


@dataclass(frozen=True, eq=False)
class BoostingTree:
    """States are numbered by depth, the root first. The root's arcs to itself, of tokens that begin no phrase, are left
    out."""

    vocabulary_size: int
    first_arc: Ints
    """[states + 1]: a state's arcs begin at its number's entry and end at the next one's."""
    arc_labels: Ints
    """[arcs], ascending within a state."""
    arc_targets: Ints
    arc_bonuses: Floats
    failures: Ints
    """[states]: the longest other phrase's beginning that the state's tokens end with."""
    depths: Ints
    """[states]: tokens from the root."""

    def bonuses(self, state: int) -> tuple[Floats, Ints]:
        """Of each token of the vocabulary behind this state: its bonus, and the state after it."""
        chain = []
        while state != ROOT:
            chain.append(state)
            state = int(self.failures[state])
        bonuses = np.zeros(self.vocabulary_size, np.float32)
        targets = np.full(self.vocabulary_size, ROOT, np.int64)
        # Longer beginnings last: what they go on with counts.
        for at in (ROOT, *reversed(chain)):
            arcs = slice(int(self.first_arc[at]), int(self.first_arc[at + 1]))
            bonuses[self.arc_labels[arcs]] = self.arc_bonuses[arcs]
            targets[self.arc_labels[arcs]] = self.arc_targets[arcs]
        return bonuses, targets


@dataclass(eq=False)
class _Node:
    bonus: float = 0.0
    depth: int = 0
    children: dict[int, _Node] = field(default_factory=dict)
    failure: _Node | None = None


def boosting_tree(phrases: Iterable[TokenPhrase], vocabulary_size: int) -> BoostingTree:
    """The tree of some phrases, none of which is empty. Of what phrases share, the higher weight counts."""
    root = _Node()
    for phrase in phrases:
        node = root
        for place, label in enumerate(phrase.ids):
            node = node.children.setdefault(label, _Node(depth=place + 1))
            node.bonus = max(node.bonus, _bonus(place, phrase.weight))
    return _arrays(_linked(root), vocabulary_size)


def _bonus(place: int, weight: float) -> float:
    first = FIRST_BONUS * weight
    return first if place == 0 else first * (DEPTH_SCALING + log(place + 1))


def _linked(root: _Node) -> list[_Node]:
    """All nodes by depth, with failure links."""
    nodes, queue = [], deque([root])
    while queue:
        node = queue.popleft()
        nodes.append(node)
        for label, child in sorted(node.children.items()):
            fallback = node.failure
            while fallback is not None and label not in fallback.children:
                fallback = fallback.failure
            child.failure = root if fallback is None else fallback.children[label]
            queue.append(child)
    return nodes


def _arrays(nodes: Sequence[_Node], vocabulary_size: int) -> BoostingTree:
    numbers = {id(node): number for number, node in enumerate(nodes)}
    arcs = [
        (label, numbers[id(child)], child.bonus) for node in nodes for label, child in sorted(node.children.items())
    ]
    failures = [node.failure or nodes[ROOT] for node in nodes]
    labels, targets, bonuses = zip(*arcs, strict=True) if arcs else ((), (), ())
    return BoostingTree(
        vocabulary_size,
        np.cumsum([0, *(len(node.children) for node in nodes)]),
        np.array(labels, np.int64),
        np.array(targets, np.int64),
        np.array(bonuses, np.float32),
        np.array([numbers[id(failure)] for failure in failures], np.int64),
        np.array([node.depth for node in nodes], np.int64),
    )
