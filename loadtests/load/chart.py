"""Line plots as SVG text."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 900, 260
LEFT, RIGHT, TOP, BOTTOM = 70, 110, 34, 34
COLOURS = ("#0b6e7f", "#c26a00", "#a8261d", "#51636d")
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Line:
    name: str
    points: Sequence[Point]


@dataclass(frozen=True, slots=True)
class Scale:
    """Both axes begin at 0."""

    right: float
    top: float

    def at(self, point: Point) -> str:
        x = LEFT + point[0] / self.right * (WIDTH - LEFT - RIGHT)
        y = HEIGHT - BOTTOM - point[1] / self.top * (HEIGHT - TOP - BOTTOM)
        return f"{x:.1f},{y:.1f}"


def chart(title: str, unit: str, lines: Sequence[Line], *, limit: float | None = None, x: str = "s") -> str:
    """`limit` is drawn across, dashed; `x` is the unit of the points' first numbers."""
    points = [point for line in lines for point in line.points]
    right = max((point[0] for point in points), default=1.0) or 1.0
    top = max([value for _, value in points] + ([limit] if limit else []), default=1.0) or 1.0
    scale = Scale(right, top * 1.05)
    parts = [*_axes(scale, unit, x), *_drawn(scale, lines), *(_limit(scale, limit) if limit else ())]
    label = f'<text x="{LEFT}" y="18" font-weight="600">{escape(title)}</text>'
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}" '
        f'font-family="system-ui, sans-serif" font-size="12" fill="#10222b">{label}{"".join(parts)}</svg>'
    )


def _axes(scale: Scale, unit: str, x: str) -> Iterator[str]:
    for value in ticks(scale.top):
        y = scale.at((0, value)).split(",")[1]
        yield f'<path d="M{LEFT} {y}H{WIDTH - RIGHT}" stroke="#d5dde1"/>'
        yield f'<text x="{LEFT - 8}" y="{y}" dy="4" text-anchor="end">{value:g}{unit}</text>'
    for value in ticks(scale.right):
        at = scale.at((value, 0)).split(",")[0]
        yield f'<text x="{at}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{value:g} {x}</text>'


def _drawn(scale: Scale, lines: Sequence[Line]) -> Iterator[str]:
    for place, (line, colour) in enumerate(zip(lines, COLOURS, strict=False)):
        path = " ".join(map(scale.at, line.points))
        yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2" stroke-linejoin="round"/>'
        y = TOP + 18 * place + 8
        yield f'<text x="{WIDTH - RIGHT + 12}" y="{y}" fill="{colour}" font-weight="600">{escape(line.name)}</text>'


def _limit(scale: Scale, limit: float) -> Iterator[str]:
    y = scale.at((0, limit)).split(",")[1]
    yield f'<path d="M{LEFT} {y}H{WIDTH - RIGHT}" stroke="#a8261d" stroke-dasharray="6 4"/>'
    yield f'<text x="{WIDTH - RIGHT + 12}" y="{y}" dy="4" fill="#a8261d">objective</text>'


def ticks(top: float, count: int = 5) -> list[float]:
    """Round numbers from 0 to no more than `top`: 1, 2 or 5 times a power of ten apart."""
    rough = top / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    return [round(number * step, 10) for number in range(int(top / step) + 1)]
