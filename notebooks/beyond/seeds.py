# %% [markdown]
# # Beyond: a thousand seeds
#
# The six notebooks open one model, seed 0.
# At their end stands a table of a thousand others; here is where it comes from.
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
# - run descriptions in place of a thousand models, and look for the smallest that is enough;
# - decide for each model whether a constant could replace its MLP, and draw two of them;
# - ask by which route y0 is told, and why it is the order 1, 3, 0, 2;
# - see whether the training curve tells the mechanism before the weights are opened.
#
# **Time:** about 175 minutes.
# **You should know:** [04_attention](../04_attention.ipynb), [05_mlp](../05_mlp.ipynb) and [06_ablation](../06_ablation.ipynb).
# **Next:** [what did not fit: beyond/more](more.ipynb).
#
# Run the cells from the top: click the first, then Shift+Enter, or *Run > Run All Cells*.

# %% [markdown] tags=["badge"]
# [How to open this notebook](../../README.md)

# %% tags=["setup"]
# Where the series is at hand, as in JupyterLab, this cell does nothing.
import importlib.util, sys

sys.path[:0] = ["..", "../.."]
if not importlib.util.find_spec("helpers"):
    raise SystemExit("Open this notebook in a copy of the series: README says how.")
from helpers import colab

added = colab.install_missing()

# %%
from itertools import permutations

import torch

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
# We collect what is measured under the same names, and compare at the end.
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
import plotly.graph_objects as go
from scipy.stats import binomtest


def interval(k, n):
    """The share k / n, and how far its 95 % interval reaches above and below it."""
    share, ends = k / n, binomtest(k, n).proportion_ci(0.95, method="exact")
    return share, ends.high - share, share - ends.low

# %%
def shares(counts, title, x_title="share of the models"):
    """Shares {name: (k, n)} with their 95 % intervals, from top to bottom."""
    rows = plotting.numbers([interval(k, n) for k, n in counts.values()])
    x, up, down = map(list, zip(*rows))
    figure = go.Figure().add_scatter(
        x=x, y=list(counts), mode="markers", marker=dict(size=10, color=plotting.BLUE),
        error_x=dict(type="data", symmetric=False, array=up, arrayminus=down),
        error_x_color=plotting.NEUTRAL[1],
    )
    figure.update_layout(title=title).update_yaxes(autorange="reversed")
    figure.update_xaxes(range=[-0.02, 1.02], title=x_title)
    return plotting.sized(figure, 130 + 34 * len(counts))

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
figure = shares(counts, "Exact models, by kind")
show(figure, "survey-exact-by-kind")

# %%
from scipy.stats import fisher_exact


def chance(a, n_a, b, n_b):
    """How likely so large a difference is by chance: Fisher's exact test."""
    return fisher_exact([[a, n_a - a], [b, n_b - b]]).pvalue

# %%
ids = ["exact", "exact-default-init", "exact-no-mlp", "exact-no-layernorm"]
for name, kind in zip([*ids, "exact-neither"], PLAIN.values()):
    count(name, perfect[kind])
for name in ("library's start", "without MLP", "without both"):
    p = chance(*counts["as in the article"], *counts[name])
    print(f"as in the article against {name}: p = {p:.1g} (Fisher's exact test)")

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
p = chance(a, rest_enough.sum().item(), b, (~rest_enough).sum().item())
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
figure = shares(counts, "Three kinds of y0")
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
figure = shares(counts, "Enough at y1 to y7", x_title="share of the exact models")
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
figure = shares(counts, "Enough at all outputs, own token left in")
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
# ## What is the MLP for?
#
# In seed 0 the MLP's mean can replace the MLP: at y1 to y7 on every input, and at y0 on 98 % of them.
# Is that so in others? And if the mean fails: will another constant do?
# ([Li & Janson 2024](https://arxiv.org/abs/2409.09951), *Optimal ablation*, argue that this is the fairer question.)
#
# To search one and not to find it would prove nothing.
# But it can be *decided*.
# Behind a constant stand only the last layer norm and the unembedding, so a constant is a point in three dimensions (the norm takes the mean of the four numbers away), and each input asks something of it: that its right logit be the highest.
# Take a cube of such points.
# If the middle of the cube does for every input, a constant exists.
# If a single input is wrong in the middle by more than the difference of two logits can change within the cube, none of its points will do, and the cube is out.
# Otherwise cut it into eight, and ask again.
# (Far away there is nothing to find: [research/constants.py](../../research/constants.py) says why, and so how large the first cube must be. Floats decide here; for a sample of models a test does the same with numbers that carry their rounding errors along, the balls of [beyond/proof](proof.ipynb).)
#
# **Predict:** with its mean one model in seven keeps y1 to y7. With *some* constants, what share?

# %%
my_share = ...  # a number from 0 to 1 (or leave it)

# %%
verdict = survey.values(exact, "mlp_constant")  # 1: there is one; 0: there is none
print("undecided:", (verdict == -1).sum().item(), "of", verdict.numel(), "outputs")
claim("survey-constants-undecided", (verdict == -1).sum())
with_mean = survey.right(exact, "mlp_mean")[:, 1:]
with_best = verdict[:, 1:] == 1

