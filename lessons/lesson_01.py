"""Lesson 1, the task: its explorer and its exercises."""

import operator
from functools import cache, partial

from helpers import plotting, task
from lessons import exercises, explorer


@cache
def _best_constant() -> list[int]:
    """For each output the token that is right most often on the train set."""
    train_set, _ = task.split(task.full_sequences())
    return train_set[:, 9:].mode(0).values.tolist()


def task_figure(tokens=task.EXAMPLE):
    """The target of eight tokens and three answers that are not the rule: (figure, says). A tick
    marks what an answer has right. ValueError for bad tokens, in words for readers."""
    x = explorer.read_typed(tokens)
    target = task.targets(x).tolist()
    answers = {
        "only reversed": x[::-1],
        "only 1 added": [(t + 1) % 4 for t in x],
        "best constant": _best_constant(),
    }
    count = {name: sum(map(operator.eq, row, target)) for name, row in answers.items()}
    rows = {"target": target}
    rows |= {f"{name}:<br>{count[name]} of 8": row for name, row in answers.items()}
    marks = [[f"{a} ✓" if a == t else str(a) for a, t in zip(row, target)] for row in rows.values()]
    given, wanted = explorer.text_of(x), explorer.text_of(target)
    z = list(rows.values())
    figure = plotting.heatmap(
        z, title=f"Input {given} → target {wanted}",
        x=task.OUTPUT_NAMES, y=list(rows), x_title="output position", y_title="",
    )  # fmt: skip
    colours = [[(t + d) / 4, plotting.TOKEN_COLOURS[t]] for t in range(4) for d in (0, 1)]
    scale = dict(zmin=-0.5, zmax=3.5, colorscale=colours)
    figure.update_traces(**plotting.cell_texts(marks, z, **scale), **scale)
    right = "; ".join(f"{name}: {n} of 8 right" for name, n in count.items())
    says = (
        f"For the input {given} the target is {wanted}. {right}. "
        "On average over all inputs the constant gets 2 of 8, like a guess."
    )
    figure.update_traces(showscale=False, xgap=2, ygap=2)
    return plotting.sized(figure, explorer.HEIGHT), says


def explore_task() -> explorer.Explorer:
    """Type or set eight tokens; see the target and the answers that miss a part of the rule."""
    return explorer.token_explorer(task_figure)


EXERCISES = {
    "01-targets": exercises.Exercise(
        target=task.targets,
        cases=lambda rng: [(x.tolist(),) for x in rng.integers(0, 4, (20, 8))],
        mistakes={
            "There is no reversal: y0 comes from x7, not from x0.":
                lambda x: [(t + 1) % 4 for t in x],
            "The 1 is missing: you only reverse.": lambda x: x[::-1],
            "3 + 1 gives 4, which is no token. Take it mod 4.": lambda x: [t + 1 for t in x[::-1]],
            "Off by one place: y0 comes from x7, y1 from x6.":
                lambda x: [(t + 1) % 4 for t in x[-2::-1] + x[-1:]],
            "You subtract 1. The task adds it.": lambda x: [(t - 1) % 4 for t in x[::-1]],
        },
    ),
    "01-forgotten-mod": exercises.Exercise(
        target=lambda: (
            ((x := task.all_inputs()).flip(1) + 1 == task.targets(x)).all(1).double().mean()
        ),
        tolerance=2e-3,
        mistakes={
            "That is the share of single tokens. All eight tokens have to be right.": 3 / 4,
            "That is the share of sequences with a mistake. The others are asked for.":
                1 - (3 / 4) ** 8,
            "That would be so if only the token 0 came out right. It is the 3 that goes wrong.":
                (1 / 4) ** 8,
        },
    ),
}  # fmt: skip

check = partial(exercises.check, EXERCISES)
