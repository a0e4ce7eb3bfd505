"""Draw helpers/drawings/line.svg from the trained model: `python tools/drawings.py`.

It is the picture of one output of `lessons.line`, without and with the MLP, for pages that run no
script. The two other drawings there, architecture.svg and circuit.svg, are drawn by hand.
"""

from __future__ import annotations

import html

import torch

from helpers import page, plotting, task
from helpers.model import load_trained
from helpers.storage import write_whole
from lessons import line as lines

FILE = page.DRAWINGS / "line.svg"
WIDTH, HEIGHT, PANEL = 960, 460, 400


def draw(line: lines.Line, output: int = 1) -> str:
    """The picture of one output without and with the MLP, as the text of an SVG file."""
    body = _panel(line, output, 0.0, left=60) + _panel(line, output, 1.0, left=60 + PANEL + 80)
    says = html.escape(lines.in_words(line, output, 0.0) + " " + lines.in_words(line, output))
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    start = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img"'
    return "\n".join(
        [
            f'{start} font-family="system-ui, sans-serif">',
            f"<title>{says}</title>",
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
            *body,
            "</svg>\n",
        ]
    )


def _panel(line: lines.Line, output: int, mlp: float, left: int) -> list[str]:
    """The elements of one half, whose left end is at `left` pixels."""
    low, high, top = lines.window(line, output)
    heights = lines.rows(top)

    def x(place):
        return round(left + PANEL * (place - low) / (high - low), 1)

    def y(value):
        return round(230 - 100 * value / top, 1)

    title = f"y{output} {lines.strength_in_words(mlp)}"
    body = [_text(left + PANEL / 2, 24, title, 17, weight="bold")]
    grid = torch.linspace(low, high, 61, dtype=line.usual.dtype)
    logits = line.logits(output, grid, mlp)
    for token, place, value in lines.names(grid, logits):
        ink = dict(colour=plotting.TOKEN_INKS[token], weight="bold")
        body.append(_text(x(place), y(value) - 6, task.TOKEN_NAMES[token], 16, **ink))
    for token, curve in enumerate(logits.T):
        points = " ".join(f"{x(float(p))},{y(float(v))}" for p, v in zip(grid, curve))
        dash = ' stroke-dasharray="2 4"' if token == task.BOS else ""
        style = f'fill="none" stroke="{plotting.TOKEN_COLOURS[token]}" stroke-width="2.5"{dash}'
        body.append(f'<polyline points="{points}" {style}/>')
    for a, b, token in line.stretches(output, low, high, mlp):
        width, colour = x(b) - x(a), plotting.TOKEN_COLOURS[token]
        style = f'y="{y(heights["answer"]) - 13}" height="26" fill="{colour}"'
        body.append(f'<rect x="{x(a)}" width="{round(width, 1)}" {style}/>')
        words = f"says {task.TOKEN_NAMES[token]}" if width > 56 else task.TOKEN_NAMES[token]
        if width > 14:
            at = (x(a) + x(b)) / 2, y(heights["answer"]) + 5
            body.append(_text(*at, words, 16, lines.INK[token]))
    for token, (first, middle, last) in enumerate(lines.sources(line, output)):
        colour, height = plotting.TOKEN_COLOURS[token], y(heights["source"])
        ends = f'y1="{height}" y2="{y(heights["answer"]) - 13}" stroke="{colour}"'
        body.append(f'<line x1="{x(middle)}" x2="{x(middle)}" {ends} stroke-dasharray="2 3"/>')
        ends = f'y1="{height}" y2="{height}" stroke="{colour}" stroke-width="8"'
        body.append(f'<line x1="{x(first)}" x2="{x(last)}" {ends}/>')
        body.append(f'<circle cx="{x(middle)}" cy="{height}" r="7" fill="{colour}"/>')
        body.append(_text(x(middle), height - 14, f"source {token}", 15))
        mark = lines.MARK[lines.is_right(line, output, token, middle, mlp)]
        body.append(_text(x(middle), y(heights["right?"]) + 8, mark, 20))
    axis = "place on the line → (curves: the logits of the tokens)"
    return [*body, _text(left + PANEL / 2, 440, axis, 16)]


def _text(x, y, words, size, colour="#222", weight="normal") -> str:
    style = f'font-size="{size}" font-weight="{weight}" fill="{colour}" text-anchor="middle"'
    return f'<text x="{round(x, 1)}" y="{round(y, 1)}" {style}>{html.escape(words)}</text>'


if __name__ == "__main__":
    write_whole(FILE, draw(lines.find_line(load_trained())).encode())