# %%
both = {"the mean": with_mean.sum(1), "some constant": with_best.sum(1)}
figure = plotting.bars(
    {name: n.bincount(minlength=8).tolist() for name, n in both.items()},
    title="At how many of y1 to y7 will a constant do?", x=list("01234567"),
    x_title="outputs that stay right", y_title="exact models",
)
show(figure, "survey-constants")
compare(my_share, with_best.all(1).double().mean())

# %%
mean_all, best_all = survey.right(exact, "mlp_mean"), verdict == 1
count("constant-mlp", mean_all.all(1), "exact with the MLP's mean")
print("exact with some constants:    ", of(best_all.all(1)))
for of_what in ("own", "source"):
    by_token = survey.right(exact, f"mlp_by_{of_what}")[:, 1:].all(1)
    print(f"y1 to y7 with a mean by {of_what} token:", of(by_token))
print("y1 to y7 with the mean:       ", of(with_mean.all(1)))
print("y1 to y7 with some constant:  ", of(with_best.all(1)))
claim("survey-mean-overstates", with_best.all(1).sum() / with_mean.all(1).sum())

# %% [markdown]
# Mean ablation overstates how much a model relies on what its MLP says about the input, and by a lot.
# And what the MLP says, where it must say something, is about the source: a mean for each source token is enough in nearly all, one for each own token is not.
# The distribution has two ends and little between them, so we give names to three sorts:
#
# - **bias**: *replaceable by a constant*. At each of y1 to y7 some constant can stand in for the MLP, as in seed 0, where it lifts lines.
# - **bent**: *needs the input*. At none of them does any constant do. What the MLP writes has to differ between inputs.
# - **mixed**: some outputs are of the one sort, some of the other.
#
# Mind what the first name does not say.
# A constant *could replace* such an MLP; the MLP itself need not write one.
# Two facts, side by side: what could be, and what is.

# %%
replaceable = with_best.all(1)
own_mean = with_mean.all(1)[replaceable]
varies = survey.values(exact, "mlp_varies")[replaceable]
follows_source = survey.values(exact, "mlp_follows")[replaceable]
print("of those in which some constant would do, the own mean does in", of(own_mean))
rows = [
    ["varies with the input, of all that is written", f"{varies.median():.0%}"],
    ["is a mean by source token, of what varies", f"{follows_source.median():.0%}"],
]
claim("survey-mlp-varies", varies.median())
title = "What such an MLP really writes: squared size, in the median model"
plotting.table(rows, ["", "share"], title)

# %% [markdown]
# So in the median of these models, more than two fifths of what the MLP writes (as a squared size) change with the input, and nearly all of that with the source.
# What it writes differs with the source, and need not.

# %%
SORTS = survey.sorts_of(exact)
counts = {name: tally(m) for name, m in SORTS.items()}
figure = shares(counts, "Three sorts of MLP", "share of the exact models")
show(figure, "survey-sorts-of-mlp")
claim("survey-bias", SORTS["bias"].sum())
claim("survey-bent", SORTS["bent"].sum())

# %% [markdown]
# ### How many neurons take part?

# %%
n_silent = survey.values(exact, "silent_neurons")
silent = {name: n_silent[m] for name, m in SORTS.items()}
figure = plotting.bars(
    {k: (n.bincount(minlength=17) / len(n)).tolist() for k, n in silent.items()},
    title="Silent neurons of 16", y_title="share of the sort",
    x=list(map(str, range(17))), x_title="neurons that never fire at an output",
)
figure.update_yaxes(range=[0, 0.25])
show(figure, "survey-silent-neurons")
for name, n in silent.items():
    print(f"{name}: {n.double().mean():.1f} silent in the mean")

# %% [markdown]
# ### Can the sort be read off the weights?
#
# What attention writes when it looks at a token is decided by two matrices alone: $W_V$ makes the value, and $W_O$ writes it into the stream.
# So one can make a table without running the model: for each source, what looking at it adds to the logit of each answer, at each output.
# This is called the **OV circuit** ([Elhage et al. 2021](https://transformer-circuits.pub/2021/framework/index.html)).
#
# Is the +1 in this table?
# Nobody should expect its largest entries to be token + 1.
# A constant in place of the MLP still raises or lowers each logit, for all sources alike: it lifts the lines.
# So what is wrong for all sources alike can be mended.
# What cannot be mended is a *sum*.
# Pair the four sources with the four answers in one of the 24 ways, and add up the four entries: a constant adds the same to all 24 sums, because each of them uses every answer once.
#
# So the test is: **of the 24 ways to pair, has "token + 1" the largest sum?**
# (If attention writes on a line, the largest sum belongs to the pairing in which sources and answers are sorted alike. That is the bowl of [05_mlp](../05_mlp.ipynb), with its rulers.)
#
# <details><summary>Why this is enough, too</summary>
#
# If offsets exist with which token + 1 wins in every row, add the four rows: the sum of token + 1 beats the sum of any other pairing, and the offsets cancel.
# Conversely, to find the pairing with the largest sum is the assignment problem, a linear program.
# The prices of its dual are offsets with which each source's best answer is the one that it is paired with.
# A vector of $d = 4$ numbers less their mean can raise the four logits by any four offsets (less their mean), if the rows of $W_U$ are in general position.
# Two things are left out: the last layer norm divides by a size that depends on the source too, and adds a bias after it has divided.
# And weights are taken as 1: where reversal is not enough, an output looks less.
# So the test is a theorem for a model without the last layer norm, and here a guess that we count.
# </details>

