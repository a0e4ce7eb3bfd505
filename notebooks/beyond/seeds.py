# %% [markdown]
# # Beyond: a thousand seeds
#
# The six notebooks open one model, seed 0.
# At their end stands a table of a thousand others; here and in [beyond/mechanisms](mechanisms.ipynb) is where it comes from.
#
# Why a thousand?
# The zoo has 28 exact models, and what holds for all 28 may still be false for one model in ten.
# So 1,024 more were trained, with the seeds 32 to 1,055, by the same recipe.
#
# **Question:** How many models does the story of seed 0 tell, and what do the others do instead?
#
# **You will**
# - set predictions, written before a model was trained, beside what came out;
# - split "does it work like this?" into questions that can be answered one by one;
# - run descriptions in place of what attention writes, and look for the smallest that is enough;
# - ask by which route y0 is told, and why it is the order 1, 3, 0, 2.
#
# **Time:** about 90 minutes.
# **You should know:** [04_attention](../04_attention.ipynb), [05_mlp](../05_mlp.ipynb) and [06_ablation](../06_ablation.ipynb).
# **Next:** [what the MLP of each of them is for: beyond/mechanisms](mechanisms.ipynb).
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
from itertools import permutations

import torch
from scipy.stats import binomtest

from helpers import plotting, task
from helpers.page import claim, compare, k_of_n, show
from research import WEIGHTS, census, constants, figures, survey

torch.set_grad_enabled(False)
torch.set_num_threads(1)  # quicker for tensors as small as these

# %%
everything = survey.load_survey("article")
exact = survey.exact_models("article")
print("exact:", k_of_n(len(exact), len(everything)))
claim("survey-exact", len(exact))

# %% [markdown]
# The survey is a table: one row a model, and in each row what was measured on all 65,536 inputs, output by output.
# What its columns are stands in `research/survey.py`; how it was made, in `tools/survey.py`.
# Here is one row:

# %%
row = survey.row(exact, exact.index[0])
for name in ("ideal", "attn_mean", "W_out_zero", "mlp_mean"):
    print(f"{survey.COLUMNS[name]:55}", row[name].tolist())

# %% [markdown]
# A table can be wrong, so take any seeds you like: their weights are stored, and three models are measured again in a few seconds.

# %%
my_seeds = [32, 500, 1055]  # any of 32 to 1055

# %% tags=["nbval-ignore-output"]
import sys

from tqdm import tqdm

models = survey.load_models()
again = {}
for seed in tqdm(my_seeds, file=sys.stdout, ncols=88):
    one = models[models.seeds.index(seed)]
    again[seed] = census.measure(one)
    if one.exact:
        again[seed] |= constants.measure(one)

# %%
def same(seed):
    """Does the table, rounded to four decimals, hold what was measured just now?"""
    row = survey.row(everything, seed)
    now = {name: value.double() for name, value in again[seed].items()}
    return all(torch.allclose(row[k].double(), v, atol=1e-3) for k, v in now.items())


claim("survey-rows-again", all(same(seed) for seed in my_seeds))

# %% [markdown]
# ## What was expected?
#
# Before the first of these models was trained, 25 expectations were written into a file, each a range for a share, and the file was not changed since.
# We collect what is measured under the same names, and compare at the end, here and in [beyond/mechanisms](mechanisms.ipynb).
# (Some of the file's words are older than this text. What it calls the *ideal pattern* is all weight on the source; a model that stays right with it is *clean*; attention is *silent* when it writes its mean; and a pattern is *frozen* when it is held at its mean.)

# %%
import tomllib

file = WEIGHTS / "survey_predictions.toml"
expected = tomllib.loads(file.read_text(encoding="utf-8"))["prediction"]
found = {}  # the name of an expectation -> (k, n)
print(len(expected), "expectations, such as:", expected[7]["says"])

# %%
def tally(mask):
    """For how many models of how many `mask` is true."""
    return int(mask.sum()), len(mask)


