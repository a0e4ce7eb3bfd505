# %% [markdown]
# # Beyond: do the tools tell the truth?
#
# [04_attention](../04_attention.ipynb) patched routes, [05_mlp](../05_mlp.ipynb) read a lens and split a logit, [06_ablation](../06_ablation.ipynb) silenced parts.
# In a large model one has such tools and nothing else, so nobody can say how often they are wrong.
# Here everything can be listed, so the tools themselves can be put to the test.
#
# **Question:** Which tool finds the route by which a token reaches the answer, and when does it mislead?
#
# **You will**
# - exchange a token in every subset of its routes, and share the answer out among them;
# - see by which routes y0 and the other outputs are told, in 934 exact models;
# - set twenty tools against that truth, each by a rule that was written before;
# - find out where each of them misleads;
# - take one page with you: which tool for which question.
#
# **Time:** about 85 minutes.
# **You should know:** [04_attention](../04_attention.ipynb) to [06_ablation](../06_ablation.ipynb), and the kinds of y0 in [beyond/seeds](seeds.ipynb).
# **Before this:** [beyond/seeds](seeds.ipynb).
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
import numpy as np
import pandas
import torch

from helpers import plotting, task
from helpers.model import load_zoo
from helpers.page import claim, compare, k_of_n, show
from research import WEIGHTS, figures, routes, survey, tools
from research.routes import ROUTES

torch.set_grad_enabled(False)
torch.set_num_threads(1)  # quicker for tensors as small as these

# %% [markdown]
# ## What would the truth be?
#
# x7 can reach y0 by four **routes**: in attention by the **query** of its position, by its **key** and its **value**, and past attention in its own stream, the MLP behind it included (**direct**).
# In a model of one layer there is no fifth.
# So give x7 one token in some of the routes, and another token in the rest.
# With four routes there are 16 ways to do that, and we can try them all: for all 12 ordered pairs of tokens, and with the other digits of 128 inputs, drawn once.
#
# We take seed 0 first.
# In [04_attention](../04_attention.ipynb) its query carried the message.
#
# **Predict:** x7 is given to the *query alone*. How often does y0 follow it?

# %%
my_share = ...  # a number from 0 to 1 (or leave it)

# %%
seed_0 = load_zoo("article")[0]
(follows,), _ = routes.follow(seed_0, 0, tools.TRUTH)
rows = []
for subset, share in enumerate(follows):
    given = [route for bit, route in enumerate(ROUTES) if subset >> bit & 1]
    rows.append([" + ".join(given) or "none", f"{share:.1%}"])
compare(my_share, follows[1])
header = ["x7 is given to", "y0 follows it"]
plotting.table(rows, header, "Seed 0: all subsets of the routes")

# %% [markdown]
# How much of this is the query's, then?
# It depends on what the other routes have got already.
# A fair way to share is old ([Shapley 1953](https://doi.org/10.1515/9781400881970-018)).
# Give the token to one route after the other, and note how much more often y0 follows when this route gets it.
# Do so in all 24 orders; the mean is the route's **Shapley value**.
# The four values always add up to what all routes do together. In an exact model that is 1.

# %%
figure = plotting.bars(
    routes.shapley(follows), x=ROUTES, x_title="route", y_title="Shapley value",
    title="Which route tells y0 of seed 0?",
)  # fmt: skip
show(figure, "tools-seed-0")
claim("tools-seed-0-query", routes.shapley(follows)[0])

# %% [markdown]
# This is the truth that the tools will be judged by: **the route with the largest share is the one to be named**.
# (There are other truths to ask for. A route that has most need not be enough alone, and where two share evenly, naming one is a poor answer. So the models in which no route has more than half stand in a column of their own below.)
#
# ## The table
#
# One command, `python -m research.tools FOLDER`, has done this for the 934 exact models of the survey and for each of their eight outputs, and written beside it what each tool measures there.
# At y1 to y7 the source stands elsewhere, so two routes are left: key and value.

# %%
every, _ = survey.read_table(tools.TABLE, tools.COLUMNS)
ours = every[every["kind"] == "article"].sort_values(["seed", "output"])
exact = survey.exact_models()
n_models = ours.index.nunique()
claim("tools-models", n_models)

# %% [markdown]
# Take any seeds you like: their weights are stored, and all that the table says of them is found again.

# %%
my_seeds = [32, 500, 1055]  # exact ones from 32 to 1055

