"""The boosting tree: bonuses by what was decoded before, as they are defined, and as NeMo has them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from gpu_job.asr.boosting.tree import DEPTH_SCALING, FIRST_BONUS, ROOT, BoostingTree, TokenPhrase, boosting_tree

SIZE = 12
PHRASES = (
    TokenPhrase((1, 2, 3)),
    TokenPhrase((1, 2, 4, 5), 2.0),
    TokenPhrase((2, 4)),
    TokenPhrase((6,)),
    TokenPhrase((6, 1), 0.5),
    TokenPhrase((7, 7, 7)),
)


def _prefixes() -> dict[tuple[int, ...], float]:
    """Every beginning of a phrase -> the bonus of its last token."""
    found: dict[tuple[int, ...], float] = {}
    for phrase in PHRASES:
        for place in range(len(phrase.ids)):
            bonus = FIRST_BONUS * phrase.weight * (1 if place == 0 else DEPTH_SCALING + math.log(place + 1))
            key = tuple(phrase.ids[: place + 1])
            found[key] = max(found.get(key, 0.0), bonus)
    return found


def defined_bonus(said: Sequence[int], label: int) -> float:
    """What a token gets behind some others, straight from the definition."""
    bonuses = _prefixes()
    # What goes on with the longest beginning of a phrase that the tokens so far end with counts.
    for at in range(len(said) + 1):
        if (bonus := bonuses.get((*said[at:], label))) is not None:
            return bonus
    return 0.0


def walk(tree: BoostingTree, said: Sequence[int]) -> int:
    state = ROOT
    for label in said:
        state = int(tree.bonuses(state)[1][label])
    return state


def test_bonuses_are_those_of_the_definition() -> None:
    tree, dice = boosting_tree(PHRASES, SIZE), np.random.default_rng(5)
    for _ in range(300):
        said = dice.integers(1, 9, size=int(dice.integers(0, 7))).tolist()
        bonuses, _ = tree.bonuses(walk(tree, said))
        assert bonuses.tolist() == pytest.approx([defined_bonus(said, label) for label in range(SIZE)], abs=1e-5), said


def test_leaving_a_phrase_costs_nothing() -> None:
    tree = boosting_tree([TokenPhrase((1, 2, 3))], SIZE)
    assert not tree.bonuses(walk(tree, [1, 2]))[0][4:].any()
    assert walk(tree, [1, 2, 5]) == ROOT


def test_a_weight_multiplies() -> None:
    one, two = (boosting_tree([TokenPhrase((1, 2), weight)], SIZE) for weight in (1.0, 2.0))
    assert np.allclose(one.arc_bonuses * 2, two.arc_bonuses)


def test_no_tree_bigger_than_its_tokens() -> None:
    dice = np.random.default_rng(1)
    phrases = [TokenPhrase(dice.integers(0, 1000, size=20).tolist()) for _ in range(200)]
    tree = boosting_tree(phrases, 1024)
    assert len(tree.depths) <= 4001
    assert (tree.depths[tree.failures[1:]] < tree.depths[1:]).all()