def of(mask):
    """The same in words, with the interval."""
    return k_of_n(*tally(mask))

# %%
def count(name, mask, says=None):
    """Print it, and keep it under `name`."""
    found[name] = tally(mask)
    print(f"{says or name}: {of(mask)}")

# %% [markdown]
# ## How often does training succeed?
#
# The same seeds were trained for four other kinds of the same task: from the library's larger start, without MLP, without layer norm, without both.
# A dot is a share; the bar is its 95 % interval ([Clopper and Pearson 1934](https://doi.org/10.1093/biomet/26.4.404)).

# %%
PLAIN = {
    "as in the article": "article",
    "library's start": "article_default_init",
    "without MLP": "no_mlp",
    "without layer norm": "no_layernorm",
    "without both": "no_mlp_no_layernorm",
}
surveys = {kind: survey.load_survey(kind) for kind in PLAIN.values()}
perfect = {kind: survey.right(t, "right").all(1) for kind, t in surveys.items()}
counts = {name: tally(perfect[kind]) for name, kind in PLAIN.items()}
figure = figures.shares(counts, "Exact models, by kind")
show(figure, "survey-exact-by-kind")

# %%
ids = ["exact", "exact-default-init", "exact-no-mlp", "exact-no-layernorm"]
for name, kind in zip([*ids, "exact-neither"], PLAIN.values()):
    count(name, perfect[kind])
for name in ("library's start", "without MLP", "without both"):
    p = survey.chance(*counts["as in the article"], *counts[name])
    print(f"as in the article against {name}: p = {p:.1g} (Fisher's exact test)")

# %% [markdown]
# Another task, a sum of two digits, was expected to need the MLP.

# %%
pair_kinds = {
    "exact-pairs": "sum_pairs",
    "exact-pairs-attention-only": "sum_pairs_no_mlp",
}
for name, kind in pair_kinds.items():
    count(name, survey.right(survey.load_survey(kind), "right").all(1))

# %% [markdown]
# ### Where do failures fail?
#
# For each failed model of the article: at how many outputs is it wrong somewhere, and at which?

# %%
failed = everything[~perfect["article"].numpy()]
n_right_at, wrong = survey.values(failed, "right"), ~survey.right(failed, "right")

# %%
print("wrong at 1, 2, … 8 outputs:", wrong.sum(1).bincount(minlength=9)[1:].tolist())
figure = plotting.bars(
    wrong.sum(0).tolist(), title="Wrong at this output",
    x_title="output", y_title="failed models",
)
show(figure, "survey-failures")
last = n_right_at[:, 7] <= n_right_at.min(1).values
count("failed-at-late-outputs", last, "y7 is wrong at least as often as any other")
only_7, only_1 = (wrong[:, 7] & ~wrong[:, 1]).sum(), (wrong[:, 1] & ~wrong[:, 7]).sum()
p = binomtest(int(only_7), int(only_7 + only_1)).pvalue
print(f"wrong at y7 only {only_7}, at y1 only {only_1}: p = {p:.1g} (sign test)")

# %% [markdown]
# The farther away the source stands, the more often a model that fails has not found it.
# ([03_training](../03_training.ipynb) saw a seed that learnt seven outputs at once; over many seeds distance does count.)

# %% [markdown]
# ## Is "does it work like seed 0?" one question?
#
# [04_attention](../04_attention.ipynb) put all weight on the source.
# Where the answer then stays right on every input, we say that **reversal is enough**: it is enough to look at the source and nowhere else.
# That can be so at y0, whose source stands at its own position, and it can be so at y1 to y7.
#
# **Predict:** are the two related? If reversal is enough for y0 in half of the models, and for y1 to y7 in three quarters, and the one has nothing to do with the other, then both hold in three eighths.

# %%
my_answer = ...  # "related" or "no sign of dependence" (or leave it)