# %% tags=["nbval-ignore-output"]
import sys

from tqdm import tqdm

models = survey.load_models()
one = {seed: models[models.seeds.index(seed)] for seed in my_seeds}
again = {s: tools.measure(one[s]) for s in tqdm(my_seeds, file=sys.stdout, ncols=88)}

# %%
def same(seed):
    """Does the table, rounded to four decimals, hold what was measured just now?"""
    near, stored = [], ours.loc[[seed]].drop(columns="kind")
    for now in again[seed]:
        for name in now.keys() & set(stored):
            pair = stored.iloc[now["output"]][name], now[name]
            was, found = (torch.as_tensor(x).double() for x in pair)
            near.append(torch.allclose(was, found, rtol=1e-3, atol=1e-3))
    return all(near)


# %%
claim("tools-rows-again", all(same(seed) for seed in my_seeds))

# %% [markdown]
# ## By which route is y0 told?
#
# **Predict:** in what share of the models does *one* route have more than nine tenths?

# %%
my_share = ...  # a number from 0 to 1 (or leave it)

# %%
y0 = ours[ours["output"] == 0]
share = y0[[*ROUTES]].astype(float)
leading, most = share.idxmax(axis=1), share.max(axis=1)


# %%
def of(mask):
    """For how many models of how many, with the 95 % interval."""
    return k_of_n(int(mask.sum()), len(mask))


compare(my_share, (most > 0.9).mean())
print("one route has more than 0.9:", of(most > 0.9))
print("one route has more than 0.5:", of(most > 0.5))
claim("tools-one-route", (most > 0.5).sum())

# %%
kinds_of_y0 = survey.y0_of(exact)
rows = []
for name, mask in (kinds_of_y0 | {"all": torch.ones(n_models) > 0}).items():
    group = leading[mask.numpy()]
    clear = (most > 0.5)[mask.numpy()]
    counts = [int(((group == route) & clear).sum()) for route in ROUTES]
    rows.append([name, *counts, int((~clear).sum())])
header = ["kind of y0", *ROUTES, "none has half"]
plotting.table(rows, header, "Models by the route that has more than half")

# %%
groups = {route: share[route] for route in ROUTES}
figure = figures.strips(
    groups, title="What each route has of y0, one dot a model", y_title="Shapley value",
)  # fmt: skip
show(figure, "tools-shares-of-y0")

# %% [markdown]
# Most models keep to one route, and it is nearly always the one that [beyond/seeds](seeds.ipynb) would expect by its ablations: in place means direct, looks means value, and looks away means query in about seven of ten.
# The key hardly ever leads.
# But "the most" is not "all": look at the dots between 0 and 1.

# %% [markdown]
# Is a route enough, and is it needed?
# A subset is **sufficient** if y0 follows it in every trial, and a route is **necessary** if the others together do not.

# %%
follows = np.array(y0["follows"].tolist())  # [model, subset]
bits = np.array([s.bit_count() for s in range(16)])
enough = np.isclose(follows, 1)
smallest = np.where(enough, bits, 9).min(1)
for size in range(1, 5):
    print(f"smallest sufficient subset has {size}:", of(smallest == size))
needed = np.stack([~enough[:, 15 - (1 << bit)] for bit in range(4)], 1)
for bit, route in enumerate(ROUTES):
    print(f"{route} is necessary:", of(needed[:, bit]))
    print(f"{route} is sufficient:", of(enough[:, 1 << bit]))

# %% [markdown]
# ### And y1 to y7?

# %%
later = ours[ours["output"] > 0]
by_key = later["key"].astype(float).to_numpy().reshape(n_models, 7)


def over_models(right, seeds):
    """A share of outputs, and its 95 % interval from drawing the *models* again."""
    each = pandas.DataFrame(dict(k=right, n=1)).groupby(np.asarray(seeds)).sum()
    k, n = each.to_numpy(float).T
    draws = np.random.default_rng(0).integers(0, len(k), (2000, len(k)))
    low, high = np.quantile(k[draws].sum(1) / n[draws].sum(1), [0.025, 0.975])
    return f"{k.sum() / n.sum():.1%} ({low:.1%} to {high:.1%})"


# %%
print("through the key, in the mean:", f"{by_key.mean():.1%}")
print("the key has more:", over_models((by_key > 0.5).flatten(), later.index))
print("by output, y1 to y7:", np.round(by_key.mean(0), 3).tolist())

