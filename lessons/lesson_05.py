"""Lesson 5, the MLP: its explorer and its exercises. The lines stand in `lessons.line`."""

from functools import cache, partial

import torch

from helpers import plotting, task
from helpers.model import load_trained
from helpers.page import show
from lessons import exercises, explorer, line


@torch.no_grad()
def lines_figure(lines, output: int = 1, tokens=task.EXAMPLE, mlp: float = 1, attention: float = 1):
    """The picture of `lessons.line` for one output and one input: (figure, says).

    `mlp` and `attention` are strengths, 0 to 1: how much of the MLP's mean is added, and how far
    from their middle the places lie. ValueError for bad tokens.
    """
    x, zoo = explorer.read_typed(tokens, lines.zoo.length), lines.zoo
    figure = line.figure(lines, output, [mlp], attention, x)
    edits = {
        "attn_out": lambda value, _: lines.written + attention * (value - lines.written),
        "mlp_out": lambda value, _: mlp * value,
    }
    said = zoo.edited(edits)(task.full_sequences(x, zoo.task))[0, 0, output].argmax()
    says = f"Input {explorer.text_of(x)}. {line.in_words(lines, output, mlp, attention)} "
    says += f"The model itself, at these strengths, says {task.TOKEN_NAMES[said]}."
    return plotting.sized(figure, explorer.HEIGHT), says


def explore_lines(model) -> explorer.Explorer:
    """Choose an output and an input, slide the parts' strengths; see whose line is highest."""
    found = line.find_lines(model)
    output = explorer.slider("output y", 1, found.zoo.length - 1)
    tokens = explorer.token_text()
    names = dict(mlp="strength of the MLP", attention="strength of attention")
    shares = [(f"{step / 20:.2f}", step / 20) for step in range(21)]
    parts = {part: explorer.steps(name, 1.0, shares, "330px") for part, name in names.items()}
    controls = dict(output=output, tokens=tokens, **parts)
    draw = partial(lines_figure, found)
    return explorer.Explorer(draw, controls, [[output, tokens], [*parts.values()]])


@cache
def trained_lines() -> line.Lines:
    return line.find_lines(load_trained())


def _answers_of(heights) -> list[int]:
    """What y1 says at the four dots, its lines having these heights."""
    heights = heights() if callable(heights) else heights
    if len(heights) != task.DIGITS:
        raise ValueError(f"four heights are asked for, and these are {len(heights)}")
    lines = line.lifted(trained_lines(), 1, heights)
    return lines.logits(1, lines.dots(1)).argmax(1).tolist()


def _draw_lines(heights) -> None:
    lines = line.lifted(trained_lines(), 1, heights)
    show(line.figure(lines, 1, [1]), says=f"Your lines. {line.in_words(lines, 1)}")


def _highest_by_hand(places, starts, slopes):
    """From the words: at this place, whose line is the highest?"""
    heights = [[a + b * place for a, b in zip(starts, slopes)] for place in places]
    return [max(range(4), key=row.__getitem__) for row in heights]


EXERCISES = {
    "05-regions": exercises.Exercise(
        target=_highest_by_hand,
        cases=exercises.normal((6,), (4,), (4,)),
        mistakes={
            "That is the lowest line at each place.":
                lambda places, starts, slopes: (starts + places[:, None] * slopes).argmin(-1),
            "The heights at place 0 are missing.":
                lambda places, starts, slopes: (places[:, None] * slopes).argmax(-1),
            "Starts and slopes are exchanged: a place multiplies the slope.":
                lambda places, starts, slopes: (slopes + places[:, None] * starts).argmax(-1),
        },
    ),
    "05-heights": exercises.Exercise(
        target=lambda: line.SUCCESSOR,
        run=_answers_of,
        draw=_draw_lines,
        mistakes={
            "Sources 0 and 3 lie in the middle: lift the lines of 1 and 0.": [0, 0, 0, 0],
        },
    ),
}  # fmt: skip

check = partial(exercises.check, EXERCISES)
