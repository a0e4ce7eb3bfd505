# %% [markdown]
# # 6 · Taking parts away
#
# To find out what a part does, take it away and see what is missing.
# This is **ablation**, and *how* a part is taken away decides what the result means.
#
# **Question:** What does this model need, what does the task need, and do other models work like this?
#
# **You will**
# - take parts away, in place and with hooks, and predict from the picture of `05_mlp` what breaks;
# - run a description of two parts in their place;
# - ask other seeds, and models that were trained without the part;
# - prove the model right on every input.
#
# **Time:** about 40 minutes, and 15 more for the exercises.
# **You should know:** [04_attention](04_attention.ipynb).
# **Before this:** [05_mlp](05_mlp.ipynb).
#
# Run the cells from the top.

# %% [markdown] tags=["badge"]
# This notebook opens in JupyterLab, and on Colab once `pyproject.toml` has an address.

# %% tags=["setup"]
# Where the series is at hand, as in JupyterLab, this cell does nothing.
import importlib.util, sys

sys.path[:0] = [".."]
if not importlib.util.find_spec("helpers"):
    raise SystemExit(
        "Open this notebook in a copy of the whole series: "
        "pyproject.toml does not say yet where the rest could be fetched from."
    )
from helpers import colab

added = colab.install_missing()

# %%
import torch

from helpers import interventions, plotting, task
from helpers.evaluation import accuracy, by_position, n_right
from helpers.model import HOOKS, load_trained
from helpers.page import claim, compare, drawing, k_of_n, show
from lessons import lesson_06
from lessons.line import find_line, path_figure
from research import figures

torch.set_num_threads(1)  # for tensors as small as these, more threads are no faster

# %%
torch.set_grad_enabled(False)
model = load_trained()
sequences = task.full_sequences()
tokens = sequences[:, :16]  # what the model reads
targets, sources = sequences[:, 9:], sequences[:, 1:9].flip(1)
claim("exact-06", n_right(model))

# %% [markdown]
# ## What did the article do?
#
# It overwrote weights with zeros: first $W_{out}$, with which the MLP writes into the stream, then $W_O$, with which attention does.
# It measured one model on the last rows of the sorted list, and had 17.67 % and 29.19 % right.
# We do the same to our model, on all inputs, and put each matrix back.

# %%
def without(weight):
    """Accuracy at each output while `weight` is zero."""
    backup = weight.clone()
    weight.zero_()
    shares = by_position(model)[0]
    weight.copy_(backup)
    return shares


block = model.blocks[0]
no_W_out, no_W_O = without(block.mlp.W_out), without(block.attn.W_O)
assert n_right(model) == task.N_SEQUENCES, "a matrix was not put back"

# %%
figure = plotting.bars(
    {"without W_out": no_W_out, "without W_O": no_W_O},
    title="Zeroed in place",
    y_title="accuracy, all inputs",
    reference={"a guess": 0.25},
    colours=[plotting.PART_COLOURS["mlp"], plotting.PART_COLOURS["attention"]],
)
show(figure, "zeroed-in-place")
print(f"without W_out {no_W_out.mean():.2%}, without W_O {no_W_O.mean():.2%}")
claim("zeroed-W_out", no_W_out.mean())

# %% [markdown]
# Without $W_O$ attention writes the same for every input, and every output is right one time in four: $y_0$ too, although its source is at its own position.
# Without $W_{out}$ more than three quarters stay right, some outputs on every input.
# Why these outputs?
#
# ## What does the picture predict?
#
# In the picture of [05_mlp](05_mlp.ipynb) attention writes a place on a line.
# The place lies on a **stretch**, a part of the line where one logit is the highest: that is the answer.
# What the MLP adds, its **push**, moves the borders between stretches.
# Without the MLP the stretches of 0 and 1 nearly close; at $y_2$ and $y_7$ they do not exist.
#
# Our input 32221200 has the sources 0, 0, 2, 1, 2, 2, 2, 3, for $y_0$ to $y_7$.
# **Predict:** how many of its eight answers stay right when the MLP writes nothing?

# %%
my_survivors = ...  # your answer: a number from 0 to 8 (or leave it)

# %% [markdown]
# A hook leaves the weights alone, so there is nothing to put back:

# %%
def to_zero(value, hook):
    """What a hook is: (value, hook point) -> the new value."""
    return torch.zeros_like(value)