# %% [markdown]
# Hardly anything goes through the key; y1 to y7 are told by what is read, nearly all of them.

# %% [markdown]
# ### Is this truth firm?
#
# Three doubts, each with a measurement.
# Are 128 inputs enough? The survey has exchanged x7 on 4,096.
# Is it the logit difference that counts, and not the answer? We can share that out as well.
# And must it be *another token* that stands in the rest? A mean of the four tokens is another choice.

# %%
wide = survey.values(exact, "routes")  # the same on 4,096 inputs
moved = routes.shapley(wide.double()) - torch.tensor(share.to_numpy())
print("largest change of a share:", f"{moved.abs().max():.3f}")
on_more = routes.shapley(wide).argmax(1).numpy()
print("the same route leads:", of(on_more == share.to_numpy().argmax(1)))
for name in ("differs", "from_mean"):
    other = routes.shapley(torch.tensor(y0[name].tolist())).argmax(1).numpy()
    agrees = other == share.to_numpy().argmax(1)
    print(f"{name}: the same route leads:", of(agrees), end=" · ")
    print("where one has half:", of(agrees[most > 0.5]))

# %%
generator = torch.Generator().manual_seed(7)
more = task.full_sequences()[torch.randperm(task.N_SEQUENCES, generator=generator)]
moved = []
for seed in my_seeds:
    for row in again[seed]:
        output = row["output"]
        (on_1024,), _ = routes.follow(one[seed], output, more[:1024])
        difference = routes.shapley(on_1024) - routes.shapley(row["follows"])
        moved.append(difference.abs().max())
print(f"your models, all outputs, 1,024 other inputs: at most {max(moved):.3f} changed")

# %% [markdown]
# ## The tools, and the rule of each
#
# A tool measures; somebody then says what it means.
# To judge a tool, that last step has to be fixed before one looks.
# So each got one rule, in the field's own terms, in a file that was committed before any answer was compared with the truth; in the same file stand 31 expectations.
#
# Three questions are asked:
#
# - **route**: which route tells the output?
# - **y0**: does y0 learn its token through attention, or from its own stream?
# - **mlp**: does the MLP carry information? The survey has *decided* this: no, if some constant can stand in for it on every input; yes, if none can.

# %%
rows = []
for tool in tools.TOOLS.values():
    limit = f"yes above {tool['above']}" if "above" in tool else "the largest is named"
    rows.append([tool["name"], tool["asks"], tool["rule"], limit])
header = ["tool", "question", "what it measures", "rule"]
plotting.table(rows, header, "Twenty tools")

# %% [markdown]
# The effects are mean **logit differences**: the logit of the answer to one token, less that of the answer to another.
# The tools look on 64 inputs that the truth was not made from.
# But truth and patching exchange tokens in the same way, so that they agree is partly built in; this goes for the first three tools, and in part for the four with gradients, which estimate patching.
# The others share nothing with the truth but the model.
#
# Some answers were counted before, for the survey: we only fetch them.

# %%
for name, tool in tools.TOOLS.items():
    if "survey" in tool:
        right = survey.values(exact, tool["survey"])
        ours[name] = (task.N_SEQUENCES - right).flatten().numpy()
ours["mlp_constant"] = survey.values(exact, "mlp_constant").flatten().numpy()
y0, later = ours[ours["output"] == 0], ours[ours["output"] > 0]

# %% [markdown]
# What a tool says is two short rules:

# %%
def says(table, name):
    """What a tool answers, row by row; all rows are of y0, or none is."""
    tool, x, at_y0 = tools.TOOLS[name], table[name], (table["output"] == 0).all()
    if "above" not in tool:
        names = ROUTES if at_y0 else ROUTES[1:3]
        return np.array([names[np.argmax(effects)] for effects in x])
    yes, here = (x > tool["above"]).to_numpy(bool), tool.get("elsewhere", "value")
    other = "key" if here == "value" else "value"
    words = ("attention", "direct") if at_y0 else (here, other)
    return yes if tool["asks"] == "mlp" else np.where(yes, *words)


# %%
def truth(table):
    """The route with the most."""
    return table[[*ROUTES]].astype(float).fillna(0).idxmax(axis=1).to_numpy()


