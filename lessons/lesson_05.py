"""Lesson 5, the MLP: its explorer and its exercises. The line itself stands in `lessons.line`."""

from functools import partial

from helpers import plotting, task
from lessons import exercises, explorer, line


def line_figure(model, output: int = 1, tokens=task.EXAMPLE, mlp: float = 1, attention: float = 1):
    """The picture of `lessons.line` for one output and one input: (figure, says).

    `model` may be its `Line`. `mlp` and `attention` are strengths, 0 to 1: how much of the push is
    added, and how far from their middle the places lie. ValueError for bad tokens.
    """
    found = line.find_line(model)
    x = explorer.read_typed(tokens, found.zoo.length)
    figure, says = line.line_figure(found, output, mlp, attention, x)
    own = task.TOKEN_NAMES[found.model_says(x, mlp, attention)[output]]
    title = figure.layout.title.text.replace("<br>", " ")
    says = f"{title}. {says} The model itself, at these strengths, says {own}."
    return plotting.sized(figure, explorer.HEIGHT), says


def explore_line(model) -> explorer.Explorer:
    """Choose an output and an input, slide the strengths of the parts; see what it says."""
    found = line.find_line(model)
    output = explorer.slider("output y", 1, found.zoo.length - 1)
    tokens = explorer.token_text()
    names = dict(mlp="strength of the MLP", attention="strength of attention")
    shares = [(f"{step / 20:.2f}", step / 20) for step in range(21)]
    parts = {part: explorer.steps(name, 1.0, shares, "330px") for part, name in names.items()}
    controls = dict(output=output, tokens=tokens, **parts)
    draw = partial(line_figure, found)
    return explorer.Explorer(draw, controls, [[output, tokens], [*parts.values()]])


def _highest_by_hand(places, starts, slopes):
    """From the words: at this place, whose line is the highest?"""
    heights = [[a + b * place for a, b in zip(starts, slopes)] for place in places]
    return [max(range(4), key=row.__getitem__) for row in heights]


EXERCISES = {
    "05-stretches": exercises.Exercise(
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
    "05-ov": exercises.Exercise(
        # From the definition: what does reading this token add to that logit?
        target=lambda e, v, o, u: [[row @ v @ o @ column for column in u.T] for row in e],
        cases=exercises.normal((5, 4), (4, 4), (4, 4), (4, 5)),
        mistakes={
            "W_O comes after W_V: the value is made first, then written.":
                lambda e, v, o, u: e @ o @ v @ u,
            "W_O is missing.": lambda e, v, o, u: e @ v @ u,
            "Wrong axis: rows are the token attended to, columns the logits.":
                lambda e, v, o, u: (e @ v @ o @ u).T,
        },
    ),
}  # fmt: skip

check = partial(exercises.check, EXERCISES)