# %%
ideal = survey.right(exact, "ideal")
y0_enough, rest_enough = ideal[:, 0], ideal[:, 1:].all(1)
both_enough = y0_enough & rest_enough
count("clean-y0", y0_enough, "reversal is enough for y0")
count("clean-y1-y7", rest_enough, "for y1 to y7")
count("clean", both_enough, "for both")
product = y0_enough.double().mean() * rest_enough.double().mean()
print(f"to be expected for both, if unrelated: {product:.1%}")

# %%
a, b = both_enough.sum().item(), (y0_enough & ~rest_enough).sum().item()
p = survey.chance(a, rest_enough.sum().item(), b, (~rest_enough).sum().item())
print(f"p = {p:.2g} (Fisher's exact test)")
compare(my_answer, "no sign of dependence" if p > 0.05 else "related")
found["clean-independent"] = int(p > 0.05), 1
claim("survey-clean-y0", y0_enough.sum())
claim("survey-clean-rest", rest_enough.sum())
claim("survey-clean", both_enough.sum())

# %% [markdown]
# No sign of dependence.
# (That is no proof that there is none: a weak one could be missed with this number of models.)
# So "does it work like seed 0?" is not one question, and every count from here on is split: y0, and y1 to y7.
#
# ### Three kinds of y0
#
# - **In place**: y0 stays right under mean ablation, when attention always writes its mean. It reads the token at its own position, and needs no word from attention.
# - **Looks**: not in place, and reversal is enough. It can look at its source and go by what it sees.
# - **Looks away**: what is left over. It needs attention, and looking at the source is not enough. In seed 0 the reason is that *how much* y0 looks carries a part of the message (its query does). Is that the reason in all of these? We ask below.

# %%
kinds_of_y0 = survey.y0_of(exact)
in_place = kinds_of_y0["in place"]
counts = {name: tally(m) for name, m in kinds_of_y0.items()}
figure = figures.shares(counts, "Three kinds of y0")
show(figure, "survey-kinds-of-y0")
count("y0-in-place", in_place, "in place")
for name in ("looks", "looks away"):
    print(f"{name}:", of(kinds_of_y0[name]))
claim("survey-y0-in-place", in_place.sum())
claim("survey-y0-looks-away", kinds_of_y0["looks away"].sum())

# %% [markdown]
# When y0 gives most of its weight to x7, does it rely on what attention tells it?
# One should think so.

# %%
weight = survey.values(exact, "weight")[:, 0]
looks = weight > 0.5
count("looks-relies", ~in_place[looks], "of those with x7 above half, rely")
k, n = int((~in_place[~looks]).sum()), int((~looks).sum())
print("of the others:", k_of_n(k, n))
strips = {name: weight[m] for name, m in kinds_of_y0.items()}
title = "How much y0 looks at x7, one dot a model"
figure = figures.strips(strips, title=title, y_title="mean weight")
show(figure, "survey-weight-of-y0")

# %% [markdown]
# Nearly: a few give x7 most of their weight and do not need to.
# And most of those that do not look rely on attention all the same: the picture of the pattern decides little.
# Where y0 looks away, the weight crowds at none, one, two and three quarters, as it would if y0 looked at that many of the four tokens. In seed 0 it looks at two of them, and a little at a third.
#
# ### By which route does y0 learn its token?
#
# "Looks away" says what fails, not what is so.
# So ask directly.
# x7 can reach y0 in four ways: in attention by the **query** of its position, by its **key** and by its **value**; and past attention, in its own stream (the MLP behind it included), which we call **direct**.
# [04_attention](../04_attention.ipynb) patched them one by one in seed 0.
# Here x7 has one token in some of the four and another in the rest, in all 16 combinations, for all 12 ordered pairs of tokens and 4,096 choices of the other digits, drawn once; and we count how often y0 follows the first.
#
# **Predict:** of the models whose y0 looks away, in what share does the query *alone* decide?

# %%
my_share = ...  # a number from 0 to 1 (or leave it)

