"""Lesson 6, ablation: its explorer and its exercises."""

from functools import partial

from helpers import interventions, plotting, task
from helpers.evaluation import accuracy, by_position, n_right
from helpers.model import as_zoo, get_kind, load_trained
from lessons import exercises, explorer

PARTS = ("nothing", "attention", "mlp", "one neuron")
ALL = -1  # the choice "all outputs"; a widget shows None as nothing chosen


def ablation_figure(
    model, part="mlp", how="zero", neuron=0, position=None, tokens=task.EXAMPLE, everything=False
):
    """Accuracy with a part switched off, and the logits of one sequence: (figure, says).

    `part` one of `PARTS`, `how` one of zero, mean, resample; `neuron` counts for "one neuron" only;
    `position` (0 for y0) limits it to one output. Accuracy is on the hold-out, or on every input
    with `everything`. ValueError for a part or way that there is not, and for bad tokens.
    """
    task.one_of(part, PARTS, "part")
    zoo = as_zoo(model)
    x = explorer.read_typed(tokens, zoo.length)
    edited, note = zoo, ""
    if part != "nothing":
        settings = dict(how=how, positions=None if position is None else [position])
        settings |= dict(part="post", neurons=[neuron]) if part == "one neuron" else dict(part=part)
        try:
            edited = interventions.ablate(zoo, **settings)
        except interventions.NothingChanged:  # such as a neuron that never fires: a result
            edited = interventions.ablate(zoo, **settings, effect=False)
            note = f" It changed nothing on {interventions.N_TRIED} random inputs."
    sequences = task.full_sequences(task=zoo.task, length=zoo.length)
    share = by_position(edited, sequences if everything else task.split(sequences)[1])[0]
    this = task.full_sequences([x], zoo.task, zoo.length)
    target, logits = this[0, -zoo.length :].tolist(), edited(this)[0, 0]  # [length, vocab]
    what = f"neuron {neuron}" if part == "one neuron" else part
    where = "all outputs" if position is None else f"y{position}"
    off = "nothing switched off" if part == "nothing" else f"{what} → {how} at {where}"
    data = f"all {len(sequences):,} sequences" if everything else "the hold-out"
    score = f"{share.mean():.1%} right on {data}"
    outputs = explorer.names("y", zoo.length)
    bars = plotting.bars(share, x=outputs, title="", y_title="accuracy", reference={"": 0.25})
    panel = plotting.heatmap(
        logits, title="", signed=True, unit="logit", x=task.TOKEN_NAMES, x_title="next token",
        y=[f"{name} ({t})" for name, t in zip(outputs, target)], y_title="",
    )  # fmt: skip
    given, said = explorer.text_of(x), explorer.text_of(logits.argmax(-1).tolist())
    says = (
        f"{off}: {score}. By output: {explorer.shares(share.tolist())}. For {given} it says "
        f"{said}, and {explorer.text_of(target)} is right.{note}"
    )
    names = ["accuracy<br>(dashed: chance)", f"logits of {given}<br>(right answers)"]
    return explorer.beside(f"{off}<br>{score}", names, bars, panel), says


def explore_ablation(model) -> explorer.Explorer:
    """Switch a part off; see the accuracy of each output and the logits of one sequence."""
    zoo = as_zoo(model)
    often = 0
    if "post" in zoo.places:  # start at the neuron that fires most often
        sample = task.full_sequences(task=zoo.task, length=zoo.length)[::97]
        often = int((interventions.record(zoo, "post", sample)[0] > 0).sum((0, 1)).argmax())
    top = get_kind(zoo.kind).config["d_mlp"] - 1
    outputs = [("all", ALL), *zip(explorer.names("y", zoo.length), range(zoo.length))]
    inputs = [("hold-out", False), (f"all {task.DIGITS**zoo.length:,}", True)]
    controls = dict(
        part=explorer.buttons("switch off", "mlp", PARTS),
        how=explorer.buttons("replace by", "zero", interventions.HOW),
        everything=explorer.buttons("count on", False, inputs),
        neuron=explorer.slider("neuron", often, top),
        position=explorer.steps("at outputs", ALL, outputs, "220px"),
        tokens=explorer.token_text(),
    )
    part, how, everything, neuron, position, tokens = controls.values()

    def draw(position, **values):
        return ablation_figure(zoo, position=None if position == ALL else position, **values)

    # Who moves the slider of the neurons wants to see that neuron off.
    neuron.observe(lambda _change: part.set_trait("value", PARTS[-1]), "value")
    rows = [[part], [how, everything], [neuron, position, tokens]]
    return explorer.Explorer(draw, controls, rows)


def _patched_share(own=False):
    """y1..y7 with what attention writes for another sequence: the share that is the other's (or its
    own) answer."""
    zoo, sequences = as_zoo(load_trained()), task.split(task.full_sequences())[1]
    other = sequences.flip(0)
    logits = zoo.edited({"attn_out": interventions.record(zoo, "attn_out", other)})(sequences)
    return accuracy(logits, sequences if own else other)[0, 1:].mean()


EXERCISES = {
    "06-other-sequence": exercises.Exercise(
        target=_patched_share,
        tolerance=0.02,
        mistakes={
            "Attention carries nearly everything about the source. So whose answer will it be?": 0,
            "That is the share of its own answers. What does it say of the other sequence?":
                lambda: _patched_share(own=True),
        },
    ),
    "06-one-position": exercises.Exercise(
        target=lambda: n_right(interventions.ablate(load_trained(), "attention", "mean", [3]))[0],
        mistakes={
            "None? Now and then y3 is right by chance.": 0,
            "All? Then y3 would need nothing from attention.": task.N_SEQUENCES,
        },
    ),
}  # fmt: skip

check = partial(exercises.check, EXERCISES)
