# %% [markdown]
# # Beyond: what did not fit
#
# The six notebooks tell one story.
# Nine measurements did not fit into it. Each stands on its own: read those that you wonder about.
#
# **Question:** Which doubts about the story did we check, and what came out?
#
# **You will**
# - doubt the data and the start: how good is an answer that never looks, and does the start decide?
# - see on a sphere all that attention can tell apart;
# - try other readings: value-weighted patterns, the lens without layer norm, and what each neuron writes;
# - doubt the ablations: the article's figures over many seeds, and vectors in random directions;
# - meet a task that may need an MLP.
#
# **Time:** about 50 minutes.
# **You should know:** the notebook that each part names.
# **Before this:** [06_ablation](../06_ablation.ipynb).
#
# Run the cells from the top: click the first, then Shift+Enter, or *Run > Run All Cells*.

# %% [markdown] tags=["badge"]
# [How to open this notebook](../../README.md)

# %% tags=["setup"]
# Where the series is at hand, as in JupyterLab, one sees nothing of this cell.
import contextlib, importlib.util, io, pathlib, runpy, sys, zipfile
here, at = pathlib.Path.cwd(), getattr(importlib.util.find_spec("helpers"), "origin", 0)
got = [*(p / "helpers" for p in (here, *here.parents)), *here.glob("series/**/helpers")]
got = [p for p in [*got, pathlib.Path(str(at)).parent] if (p / "claims.toml").exists()]
if not got:
    with contextlib.suppress(ImportError):  # on Colab
        from google.colab import files
        print("Choose the zip file of the series:")
        for file in map(io.BytesIO, files.upload().values()):
            zipfile.is_zipfile(file) and zipfile.ZipFile(file).extractall("series")
    got = [mark.parent for mark in here.glob("series/**/claims.toml")]
got or sys.exit(f"The series is not in {here} or above it: start in its folder "
            "notebooks/beyond (papermill: --cwd), or on Colab choose its zip file.")
runpy.run_path(str(got[0] / "colab.py"))["set_up"]()

# %%
import torch

from helpers import interventions, plotting, task
from helpers.evaluation import accuracy, by_position, n_right
from helpers.model import load_trained, load_zoo
from helpers.page import claim, k_of_n, show
from research import counting, figures

torch.set_grad_enabled(False)
torch.set_num_threads(1)  # quicker for tensors as small as these

# %%
model = load_trained()
sequences = task.full_sequences()
claim("exact-more", n_right(model))

# %% [markdown]
# ## How good is an answer that never looks at its input?
#
# A model that has learnt nothing can ignore its input and always say the same: for each output the token that is right most often.
# We call it the **best constant**.
# [01_dataset](../01_dataset.ipynb) cut the hold-out in two ways: the last 5,536 rows of the sorted list, and 5,536 rows after shuffling.
# How good is the best constant on the two?

# %%
tail, shuffled = sequences[60_000:], task.split(sequences)[1]
holdouts = {"last rows of the list": tail, "shuffled": shuffled}


def best_constant(data):
    """Accuracy at y0..y7 of the best answer that does not look at the input."""
    shares = [(data[:, 9:] == token).double().mean(0) for token in range(4)]
    return torch.stack(shares).max(0).values


constants = {name: best_constant(data) for name, data in holdouts.items()}

# %%
figure = plotting.bars(
    constants, title="Answering without looking",
    y_title="accuracy of the best constant", reference={"a guess": 0.25},
)
show(figure, "answering-without-looking")

# %%
claim("best-constant-shuffled", constants["shuffled"].mean())
claim("best-constant-sliced", constants["last rows of the list"].mean())

# %% [markdown]
# On a hold-out that was cut carelessly, an answer that never looks does a good deal better than a guess.