ours = task.full_sequences([task.read_tokens(task.EXAMPLE)])
no_mlp = [(HOOKS["mlp_out"], to_zero)]
says = model.run_with_hooks(ours[:, :16], fwd_hooks=no_mlp)[0, 8:].argmax(-1)
print("right answers:  ", *ours[0, 9:].tolist())
print("without the MLP:", *[task.TOKEN_NAMES[token] for token in says])
compare(my_survivors, (says == ours[0, 9:]).sum())

# %% [markdown]
# The eight places of our input, on the stretches that are left without the MLP.
# And `line.predicts` looks up on which stretch each place falls, for all inputs:

# %%
line = find_line(model)
figure, _ = path_figure(line, task.EXAMPLE, mlp=0.0)
show(figure, "our-path-without-the-mlp")
says = model.run_with_hooks(tokens, fwd_hooks=no_mlp)[:, 8:].argmax(-1)
same = (says == line.predicts(mlp=0.0)).double().mean()
print(f"the model says what the picture says at {same:.1%} of the tokens")
claim("picture-foretells-the-answers", same)
claim("never-the-source", (says == sources).sum())

# %% [markdown]
# The picture predicts nearly every token, and seven of our eight.
# (At $y_1$, close to a border, the model says BOS: there the picture fails.)
# The clean story (attention reverses, the MLP adds 1) suggests that the model without its MLP, whose stream the lens of 05 read, says the source: it never does.
# **The order of the places already fits the answers; without the MLP some borders lie wrong.**
#
# And in between?
# When $W_{out}$ is zero, the MLP still writes its bias $b_{out}$, and that push is left: enough for y3 to y6.
# When attention writes its mean, each place becomes 0.

# %%
import dataclasses

bias = block.mlp.b_out.expand(8, 4).double()
with_bias = dataclasses.replace(line, push=bias)  # the MLP writes its bias alone


def half(value, tokens):
    """An edit of helpers.interventions: (value, tokens) -> the new value."""
    return value / 2


mean = interventions.mean_of(model, "mlp_out")
half_of_mean = interventions.intervene(model, {"mlp_out": mean / 2})
half_of_all = interventions.intervene(model, {"mlp_out": half})

# %%
ablate = interventions.ablate
pairs = {  # what was done: the answers of the picture, and the model
    "MLP zero": (line.predicts(mlp=0.0), ablate(model, "mlp", "zero")),
    "W_out zero": (with_bias.predicts(), ablate(model, "post", "zero")),
    "half of the<br>MLP's mean": (line.predicts(mlp=0.5), half_of_mean),
    "half of what<br>it writes": (line.predicts(mlp=0.5), half_of_all),
    "MLP mean": (line.predicts(), ablate(model, "mlp", "mean")),
    "attention<br>mean": (
        line.predicts(attention=0.0), ablate(model, "attention", "mean")
    ),
}

# %%
predicted, counted, misses = [], [], {}
for name, (picture, ablated) in pairs.items():
    predicted.append((picture == targets).double().mean())
    counted.append(by_position(ablated).mean())
    misses[name] = abs(predicted[-1] - counted[-1]).item()

# %%
figure = plotting.bars(
    {"predicted by the picture": predicted, "counted in the model": counted},
    title="Predicted, then counted",
    x=list(pairs), x_title="what was done", y_title="accuracy, all inputs",
)
show(figure, "predicted-then-counted")
print("the picture misses by", plotting.numbers(list(misses.values()), 3))
halved = "half of what<br>it writes"
others = [miss for name, miss in misses.items() if name != halved]
claim("picture-foretells-accuracy", max(others))
claim("picture-misses-half", misses[halved])

# %% [markdown]
# Five of six are predicted within two hundredths.
# One is not: half of what the MLP *writes* keeps more right than half of its *mean*.
# So the MLP does say a little about the input, and at half strength that little decides.
#
# ## Zero, mean, resample: three questions
#
# - **Zero ablation** replaces what a part writes by zero.
#   The rest of the model meets something it was not trained for.
# - **Mean ablation** replaces it by its mean, output by output.
#   It is silent about the input.
# - **Resample ablation** ([Heimersheim & Nanda 2024](https://arxiv.org/abs/2404.15255)) replaces it by what the part writes for *another*, random input.
#   Something is said, about the wrong input.
#
# **Predict:** zero costs this model a third of its tokens, the mean hardly any.
# What share stays right when the MLP is resampled?

# %%
my_resampled = ...  # your answer: a share from 0 to 1 (or leave it)

# %%
import numpy as np

shuffled = np.random.default_rng(0).permutation(task.N_SEQUENCES)


def to_mean(value, hook):
    return value.mean(0, keepdim=True).expand_as(value)