# %%
from helpers.model import attention_writes

w = models.where(perfect["article"]).weights
writes = attention_writes(w)[:, census.KEYS, :4]  # [model, output, source, d_model]
unembed = w["unembed.weight"][:, :4] * w["ln_final.weight"][:, None]
unembed = unembed - unembed.mean(-1, keepdim=True)  # as the last layer norm does
ov = torch.einsum("mosd,mtd->most", writes, unembed)[:, 1:]  # y1 to y7

# %%
ways = list(permutations(range(4)))
sums = torch.stack([ov[..., range(4), way].sum(-1) for way in ways], -1)
is_largest = sums.argmax(-1) == ways.index((1, 2, 3, 0))  # [model, y1 to y7]
names_it = (ov.argmax(-1) == torch.tensor([1, 2, 3, 0])).all(-1)
print(f"token + 1 largest in each row:    {names_it.double().mean():.0%} of outputs")
print(f"token + 1 largest of the 24 sums: {is_largest.double().mean():.0%}")

# %%
groups = {"some constant will do": with_best, "none will": ~with_best}
counts = {name: (int(is_largest[m].sum()), int(m.sum())) for name, m in groups.items()}
title = "Token + 1 has the largest of the 24 sums"
figure = shares(counts, title, "share of the outputs")
show(figure, "survey-best-pairing")
agree = (is_largest == with_best).double().mean()
print(f"the weights tell it rightly at {agree:.0%} of the outputs")
claim("survey-pairing-agrees", agree)

# %% [markdown]
# Read as an argmax, the OV circuit hardly ever shows the +1.
# Read as an assignment, it shows it in nearly all outputs for which a constant will do, and it fails in most of the others.
#
# ### What the sorts look like
#
# [05_mlp](../05_mlp.ipynb) drew four lines over one number.
# Here are two exact models of the zoo over *two* numbers, the place in a plane, and seen from above: the colour says which answer is the highest at each place, at $y_1$.
# The numbers stand where attention writes the four source tokens, and each should stand on the colour of its successor.

# %%
from helpers.model import load_zoo

zoo = load_zoo("article")
COLOURS = plotting.TOKEN_COLOURS
STEPS = [[(t + end) / 5, c] for t, c in enumerate(COLOURS) for end in (0, 1)]
PANELS = {
    "seed 11, its MLP": (11, False),
    "seed 11, a constant": (11, True),
    "seed 1, its MLP": (1, False),
    "seed 1, its MLP's mean": (1, True),
}

# %%
def answers_in_the_plane(opened, constant, output=1, reach=1.6, points=61):
    """(answers [points, points], the sources' places [4, 2], ticks) at an output."""
    _, _, axes = census.along(opened.attn, 2, True, True)
    usual = opened.attn.mean(1, keepdim=True)
    at = census.means((opened.attn - usual) @ axes, census.SOURCE)[output]
    ticks = torch.linspace(-1, 1, points).double() * reach * at.abs().max()
    attn = usual + torch.cartesian_prod(ticks, ticks) @ axes.T
    stream = opened.own.mean(1, keepdim=True).expand_as(attn)
    says = opened.says(attn, stream, constant)[output]
    return says.view(points, points).T, at, ticks

# %%
maps, sorts = {}, []
for name, (i, replaced) in PANELS.items():
    opened = census.Opened(zoo[i])
    verdicts, found_at = constants.constants_for(opened.attn + opened.stream, opened)
    sorts.append(int((verdicts[1:] == 1).sum()))
    constant = torch.from_numpy(found_at)[:, None]
    constant = opened.mlp.mean(1, keepdim=True).where(constant.isnan(), constant)
    maps[name] = answers_in_the_plane(opened, constant if replaced else None)
claim("survey-seed-11-is-bias", sorts[0] == 7)
claim("survey-seed-1-is-bent", sorts[2] == 0)

# %%
import numpy
from scipy.ndimage import distance_transform_edt


def room_for_names(says, at, ticks):
    """(token, row, column) for each answer: where there is most room for its name."""
    across, up = (ticks - at[:, :1]) ** 2 / 25, (ticks - at[:, 1:]) ** 2 / 5
    far = across[:, None] + up[:, :, None] > (ticks[1] - ticks[0]) ** 2 * 9
    for token in says.unique().tolist():  # a name is wide: a row is worth three columns
        room = numpy.pad((says == token) & far.all(0), 1)
        depth = distance_transform_edt(room, sampling=(3, 1))[1:-1, 1:-1]
        yield token, *numpy.unravel_index(depth.argmax(), depth.shape)

# %%
def draw_plane(figure, says, at, ticks, **where):
    """The answer at each place, and the sources' places, in one panel of a figure."""
    t, (x, y) = plotting.numbers(ticks, 2), plotting.numbers(at.T)
    figure.add_heatmap(
        z=says.tolist(), x=t, y=t, zmin=0, zmax=4, colorscale=STEPS,
        showscale=False, opacity=0.75, **where,
    )
    figure.add_scatter(
        x=x, y=y, mode="markers+text", text=list("0123"), showlegend=False,
        textfont=dict(size=15, color="#fff"), marker=dict(size=24, color="#222"),
        **where,
    )