def through_attention(table):
    """Attention or the own stream, by which has more than half of y0."""
    return np.where(table["direct"].astype(float) > 0.5, "direct", "attention")


assert (truth(y0) == leading).all()  # a tool that is given the truth is always right

# %% [markdown]
# ## Which route tells y0?
#
# **Attribution patching** ([Nanda 2023](https://www.neelnanda.io/mechanistic-interpretability/attribution-patching), [Syed et al. 2023](https://arxiv.org/abs/2310.10348)) needs one gradient in place of a run for each part: it takes the logits for straight.
# **Integrated gradients** take the mean gradient on the way between the two inputs ([Hanna et al. 2024](https://arxiv.org/abs/2403.17806): EAP-IG).
# **AtP\*** ([Kramár et al. 2024](https://arxiv.org/abs/2403.00745)) mends one known fault: where softmax is saturated its gradient is nearly zero, so for query and key the pattern is computed anew. (Its second mend, against effects that cancel, is not tried here.)
#
# **Predict:** in the models in which the query has more than half, how often does plain attribution patching name it?

# %%
my_share = ...  # a number from 0 to 1 (or leave it)

# %%
from scipy.stats import binomtest

clear = (y0[[*ROUTES]].astype(float).max(axis=1) > 0.5).to_numpy()
stratum = np.where(clear, truth(y0), "none has half")
STRATA = [*ROUTES, "none has half"]


def short(right):
    """The share that is right, with its 95 % interval (Clopper and Pearson)."""
    ends = binomtest(int(right.sum()), len(right)).proportion_ci(0.95, method="exact")
    return f"{right.mean():.0%} ({ends.low:.0%} to {ends.high:.0%})"


# %%
def by_stratum(right):
    """How often a tool is right, by true route, and over all."""
    each = [right[stratum == name] for name in STRATA]
    return [short(r) for r in [*each, right]]


n_of = [f"{name}, n = {(stratum == name).sum()}" for name in STRATA]


# %%
route_tools = [name for name, t in tools.TOOLS.items() if "above" not in t]
names_right = {name: says(y0, name) == truth(y0) for name in route_tools}
by_gradient = names_right["attribution"]
compare(my_share, by_gradient[stratum == "query"].mean())
rows = [[tools.TOOLS[n]["name"], *by_stratum(r)] for n, r in names_right.items()]
header_of_strata = ["share right", *n_of, f"all, n = {n_models}"]
plotting.table(rows, header_of_strata, "Which route tells y0? By true route")

# %%
def bars(right, title, height=380):
    """For each tool a bar by true route (but the key: it leads in too few models)."""
    heights = {}
    for route in ("query", "value", "direct"):
        heights[route] = [r[stratum == route].mean() for r in right.values()]
    names = [tools.TOOLS[name]["name"].replace("the same, ", "") for name in right]
    names = [name.split(",")[0] for name in names]
    words = dict(x_title="", y_title="share right", title=title)
    return plotting.sized(plotting.bars(heights, x=names, **words), height)


# %%
four = ("denoising", "attribution", "integrated", "mended")
figure = bars({name: names_right[name] for name in four}, "Which route tells y0?")
show(figure, "tools-routes-of-y0")
claim("tools-attribution-query", by_gradient[stratum == "query"].mean())

# %% [markdown]
# Patching is right nearly everywhere. (It exchanges what the truth exchanges, so it should be.)
# Attribution patching fails where the message is in the **query**: there it is wrong in about one model of three.
# A query acts through softmax, and a softmax that has decided has no slope.
# AtP\* mends a good part of that, and integrated gradients mend more.

# %% [markdown]
# Is one tool better than the next, or was it luck?
# Both were tried on the same models, so only those count on which exactly one of the two is right (**McNemar's test**).

# %%
def mcnemar(right, a, b):
    """On how many models only one of two is right, and how likely by chance."""
    only_a, only_b = ((right[x] & ~right[y]).sum() for x, y in ((a, b), (b, a)))
    p = binomtest(int(only_a), max(int(only_a + only_b), 1)).pvalue
    names = [tools.TOOLS[name]["name"] for name in (a, b)]
    return [*names, int(only_a), int(only_b), f"{p:.1g}"]


# %%
order = sorted(route_tools, key=lambda name: -names_right[name].sum())
rows = [mcnemar(names_right, a, b) for a, b in zip(order, order[1:])]
header = ["tool", "the next", "only the first", "only the next", "p"]
plotting.table(rows, header, "From the best to the worst")