def to_another(value, hook):
    return value[shuffled]

# %%
for hook in (to_zero, to_mean, to_another):
    hooks = [(HOOKS["mlp_out"], hook)]
    share = accuracy(model.run_with_hooks(tokens, fwd_hooks=hooks), sequences).mean()
    print(f"{hook.__name__:10}", f"{share:.2%}")

# %%
kept = {
    (part, how): by_position(interventions.ablate(model, part, how))[0]
    for part in ("attention", "mlp")
    for how in interventions.HOW
}

# %%
shares = {
    part: [kept[part, how].mean() for how in interventions.HOW]
    for part in ("attention", "mlp")
}
figure = plotting.bars(
    shares, title="Three ablations", colours=plotting.PART_COLOURS,
    x=interventions.HOW, x_title="what replaces the output",
    y_title="accuracy, all inputs",
)
show(figure, "three-ablations")
compare(my_resampled, kept["mlp", "resample"].mean())
claim("mlp-resample", kept["mlp", "resample"].mean())
claim("zeroed-attention-y0-always-wrong", kept["attention", "zero"][0])

# %% [markdown]
# Zero asks: can the rest do without its output? (No: the rest relies on the push.)
# The mean asks: does the rest need what it says about the input? (Hardly.)
# Resampling asks: does it matter that the push belongs to this input? (A little: another push moves a border over some places.)
# Attention carries the source: without it y1 to y7 are no better than a guess.
# At zero $y_0$ is always wrong, although it still has its source: zero is worse than the mean.
#
# ## Does our description run in place of the parts?

# %%
drawing("circuit")

# %% [markdown]
# 1. Each token becomes a vector, and its position adds another.
# 2. Attention looks at the source; $y_0$ looks at it or away, by its value.
# 3. Attention writes a place on a line.
# 4. The mean push of the MLP is enough to put each place on the stretch of its answer.
# 5. The unembedding says the token of that stretch.
#
# A description can be wrong, so we run points 3 and 4 in place of the parts.
# Attention may write its mean and one number along the line, the MLP its mean, and nothing else.

# %%
on_the_line, _ = interventions.one_direction(model)
constant = interventions.mean_of(model, "mlp_out")
edits = {"attn_out": on_the_line, "mlp_out": constant}
circuit = interventions.intervene(model, edits)
claim("circuit-is-enough", n_right(circuit).item())

# %% [markdown]
# **Every input is right.**
# What adds 1 in this model?
# The map from places to stretches does, and attention and MLP make it together.
#
# ## Do other models work like this?
#
# Of 32 seeds trained alike, 28 are **exact**, right on every input.
# How many stay exact without $W_{out}$, and how many keep $y_0$ without $W_O$?

# %%
from helpers.model import load_zoo

zoo = load_zoo("article")
exact = zoo.where(zoo.exact)  # 03 has counted them
ways = {
    "W_out zero": ("post", "zero"),
    "MLP mean": ("mlp", "mean"),
    "W_O zero": ("z", "zero"),
}

# %% tags=["nbval-ignore-output"]
import sys

from tqdm import tqdm

lost = {}
for name, (part, how) in tqdm(ways.items(), file=sys.stdout, ncols=90):
    lost[name] = by_position(interventions.ablate(exact, part, how))  # [28, 8]

# %%
dots = {name: shares.mean(1) for name, shares in lost.items()}
title = "One dot for each exact seed"
figure = figures.strips(dots, title=title, y_title="accuracy, all inputs")
show(figure, "exact-seeds-without-a-part")

# %%
def properties(W_out, mlp, W_O):
    """From accuracies [models, 8] under each ablation: name -> which models."""
    return {
        "exact with W_out zero": (W_out == 1).all(1),
        "99 % right with the MLP's mean": mlp.mean(1) > 0.99,
        "W_O zero: y0 is always right": W_O[:, 0] == 1,
        "W_O zero costs more than W_out zero": W_O.mean(1) < W_out.mean(1),
    }

# %%
few = properties(lost["W_out zero"], lost["MLP mean"], lost["W_O zero"])
claim("none-exact-without-neurons", few["exact with W_out zero"].sum())
claim("zoo-constant-mlp", few["99 % right with the MLP's mean"].sum())
claim("zoo-no-attention-y0", few["W_O zero: y0 is always right"].sum())
rows = [[name, k_of_n(which.sum(), len(which))] for name, which in few.items()]
plotting.table(rows, ["models", "how many"], "The exact ones of 32 seeds")