# %% [markdown]
# ## Does the start decide?
#
# The models of the series start from small weights.
# Thirty-two more were started at the library's default, which is six to eight times as large, and trained with the same recipe.
# Are as many of them exact?
# And of the exact ones, in as many is *reversal enough*: do they stay right when every answer must look at its source, with all weight?
# We ask about y0 and about y1 to y7 separately: [04_attention](../04_attention.ipynb) found that y0 is another matter.

# %%
starts = {"small start": "article", "library's start": "article_default_init"}
rows = []
for start, kind in starts.items():
    models = load_zoo(kind)
    models = models.where(models.exact)
    ideal = interventions.intervene(models, {"pattern": interventions.ideal_pattern()})
    perfect, n = counting.by_position(ideal) == 1, len(models)
    first, others = perfect[:, 0].sum(), perfect[:, 1:].all(1).sum()
    rows.append([start, k_of_n(n, 32), k_of_n(first, n), k_of_n(others, n)])
claim("start-decides-exact", n)
header = ["start", "exact", "of these: y0 stays right", "y1 to y7 stay right"]
plotting.table(rows, header, "Models by their start, with all weight on the source")

# %% [markdown]
# From the library's start fewer seeds became exact.
# Whether the start also decides *which* algorithm is found, so small a table cannot say; [beyond/seeds](seeds.ipynb) asks a thousand.

# %% [markdown]
# ## What can attention tell apart at all?
#
# Here is something that one can *see*, all of it at once.
#
# When attention reads the stream, only two things have been written there: the token, and its position.
# Five tokens at sixteen positions would be 80 vectors.
# How many are there really?

# %%
digits = model.W_E[:4] + model.W_pos[1:16, None]  # [15 positions, 4 tokens, d_model]
bos = model.W_E[task.BOS] + model.W_pos[0]
points = torch.cat([digits.flatten(0, 1), bos[None]])
print("different vectors:", len(points.unique(dim=0)))

# %% [markdown]
# Fewer, because BOS stands at one position only, and no digit stands there.
#
# Each vector is four numbers, and nobody can draw in four dimensions.
# But attention reads through a layer norm.
# That takes the mean of the four numbers away, so one dimension goes.
# Then it makes all vectors equally long.
# Three dimensions, one length: all that attention can tell apart lies on a **sphere**, like towns on a globe.
# (The learnt weight and bias of the layer norm come after that, and change all points alike.)