# %%
follows = survey.values(exact, "routes")  # [model, 16]: a bit for each route
enough_alone, needed = {}, {}
for bit, route in enumerate(census.ROUTES):
    enough_alone[route] = follows[:, 1 << bit] == 1  # it alone decides, in every trial
    needed[route] = follows[:, 15 - (1 << bit)] < 1  # the other three do not
none_alone = ~torch.stack([*enough_alone.values()]).any(0)
away_only = kinds_of_y0["looks away"]

# %%
compare(my_share, enough_alone["query"][away_only].double().mean())
claim("survey-away-by-query", enough_alone["query"][away_only].sum())
claim("survey-away-direct", enough_alone["direct"][away_only].sum())
print("looks away, and no route alone decides:", of(none_alone[away_only]))
rows = []
for kind, mask in kinds_of_y0.items():
    for what, routes in (("enough alone", enough_alone), ("needed", needed)):
        rows.append([kind, what, *(of(found[mask]) for found in routes.values())])
header = ["y0", "the route is", *census.ROUTES]
plotting.table(rows, header, "By which route y0 learns its token, exact models")

# %%
claim("survey-away-needs-query", needed["query"][away_only].sum())
print("looks away: how often y0 follows x7, in the median model,")
for bit, route in enumerate(census.ROUTES):
    without = follows[away_only, 15 - (1 << bit)].median()
    alone = follows[away_only, 1 << bit].median()
    print(f"  by the {route} alone {alone:.0%}, by all but the {route} {without:.0%}")

# %% [markdown]
# Where y0 looks away, the query is *needed* in nearly all models, as in seed 0: take it away, and the other three routes do not always decide.
# But it is seldom *enough*: alone it decides in few.
# In most, no single route is enough.
# Query and key set how much y0 looks; the value is what it finds, and its own stream is what it has already.
# How these work together was not looked at.
# So "coded by the query" says too much, and "the query takes part" says what is shown.
# The other two kinds are simpler.
# Where y0 looks, the value alone is enough in most; where it is in place, the direct path is.
# ("Enough" means in every trial, and "needed" that the other three fail at least once. The lines under the table say how often they fail.
# In large models such exchanges are often estimated by a gradient, which overlooks some where attention is saturated: [Kramár et al. 2024](https://arxiv.org/abs/2403.00745), *AtP\**.)
#
# ### Where reversal is not enough
#
# At y1 to y7 the source's token is not in the stream; only attention can bring it.
# Where reversal is not enough, an output may look away for one value of its source, as y0 does in seed 0.
# To see whether, and for which, take *all* weight from the source, and give it to the other keys.
# If the answer is still right on every input whose source is, say, 3, then "I see nothing" means 3 at this output.

# %%
n_away = survey.values(exact, "away")[:, 1:]  # [model, y1 to y7, token]
away = n_away == task.N_SEQUENCES // 4
has_one = away.any(2).any(1)
print("a token that needs no weight, at some output:", of(has_one))
print("where reversal is enough for y1 to y7:", of(has_one[rest_enough]))
print("where it is not:                      ", of(has_one[~rest_enough]))
print("most such tokens at one output:", away.sum(2).max().item())
claim("survey-at-most-one-default", away.sum(2).max())

# %% [markdown]
# At most one for each output, and it cannot be more: with the source hidden, the output says the same whatever the source is.
# Most models in which reversal is not enough have one.
# Some of the others have one too, but do not need it: looking works as well.

# %%
by_place = away.double().mean(0)  # [y1 to y7, token]
figure = plotting.heatmap(
    by_place, title="Exact models that need not see this token",
    unit="share", text=True, x=task.TOKEN_NAMES[:4], x_title="source token",
    y=task.OUTPUT_NAMES[1:], y_title="output",
)
show(figure, "survey-defaults")

# %% [markdown]
# ### How far does an accuracy fall?
#
# Counts say how many models stay exact.
# Here is how far the others fall, under four changes.
# (Held at its mean, the pattern is the same on every input. Then an output can no longer look by what it sees.)

# %%
def share_right(name):
    """Share of all tokens that are right under the intervention `name`, by model."""
    return survey.values(exact, name).double().mean(1) / task.N_SEQUENCES


