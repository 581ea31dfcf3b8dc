"""JSON in pieces is the same JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.transcript.json_files.pieces import ITEMS_AT_ONCE, Items, compact_json, json_pieces, with_lists


def items(count: int) -> Items:
    return Items(lambda: ({"word": f"ä\n{number}", "at": number / 7} for number in range(count)))


TREES: dict[str, Any] = {
    "nothing lazy": {"a": [1, {"b": None}], "c": "é"},
    "empty": {"words": items(0)},
    "one": items(1),
    "batches": {"a": 1, "words": items(2 * ITEMS_AT_ONCE), "b": {"c": items(ITEMS_AT_ONCE + 1), "d": []}},
    "in a list": [{"words": items(2)}, 3, {}],
}


@pytest.mark.parametrize("name", TREES)
def test_pieces_are_what_the_whole_is_written_as(name: str) -> None:
    whole = with_lists(TREES[name])
    text = "".join(json_pieces(TREES[name]))
    assert text == compact_json(whole)
    assert json.loads(text) == whole


def test_a_number_that_json_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        list(json_pieces({"words": Items(lambda: [float("nan")])}))