# %%
centred = points - points.mean(-1, keepdim=True)
normalised = centred / (centred.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt()
lengths = normalised.norm(dim=-1)
print("dimensions:", torch.linalg.matrix_rank(normalised, atol=1e-8).item())
print(f"lengths: {lengths.min():.4f} to {lengths.max():.4f}")

# %%
on_sphere = figures.to_3d(normalised)  # the three dimensions that are left
towns, positions = on_sphere[:60].reshape(15, 4, 3), task.POSITION_NAMES[1:]
groups = {f"token {t}": towns[:, t] for t in range(4)}
labels = dict.fromkeys(groups, positions)  # shown under the pointer
groups["BOS"] = on_sphere[60:]
figure = figures.scatter3d(
    groups, title="All that attention can tell apart (turn it)", radius=2,
    colours=plotting.TOKEN_COLOURS, labels=labels, joined={"x7": towns[7]},
)
show(figure, "sphere")

# %% [markdown]
# A line joins the four tokens at x7, and it is a long one.
# At all other positions the four lie close together.
# How far apart are they, at each position?

# %%
apart = [torch.pdist(torch.as_tensor(town)).mean().item() for town in towns]
figure = plotting.bars(
    apart, title="How far apart the four tokens of a position lie",
    x=positions, x_title="position", y_title="mean distance",
)
show(figure, "spread")
claim("x7-is-spread-most", apart[7] / max(apart[:7] + apart[8:]))

# %% [markdown]
# Why just x7?
# Think of what is asked of that place.
# y0 is predicted right there, and [04_attention](../04_attention.ipynb) found that its *query* carries the message: at a 3 it must look elsewhere than at a 2.
# So this one query has to be very different for different tokens, and it can be only if the tokens lie far apart.
# All other answers have their source elsewhere.
# What stands at their own place should *not* disturb where they look, and there the position dominates.
#
# (This fits what 04 has found. It was seen in one model, and nobody has counted here whether other models whose y0 looks away do the same.)

# %% [markdown]
# ## Weight is not message
#
# A position can get much weight and hand over almost nothing.
# The **value-weighted** pattern multiplies each weight by the length of what that key would write through $W_O$ ([Kobayashi et al. 2020](https://arxiv.org/abs/2004.10102)).
# The explorer of [04_attention](../04_attention.ipynb) shows it for one input.
# Does the mean pattern change?
# What a key writes depends on its token and its position only, so a small table holds all of it.

# %%
attention = model.blocks[0].attn
stream = model.W_E[:, None] + model.W_pos[:16]  # [token, position, d_model]
read = model.blocks[0].ln1(stream)
written = (read @ attention.W_V[0] + attention.b_V[0]) @ attention.W_O[0]
size = written.norm(dim=-1)  # [token, position]
print("BOS would write a length of", plotting.numbers(size[task.BOS, 0], 1))
print("x7 would, for its four tokens:", plotting.numbers(size[:4, 8], 1))
claim("bos-writes-little", size[task.BOS, 0] / size[:4, 1:9].mean())

# %%
pattern = interventions.record(model, "pattern", sequences)[0]
of_each_key = size[sequences[:, :16], torch.arange(16)]  # [sequence, key]
weighted = (pattern * of_each_key[:, None]).mean(0)  # pattern: [sequence, output, key]
figure = plotting.heatmap(
    weighted[:, :9], title="Value-weighted pattern, mean over all sequences",
    x=["BOS", *task.INPUT_NAMES], text=True, unit="length",
)
show(figure, "value-weighted-mean")

# %% [markdown]
# ## The logit lens and its shortcut
#
# Some texts, among them the article that this series follows, multiply the stream with $W_U$ and leave the last layer norm out.
# The last layer norm has a weight and a bias for each component, and takes the mean away.
# So this shortcut reads another model than ours.
# Does that matter, before the MLP and after it?

# %%
_, cache = model.run_with_cache(sequences[:, :16])
rows, differ = [], {}
for when, place in {"before": "resid_mid", "after": "resid_post"}.items():
    stream = cache[place, 0][:, 8:]
    lens, shortcut = model.ln_final(stream) @ model.W_U, stream @ model.W_U
    differ[when] = (lens.argmax(-1) != shortcut.argmax(-1)).double().mean()
    shares = [accuracy(read, sequences).mean() for read in (lens, shortcut)]
    shares.append(differ[when])
    rows.append([f"{when} the MLP", *[f"{share:.2%}" for share in shares]])
claim("shortcut-differs", differ["before"])
header = ["stream", "right: lens", "right: shortcut", "the two differ"]
plotting.table(rows, header, "The logit lens and its shortcut, share of all outputs")

# %% [markdown]
# ## What does each neuron write?
#
# Three of the sixteen neurons fire at the outputs.
# Each of them always writes in the same direction, the row of $W_{out}$ that belongs to it.
# Only how much of it changes.
# Which logits does that raise?

# %%
fires = (cache["post", 0][:, 8:] > 0).flatten(0, 1).any(0)  # [neuron]
active = fires.nonzero().flatten().tolist()
out = model.W_out[0][active]
raised = ((out - out.mean(-1, keepdim=True)) * model.ln_final.weight) @ model.W_U
figure = plotting.heatmap(
    raised[:, :4], title="What each firing neuron writes", text=True, signed=True,
    x=list("0123"), x_title="logit of the next token", unit="logit ×<br>divisor",
    y=[f"neuron {n}" for n in active], y_title="",
)
show(figure, "neuron-pushes")

# %% [markdown]
# ## The article's two figures, over seeds and on three sets
#
# The article zeroed $W_{out}$ and $W_O$ in one model, and measured on the last rows of the *sorted* list ([01_dataset](../01_dataset.ipynb)): 17.67 % and 29.19 %.
# It calls the loss of attention the more severe one, though that figure is the higher one.
# It guesses that on all inputs the two figures would be closer.
# We zero both parts in every exact seed, and measure on its rows, on our hold-out, and on everything.

# %%
zoo = load_zoo("article")
exact = zoo.where(zoo.exact)  # 28 of 32 seeds

# %%
def on_each_set(models):
    """Accuracy of each model on the three sets."""
    shares = {
        "sorted tail": by_position(models, tail),
        "everything": counting.by_position(models),  # quicker for many models
        "our hold-out": by_position(models, shuffled),
    }
    return {name: share.mean(1) for name, share in shares.items()}

# %%
no_mlp = on_each_set(interventions.ablate(exact, "post"))
no_attention = on_each_set(interventions.ablate(exact, "z"))

# %%
groups = {}
for part, shares in (("W_out", no_mlp), ("W_O", no_attention)):
    for name, values in shares.items():
        groups[f"{part}<br>{name.replace(' ', '<br>')}"] = values
figure = figures.strips(
    groups, title="One dot for each exact seed (dashed: the article)",
    y_title="accuracy", reference={"W_out, 17.67 %": 0.1767, "W_O, 29.19 %": 0.2919},
)
show(figure, "two-figures-over-seeds")

# %%
gaps = {name: (no_mlp[name] - no_attention[name]).abs() for name in no_mlp}
closer = (gaps["everything"] < gaps["sorted tail"]).sum()
severe = (no_mlp["everything"] > no_attention["everything"]).sum()
print("closer on everything than on the sorted tail:", k_of_n(closer, len(exact)))
print("W_O costs more than W_out:", k_of_n(severe, len(exact)))
claim("zoo-gap-smaller", closer)
claim("zoo-mlp-less-severe", severe)
claim("zoo-gap-stays", gaps["everything"].median())

# %%
def spread(values):
    """The largest minus the smallest."""
    return (values.max() - values.min()).item()


spreads = {name: spread(values) for name, values in no_attention.items()}
claim("zoo-tail-is-wider", spreads["sorted tail"] / spreads["everything"])
claim("zoo-no-mlp-range", spread(no_mlp["everything"]))

# %% [markdown]
# The article's figures are one draw from a wide distribution, and its hold-out makes that of $W_O$ wider.
# Zeroing $W_O$ costs more in nearly every seed, as the article says in words.
# Whether the two figures come closer on everything is a coin toss between seeds, and close they are not.

# %% [markdown]
# ## Does any vector of that length hurt?
#
# [06_ablation](../06_ablation.ipynb) takes away what the MLP writes, and a third of the answers go wrong.
# Perhaps *any* change of that length would cost as much?
# We add to the MLP's output a vector as long as what the MLP writes there.
# Three directions are random.
# One is a **control**: the same number on all four dimensions, which the last layer norm takes away again, so it must change nothing.

# %%
import numpy

random = torch.from_numpy(numpy.random.default_rng(0).normal(size=(3, 4)))
random = random - random.mean(1, keepdim=True)  # what layer norm leaves of them
random = random / random.norm(dim=1, keepdim=True)
control = torch.full((1, 4), 0.5)
names = ["control", "random 1", "random 2", "random 3"]
directions = dict(zip(names, torch.cat([control, random])))

# %%
def with_vector(direction):
    """The model with a vector added that is as long as what the MLP writes."""

    def add(value, tokens):
        return value + value.norm(dim=-1, keepdim=True) * direction

    return interventions.intervene(model, {"mlp_out": add}, effect=False)


kept = {name: by_position(with_vector(d)).mean() for name, d in directions.items()}

# %%
figure = plotting.bars(
    list(kept.values()), title="A vector as long as what the MLP writes, added",
    y_title="accuracy", x=list(kept), x_title="its direction",
)
show(figure, "random-pushes")

# %%
assert kept["control"] == 1
claim("random-push-hurts", min(kept.values()))

# %% [markdown]
# One random vector costs almost nothing, two cost more than a third.
# So at this length it is the direction that decides: it says which of the four lines are lifted, and which dots then lie under another one.

# %% [markdown]
# ## A task that may need the MLP
#
# The task of the series needs no MLP ([06_ablation](../06_ablation.ipynb)).
# One step from it stands the sum of *two* sources: $y_i = (x_{7-i} + x_{6-i}) \bmod 4$ (for $y_7$, which has no $x_{-1}$, it is $x_0 + x_7$).
# Attention can fetch both, but it can only *add* what it fetches, and no matrix turns a sum of two one-hot vectors into a sum mod 4.
# Both kinds of model are wider (`d_model` 16).
# How good does attention become alone?

# %%
def recorded(kind):
    """The share of right tokens of each of 32 seeds, as the zoo's record has it."""
    return torch.tensor(load_zoo(kind).info["by_position"]).mean(1)


pair_kinds = {"with MLP": "sum_pairs", "attention only": "sum_pairs_no_mlp"}
pair_scores = {name: recorded(kind) for name, kind in pair_kinds.items()}
figure = figures.strips(
    pair_scores, title="Sum of two tokens mod 4, one dot for each of 32 seeds",
    y_title="accuracy, all inputs", reference={"a guess": 0.25},
)
show(figure, "sum-of-two-tokens")

# %%
from research import survey

are_exact = {
    name: survey.right(survey.load_survey(kind), "right").all(1)
    for name, kind in pair_kinds.items()
}

# %%
with_mlp, alone = pair_scores.values()
solved = (with_mlp == 1).sum()
print("exact with an MLP:", k_of_n(solved, 32))
print("exact with attention only:", k_of_n((alone == 1).sum(), 32))
for name, mask in are_exact.items():
    print(f"and of more seeds, {name}:", k_of_n(mask.sum(), len(mask)))
claim("pairs-of-256-with-mlp", are_exact["with MLP"].sum())
claim("pairs-of-256-without-mlp", are_exact["attention only"].sum())
claim("pairs-with-mlp", solved)
claim("pairs-need-the-mlp", alone.max())

# %% [markdown]
# By this recipe some seeds solve the task with an MLP and none without.
# Another recipe might do better, so this is no proof.
#
# <details><summary>Why a fixed pattern cannot do it: XOR again</summary>
#
# Suppose that one head looks at both sources with half its weight on each.
# What it writes is $\frac12(v_a + v_b)$, and the logits are linear in that (but for the last layer norm).
# For the right answer to win, the logit of $c$ must be highest when $a + b = c \bmod 4$.
# Take $a, b \in \{0, 2\}$: the answer 0 must win for (0,0) and (2,2), the answer 2 for (0,2) and (2,0).
# But $(v_0 + v_0) + (v_2 + v_2) = (v_0 + v_2) + (v_2 + v_0)$: the sums are equal, as in the proof for XOR in `01_dataset`.
# A pattern that depends on the tokens, and the last layer norm, can bend this, which may be why some seeds get well above one quarter.
# </details>

# %% [markdown]
# ## What you have
#
# - You have seen how good an answer is that never looks, and what the start decides.
# - You have seen on a sphere all that attention can tell apart.
# - You have tried three other readings of the same model.
# - You have measured the article's figures over many seeds, and added vectors in random directions.
# - You have a task that may need an MLP.
#
# **Answer:** none of these doubts overturns the story, and two of the article's figures turn out to be one draw of many.
# **Open:** whether attention alone can learn the sum of two tokens by another recipe.