# %% [markdown]
# Two pairs of tools have exactly the same numbers.
# Is that a fault? No, it is ours: we could have seen it before.
# With *all ordered pairs* of tokens and a *difference* of two logits, patching the one token into the other is the same experiment as patching the other into the one, with two signs turned.
# So on such symmetric pairs denoising and noising are one tool, and so are the two gradients.

# %%
two = [np.array(y0[name].tolist()) for name in ("denoising", "noising")]
claim("tools-directions-alike", bool(np.allclose(*two, rtol=1e-3, atol=1e-3)))

# %% [markdown]
# They part where the metric is not such a difference.
# Count right answers: **denoising** asks which route is most often *enough alone*, **noising** which is most often *missed* ([Heimersheim & Nanda 2024](https://arxiv.org/abs/2404.15255)).
# (This was asked afterwards, and on the truth's own inputs.)

# %%
alone, missed = follows[:, [1, 2, 4, 8]], 1 - follows[:, [14, 13, 11, 7]]
by_count, rows = {}, []
for words, effect in (("enough", alone), ("missed", missed), ("both", alone + missed)):
    by_count[words] = np.array(ROUTES)[effect.argmax(1)] == truth(y0)
    rows.append([words, *by_stratum(by_count[words])])
only = (by_count["enough"] & ~by_count["missed"]).sum()
other = (by_count["missed"] & ~by_count["enough"]).sum()
print("right only by enough:", only, "· only by missed:", other)
plotting.table(rows, header_of_strata, "Patching, by right answers")

# %% [markdown]
# Both questions together name the right route nearly always, also where none has half.
# That the truth is made of the same counts explains most of it.
#
# ## Attention, or its own stream?
#
# A coarser question, which more tools can answer.
# **Attention weight** says yes where y0 looks at x7. **Value-weighted attention** also asks how long the vector is that is fetched there ([Kobayashi et al. 2020](https://arxiv.org/abs/2004.10102)).
# **Direct logit attribution** compares what attention and the stream add to the logit of the answer; it cannot say for whom the MLP works.
# A **linear probe** asks whether x7 can be read off what attention writes.
#
# **Predict:** which of them is right least often: the weight, the weighted values, direct logit attribution, or the probe?

# %%
my_worst = ...  # "weight", "weighted_values", "norm_frozen" or "probe" (or leave it)

# %%
fine, coarse = through_attention(y0), {}
readers = ["weight", "weight_varies", "weighted_values"]
readers += [name for name, t in tools.TOOLS.items() if t["asks"] == "y0"]
for name in [*readers, *route_tools]:  # the tools of before answer this question too
    coarse[name] = (says(y0, name) == "direct") == (fine == "direct")
worst = min(["weight", "weighted_values", "norm_frozen", "probe"],
            key=lambda name: coarse[name].sum())  # fmt: skip
compare(my_worst, worst)

# %%
rows = [[tools.TOOLS[n]["name"], *by_stratum(r)] for n, r in coarse.items()]
rows.append(["always attention", *by_stratum(fine == "attention")])
plotting.table(rows, header_of_strata, "Attention or its own stream?")
claim("tools-weight-query", coarse["weight"][stratum == "query"].mean())

# %%
read = {name: coarse[name] for name in readers}
figure = bars(read, "Attention, or y0's own stream?", height=500)
show(figure, "tools-attention-or-stream")

# %%
order = sorted(coarse, key=lambda name: -coarse[name].sum())
rows = [mcnemar(coarse, a, b) for a, b in zip(order, order[1:])]
header = ["tool", "the next", "only the first", "only the next", "p"]
plotting.table(rows, header, "From the best to the worst")

# %% [markdown]
# The attention weight is right wherever the message is what is read, and wherever it is in the stream.
# Where it is in the **query** it says "from the own stream" in nearly all models: y0 looks away from x7, and *that* is the message.
# Direct logit attribution has the opposite weakness: it misses the stream in about half of the models.
# What the stream says can reach the logits through the MLP, and what the MLP adds is counted for nobody. (Without an MLP it does better, as we shall see.)
#
# Perhaps one half is the wrong limit for a weight?
# Let each tool have the limit that would have been best, which no reader could know:

