"""Draw helpers/drawings/line.svg from the trained model: `python tools/drawings.py`.

It is the picture of `lessons.line`, the four lines of y1 with the MLP's mean, for pages that run no
script. The two other drawings there, architecture.svg and circuit.svg, are drawn by hand.
"""

from __future__ import annotations

import html

import torch

from helpers import page, plotting, task
from helpers.model import load_trained
from helpers.storage import write_whole
from lessons import line

FILE = page.DRAWINGS / "line.svg"
WIDTH, HEIGHT, MARGIN = 760, 400, 40


@torch.no_grad()
def draw(lines: line.Lines, output: int = 1) -> str:
    """The picture of one output, as the text of an SVG file."""
    low, high, top = line.window(lines, output)
    body = []

    def x(place):
        return round(MARGIN + (WIDTH - 2 * MARGIN) * (float(place) - low) / (high - low), 1)

    def y(value):
        return round(MARGIN + (HEIGHT - 2 * MARGIN) * (1 - (float(value) / top + 0.35) / 1.35), 1)

    def stroke(a, b, token, style):
        first, last = lines.logits(output, [a, b], bias=False)[:, token]
        ends = f'x1="{x(a)}" y1="{y(first)}" x2="{x(b)}" y2="{y(last)}"'
        body.append(f'<line {ends} stroke="{plotting.TOKEN_COLOURS[token]}" {style}/>')

    for token in range(task.DIGITS):
        stroke(low, high, token, 'stroke-width="1.5" stroke-dasharray="2 5" clip-path="url(#in)"')
    for a, b, token in line.pieces(lines, output):
        stroke(a, b, token, 'stroke-width="7" stroke-linecap="round"')
        part, aside = {2: (0.15, 60), 3: (0.85, -60)}.get(token, (0.5, 0))  # beside a steep line
        at = a + part * (b - a)
        height = y(lines.logits(output, [at], bias=False)[0, token]) - (0 if aside else 18)
        body.append(_text(x(at) + aside, height, f"answer {token}", plotting.TOKEN_INKS[token]))
    dots = lines.dots(output)
    for source, values in enumerate(lines.logits(output, dots, bias=False)):
        at, height = x(dots[source]), y(values[line.SUCCESSOR[source]])
        colour = plotting.TOKEN_COLOURS[source]
        ring = f'r="15" fill="{colour}" stroke="#fff" stroke-width="2"'
        body.append(f'<circle cx="{at}" cy="{height}" {ring}/>')
        body.append(_text(at, height + 6, source, plotting.ink(colour)))
    words = "dots: the four source digits, where attention writes them"
    body.append(_text(WIDTH / 2, HEIGHT - 12, words, "#222"))
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    says = html.escape(page.captions()["line"]["says"])
    box = f'<rect width="{WIDTH}" height="{HEIGHT}"'
    inside = f'<rect x="0" y="0" width="{WIDTH}" height="{HEIGHT - 35}"/>'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" '
            'font-family="system-ui, sans-serif">',
            f"<title>{says}</title>",
            f'<clipPath id="in">{inside}</clipPath>',
            f'{box} fill="#fff"/>',
            *body,
            "</svg>\n",
        ]
    )


def _text(x, y, words, colour) -> str:
    style = f'font-size="17" font-weight="bold" fill="{colour}" text-anchor="middle"'
    return f'<text x="{round(x, 1)}" y="{round(y, 1)}" {style}>{words}</text>'


if __name__ == "__main__":
    write_whole(FILE, draw(line.find_lines(load_trained())).encode())
