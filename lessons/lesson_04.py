"""Lesson 4, attention: its explorer and its exercises."""

from functools import partial

import torch

from helpers import interventions, plotting, task
from helpers.model import as_zoo, attention_writes, load_trained
from lessons import exercises, explorer


def attention_figure(model, tokens=task.EXAMPLE):
    """The pattern, and the pattern times the norm of what each key writes: (figure, says).

    Kobayashi et al. 2020, "Attention is not only a weight": weight of the key times the norm of
    its value written through W_V and W_O. Rows y0, y1, ..., columns BOS, x0, x1, ... The scale of
    the second ends at the largest norm on a thousand fixed inputs. ValueError for bad tokens.
    """
    zoo = as_zoo(model)
    n, x = zoo.length, explorer.read_typed(tokens, zoo.length)
    sample = task.full_sequences(task=zoo.task, length=n)[::61]
    many = torch.cat([task.full_sequences([x], zoo.task, n), sample])  # the first is shown
    patterns = interventions.record(zoo, "pattern", many)[0]
    norms = attention_writes(zoo.weights)[0].norm(dim=-1)  # [position, token]
    products = patterns * norms[range(2 * n), many[:, None, :-1]]  # [sequences, output, position]
    pattern, weighted, top = patterns[0], products[0], products[1:].max().item()
    outputs, keys = explorer.names("y", n), ["BOS", *(f"x{i}={t}" for i, t in enumerate(x))]
    axes = dict(x=keys, y=outputs, title="", x_title="key")
    query = "query: the output predicted"
    drawn = slice(n + 1)  # BOS and the inputs
    panels = [
        plotting.heatmap(pattern[:, drawn], top=1, unit="weight", y_title=query, **axes),
        plotting.heatmap(weighted[:, drawn], top=top, unit="norm", y_title="", **axes),
    ]
    title = f"Input {explorer.text_of(x)}: where each output looks"
    figure = explorer.beside(title, ["weight", "weight × norm"], *panels)
    figure.update_xaxes(dtick=1)  # every key, also in a small window

    def looks(z):
        most = zip(outputs, z[:, drawn].argmax(1).tolist())
        return ", ".join(f"{output} at {keys[key]}" for output, key in most)

    says = (
        f"Input {explorer.text_of(x)}. By weight the outputs look most: {looks(pattern)}. By what "
        f"is written: {looks(weighted)}. {pattern[:, n + 1 :].sum() / n:.0%} of the weight is on "
        "earlier outputs, which are not drawn."
    )
    return figure, says


def explore_attention(model) -> explorer.Explorer:
    """Change one token, and watch the pattern and the value-weighted pattern."""
    return explorer.token_explorer(partial(attention_figure, as_zoo(model)))


def _says_with_another_key() -> torch.Tensor:
    """What y0 says for x7 = 3 with the key of x7 = 0."""
    model, name = load_trained(), "blocks.0.attn.hook_k"
    both = task.full_sequences([[3, 2, 2, 2, 1, 2, 0, 3], [3, 2, 2, 2, 1, 2, 0, 0]])[:, :16]
    key = model.run_with_cache(both[1:])[1][name][:, 8]

    def patch(value, hook):
        value[:, 8] = key
        return value

    return model.run_with_hooks(both[:1], fwd_hooks=[(name, patch)])[0, 8].argmax()


EXERCISES = {
    "04-value-weighted": exercises.Exercise(
        target=lambda pattern, values, w_o: [  # one query, and one key, after the other
            [torch.linalg.vector_norm(a * v @ w_o) for a, v in zip(row, values)] for row in pattern
        ],
        cases=lambda rng: [
            (a.softmax(-1), v, o) for a, v, o in exercises.normal((6, 6), (6, 4), (4, 4))(rng)
        ],
        mistakes={
            "W_O is missing: the norm is taken of what is written into the stream.":
                lambda a, v, w_o: a * v.norm(dim=-1),
            "The weights are missing.": lambda a, v, w_o: (v @ w_o).norm(dim=-1).expand_as(a),
            "Wrong axis: the norm belongs to the key, so it has to run along the columns.":
                lambda a, v, w_o: a * (v @ w_o).norm(dim=-1)[:, None],
            "That is the square. The norm is its root.":
                lambda a, v, w_o: a * (v @ w_o).pow(2).sum(-1),
        },
    ),
    "04-patch-the-key": exercises.Exercise(
        target=_says_with_another_key,
        mistakes={
            "That is the answer to x7 = 0. Who reads its key, if the head looks away?": 1,
            "That is x7 itself. What does y0 say?": 3,
        },
    ),
}  # fmt: skip

check = partial(exercises.check, EXERCISES)