# %%
def best_limit(name):
    """The most that a tool could have had right at y0 with some other limit."""
    x, yes = y0[name].to_numpy(float), fine == "attention"
    limits = np.append(np.unique(x), -np.inf)
    right = [((x > limit) == yes).mean() for limit in limits]
    return f"{max(right):.1%} (above {limits[np.argmax(right)]:.3g})"


rows = [[tools.TOOLS[n]["name"], f"{coarse[n].mean():.1%}", best_limit(n)]
        for n in readers]  # fmt: skip
header = ["share right", "with its rule", "with the best limit"]
plotting.table(rows, header, "Limits chosen afterwards")

# %% [markdown]
# With a limit close to zero the weight would be right in nine models of ten: *some* weight on x7 is a better sign than *most* of the weight.
# But no limit brings it to where patching is; and whoever does not know the truth cannot choose it.
#
# ## Key or value, at y1 to y7?
#
# If nearly every output is told by the value, then who always says *value* is nearly always right.
# So look at the outputs that the **key** tells.
# An output is no independent trial, as seven belong to one model: the intervals come from drawing the models again.

# %%
later_right = {}
for name in [*route_tools, *readers[:3]]:
    later_right[name] = says(later, name) == truth(later)
by_which = truth(later)
rows = []
for name, right in later_right.items():
    row = [tools.TOOLS[name]["name"]]
    for mask in (by_which == "key", by_which == "value", by_which != ""):
        row.append(over_models(right[mask], later.index[mask]))
    rows.append(row)
header = ["share right", "key", "value", "all"]
plotting.table(rows, header, "Key or value? By true route, y1 to y7")

# %%
whole = {n: r.reshape(n_models, 7).all(1) for n, r in later_right.items()}
order = sorted(whole, key=lambda name: -whole[name].sum())
rows = [mcnemar(whole, a, b) for a, b in zip(order, order[1:])]
header = ["all of y1 to y7", "the next", "only the first", "only the next", "p"]
plotting.table(rows, header, "From the best to the worst")

# %% [markdown]
# All tools are right at nearly all outputs, because nearly all are told by the value.
# At the few that the key tells they are right less often, value-weighted attention least. (These are 37 outputs, so the intervals are wide.)
# Patching errs there too: the truth counts answers, and patching logits.
#
# ## Does the MLP carry information?
#
# [06_ablation](../06_ablation.ipynb) silenced the MLP in three ways.
# The **best constant** is found by gradient descent ([Li & Janson 2024](https://arxiv.org/abs/2409.09951): *optimal ablation*).
# The **logit lens** reads the stream before the MLP, and the probe asks whether *some* linear map can read the answer there.
#
# **Predict:** how often is zero ablation right about the MLP?

# %%
my_share = ...  # a number from 0 to 1 (or leave it)

# %%
decided = ours[ours["mlp_constant"] >= 0]
carries = (decided["mlp_constant"] == 0).to_numpy()
mlp_tools = [name for name, t in tools.TOOLS.items() if t["asks"] == "mlp"]
mlp_right = {name: says(decided, name) == carries for name in mlp_tools}
compare(my_share, mlp_right["zero"].mean())
print("outputs decided:", len(decided), "of", len(ours))
print("the MLP carries information:", over_models(carries, decided.index))

# %%
rows = []
for name, right in mlp_right.items():
    row = [tools.TOOLS[name]["name"]]
    for mask in (carries, ~carries, carries | True):
        row.append(over_models(right[mask], decided.index[mask]))
    rows.append(row)
header = ["share right", "it carries some", "it carries none", "all"]
plotting.table(rows, header, "Does the MLP carry information? All outputs")

# %%
heights = {
    "it carries some": [r[carries].mean() for r in mlp_right.values()],
    "it carries none": [r[~carries].mean() for r in mlp_right.values()],
}
figure = plotting.bars(
    heights, x=[tools.TOOLS[n]["name"] for n in mlp_tools], x_title="",
    y_title="share right", title="Does the MLP carry information?",
)  # fmt: skip
show(plotting.sized(figure, 500), "tools-of-the-mlp")
claim("tools-zero", mlp_right["zero"].mean())

# %%
at_y0 = (decided["output"] == 0).to_numpy()
for words, mask in (("y0", at_y0), ("y1 to y7", ~at_y0)):
    print(words, end=": ")
    print(", ".join(f"{n} {r[mask].mean():.0%}" for n, r in mlp_right.items()))
