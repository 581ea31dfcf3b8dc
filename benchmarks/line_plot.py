"""A small line plot with two logarithmic axes, as SVG."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

Points = Sequence[tuple[float, float]]

_WIDTH, _HEIGHT = 760, 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 190, 40, 60
_COLOURS = ("#c0392b", "#2471a3", "#239b56", "#7d3c98", "#b9770e")


@dataclass(frozen=True)
class Axis:
    """One logarithmic axis: its ends, and where it is labelled with what."""

    label: str
    low: float
    high: float
    ticks: Mapping[float, str]

    def place(self, value: float) -> float:
        """0 at the low end, 1 at the high one."""
        return (math.log(value) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))


def line_plot(title: str, x: Axis, y: Axis, lines: Mapping[str, Points]) -> str:
    """Named lines -> an SVG document. Each name stands at its line's right end, moved apart where they meet."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif"'
            ' font-size="12">',
            f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
            f'<text x="{_LEFT}" y="22" font-size="15">{escape(title)}</text>',
            *_grid(x, y),
            *_curves(x, y, lines),
            "</svg>\n",
        ]
    )


def _across(x: Axis, value: float) -> float:
    return round(_LEFT + x.place(value) * (_WIDTH - _LEFT - _RIGHT), 1)


def _down(y: Axis, value: float) -> float:
    return round(_HEIGHT - _BOTTOM - y.place(value) * (_HEIGHT - _TOP - _BOTTOM), 1)


def _grid(x: Axis, y: Axis) -> Iterator[str]:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    for value, text in x.ticks.items():
        at = _across(x, value)
        yield f'<path d="M{at} {_TOP}V{bottom}" stroke="#ddd"/>'
        yield f'<text x="{at}" y="{bottom + 18}" text-anchor="middle">{escape(text)}</text>'
    for value, text in y.ticks.items():
        at = _down(y, value)
        yield f'<path d="M{_LEFT} {at}H{right}" stroke="#ddd"/>'
        yield f'<text x="{_LEFT - 8}" y="{at + 4}" text-anchor="end">{escape(text)}</text>'
    middle = (_LEFT + right) / 2
    yield f'<text x="{middle}" y="{_HEIGHT - 16}" text-anchor="middle">{escape(x.label)}</text>'
    half = (_TOP + bottom) / 2
    yield f'<text transform="translate(16 {half}) rotate(-90)" text-anchor="middle">{escape(y.label)}</text>'


def _curves(x: Axis, y: Axis, lines: Mapping[str, Points]) -> Iterator[str]:
    names = sorted(lines, key=lambda name: _down(y, lines[name][-1][1]))
    below = 0.0
    for name, colour in zip(names, _COLOURS, strict=False):
        seen = [(across, value) for across, value in lines[name] if y.low <= value <= y.high]
        path = "L".join(f"{_across(x, across)} {_down(y, value)}" for across, value in seen)
        yield f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
        below = max(below + 16, _down(y, seen[-1][1]) + 4)
        yield f'<text x="{_WIDTH - _RIGHT + 8}" y="{below}" fill="{colour}">{escape(name)}</text>'