# %% [markdown]
# And of 1,024 more seeds, trained and measured in the same way:

# %%
from research import survey

thousand = survey.exact_models()
columns = ("W_out_zero", "mlp_mean", "W_O_zero")
counts = [survey.values(thousand, column).double() for column in columns]
many = properties(*(count / task.N_SEQUENCES for count in counts))
rows = [[name, k_of_n(which.sum(), len(which))] for name, which in many.items()]
title = "The exact ones of 1,024 more seeds"
plotting.table(rows, ["models", "how many of a thousand more"], title)

# %% [markdown]
# Seed 0 is an exception: in few exact models can the mean stand in for the MLP.
# In more of them another constant can ([beyond/seeds](beyond/seeds.ipynb) searches it).
# And a few stay exact with $W_{out}$ zero: they had an MLP in training, and afterwards need at most its bias.
# Without $W_O$ an output knows only its own token, which is the source at $y_0$ alone: $y_1$ to $y_7$ must guess.
# The article's two figures over the 28, [on three sets of inputs: beyond/more](beyond/more.ipynb).
#
# ## Does the task need an MLP?
#
# Ablation says what a *trained* model relies on: ours had an MLP in training, and used it.
# What the task needs, training without the part shows.
# **Predict again,** as in [01_dataset](01_dataset.ipynb): of 32 seeds without an MLP, how many become exact?

# %%
my_exact_without_mlp = ...  # your answer: a number from 0 to 32 (or leave it)

# %%
kinds = {
    "as in the article": "article",
    "without MLP": "no_mlp",
    "without layer norm": "no_layernorm",
    "without both": "no_mlp_no_layernorm",
}
n_exact = {name: load_zoo(kind).exact.sum().item() for name, kind in kinds.items()}

# %%
figure = plotting.bars(
    list(n_exact.values()), title="Which models learn the task?",
    x=list(n_exact), x_title="trained", y_title="exact seeds, of 32",
)
show(figure, "which-models-learn-it")
compare(my_exact_without_mlp, n_exact["without MLP"])
print("exact without MLP:", k_of_n(n_exact["without MLP"], 32))
more = survey.right(survey.load_survey("no_mlp"), "right").all(1)
print("and of more seeds:", k_of_n(more.sum(), len(more)))
claim("no-mlp-learns-it", n_exact["without MLP"])
claim("linear-mlp-free-learns-it", n_exact["without both"])

# %% [markdown]
# The task needs no MLP.
# Without MLP and layer norm, where is the +1?
# In nearly all in a product of matrices, the OV circuit $W_E W_V W_O W_U$ (centred, as in 05).

# %%
plain = load_zoo("no_mlp_no_layernorm")
ov = plain.weights["embed.weight"][:, :4]
for name in ("blocks.0.attn.v", "blocks.0.attn.o", "unembed"):
    ov = ov @ plain.weights[f"{name}.weight"].mT
ov = (ov - ov.mean(1, keepdim=True))[..., :4]  # what all tokens share is like a bias

# %%
figure = plotting.heatmap(
    ov[0], title="The OV circuit of seed 0, without both",
    x=list("0123"), x_title="logit of the next token",
    y=list("0123"), y_title="token attended to",
    unit="logit", signed=True, text=True,
)
show(figure, "ov-without-both")
plus_one = (ov.argmax(-1) == torch.tensor([1, 2, 3, 0])).all(-1).sum().item()
print("the largest of each row is the token plus 1:", k_of_n(plus_one, 32))
claim("ov-alone-is-plus-one", plus_one)

# %% [markdown]
# **Reliance is not necessity:** with $W_{out}$ zero nearly no exact model stays exact, and nine in ten of those that never had an MLP are exact.
# The first is about those models, the second about the task.
#
# ## Can one know it without counting?
#
# A **proof** fixes the few tokens that matter to an output, and bounds what all others together can do, rounding included.
# At best $y_0$ takes 4 cases, one for each source.
# The others take 16, because the token at their own position counts too.
# Where the bound is too wide, the proof asks for one more token.

# %%
from research.proof import prove

proof = prove(model)
bounded = [sum(node.box is not None for node in root.walk()) for root in proof.tree]
cases = {"at best": [4] + [16] * 7, "seed 0": bounded}
figure = plotting.bars(cases, title="Cases of the proof", y_title="cases")
show(figure, "cases-of-the-proof")
print(f"proved: {proof.proved}, in {proof.cases} cases in place of 65,536 inputs")
claim("proof-seed-0", proof.proved)
claim("proof-cases", proof.cases)