per_model = pandas.DataFrame(mlp_right).groupby(decided.index.to_numpy()).all()
whole = {name: per_model[name].to_numpy() for name in mlp_tools}
order = sorted(whole, key=lambda name: -whole[name].sum())
rows = [mcnemar(whole, a, b) for a, b in zip(order, order[1:])]
header = ["right at all outputs", "the next", "only the first", "only the next", "p"]
plotting.table(rows, header, "From the best to the worst")

# %% [markdown]
# Zero and mean ablation are constants themselves: where no constant will do they *must* fail, so they cannot be wrong on that side.
# They are wrong on the other. Where a constant would do, zero breaks something all the same at more than eight outputs of ten, and the mean at more than every second.
# Resampling is wrong nearly as often as zero: an output that varies can break the answer without having told it.
# The best constant comes closest, and it misses some: gradient descent on few inputs does not always find what exists.
# The probe before the MLP finds the answer nearly always, needed or not: what *can be read* there is not what the model *reads*.
#
# ## Other kinds of model
#
# Is all this so for one recipe only?
# 64 exact models of three other kinds were trained again from their seeds: from the library's larger start, without MLP, without layer norm.

# %%
KINDS = {"as in the article": "article", "library's start": "article_default_init",
         "without MLP": "no_mlp", "without layer norm": "no_layernorm"}  # fmt: skip
firsts, rows = {}, []
for words, kind in KINDS.items():
    firsts[words] = every[(every["kind"] == kind) & (every["output"] == 0)]

# %%
for route in ROUTES:
    led = [short(truth(t) == route) for t in firsts.values()]
    rows.append([f"led by the {route}", *led])
for name in [*route_tools, *readers]:
    judge = through_attention if name in readers else truth
    right = [says(t, name) == judge(t) for t in firsts.values()]
    rows.append([tools.TOOLS[name]["name"], *map(short, right)])
plotting.table(rows, ["y0: share right", *firsts], "Other kinds of model")

# %% [markdown]
# Among the tools that name a route the order is the same in each kind; with 64 models the intervals are wide.
# Without layer norm nearly all tools are right nearly always. There y0 is seldom told by the query.
#
# ## How long does a tool take?
#
# On one model, for all eight outputs:

# %% tags=["nbval-ignore-output"]
from time import perf_counter

seconds = {}
all_of_it = {"the truth": lambda *at: routes.follow(*at, tools.TRUTH), **tools.MEASURED}
for name, how in all_of_it.items():
    start = perf_counter()
    for output in range(1 if name in ("norm_frozen", "norm_left_out", "probe") else 8):
        how(one[my_seeds[0]], output)
    seconds[name] = f"{perf_counter() - start:.3f}"
plotting.table([*seconds.items()], ["tool", "seconds"], "Seconds for one model")

# %% [markdown]
# Here the truth costs hardly more than a tool.
# In a large model it does not exist: the number of subsets doubles with every route, and there are thousands of routes.
#
# ## What was expected, and what came out

# %%
import tomllib

file = WEIGHTS / "tools_predictions.toml"
expected = tomllib.loads(file.read_text(encoding="utf-8"))["prediction"]

# %%
by_query = stratum == "query"
found = {name: right.mean() for name, right in (names_right | mlp_right).items()}
found |= {name: coarse[name].mean() for name in readers}
found |= {f"y0-{route}": (leading == route).mean() for route in ROUTES}
found |= {"y0-half": (most > 0.5).mean(), "y0-nine-tenths": (most > 0.9).mean()}
found |= {"attribution-query": names_right["attribution"][by_query].mean()}
found |= {"key-share": by_key.mean(), "key-leads": (by_key > 0.5).mean()}
found |= {"weight-key": later_right["weight"][by_which == "key"].mean()}
found["from-mean"] = agrees.mean()  # the last of the three doubts above

# %%
rows, n_met = [], 0
for e in expected:
    met = e["low"] <= found[e["id"]] <= e["high"]
    n_met += met
    wanted = f"{e['low']:.0%} to {e['high']:.1%}"
    rows.append([e["says"], wanted, f"{found[e['id']]:.1%}", "✓" if met else "✗"])
claim("tools-expected", n_met)
plotting.table(rows, ["expected", "range", "found", ""], "31 expectations")