# %%
def name_answers(figure, says, at, ticks, **where):
    """The names of the answers, in the same panel."""
    t, ink = plotting.numbers(ticks, 2), dict(color="#000")
    for token, row, column in room_for_names(says, at, ticks):
        text = f"says {task.TOKEN_NAMES[token]}"
        figure.add_annotation(
            x=t[column], y=t[row], text=text, showarrow=False, font=ink, **where
        )

# %%
figure = make_subplots(2, 2, subplot_titles=list(PANELS), vertical_spacing=0.12)
for i, panel in enumerate(maps.values()):
    draw_plane(figure, *panel, row=i // 2 + 1, col=i % 2 + 1)
    name_answers(figure, *panel, row=i // 2 + 1, col=i % 2 + 1)
for name, colour in zip(task.TOKEN_NAMES, COLOURS):
    sign = dict(size=12, symbol="square", color=colour)
    figure.add_scatter(
        x=[None], y=[None], mode="markers", name=f"says {name}", marker=sign
    )
figure.update_layout(title="The answer at each place, at y1")
show(plotting.sized(figure, 760), "survey-two-planes")

# %% [markdown]
# In seed 11, of the sort *bias*, four **regions** meet like slices, and a constant can shift them.
# In seed 1, of the sort *bent*, the MLP bends the boundary of a region around a source; with a constant, here its mean, the boundaries cannot do that, and no constant gives every source its region.
#
# ## How do the answers go together?
#
# Two of the tests describe y1 to y7: what attention needs (a line, a plane, or more), and whether a constant could replace the MLP.

# %%
NEEDS = survey.needs_of(exact)
cells = [[(a & b).sum().item() for b in SORTS.values()] for a in NEEDS.values()]
figure = plotting.heatmap(
    torch.tensor(cells).double() / len(exact), title="Exact models by two tests",
    x=list(SORTS), x_title="sort of MLP", y=list(NEEDS), y_title="attention needs",
    unit="share", text=True, top=0.5,
)
show(figure, "survey-two-tests")
rows = [[a, *(of(NEEDS[a] & m) for m in SORTS.values())] for a in NEEDS]
claim("survey-line-and-bias", cells[0][0])
header = ["attention needs", *SORTS]
plotting.table(rows, header, "The same with intervals, by the sort of MLP")

# %% [markdown]
# So what does the reduced model of [06_ablation](../06_ablation.ipynb) tell of the others?
# It leaves attention one number and the MLP a constant at each output.
# Run it, with whatever constant will do in place of the mean, and without the own token at y1 to y7:

# %%
asked = survey.has(exact, "line_constant")  # where a line is enough at y1 to y7
decided = torch.full((len(exact), 8), -1)
decided[asked] = survey.values(exact[asked.numpy()], "line_constant").to(decided)
print("undecided:", (decided[asked] == -1).sum().item())
story = (decided == 1).all(1)
strict = survey.right(exact, "line_mean").all(1)
count("seed-0-circuit", strict, "a line and the MLP's mean")
print("a line and some constants:", of(story))
claim("survey-story", story.sum())

# %% [markdown]
# (Where a line fails at y1 to y7 even with the whole MLP, this was not asked.)
# So the *reduced model* of seed 0, with whatever constants, is enough in about one exact model in four.
# And the others? Each model stands in one row:

# %%
line, plane, more = NEEDS.values()
but_y0 = (decided[:, 1:] == 1).all(1) & ~story
parts = {
    "a line and a constant, as in seed 0": story,
    "the same at y1 to y7, and not at y0": but_y0,
    "a line, and somewhere no constant will do": line & ~story & ~but_y0,
    "a plane, and a constant (each tested alone)": plane & SORTS["bias"],
    "a plane, and somewhere no constant will do": plane & ~SORTS["bias"],
    "more than a plane": more,
}

# %%
claim("survey-parts", sum(m.int() for m in parts.values()).eq(1).sum())
rows = [[name, of(mask)] for name, mask in parts.items()]
header = ["what was tested", "exact models"]
plotting.table(rows, header, "Where the exact models stand")

# %% [markdown]
# With a line, some constant is enough in more models than the table of two tests counts: there it stands against all that attention writes and against the own token, here both are taken out first.
# (For the plane the two were not run together.)

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
# ## Does training tell the mechanism?
#
# In [03_training](../03_training.ipynb) seed 0 rested on several plateaus.
# On an early one it found a token the more often, the more often it stood in the input.
# Do the 32 seeds of the zoo pass through this, too?
# Each is trained up to the step at which y1 to y7 come above 35 %, and run on all inputs:

# %%
from helpers.evaluation import right
from helpers.training import train

_, history = train("article", range(32), max_steps=130)
y1_to_y7 = history["accuracy"][..., 1:].mean(-1)  # [step, model]
smooth = y1_to_y7.unfold(0, 15, 1).mean(-1)  # over 15 steps, as in 03
first_steps = (smooth > 0.35).int().argmax(0) + 7  # the middle of the 15
inputs = task.all_inputs()
often = (inputs[:, None] == inputs.flip(1)[..., None]).sum(-1)[:, 1:]  # [input, 7]

# %% tags=["nbval-ignore-output"]
found_by = torch.zeros(32, 5)  # accuracy of y1 to y7, by how often the source is there
for seed, steps in enumerate(tqdm(first_steps.tolist(), file=sys.stdout, ncols=88)):
    young, _ = train("article", [seed], max_steps=steps)
    hit = right(young)[0][:, 1:].double()
    for n in range(1, 6):
        found_by[seed, n - 1] = hit[often == n].mean()

# %%
groups = dict(zip(["once", "twice", "3 times", "4 times", "5 times"], found_by.T))
figure = figures.strips(
    groups, title="By how often the source token stands there",
    y_title="accuracy of y1 to y7", reference={"a guess": 0.25},
)
show(figure, "survey-which-before-where")
rises = (found_by.diff(dim=1)[:, :3] > 0).all(1)
print("from once to four times it rises:", of(rises))
print("once: less than a guess:", of(found_by[:, 0] < 0.25))
claim("survey-which-before-where", rises.sum())

# %% [markdown]
# All 32 know *which* tokens are frequent before they know where.
#
# The next plateau is near one half, because the model knows each answer up to a pair.
# In seed 0 the pairs were the two halves of the final line ([05_mlp](../05_mlp.ipynb)).
# Is it so in general?
#
# For each exact model we took the step at which the accuracy of y1 to y7 came to one half, trained it again up to there, and asked each output: for which two source tokens do you give the same answer?
# An output *knows a pair* if it tells one pair of tokens from the other, and not the two in it.
# Then we looked at the final model: which two tokens lie left on its line, and which right?
# If these had nothing to do with each other, they would agree for one in three.

# %%
pairs = survey.values(exact, "pairs")[:, 1:]
has_pairs = (pairs >= 0).sum(1)  # how many of y1 to y7 know a pair
some = (has_pairs > 0) & (has_pairs < 4)
known = {"none": has_pairs == 0, "1 to 3": some, "4 to 7": has_pairs >= 4}
counts = {name: tally(m) for name, m in known.items()}
title = "At one half: how many outputs know a pair"
figure = shares(counts, title, "share of the exact models")
show(figure, "survey-know-pairs")

# %%
halves = census.halves(survey.values(exact, "places"))[:, 1:]
agree = {}
for name in ("1 to 3", "4 to 7"):
    knows_one = (pairs >= 0) & known[name][:, None]
    agree[name] = (halves == pairs)[knows_one]
counts = {f"{name} outputs know one": tally(a) for name, a in agree.items()}
figure = shares(counts, "The pair is a half of the final line", "share of the outputs")
figure.add_vline(1 / 3, line=dict(dash="dash", color=plotting.GREY))
show(figure, "survey-pairs-are-halves")
claim("survey-pairs-are-halves", agree["4 to 7"].double().mean())

# %% [markdown]
# (Outputs of one model are not independent, so these intervals are too narrow; the distance from a third is not in doubt.)
# A model that rests at one half already shows one half of its mechanism.
# In nearly half of the models no output knows a pair at that step, and then there is nothing to compare.
#
# ## Does the start decide the kind?
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
        p = "" if counts is base else f"{chance(*counts[test], *base[test]):.1g}"
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
print(f"p = {chance(k, n, k2, n2):.2g} (Fisher's exact test)")

# %% [markdown]
# No sign of it.
#
# ### The start, or the order of the batches?
#
# A seed draws two things: the numbers that a model starts from, and the order of its batches.
# To tell them apart, sixteen more starts were trained with sixteen orders each: 256 models of the article's kind, none of them among the 1,024.
# If the start decides what comes out, models in the same row of the square below are alike; if the order does, those in the same column.
# (What was expected, and written down before the first of them was measured: neither decides.)
#
# **Predict:** what decides?

# %%
my_cause = ...  # "start", "order", "both" or "neither" (or leave it)

# %%
crossed = survey.load_survey(crossed=True)
is_exact = survey.right(crossed, "right").all(1)
print("exact:", of(is_exact))
became = survey.y0_of(crossed)
sort = sum(i * mask for i, mask in enumerate(became.values(), 1)).where(is_exact, 0)
square = sort.view(16, 16)  # [start, order]
letters = [["-PLA"[i] for i in row] for row in square]

# %%
figure = plotting.heatmap(
    square, title="What y0 became", x=list(range(16)), x_title="order of the batches",
    y=[f"start {s}" for s in sorted(set(crossed.index))], y_title="",
)
scale = plotting.SEQUENTIAL
texts = plotting.cell_texts(letters, square, zmin=0, zmax=3, colorscale=scale)
figure.update_traces(**texts, showscale=False)
figure = plotting.sized(figure, 520)
show(figure, "survey-square")

# %% [markdown]
# P is *in place*, L *looks*, A *looks away*, and - is not exact.
# Rows and columns differ; could they differ this much by chance?
# Shuffle the models over the square ten thousand times, and count how often rows differ as much.

# %%
starts = torch.tensor(crossed.index.tolist()) - 2000
by = {"start": starts, "order": survey.values(crossed, "order") - 3000}


def p_of_groups(mask, group, draw, times=9_999):
    """How likely the share of `mask` differs so much between groups by chance."""
    member = torch.nn.functional.one_hot(group, 16).double()  # [model, group]
    size = member.sum(0).clamp(min=1)
    mixed = torch.rand(times, len(mask), generator=draw).argsort(1)
    spread = [((m.double() @ member) ** 2 / size).sum(-1) for m in (mask, mask[mixed])]
    return (1 + (spread[1] > spread[0] - 1e-9).sum().item()) / (1 + times)


# %%
enough = survey.right(crossed, "ideal")
of_exact = {
    "y0 in place": became["in place"],
    "reversal is enough for y0": enough[:, 0],
    "reversal is enough for y1 to y7": enough[:, 1:].all(1),
    "a line is enough": survey.needs_of(crossed)["a line"],
}
tests = {"exact": (is_exact, torch.ones_like(is_exact))}  # (mask, of which models)
for test, mask in of_exact.items():
    tests[test] = mask[is_exact], is_exact
replaceable = survey.sorts_of(crossed[is_exact.numpy()])["bias"]
tests["a constant could replace the MLP"] = replaceable, is_exact

# %%
draw = torch.Generator().manual_seed(0)
rows, p_of = [], {cause: {} for cause in by}
for test, (mask, kept) in tests.items():
    for cause, group in by.items():
        p_of[cause][test] = p_of_groups(mask, group[kept], draw)
    rows.append([test, of(mask), *(f"{p[test]:.4f}" for p in p_of.values())])
header = ["test", "models", "p, by start", "p, by order"]
plotting.table(rows, header, "Do rows or columns differ more than by chance?")

# %%
def alike(group):
    """Of pairs of exact models in one group, how many have the same kind of y0."""
    same = (group[:, None] == group) & is_exact & is_exact[:, None]
    pairs = same & ~torch.eye(len(group), dtype=torch.bool)
    return (sort[:, None] == sort)[pairs].double().mean()

# %%
print(f"two with the same start: {alike(by['start']):.0%} have the same kind of y0")
print(f"two with the same order: {alike(by['order']):.0%}")
print(f"any two:                 {alike(torch.zeros(256)):.0%}")
succeeds = is_exact.view(16, 16).sum(1)
print("exact of 16, by start:", succeeds.tolist())
has_a_say = [c for c, p in p_of.items() if len(tests) * min(p.values()) < 0.05]
first = has_a_say[0] if has_a_say else "neither"
compare(my_cause, "both" if len(has_a_say) == 2 else first)
claim("survey-start-decides", p_of["start"]["exact"])
claim("survey-start-decides-y0", p_of["start"]["reversal is enough for y0"])

# %% [markdown]
# The expectation was half wrong.
# The order of the batches decides nothing that these tests can see.
# The start does decide something.
# One start of the sixteen fails with most of its orders; the others hardly ever fail.
# And of the models that succeed, the start has a say in what y0 becomes and in whether a line is enough.
# Two starts settle it almost alone: with them y0 looks in every exact model but one.
# Most leave it open, and over all starts it is a small say: two models with the same start have the same kind of y0 only a little more often than any two.
# For the other tests no difference was seen; with sixteen starts a small one would be missed.
# So for most models neither start nor order decides alone; what they become lies in how the two meet.
#
# ## What was expected, and what came out
#
# The rest of the 25 first:

# %%
pair_kinds = {
    "exact-pairs": "sum_pairs",
    "exact-pairs-attention-only": "sum_pairs_no_mlp",
}
for name, kind in pair_kinds.items():
    count(name, survey.right(survey.load_survey(kind), "right").all(1))
count("proved", survey.values(exact, "cases") >= 0, "proved, as real functions")
cases = survey.values(exact, "cases")
print("cases of the proof, least and most:", cases.min().item(), cases.max().item())
print("median:", cases.median().item(), end=" · ")
longer = cases[~rest_enough].median().item()
print("where reversal is not enough for y1 to y7:", longer)

# %% [markdown]
# Pale bars are what was expected, dots what was found.
# The names are those of the file (its words were explained above).
# (One expectation could not be missed, which was seen too late: when attention writes its mean, y1 to y7 *must* guess.)

# %%
known = [e for e in expected if e["id"] in found and found[e["id"]][1] > 1]
names = [e["id"] for e in known]
measured = {e["id"]: found[e["id"]] for e in known}
figure = shares(measured, "Expected and found", "share")
for e in known:
    low, high = max(e["low"] - 0.004, 0), min(e["high"] + 0.004, 1)
    x, y, line = [low, high], [e["id"]] * 2, dict(width=14, color="#d8c3a5")
    figure.add_scatter(x=x, y=y, mode="lines", line=line, showlegend=False)
figure.data = (*figure.data[1:], figure.data[0])  # the dots on top
figure.update_layout(height=140 + 26 * len(names), showlegend=False)
show(figure, "survey-expected")

# %%
known = [e for e in expected if e["id"] in found]  # with the one that is a yes or no
inside = [e["low"] <= found[e["id"]][0] / found[e["id"]][1] <= e["high"] for e in known]
print(f"{sum(inside)} of {len(known)} within the range")
for e, ok in zip(known, inside):
    if not ok:
        k, n = found[e["id"]]
        wanted = f"expected {e['low']:.0%} to {e['high']:.0%}"
        print(f"  {k / n:6.1%}, {wanted}: {e['says']}")
claim("survey-expected", sum(inside))

# %% [markdown]
# The questions that were asked later (what a constant can do, other lines, the routes of y0, orders, and the proofs of [beyond/proof](proof.ipynb)) had expectations of their own, again written before.
# (One more, `"constant-found-late"`, was about an earlier program that only *searched* for constants, and found none at some outputs that have one. CHANGELOG counts them.)

# %%
file = WEIGHTS / "decided_predictions.toml"
later = tomllib.loads(file.read_text(encoding="utf-8"))["prediction"]
told = survey.has(exact, "story_constant").numpy()
whole = (survey.values(exact[told], "story_constant") == 1).all(1)
masks = {
    "float64": survey.values(exact, "cases_float64") >= 0,
    "float32": survey.values(exact, "cases_float32") >= 0,
    "mechanism": (survey.values(exact[told], "cases_story") >= 0)[whole],
    "constant-left-over": (verdict == -1).flatten(),
}

# %%
masks["some-line"] = some_line[~with_own]
masks["random-line"] = tests_of_lines["a direction at random"]
masks["random-plane"] = tests_of_lines["a plane at random"]
masks["y0-query"] = enough_alone["query"][away_only]
masks["y0-direct"] = enough_alone["direct"][away_only]
masks["order-of-seed-0"] = torch.tensor([order == ours for order in at_y1])

# %%
rows = []
for e in later:
    if e["id"] in masks:
        share = masks[e["id"]].double().mean()
        inside = e["low"] <= share <= e["high"]
        wanted = f"{e['low']:.0%} to {e['high']:.0%}"
        rows.append([e["says"], wanted, of(masks[e["id"]]), "✓" if inside else "✗"])
header = ["expected later", "range", "found", ""]
plotting.table(rows, header, "Later expectations")

# %% [markdown]
# ## How many bits is the explanation?
#
# An explanation should be shorter than what it explains, and both can be counted in bits.
# [Surprise accounting](https://www.alignment.org/blog/formal-verification-heuristic-explanations-and-surprise-accounting/) (Hilton 2024) adds what an explanation costs to what it leaves to chance.
# Everything below gives all the answers, so nothing is left to chance, and only the length counts.
# A number in an explanation costs bits too: how coarsely may it be written?

# %%
def coarse(value, bits):
    """`value` rounded to the nearest of 2**bits steps over its range."""
    top = value.abs().max().clamp(min=1e-9)
    step = 2 * top / (2**bits - 1)
    return ((value + top) / step).round() * step - top


def fewest_bits(is_right):
    """From how many bits a number on, up to 12, nothing is wrong."""
    return max([b for b in range(1, 13) if not is_right(b)], default=0) + 1


# %%
from helpers.evaluation import n_right
from helpers.model import Zoo

seed_0 = zoo[0]


def weights_are_right(bits):
    rough = {name: coarse(value, bits) for name, value in seed_0.weights.items()}
    return n_right(Zoo("article", rough, [0])) == task.N_SEQUENCES

# %%
n_weights = sum(value.numel() for value in seed_0.weights.values())
of_weights = fewest_bits(weights_are_right)
print(n_weights, "weights,", of_weights, "bits each")

# %% [markdown]
# The other end is the reduced model of [06_ablation](../06_ablation.ipynb): attention writes one number, the place on the line, and a constant stands in for the MLP.
# (At y1 to y7 the own token is replaced by its mean as well.)
# *Where* attention looks is left out of this count: the places are listed by source, as if somebody had found the source already.
# This is all that is left of the model then:

# %%
opened = census.Opened(seed_0)
_, _, axis = census.along(opened.attn, 1, True, True)
usual, mlp_mean = (x.mean(1, keepdim=True) for x in (opened.attn, opened.mlp))
places = census.means((opened.attn - usual) @ axis, census.SOURCE)[..., 0]
start = usual + mlp_mean + opened.own.mean(1, keepdim=True)
y0 = usual[0] + mlp_mean[0] + opened.own[0] + places[0, :, None] * axis.T
w = {name: value[0] for name, value in seed_0.weights.items()}

# %%
vectors = {
    "start of y1 to y7": start[1:, 0],
    "direction of the line": axis[:, 0],
    "y0, by source": y0,
    "what reads each token": w["unembed.weight"] * w["ln_final.weight"],
}
circuit = {name: torch.tensor(figures.to_3d(v)) for name, v in vectors.items()}
circuit["place of each source"] = places[1:]
circuit["added to each logit"] = w["unembed.weight"] @ w["ln_final.bias"]
print({name: list(value.shape) for name, value in circuit.items()})

# %%
from helpers.model import LN_EPS


def circuit_is_right(bits):
    start, line, y0, read, place, added = (coarse(p, bits) for p in circuit.values())
    x = torch.cat([y0[None], start[:, None] + place[..., None] * line])
    x = x / (x.pow(2).sum(-1, keepdim=True) / 4 + LN_EPS).sqrt()  # the last layer norm
    says = (x @ read.T + added).argmax(-1)  # [output, source]
    return (says == (torch.arange(4) + 1) % 4).all()

# %%
n_circuit = sum(value.numel() for value in circuit.values())
of_circuit = fewest_bits(circuit_is_right)
lengths = {
    "every answer, in a list": (8 * task.N_SEQUENCES, 2),
    "the model: its weights": (n_weights, of_weights),
    "the circuit: a line and a constant": (n_circuit, of_circuit),
    "an answer for each source and output": (8 * 4, 2),
}
rows = [[name, f"{n:,}", b, f"{n * b:,}"] for name, (n, b) in lengths.items()]
claim("survey-bits", n_circuit * of_circuit / (n_weights * of_weights))
header = ["seed 0", "numbers", "bits each", "bits"]
plotting.table(rows, header, "How long it is, written down")

# %% [markdown]
# The circuit takes a sixth of the bits of the weights.
# (They also say how the source is found, which the circuit leaves out.)
# But the last line is shorter than both: who knows which token decides each output (three more bits each) needs no model at all.
# On a task with so short a rule this kind of counting cannot reward understanding: no account of *how* these weights do it is as short as *what* they do.
# ([AlgZoo](https://www.alignmentforum.org/posts/x8BbjZqooS4LFXS8Z/algzoo-uninterpreted-models-with-fewer-than-1-500-parameters), of the same group, is a collection of models from 8 to 1,408 parameters to try it on.)
# And it is not the whole of surprise accounting, which asks that the explanation be derived from the weights; this one was found by running the model on every input.

# %% [markdown]
# ## A key for a new seed
#
# 1. Is it right on all 65,536 inputs? If not, look at which outputs fail.
# 2. Replace attention's output by its mean. Is y0 still right? **In place.** If not, put all weight on the source: right is **looks**, wrong is **looks away**.
# 3. Does all weight on the source leave y1 to y7 right? Reversal is **enough**; if not, it is **not enough** (three in four of these have a token that needs no weight).
# 4. Take the own token out of the stream at y1 to y7, and of what attention writes keep its mean and the one direction in which it varies most, the same at all outputs. Are y1 to y7 right? **A line.** If not, keep two: **a plane**; if that fails, **more**.
# 5. For each output decide whether some constant could replace the MLP. At all of y1 to y7: **bias**; at none: **bent**; else **mixed**.
#
# `measure` in [research/census.py](../../research/census.py) does the first four, and that in [research/constants.py](../../research/constants.py) the fifth.
# Here it sorts your seeds, and the first one that is not in the survey: it is trained now.

# %%
def kinds_in(table):
    """The kind of each model of a table, in four names."""
    enough = survey.right(table, "ideal")[:, 1:].all(1)
    reversal = {"enough": enough, "not enough": ~enough}
    y0, needs = survey.y0_of(table), survey.needs_of(table)
    tests = y0, reversal, needs, survey.sorts_of(table)
    masks = [item for test in tests for item in test.items()]
    return [tuple(name for name, m in masks if m[i]) for i in range(len(table))]


# %%
new_seed = 1056  # or any other that is not in the survey
fresh, _ = train("article", [new_seed])
again[new_seed] = census.measure(fresh) | constants.measure(fresh)

# %%
import pandas

columns = ("right", "ideal", "attn_mean", "line_no_own", "plane_no_own")
columns = (*columns, "mlp_constant")
yours = {name: [row[name].tolist() for row in again.values()] for name in columns}
yours = pandas.DataFrame(yours, index=list(again))
rows = []
for seed, right_at, words in zip(again, survey.right(yours, "right"), kinds_in(yours)):
    words = words if right_at.all() else ("not exact", "", "", "")
    rows.append([f"seed {seed}", *words])
header = ["model", "y0", "reversal, y1 to y7", "attention needs", "sort of MLP"]
plotting.table(rows, header, "The kinds of your seeds")

# %%
from collections import Counter

all_kinds = Counter(kinds_in(exact))
print(f"{len(all_kinds)} of 54 kinds occur; the eight most common:")
rows = [[*words, k_of_n(k, len(exact))] for words, k in all_kinds.most_common(8)]
header = [*header[1:], "exact models"]
plotting.table(rows, header, "The eight most common kinds")

# %% [markdown]
# ## What was shown, and what was not
#
# - In **nearly all** exact models one description is enough at y1 to y7: attention writes the source as a place in a plane, and the answer can be read off it.
# - The reduced model of [06_ablation](../06_ablation.ipynb), a line and a constant, is enough in about one of four, with whatever constants; the table "Where the exact models stand" has the shares of all.
#   In the others y0 goes its own way, or the places fill a plane, or no constant will do for the MLP, or several of these.
# - **Not shown**: what an MLP that needs the input computes, beyond a function of the place; that there is no line where none was found; how those y0 work that no route alone decides; anything about other recipes, tasks or larger models.
# - **Left over**: models whose y1 to y7 need more than a plane, or notice the own token.

# %% [markdown]
# ## What you have
#
# - You have set predictions, written before, beside what came out.
# - You have split "does it work like this?" into questions that can be answered one by one.
# - You have run descriptions in place of a thousand models, and found the smallest that is enough.
# - You have decided for each model whether a constant could replace its MLP.
# - You have asked by which route y0 is told, and why it is the order 1, 3, 0, 2.
# - You have seen when the training curve tells the mechanism.
#
# **Answer:** a line and constants, the reduced model of seed 0, are enough in about one exact model in four; in nearly all, a place in a plane for the source is enough at y1 to y7, and what differs is how the answer is read off it.
# Next: [what did not fit: beyond/more](more.ipynb).