# %% [markdown]
# [beyond/proof](beyond/proof.ipynb) shows how it works, and goes on to inputs that nobody can list.
#
# ## What was shown, and what was not

# %%
left = survey.values(thousand, "W_out_zero").double().mean(1) / task.N_SEQUENCES
without_W_out = f"{left.min():.0%} to {left.max():.0%} ({len(left)} seeds)"
severe = many["W_O zero costs more than W_out zero"]
more_severe = k_of_n(severe.sum(), len(severe))
no_mlp_is_exact = k_of_n(n_exact["without MLP"], 32)

# %%
rows = [
    ["the data are shuffled before the split", "no: its sample is row 60,000 (01)"],
    ["each output looks at its source", "not always, and looking is no proof (04)"],
    ["attention reverses, the MLP adds 1", "not in seed 0: places and borders (05)"],
    ["without W_out 17.67 %", without_W_out],
    ["losing attention (29.19 %) is called more severe", more_severe],
    ["+1 mod 4 needs the MLP", f"no: exact without it {no_mlp_is_exact}"],
    ["a part whose loss hurts is needed", "not the MLP: by the model, not by the task"],
    ["right on a hold-out", f"right on every input, proved in {proof.cases} cases"],
]
title = "What the article says, and what was found"
plotting.table(rows, ["the article", "here (notebook)"], title)

# %% [markdown]
# **Not shown:** what another recipe would find; that a larger model works like this one.
#
# ## Explore
#
# Switch off attention, the MLP or one neuron, and see accuracy (left) and the logits of one input (right).
# Which neurons matter?

# %%
figure, says = lesson_06.ablation_figure(model)
show(figure, says=says)

# %% tags=["nbval-ignore-output"]
lesson_06.explore_ablation(model)

# %% [markdown]
# ## Exercises
#
# Replace each `...` and run the cell.

# %% [markdown]
# ### Exercise: whose answer?
#
# *★★☆ medium, 5 minutes.*
# What attention writes is replaced by what it writes for *another* input.
# On what share of $y_1 … y_7$ does the model now give the other input's answer?

# %%
my_share = ...

lesson_06.check("06-other-sequence", my_share)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# my_share = 1.0
# ```
#
# The place is the other input's, and the answer follows it.
# Resampling from a chosen run is called **activation patching**.
# </details>

# %% [markdown]
# ### Exercise: a hook for one neuron
#
# *★★☆ medium, 10 minutes.*
# Write a function that makes a hook: it sets one neuron to zero, at every position.
# The hook gets `value` `[batch, position, neuron]` and its hook point `hook`, and returns the new value.

# %%
def my_hook_for(neuron):
    """A hook (value, hook) -> new value."""
    return ...


lesson_06.check("06-neuron-hook", my_hook_for)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_hook_for(neuron):
#     def switch_off(value, hook):
#         value = value.clone()
#         value[:, :, neuron] = 0
#         return value
#
#     return switch_off
# ```
# </details>

# %% [markdown]
# ## In the end: the whole path of our input
#
# Our transformer predicts the next token as a large language model does: attention brings tokens to where they are needed, each part adds to the stream, the stream is read out.
# With 360 parameters every step could be opened, and checked on every input.
# A large model cannot be listed like this.
# What carries over are habits: say what you expect before you look, change the model to test a picture, ask more than one seed, write down what was not shown.
#
# Our input once more:

# %%
figure, _ = path_figure(line, task.EXAMPLE)
show(figure, "our-path")

# %% [markdown]
# ## What you have
#
# - You have taken parts away, in place and with hooks, and predicted what breaks.
# - You have run a description of two parts in their place.
# - You have asked other seeds, and models that were trained without the part.
# - You have a proof that the model is right on every input.
#
# **Answer:** this model needs both parts, because together they put each source token on the stretch of its successor; the task needs no MLP; in fewer than half of the exact models a line is enough, and in about one of five a line with a constant push, the own token out, was found to be.
# **Open:** how the others work ([beyond/seeds](beyond/seeds.ipynb)), and [which task needs an MLP: beyond/more](beyond/more.ipynb).
#
# To read on: Neel Nanda's [pages](https://www.neelnanda.io/mechanistic-interpretability), which the article recommends; BlueDot's [AI Safety course](https://bluedot.org), for which it was written; [Elhage et al. 2021](https://transformer-circuits.pub/2021/framework/index.html) on circuits; [Nanda et al. 2023](https://arxiv.org/abs/2301.05217), a toy model taken apart whole.