# %% [markdown]
# More expectations failed than held. The largest misses: gradients did better than expected, the key matters less, and mean and resample ablation did worse.
#
# ## What others found, and what agrees
#
# - [Kramár et al. 2024](https://arxiv.org/abs/2403.00745) say that attribution patching overlooks parts where attention is saturated, and that recomputing the pattern helps. It is so here, and only for the query.
# - [Syed et al. 2023](https://arxiv.org/abs/2310.10348) and [Hanna et al. 2024](https://arxiv.org/abs/2403.17806) find gradients good enough to search with, and integrated ones more faithful. Agrees.
# - [Li & Janson 2024](https://arxiv.org/abs/2409.09951) say that zero, mean and resampled values make a part look more important than it is. Agrees, and strongly.
# - [Jain & Wallace 2019](https://arxiv.org/abs/1902.10186) say that attention is not explanation; [Wiegreffe & Pinter 2019](https://arxiv.org/abs/1908.04626), that it depends on what is asked. Here: as a sign of *what is read*, the weight was right in nearly all models; as a sign that *nothing* comes from attention, it was wrong wherever the query told y0.
# - Other benchmarks: [InterpBench](https://arxiv.org/abs/2407.14494) (Gupta et al. 2024) trains models to have a known circuit; [MIB](https://arxiv.org/abs/2504.13151) (Mueller et al. 2025) measures on language models how well a found circuit stands in for the whole. Here the models were only trained for their task, and the truth is listed; but they are tiny.
#
# ## Which tool for which question
#
# One page to take with you. Its numbers are those of this notebook: 934 models of one layer, one task, one recipe.

# %%
def percent(right):
    return f"{right.mean():.0%}"


last = stratum == "query"
pages = [
    ["Which route?", "patching", names_right["denoising"],
     "attribution patching", names_right["attribution"]],
    ["... where it is the query", "patching", names_right["denoising"][last],
     "attribution patching", names_right["attribution"][last]],
]  # fmt: skip

# %%
pages += [
    ["Attention or stream?", "patching", coarse["denoising"],
     "attention weight", coarse["weight"]],
    ["... where it is the query", "patching", coarse["denoising"][last],
     "attention weight", coarse["weight"][last]],
    ["Does the MLP carry information?", "best constant", mlp_right["best_constant"],
     "zero ablation", mlp_right["zero"]],
]  # fmt: skip
rows = [[q, a, percent(right_a), b, percent(right_b)]
        for q, a, right_a, b, right_b in pages]  # fmt: skip
header = ["question", "take", "right", "rather than", "right"]
plotting.table(rows, header, "Which tool for which question")

# %% [markdown]
# And on a model that nobody can list?
#
# 1. **Exchange something.** Patch, with more than one pair of inputs. If the pairs or the metric are not symmetric, patch in both directions: one asks what is enough, the other what is missed.
# 2. **Search with gradients, decide by patching.** Integrated ones if you can. Do not trust a small gradient at a query or a key: compute the pattern anew.
# 3. **Little weight does not mean no message.** The weight says what is read. It does not say why one looks away.
# 4. **"It breaks" is not "it varies".** Zero, mean and resample say that a part's output is needed. Before you say that it carries information, look for the best constant; if you find one, that settles it, and if you find none, it does not.
# 5. **A probe says what can be read**, not what is read.
# 6. **Fix the rule first**, name the share of cases in which the tool is right where that is known, and say on how many seeds.
#
# ## What was shown, and what was not
#
# - **Shown**, on 934 exact models of one recipe: how often each tool, by one rule fixed before, names the route with the largest Shapley value, and says rightly whether the MLP carries information; for y0 also on 64 models of three other kinds.
# - **Shared**: patching and gradients exchange tokens as the truth does. That they do well is partly built in.
# - **Not shown**: that the shares are the same in deeper models, where routes are many and run through each other; that no other rule would do better: the limits of the table above, or the sizes of effects in place of effects with their sign; a second truth. Where no route has half, "the right one" means little.
#
# ## What you have
#
# - You have exchanged a token in every subset of its routes, and shared the answer out among them.
# - You have seen by which routes y0 and the other outputs are told.
# - You have set twenty tools against that truth, by rules written before.
# - You have found out where each of them misleads.
# - You have one page with you: which tool for which question.
#
# **Answer:** patching finds the route in nearly all models; gradients mislead where the message is in the query, and the attention weight there most of all; and zero ablation says "information" where a constant would do.