four = {
    "all weight on the source": "ideal",
    "the pattern held at its mean": "frozen",
    "W_out zero": "W_out_zero",
    "W_O zero": "W_O_zero",
}

# %%
from plotly.subplots import make_subplots

figure = make_subplots(
    4, 1, subplot_titles=list(four), shared_xaxes=True, vertical_spacing=0.07
)
for i, name in enumerate(four.values(), 1):
    x, bins = plotting.numbers(share_right(name)), dict(start=0, end=1.02, size=0.02)
    figure.add_histogram(x=x, xbins=bins, showlegend=False, row=i, col=1)
figure.update_traces(marker_color=plotting.NEUTRAL[0]).update_yaxes(title="models")
figure.update_xaxes(title="accuracy, all inputs", row=4, col=1)
figure.update_layout(title="How far the accuracy falls")
show(plotting.sized(figure, 640), "survey-four-falls")

# %%
no_W_out = survey.right(exact, "W_out_zero").all(1)
quarter = (survey.values(exact, "attn_mean")[:, 1:] <= task.N_SEQUENCES // 4).all(1)
severe = share_right("W_O_zero") < share_right("W_out_zero")

# %%
count("frozen", survey.right(exact, "frozen").all(1), "exact, pattern held at its mean")
count("ideal-above-85", share_right("ideal") > 0.85, "above 85 %, weight on source")
print(f"the lowest: {share_right('ideal').min():.1%}")
count("exact-without-neurons", no_W_out, "exact with W_out zero")
count("silent-at-chance", quarter, "mean ablation: a guess at y1 to y7 (it must be)")
count("attention-more-severe", severe, "W_O costs more than W_out")
for part in ("W_out", "W_O"):
    says_bos = survey.values(exact, f"{part}_zero_bos") > 0
    print(f"{part} zero: some output says BOS:", of(says_bos))
claim("survey-exact-without-neurons", no_W_out.sum())

# %% [markdown]
# A few models stay exact with W_out zero: they had an MLP while they were trained, and afterwards need at most its bias.
#
# ## What does attention write?
#
# In seed 0 attention needs to say a single number, the place on the line ([05_mlp](../05_mlp.ipynb)).
# How much must it say in general?
# One must beware of descriptions that cannot fail: a table of what attention writes for each source *and* each own token is right almost by construction, because anything that the model really wrote there leads to the right answer.
# A useful description leaves something out.
# Each of these is run in place of the model.
# In all but the last the token at the output's own place, its **own token**, is taken out of the stream at y1 to y7 (the mean over the four tokens is put there), so that nothing but attention can bring the answer:
#
# - **one direction**: attention's mean at each output, and a place on one line for all outputs;
# - **two directions**: a place in one plane for all outputs;
# - **look or default**: w V + (1 − w) d, the source's value V with its mean weight w, and one default d for all else;
# - **four vectors**: one vector for each source token, shared by y1 to y7, and longer or shorter by output;
# - **a table**: one vector for each output and source, 32 in all;
# - **any own token**: what attention really wrote, but with each of the three other tokens at the own place.
#
# **Predict:** which is the smallest that is enough, at y1 to y7, in nine of ten exact models?

# %%
my_smallest = ...  # the words in bold, for example "two directions" (or leave it)

# %%
DESCRIPTIONS = {
    "one direction": "line_no_own",
    "two directions": "plane_no_own",
    "look or default": "look_no_own",
    "four vectors": "four_no_own",
    "a table": "table_no_own",
    "any own token": "any_own",
}
runs = {name: survey.right(exact, column) for name, column in DESCRIPTIONS.items()}
rest = {name: run[:, 1:].all(1) for name, run in runs.items()}

# %%
counts = {name: tally(m) for name, m in rest.items()}
figure = figures.shares(counts, "Enough at y1 to y7", "share of the exact models")
figure.add_vline(0.9, line=dict(dash="dash", color=plotting.GREY))
show(figure, "survey-descriptions")
enough = [name for name, (k, n) in counts.items() if k / n >= 0.9]
compare(my_smallest, enough[0])

# %%
rows = [[name, of(rest[name]), of(runs[name][:, 0])] for name in DESCRIPTIONS]
rows[-1][2] = "not asked"  # the own token of y0 is its source
claim("survey-plane", rest["two directions"].sum())
claim("survey-line", rest["one direction"].sum())
claim("survey-any-own", rest["any own token"].sum())
with_own = survey.right(exact, "line").all(1)
count("one-direction", with_own, "one direction, all outputs, own token left in")
header = ["description", "enough at y1 to y7", "enough at y0"]
plotting.table(rows, header, "Enough without the own token, of the exact models")

# %% [markdown]
# A plane is enough in nearly all of them; the line of the first direction in little more than half.
# One vector for each output and source is enough in nearly all of them, too: what else attention collected is not needed.
# That is what they have in common at y1 to y7: **attention writes the source as a place in a plane, and the answer can be read off that place.**
# The own token is not needed either; but in one model of five a *wrong* own token breaks an answer.
#
# ### Is another line enough?
#
# The first direction is the one in which attention's output varies *most*.
# That need not be the best one.
# Where it is not enough (all outputs, own token left in), another direction was searched: 300 of them over half a sphere, then around the best, six rounds.
# To find none proves nothing.
#
# And is a line at random enough as well, or a plane at random?
# If they were, to be enough would say little.

# %%
some_line = survey.values(exact, "some_line").bool()
tests_of_lines = {
    "the first direction": with_own,
    "some direction that was found": some_line,
    "a direction at random": survey.right(exact, "random_line").all(1),
    "the first two directions": survey.right(exact, "plane").all(1),
    "a plane at random": survey.right(exact, "random_plane").all(1),
}

# %%
counts = {name: tally(mask) for name, mask in tests_of_lines.items()}
figure = figures.shares(counts, "Enough at all outputs, own token left in")
show(figure, "survey-lines")
more = some_line & ~with_own
claim("survey-some-line", more.sum())
print("another line was found in", of(more[~with_own]), "of the others")

# %% [markdown]
# Where the first direction fails, another one was found in about one model of ten.
# So a line is enough in a few more models than the first direction tells, and most of the others seem to need more.
# And a line at random is enough in hardly any, a plane at random in about one of seven: to be enough does say something.
# ([Schiffman 2026](https://arxiv.org/abs/2602.22600) looks for such subspaces, necessary and sufficient, across seeds of larger models, and finds the same ones again.)
#
# ### Why 1, 3, 0, 2?
#
# Seed 0 sorts the sources 1, 3, 0, 2 on its line.
# Is that order special?
#
# There are 24 orders of four things, and 12 if a line may be read from either end.
# Now rename the digits: 0 becomes 1, 1 becomes 2, 2 becomes 3, and 3 becomes 0.
# Reversing does not care about names, and "add 1" stays "add 1".
# So the renamed task is the same task.
# Over many seeds, training, whose start treats the four digits alike, should make an order and its renamed ones equally often.
# (Nearly: the inputs that are held out are the same for all seeds, and renaming moves them.)
# Such orders are a **family**.

# %%
def family_of(order):
    """All orders that renaming makes of one, each read from its smaller end."""
    renamed = [tuple((t + c) % 4 for t in order) for c in range(4)]
    return frozenset(min(o, o[::-1]) for o in renamed)


families = sorted({family_of(o) for o in permutations(range(4))}, key=sorted)
for family in families:
    print(len(family), "orders:", sorted("".join(map(str, o)) for o in family))

# %% [markdown]
# **Predict:** four families. Within one, the orders should be equally frequent. And *between* them, order for order?

# %%
my_preference = ...  # "yes" or "no" (or leave it)

# %%
from scipy.stats import chisquare

places = survey.values(exact, "places").argsort(-1)  # [model, output, left to right]


def orders_at(output):
    """The order of each model at one output, from its smaller end."""
    found = [tuple(o) for o in places[:, output].tolist()]
    return [min(o, o[::-1]) for o in found]



# %%
at_y1 = orders_at(1)
n_of = {o: at_y1.count(o) for family in families for o in sorted(family)}

# %%
rows, within = [], []
for family in families:
    counts = [n_of[o] for o in sorted(family)]
    within.append(chisquare(counts).pvalue)
    names = " ".join(f"{''.join(map(str, o))}: {n_of[o]}" for o in sorted(family))
    share = k_of_n(sum(counts), len(exact))
    rows.append([names, share, f"{len(family) / 12:.0%}", f"{within[-1]:.2g}"])
sizes = [len(family) for family in families]
totals = [sum(n_of[o] for o in family) for family in families]
between = chisquare(totals, [len(exact) * n / 12 for n in sizes]).pvalue
compare(my_preference, "yes" if between < 0.05 else "no")

# %%
print(f"between families: p = {between:.1g} (chi-squared, against 1 in 12 for each)")
claim("survey-orders-between", between)
claim("survey-orders-within", min(within))
ours = min((1, 3, 0, 2), (2, 0, 3, 1))
of_each = list(zip(*(orders_at(i) for i in range(1, 8))))  # [model][y1 to y7]
everywhere = [set(orders) == {ours} for orders in of_each]
print("seed 0's order at y1:", k_of_n(n_of[ours], len(exact)))
print("at all of y1 to y7:  ", k_of_n(sum(everywhere), len(exact)))
header = ["orders at y1", "exact models", "by chance", "p within"]
plotting.table(rows, header, "Families of orders")

# %% [markdown]
# Within a family no difference is seen, as expected.
# Between them there is a clear one: the family of seed 0 holds half of the models, where a third were to be expected.
# What is special about it?
# Look at its halves, the left two and the right two: in all four orders they are the even digits and the odd ones.
# In the other three families they are neighbours.
# That is the pair that seed 0 knew first, "0 or 2", "1 or 3" ([03_training](../03_training.ipynb)).
# Why training prefers it was not found out.
# (An answer is read again, by the same embedding as the digits. If it were not, sources and answers could be renamed apart, and all twelve orders would be equally frequent.)
#
# So seed 0's order is nothing special: one of four between which no difference is seen, each about twice as frequent as one of the other eight.
#

# %% [markdown]
# ### And what does the logit lens see?

# %%
lens_right, lens_source = share_right("mlp_zero"), share_right("source_before")
figure = figures.strips(
    {"the right answer": lens_right, "the source": lens_source},
    title="Before the MLP the lens reads …", y_title="share of all tokens",
)
show(figure, "survey-lens")
count("lens-below-half", lens_source < 0.5, "the source at under half of the tokens")
count("lens-right-most", lens_right > 0.5, "the right answer at more than half")
print(f"the source, at most: {lens_source.max():.1%}")
claim("survey-lens-source", (lens_source < 0.5).sum())

# %% [markdown]
# ## And models of other kinds?
#
# The models of the four other kinds were measured too, in the quick tests.

# %%
def quick_tests(table):
    """The quick tests on the models of a table: {test: (k, n)}."""
    ideal, plane = survey.right(table, "ideal"), survey.right(table, "plane_no_own")
    masks = {
        "y0 in place": survey.right(table, "attn_mean")[:, 0],
        "reversal is enough for y0": ideal[:, 0],
        "reversal is enough for y1 to y7": ideal[:, 1:].all(1),
        "a plane is enough": plane[:, 1:].all(1),
    }
    return {test: tally(mask) for test, mask in masks.items()}

# %%
of_kind, tested = {}, {}
for name, kind in PLAIN.items():
    measured = perfect[kind] & survey.has(surveys[kind], "ideal")
    tested[kind] = surveys[kind][measured.numpy()]
    of_kind[name] = quick_tests(tested[kind])

# %%
base, rows = of_kind["as in the article"], []
for test in base:
    for name, counts in of_kind.items():
        p = "" if counts is base else f"{survey.chance(*counts[test], *base[test]):.1g}"
        rows.append([test, name, k_of_n(*counts[test]), p])
header = ["test", "kind", "exact models", "p (Fisher)"]
plotting.table(rows, header, "The quick tests, by kind")

# %% [markdown]
# From the library's larger start training fails far more often, but those that succeed are of much the same kinds: no clear difference in four tests. The size of the start decides whether, not how.
# Without layer norm reversal is enough less often, and so is a plane; there the stream has four dimensions, not three.
# Without its MLP a model has y0 in place less often.
#
# Embedding, positions and attention start from the same numbers in two kinds of the same seed, and the batches come in the same order.
# Does a seed's y0 then come out alike, with an MLP and without one?

# %%
other = tested["no_mlp"]
both = sorted(set(exact.index) & set(other.index))
one = survey.values(exact.loc[both], "attn_mean")[:, 0] == task.N_SEQUENCES
two = survey.values(other.loc[both], "attn_mean")[:, 0] == task.N_SEQUENCES
k, n = int((one & two).sum()), int(one.sum())
print("in place without MLP, where in place with one:", k_of_n(k, n))
k2, n2 = int((~one & two).sum()), int((~one).sum())
print("in place without MLP, where not with one:     ", k_of_n(k2, n2))
print(f"p = {survey.chance(k, n, k2, n2):.2g} (Fisher's exact test)")

# %% [markdown]
# No sign of it.

# %% [markdown]
# ## What was expected, and what came out
#
# Pale bars are what was expected, dots what was found.
# The names are those of the file (its words were explained above).
# (One expectation could not be missed, which was seen too late: when attention writes its mean, y1 to y7 *must* guess.)

# %%
known = [e for e in expected if e["id"] in found and found[e["id"]][1] > 1]
show(figures.expected(known, found), "survey-expected")

# %%
rows = survey.compared(expected, found)  # with the one that is a yes or no
claim("survey-expected", sum(row[-1] == "✓" for row in rows))
header = ["expected", "range", "found", ""]
plotting.table([row for row in rows if row[-1] == "✗"], header, "Missed")

# %% [markdown]
# The questions that were asked later (other lines, the routes of y0, orders) had expectations of their own, again written before.

# %%
file = WEIGHTS / "decided_predictions.toml"
later = tomllib.loads(file.read_text(encoding="utf-8"))["prediction"]
masks = {
    "some-line": some_line[~with_own],
    "random-line": tests_of_lines["a direction at random"],
    "random-plane": tests_of_lines["a plane at random"],
    "y0-query": enough_alone["query"][away_only],
    "y0-direct": enough_alone["direct"][away_only],
    "order-of-seed-0": torch.tensor([order == ours for order in at_y1]),
}
found_later = {name: tally(mask) for name, mask in masks.items()}
plotting.table(survey.compared(later, found_later), header, "Later expectations")

# %% [markdown]
# ## What was shown, and what was not
#
# - In **nearly all** exact models one description is enough at y1 to y7: attention writes the source as a place in a plane, and the answer can be read off it.
# - **Not shown**: that there is no line where none was found; how those y0 work that no route alone decides; anything about other recipes, tasks or larger models.
# - **Left over**: models whose y1 to y7 need more than a plane, or notice the own token.

# %% [markdown]
# ## What you have
#
# - You have set predictions, written before, beside what came out.
# - You have split "does it work like this?" into questions that can be answered one by one.
# - You have run descriptions in place of what attention writes, and found the smallest that is enough.
# - You have asked by which route y0 is told, and why it is the order 1, 3, 0, 2.
#
# **Answer:** in nearly all exact models a place in a plane for the source is enough at y1 to y7, in fewer than half a line is; what differs is how the answer is read off it.
# Next: [what the MLP of each of them is for: beyond/mechanisms](mechanisms.ipynb).
