# %% [markdown]
# # Beyond: a proof
#
# The six notebooks counted: on every one of 65,536 inputs the model is right.
# With 16 digits there are four billion inputs, with 32 or 64 more than anybody will ever list.
# Can one *know* that a model is right on inputs that it was never shown and never will be?
#
# **You will**
# - bound what attention writes in one case by hand: 4,096 inputs at once;
# - see how arithmetic can carry its own rounding errors;
# - prove every exact one among 32 seeds, count where the others are wrong, and let a second program check a proof;
# - prove the *program* too: rounding included, in whatever order it adds;
# - prove that the picture of [06_ablation](../06_ablation.ipynb), with another constant at y0, is enough: all else that the parts write can be turned down;
# - measure how many tokens are enough for an answer, by the length of its proof;
# - prove models for 16, 32 and 64 digits, or find where they are wrong.
#
# **Time:** about 95 minutes.
# **You should know:** [04_attention](../04_attention.ipynb), and what a fraction is.
# **Before this:** [06_ablation](../06_ablation.ipynb).

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
import plotly.graph_objects as go
import torch

from helpers import plotting, task
from helpers.evaluation import n_right
from helpers.model import Zoo, load_trained, load_zoo
from helpers.page import claim, compare, k_of_n, show
from research import census, constants, counting, proof, survey

torch.set_grad_enabled(False)
torch.set_num_threads(1)  # quicker for tensors as small as these

# %%
model = load_trained()
claim("exact-proof", n_right(model))

# %% [markdown]
# ## Why a proof?
#
# A count needs a list.
# Each digit more makes the list four times as long:

# %%
for length in (8, 16, 32, 64):
    print(f"{length} digits: {4.0**length:.3g} inputs")

# %% [markdown]
# And a count is made in floating point numbers, each of them rounded.
# What is proved first is about something cleaner: the weights are exact numbers, and with the formulas of the model they define a *function of real numbers*.
# Nothing is rounded in that function.
# (The program that you run comes after it.)
# (The program that proves must calculate, too. It keeps account of its own rounding, as we shall see.)
#
# What makes a proof possible is the thing that we want to understand anyway: if only two or three tokens matter to an answer, the others need not be tried one by one.
# So the length of a proof measures how much has been understood.
# [Gross et al. 2024](https://arxiv.org/abs/2406.11779) (*Compact Proofs of Model Performance via Mechanistic Interpretability*) made this a method, with lower bounds on how often a model is right.
# Our model is small enough for more: right on *every* input.
#
# ## One case by hand
#
# Take $y_6$, and fix what should matter: its **source** $x_1 = 1$, and $x_2 = 3$, which decides the token at $y_6$'s own place, $y_5 = 0$.
# The other six inputs are free: 4,096 sequences.
# Here we can still list them, so that we see what we are about to prove.
# The right answer is always 2.

# %%
OUTPUT, FIXED = 6, {1: 1, 2: 3}
inputs = task.all_inputs()
these = inputs[(inputs[:, 1] == 1) & (inputs[:, 2] == 3)]
tokens = task.full_sequences(these)[:, :16]
logits, cache = model.run_with_cache(tokens)
answers = logits[:, 8 + OUTPUT].argmax(-1)
print(f"{len(these):,} sequences, answers {answers.unique().tolist()}")

# %% [markdown]
# What attention writes at $y_6$ differs from sequence to sequence.
# Layer norm takes its mean away, so three numbers of the four are left.
# `prove`, which we open below, chooses the axes: along the first the values spread most.
# Its result for this case is a **box**: a lowest and a highest value along each axis.

# %%
proof_0 = proof.prove(model)  # seed 0, all eight outputs
case = next(n for n in proof_0.tree[OUTPUT].walk() if n.fixed == FIXED)
added = cache["attn_out", 0][:, 8 + OUTPUT] - model.blocks[0].attn.b_O
along = (added - added.mean(1, keepdim=True)) @ torch.tensor(case.axes).T  # [4096, 3]
(left, right), (low, high) = case.box[0], case.box[1]

# %%
figure = go.Figure()
x, y = plotting.numbers(along[:, :2].T)
dots = dict(size=4, opacity=0.4, color=plotting.NEUTRAL[0])
figure.add_scatter(x=x, y=y, mode="markers", marker=dots, name="one sequence")
x, y = plotting.numbers([[left, right, right, left, left], [low, low, high, high, low]])
edge = dict(color=plotting.RED)
figure.add_scatter(x=x, y=y, mode="lines", line=edge, name="the proved box")
figure.update_layout(
    title="What attention adds at y6, when x1 = 1 and x2 = 3", showlegend=True,
    xaxis_title="first axis", yaxis_title="second axis",
)
show(plotting.sized(figure, 400), "attention-writes-at-y1")

# %% [markdown]
# The box fits.
# But it was found *without* the 4,096 dots. How?
#
# ## The largest value of a ratio
#
# Attention writes a weighted mean of what the keys offer: $N / D$, where every key adds (its weight × its value) to $N$ and its weight to $D$.
# What a key adds depends on the token that stands there, and on the token at the query's place, which is fixed here.
# So each free input has four choices, and each choice adds one pair to $(N, D)$: the pair of its own key, plus that of the key where its answer stands, if that comes before $y_6$.

# %%
attention, u = model.blocks[0].attn, torch.tensor(case.axes[0])
stream = model.W_pos[:, None] + model.W_E  # [position, token, d_model]
normed = model.blocks[0].ln1(stream)
q = normed @ attention.W_Q[0] + attention.b_Q[0]
k = normed @ attention.W_K[0] + attention.b_K[0]
v = normed @ attention.W_V[0] + attention.b_V[0]

# %%
def pair(position, token, own=0):
    """What `token` adds at `position`: (along the first axis, weight)."""
    weight = (q[8 + OUTPUT, own] @ k[position, token] / 2).exp()
    return torch.stack([weight * (v[position, token] @ attention.W_O[0] @ u), weight])


fixed = pair(0, task.BOS) + pair(2, 1) + pair(3, 3) + pair(14, 0)  # BOS, x1, x2 and y5
free = {i: torch.stack([pair(i + 1, t) for t in range(4)]) for i in (0, 3, 4, 5, 6, 7)}
for i in range(3, 8):  # y4 is x3 + 1, ..., y0 is x7 + 1: they stand at 13 to 9
    free[i] += torch.stack([pair(16 - i, (t + 1) % 4) for t in range(4)])

# %% [markdown]
# Which choice of six tokens makes $N / D$ largest?
# Trying all is what we want to avoid, and choosing each token alone is wrong: its best choice depends on the ratio of the others.
# The way out is a question that *can* be asked of each token alone.
# Is $N / D$ ever larger than some number $r$?
# That is: is $N - rD$ ever above 0?
# And $N - rD$ is a *sum*, with one part for each free token, so its largest value is the sum of the largest parts.
# (This is an old trick; Dinkelbach 1967.)
# Start with some $r$, take the best tokens, put their ratio in place of $r$, and repeat:

# %%
columns = {i: rows.T for i, rows in free.items()}  # what its four tokens add to N, to D
r, best = -torch.inf, dict.fromkeys(free, 0)
while True:
    N, D = fixed + sum(rows[best[i]] for i, rows in free.items())
    print({f"x{i}": t for i, t in best.items()}, f"N/D = {N / D:.12f}")
    if N / D <= r:
        break
    r = (N / D).item()
    best = {i: (n - r * d).argmax().item() for i, (n, d) in columns.items()}
print(f"largest of the 4,096 listed: {along[:, 0].max():.12f}")
claim("proof-ratio-by-hand", abs(r - along[:, 0].max()))

# %% [markdown]
# A few rounds in place of 4,096.
# The last step makes a proof of it: take an $r$ that is a little larger, and show that $N - rD$ stays below 0 whatever the tokens are.
#
# ## Numbers that know how wrong they are
#
# "Below 0" must survive rounding.
# A **ball** is a number with a radius: the true value is inside, for certain.
# Sums, products, roots and exponentials of balls are balls again, with radii that grow as they must (`arb`, of the library FLINT).

# %%
from flint import arb

third = arb(1) / 3
print("a third:", third.str(20, radius=True))
print("times 3, minus 1:", (third * 3 - 1).str(5, radius=True))
print("exp of a third:", third.exp().str(20, radius=True))
print("is a third below 0.34?", third < 0.34, end=" - ")
print("is 3 times a third above 1?", third * 3 > 1)

# %% [markdown]
# A comparison is true only if it holds for the whole ball.
# The weights are floats, and a float is one exact number (a whole number times a power of two): its radius is 0.
# Now the sum of the largest parts, for an $r$ a billionth larger than ours, and for one a billionth smaller:

# %%
def sum_of_largest(r):
    """The largest N - rD, as a ball."""
    total, r = arb(fixed[0].item()) - r * arb(fixed[1].item()), arb(r)
    for rows in free.values():
        parts = [arb(n) - r * arb(d) for n, d in rows.tolist()]
        largest = parts[0]
        for part in parts[1:]:
            largest = largest.max(part)
        total += largest
    return total

# %%
for step in (1e-9, -1e-9):
    largest = float(sum_of_largest(r + step).mid())
    print(f"{step:+.0e}: N - rD is at most {largest:+.2e}")
proved, refuted = sum_of_largest(r + 1e-9) < 0, sum_of_largest(r - 1e-9) > 0
claim("proof-ratio-in-balls", proved and refuted)
print(f"prove() says {case.box[0, 1]:.12f}")
claim("proof-by-hand-is-the-box", abs(case.box[0, 1] - r))

# %% [markdown]
# So $r + 10^{-9}$ is a bound, and a good one.
# (We took the pairs as floats; `research/proof.py` computes them as balls too, from the weights on.)
#
# **The rest of the model** runs *once for the whole box*: layer norm, MLP, layer norm, unembedding, on balls that cover it.
# A neuron that is on, or off, for the whole box is simple; one that is undecided lies between a line and another above it.
# What comes out is a ball for each **margin**: the right logit minus another one, times the divisor of the last layer norm.
# All above 0: right on 4,096 inputs, proved at once.

# %%
print(f"y6 with x1 = 1, x2 = 3: {case.verdict}")
print(f"the whole model: proved {proof_0.proved}, {proof_0.cases} cases", end=", ")
print(f"wrong {proof_0.wrong}")
claim("proof-beyond-seed-0", proof_0.proved)

# %% [markdown]
# ## Ask when you must
#
# There are 116 cases like this one: 4 for $y_0$, whose source stands at its own place, and 4 × 4 for each other output.
# If every box were good enough, 116 would do.
# (That is the least of *this search*, not of all proofs: it always asks for the token at the output's own place, even where the answer does not depend on it.)
# Where a margin's ball contains 0, nothing is known yet; then the proof asks for one more token, the one that moves the box most: four smaller cases.
# In the end all tokens are asked and the input is computed by itself, so the search always ends, and where a case is *wrong* it is counted.
# The proof of seed 0 as a tree:

# %%
def strips(node, parent="", share=1024):
    """A node and all below it: (id, parent, label, share of the inputs, colour)."""
    name = f"{node.output}{node.fixed}"
    output = "" if parent else f"y{node.output}: "
    label = f"{output}x{node.asks}?" if node.nodes else ""
    colour = {"right": "#dfe7ec", "wrong": plotting.RED}.get(node.verdict, "#b7c4cd")
    if node.nodes and node.box is not None:  # it asks beyond source and own token
        colour = plotting.ORANGE
    yield name, parent, label, share, colour
    for child in node.nodes:
        yield from strips(child, name, share / 4)

# %%
PATTERNS = {plotting.ORANGE: "/", plotting.RED: "x"}
STROKES = dict(fillmode="overlay", fgcolor="#fff", fgopacity=1, size=5, solidity=0.3)


def marked(colours):
    """The colours of the strips, with a pattern where a colour means something."""
    return dict(
        colors=colours, line=dict(width=1, color="#fff"),
        pattern=dict(shape=[PATTERNS.get(c, "") for c in colours], **STROKES),
    )

# %%
def tree(roots, title):
    """Every node below the one that asked; its width is its share of the inputs."""
    rows = [strip for root in roots for strip in strips(root)]
    names, parents, labels, shares, colours = map(list, zip(*rows))
    icicle = go.Icicle(
        ids=names, parents=parents, labels=labels, values=shares,
        marker=marked(colours), branchvalues="total",
        tiling_orientation="v", pathbar_visible=False,
    )
    figure = go.Figure(icicle)
    figure.update_layout(title=title, margin_l=10, margin_r=10, margin_b=10)
    return plotting.sized(figure, 300)

# %%
title = f"The proof of seed 0: {proof_0.cases} cases, y0 on the left to y7"
figure = tree(proof_0.tree, title)
show(figure, "eight-trees")

# %%
def further_tokens(roots):
    """How often an output asked for an input beyond source and own: [output, input]."""
    asked = torch.zeros(8, 8, dtype=torch.long)
    for node in (node for root in roots for node in root.walk()):
        if node.nodes and node.box is not None:
            asked[node.output, node.asks] += 1
    return asked

# %%
asked = further_tokens(proof_0.tree)
for output, place in asked.nonzero().tolist():
    print(f"y{output} asked for x{place}, {asked[output, place]} times")
claim("proof-beyond-cases", proof_0.cases)

# %% [markdown]
# So of seed 0 it is nearly proved that two tokens are enough, and the tree says where this proof needs more.
#
# ## Every seed
#
# Of 32 seeds, 28 are exact: counted in [03_training](../03_training.ipynb).
# **Predict:** how many of them can be proved?
# And for the four others, will the proof count the same wrong tokens as the list?

# %%
predicted_proved = 28

# %%
import sys

from joblib import Parallel, delayed
from tqdm import tqdm


def proofs_of(zoos):
    """A proof of each, two at a time, under a bar."""
    two = Parallel(n_jobs=2, return_as="generator")
    runs = two(delayed(proof.prove)(zoo) for zoo in zoos)
    return list(tqdm(runs, total=len(zoos), file=sys.stdout, ncols=90))

# %% tags=["nbval-ignore-output"]
zoo = load_zoo("article")
proofs = proofs_of([zoo[i] for i in range(32)])

# %%
shares = counting.by_position(zoo)  # quicker than evaluation.by_position
counted = ((1 - shares) * task.N_SEQUENCES).round().long().tolist()
exact = [i for i in range(32) if zoo.exact[i]]
rows = []
for i in range(32):
    if i not in exact:
        row = [proofs[i].cases, f"{sum(proofs[i].wrong):,}", f"{sum(counted[i]):,}"]
        rows.append([f"seed {zoo.seeds[i]}", *row])

# %%
proved = sum(proofs[i].proved for i in exact)
print(f"proved {proved} of {len(exact)} exact seeds (predicted {predicted_proved})")
claim("proof-every-exact-seed", proved)
claim("proof-counts-the-wrong", sum(p.wrong == c for p, c in zip(proofs, counted)))
header = ["not exact", "cases", "wrong tokens, proved", "wrong tokens, listed"]
plotting.table(rows, header, "The seeds that are not exact")

# %%
lengths = torch.tensor([proofs[i].cases for i in exact])
order = lengths.argsort().tolist()
names = [str(zoo.seeds[exact[j]]) for j in order]
figure = plotting.bars(
    lengths[order].tolist(), title="The length of the proof, by seed",
    x=names, x_title="seed", y_title="cases",
    reference={"least of this search: 116": 116},
)
show(figure, "proof-length-by-seed")
claim("proof-shortest", (lengths == 116).sum())
claim("proof-longest", lengths.max())

# %% [markdown]
# All of them, with a few hundred cases at most in place of 65,536.
#
# And what exactly do we know now?
# For each of these models: the function of real numbers that its weights define gives the right token the highest logit, on every input.
# The prover rounds while it calculates, but its balls are as much wider as that makes necessary, so its own rounding is accounted for.
# How the *model* rounds when it is run is another matter.
# We come to it below.
#
# ## What makes a proof long?
#
# **Predict:** take two things that [04_attention](../04_attention.ipynb) measured in one model, the mean weight on the source, and the accuracy when *all* weight is put on the source.
# Will the seeds with more weight on the source have the shorter proofs?

# %%
predicted_sign = "more weight, shorter proof"

# %%
from helpers import interventions

models = zoo.where(zoo.exact)
pattern = interventions.mean_of(models, "pattern")[:, 0]  # [model, output, key]
on_source = torch.stack([pattern[:, i, 8 - i] for i in range(8)], 1).mean(1)
ideal = interventions.intervene(models, {"pattern": interventions.ideal_pattern()})
shown = {
    "mean weight on the source": on_source,
    "accuracy with all weight there": counting.by_position(ideal).mean(1),
}

# %%
figure = go.Figure()
signs = [(plotting.SKY, "circle"), (plotting.RED, "diamond")]
for (name, values), (colour, symbol) in zip(shown.items(), signs):
    dot = dict(size=8, opacity=0.8, color=colour, symbol=symbol)
    x, y = plotting.numbers(values), lengths.tolist()
    figure.add_scatter(x=x, y=y, mode="markers", name=name, marker=dot)
title = "Proof length, one dot for each exact seed and measure"
figure.update_layout(title=title, xaxis_title="share", yaxis_title="cases of the proof")
figure = plotting.sized(figure, 400)
show(figure, "proof-length-and-weight")

# %%
from scipy.stats import spearmanr

ranks = {name: spearmanr(values, lengths).statistic for name, values in shown.items()}
for name, correlation in ranks.items():
    print(f"{name}: rank correlation with the length {correlation:+.2f}")
claim("proof-weight-shortens", ranks["mean weight on the source"])
claim("proof-ideal-shortens", ranks["accuracy with all weight there"])

# %% [markdown]
# A tendency, not a law: a proof can be short though the weight is spread, if what the other tokens do never changes which logit is the highest.
# The length of the proof depends on that; the picture of the pattern does not show it.
#
# Which further token is it?
# Over all exact seeds, how often each output had to ask for an input that is neither its source nor at its own place:

# %%
asked = sum(further_tokens(proofs[i].tree) for i in exact)
figure = plotting.heatmap(
    asked, title="Asked for beyond the source and the own token, 28 seeds",
    x_title="the input asked for", y_title="output", unit="times",
)
show(figure, "further-tokens")
print("by output:", dict(zip(task.OUTPUT_NAMES, asked.sum(1).tolist())))
claim("proof-y0-asks-most", asked.sum(1).argmax() == 0)

# %%
longest = proofs[exact[order[-1]]]
title = f"The longest proof: seed {names[-1]}, {longest.cases} cases"
figure = tree(longest.tree, title)
show(figure, "seed-tree-longest")

# %% [markdown]
# ## Who checks the prover?
#
# A program says "proved".
# It may have a bug.
# But a proof can be written down, the branching and the bounds, and *checking* is simpler than searching.
# `tools/check_proof.py` shares no code with the search: other intervals, another forward pass.

# %%
import json
import subprocess
import tempfile
from pathlib import Path

from helpers.model import WEIGHTS

CHECKER = WEIGHTS.parents[1] / "tools" / "check_proof.py"
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "proof.json"
    proof.save(path, proof_0)
    record = json.loads(path.read_text())

# %%
def check(record):
    """Whether the second program accepts a proof."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "proof.json"
        path.write_text(json.dumps(record))
        command = [sys.executable, CHECKER, path, WEIGHTS / "article.safetensors"]
        done = subprocess.run(command, capture_output=True, text=True)
    print((done.stdout + done.stderr).strip())
    return done.returncode == 0


accepted = check(record)

# %% [markdown]
# And a forged one: the first upper bound of one leaf, lowered by a millionth.

# %%
from copy import deepcopy

forged = deepcopy(record)
leaf = forged["tree"][OUTPUT]
while leaf["nodes"]:
    leaf = leaf["nodes"][0]
leaf["box"][0][1] = (float.fromhex(leaf["box"][0][1]) - 1e-6).hex()
claim("proof-checked-twice", accepted and not check(forged))

# %% [markdown]
# ## And the program that you run?
#
# All this was about a function of real numbers.
# You run a *program*: it rounds after every step, and another processor, or another number of threads, adds in another order.
# Can rounding change an answer?
#
# One can bound how much it changes.
# With floats of 64 bits each +, −, ×, ÷ and each root adds an error of at most one part in $2^{53}$ of its result; with 32 bits, which most programs use, one part in $2^{24}$.
# (For exp we *assume* at most four such parts. There are faster ones that promise less; for them nothing is proved.)
# A sum of $n$ products, here a few, is then off by less than $n + 3$ parts of the sum of their sizes, *in whatever order* it is made ([Higham 2002](https://doi.org/10.1137/1.9780898718027), *Accuracy and Stability of Numerical Algorithms*).
# `research/rounding.py` follows these errors through the whole model, for each case.
# Where a margin stays above 0 with all of them against it, the answer is proved for every program that takes the same steps as ours: softmax takes the largest score away first, layer norm takes the mean away before it squares, and each step rounds as said.
# In which order it adds does not matter.
# (For 32 bits the weights are rounded first, as such a program must.)
#
# **Predict:** of 28 exact seeds, how many are proved for floats of 32 bits?

# %%
my_proved_32 = ...  # a number from 0 to 28 (or leave it)

# %%
def proved(one, **how):
    """The proof of a model, or None where it cannot be found."""
    try:
        return proof.prove(one, **how)
    except ArithmeticError as reason:
        print(f"seed {one.seeds[0]}: {reason}")


for bits, unit in proof.UNITS.items():
    print(f"{bits} bits: seed 0 takes {proof.prove(model, unit).cases} cases")

# %%
in_floats = {}
for bits, unit in proof.UNITS.items():
    found = [proved(zoo[i], unit=unit) for i in exact]
    in_floats[bits] = sum(p is not None and p.proved for p in found)
compare(my_proved_32, in_floats[32])
claim("proof-float64", in_floats[64])
claim("proof-float32", in_floats[32])

# %% [markdown]
# Are the two that could not be proved wrong in 32 bits?
# Here that can be counted, so we count all 28, as 32-bit programs on this machine:

# %%
of_32_bits = {name: value[exact].float() for name, value in zoo.weights.items()}
single = Zoo("article", of_32_bits, [zoo.seeds[i] for i in exact])
claim("proof-float32-counted", (n_right(single) == task.N_SEQUENCES).sum())

# %% [markdown]
# They are right as well, here.
# The bound supposes that all errors are as large as can be and point the same way, and we have not met that.
#
# The second program checks the new bounds as well (but both count the roundings in the same way, by hand):

# %%
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "proof.json"
    proof.save(path, proof.prove(model, proof.UNITS[32]))
    in_32_bits = json.loads(path.read_text())
claim("proof-float32-checked", check(in_32_bits))

# %% [markdown]
# And the 934 exact models of the survey?

# %%
thousand = survey.exact_models()
kinds = {
    "as a function of real numbers": "cases",
    "in 64-bit floats, rounding included": "cases_float64",
    "in 32-bit floats, rounding included": "cases_float32",
}
counts = {says: survey.values(thousand, name) >= 0 for says, name in kinds.items()}
rows = [[says, k_of_n(mask.sum(), len(mask))] for says, mask in counts.items()]

# %%
n_real, n_64, n_32 = (mask.sum() for mask in counts.values())
claim("proof-survey-cases", n_real)
claim("proof-survey-cases-float64", n_64)
claim("proof-survey-cases-float32", n_32)
plotting.table(rows, ["proved right on every input", "exact models"], "Three proofs")

# %% [markdown]
# One more step is easily forgotten.
# The proof gives the model the right tokens before each answer.
# A model that writes its answer alone gets its *own* tokens.
# But if $y_0$ is right, then what $y_1$ sees is the right token, so $y_1$ is right, and so on: by induction it writes all eight as they should be.
#
# ## Right, *because*
#
# "Right on every input" does not say why.
# [06_ablation](../06_ablation.ipynb) had an explanation: one number from attention, and one constant from the MLP, are enough.
# But that was a *second* model, beside the first.
# Perhaps the first is right for another reason?
#
# One number, that is: a place along one line, the same direction at all outputs.
# What attention writes is its mean, such a place, and a rest *beside* the line.
# Turn this rest down, little by little: multiply it by a strength between 0 and 1.
# Do the same with what the MLP writes beside the constant.
# With both strengths at 1 that is the whole model, with both at 0 it is the explanation.
# If every answer stays right for **all** strengths between, then it does not matter how much of the rest is there: the line and the constants carry the answers, with the token at the output's own place, which we leave alone.
#
# A ball with the middle ½ and the radius ½ is [0, 1], so the same search can prove this for all strengths at once.
# (It cuts the strengths into parts where it must.)
#
# One thing first.
# At $y_0$ the MLP's mean will not do: with all that attention writes, about a thousand answers are lost (06).
# Is there *another* constant, one that is right with all of it, and with the line alone?
# A constant is three numbers (layer norm takes the mean of four away), a point in space.
# Far away there can be none, so one large cube holds all candidates; it is cut into smaller ones, and each is decided (in floats, with some room for their errors); `research/constants.py` says how, and [beyond/mechanisms](mechanisms.ipynb) does it for a thousand models.

# %%
opened = census.Opened(zoo[0])
verdicts, story = constants.find_story(opened)
print("a constant that does both, y0 to y7:", verdicts.tolist())

# %% [markdown]
# There is one at each output.
# For $y_1$ to $y_7$ we take the MLP's own mean all the same, as in 06, and for $y_0$ the constant that was found.

# %%
from dataclasses import replace

mean = opened.mlp.mean(1).numpy()  # [output, d_model]
constant = mean.copy()
constant[0] = story.constant[0]
because = proof.prove(zoo[0], story=replace(story, constant=constant))
print(because.cases, "cases")
claim("proof-because", because.proved)

# %% [markdown]
# So here is what we know of seed 0: on every input, each answer is right *because of* one number from attention and one constant, together with the token and the position at its own place, which were left alone: all else that attention and the MLP write can be turned down as far as you like.
# (It is *a* sufficient reason. There may be others.)
#
# Can it fail? With the MLP's own mean at $y_0$ it must:

# %%
with_mean = proved(zoo[0], story=replace(story, constant=mean))
claim("proof-because-can-fail", with_mean is None)

# %% [markdown]
# In the survey, one line is enough for all outputs (own token kept) in 413 models.
# In how many of them is there a constant for each output, right with all of attention and with the line alone, and in how many is the story proved with it?

# %%
line = survey.has(thousand, "story_constant").numpy()
verdict = survey.values(thousand[line], "story_constant")  # [model, output]
whole = (verdict == 1).all(1)
told = survey.values(thousand[line], "cases_story") >= 0
rows = [
    ["a line is enough, at all outputs", k_of_n(line.sum(), len(line))],
    ["… and for each output a constant", k_of_n(whole.sum(), len(line))],
    ["… proved enough at all strengths", k_of_n(told.sum(), len(line))],
]
claim("proof-because-survey", told.sum())
plotting.table(rows, ["own token left in", "exact models"], "A line and constants")

# %%
cases = survey.values(thousand[line], "cases_story")[told]
print("cases, least and most:", cases.min().item(), cases.max().item())
print("no such constant, by output:", (verdict == 0).sum(0).tolist())
print("undecided:", (verdict == -1).sum().item())
failed = thousand[line].index[(whole & ~told).numpy()].tolist()
print("constants, and not proved:", failed)

# %% [markdown]
# Why can a story with good constants not be proved?
# For each of these models, where the search gives up (the strengths of the two rests, attention's first; the input; the output):

# %%
models = survey.load_models()
for seed in failed:
    one = models[models.seeds.index(seed)]
    _, its_story = constants.find_story(census.Opened(one))
    proved(one, story=its_story)

# %% [markdown]
# In nearly all of them both rests are nearly off: there the constant is just right enough, and the bounds are too loose for so little room.
# In a few a rest is half or nearly whole; the constant was chosen for none and for all of attention's rest, and between the two it may fail.
# (That the search gives up does not prove that the story is false.)

# %% [markdown]
# To prove a model right *from its mechanism* is what Gross et al. did for 151 small transformers, and [Wu et al. 2025](https://arxiv.org/abs/2410.07476) for networks that multiply in groups.
# They go further where it counts: their proofs are short *because* they use the explanation.
# Ours are as short without it; what the story adds is the reason, not the length.
# [Somani 2026](https://arxiv.org/abs/2605.24033) proves more kinds of statements, such as that an edge of a circuit is *needed*, of models built for it; and for the step of the ratio there is a sharper tool where only the scores are bounded ([Davoodi & Rezazadeh 2026](https://arxiv.org/abs/2605.10974)).
#
# ## Beyond listing
#
# Now to inputs that cannot be listed.
# The same architecture, a little wider (`d_model` 8 learns long tasks more often than 4), on **16 digits**, trained while you wait.
# It stops, as always, after 50 batches without a wrong token.

# %%
from helpers.model import Kind
from helpers.training import Recipe, train

WIDE = dict(d_model=8, d_head=8, d_mlp=32)
WIDE_16 = Kind(WIDE, length=16, recipe=Recipe(lr=3e-2))
WIDE_32 = Kind(WIDE, length=32, recipe=Recipe(lr=3e-2))

# %%
def learn(kind, seed):
    """One model, trained under a bar: (zoo of one, steps)."""
    with tqdm(file=sys.stdout, ncols=90, desc=f"{kind.length} digits") as bar:

        def advance(step, loss, accuracy):
            bar.update()

        one, history = train(kind, [seed], on_step=advance)
    return one, history["steps"].item()

# %% tags=["nbval-ignore-output"]
trained = {"16 digits": learn(WIDE_16, seed=1), "32 digits": learn(WIDE_32, seed=0)}

# %% [markdown]
# Two more take minutes to find, and are stored: one for **64 digits** (`d_model` 8, about 2,000 numbers; one of three seeds that were tried), and one for 16 without MLP and layer norm.
# They were trained in the same way, the seed and the rate stand in their file.
# Training stopped each of the four after 50 batches, 6,400 random sequences, without one wrong token, while its weights still moved a little.

# %%
import research
from helpers import storage

tensors, note = storage.load(research.WEIGHTS / "long.safetensors")
long = dict(trained)
for name, made in note["models"].items():
    own = {k.split("/")[1]: v for k, v in tensors.items() if k.startswith(f"{name}/")}
    kind = Kind(made["config"], length=made["length"])
    long[name] = Zoo(kind, own, [made["seed"]]), made["steps"]
    print(f"{name}: seed {made['seed']}, rate {made['rate']}, {made['steps']} steps")
PLAIN = "16 digits, no MLP, no norm"

# %% [markdown]
# **Predict:** which of the four are right on *every* input?

# %%
predicted_right = list(long)

# %% tags=["nbval-ignore-output"]
long_proofs = dict(zip(long, proofs_of([one for one, _ in long.values()])))

# %%
rows = []
for name, found in long_proofs.items():
    inputs, steps = f"{4.0 ** len(found.tree):.2g}", long[name][1]
    row = [inputs, steps, found.cases, found.proved, f"{sum(found.wrong):,}"]
    rows.append([name, *row])
header = ["model", "inputs", "training steps", "cases", "proved", "wrong tokens"]
plotting.table(rows, header, "Proofs of models of 16 to 64 digits")

# %%
claim("proof-16-digits", long_proofs["16 digits"].proved)
claim("proof-32-digits", long_proofs["32 digits"].proved)
claim("proof-64-digits", long_proofs["64 digits"].proved)
rare = sum(long_proofs[PLAIN].wrong)
print(f"{rare:,} wrong tokens on {4**16:,} inputs:", end=" ")
print(f"at most one input in {4**16 // rare:,}")
claim("proof-finds-the-rare", rare)

# %% [markdown]
# Three are right on every input, as functions of real numbers; for 64 digits there are more inputs than the square of a billion billion.
# The fourth is **not**, though its training had ended without an error: it is wrong on at most one input in tens of thousands, and only the proof saw it.
# It also says where.
# We take one of the inputs that it calls wrong, and run the model on it:

# %%
plain, _ = long[PLAIN]
nodes = [n for root in long_proofs[PLAIN].tree for n in root.walk()]
node = next(n for n in nodes if n.verdict == "wrong")
x = torch.zeros(1, 16, dtype=torch.long)
x[0, list(node.fixed)] = torch.tensor(list(node.fixed.values()))
sequence = task.full_sequences(x, length=16)
i = node.output
says, wanted = plain(sequence)[0, 0, i].argmax().item(), sequence[0, 17 + i].item()
print(f"{x[0].tolist()}: y{i} should be {wanted}, the model says {says}")
claim("proof-counterexample", says != wanted)

# %% [markdown]
# ## How far?
#
# What does each more digit cost, by listing and by proof?
# Listing is measured up to nine digits and extrapolated beyond (dashed): four times as long for each digit.

# %%
import time


def seconds(function, argument):
    start = time.perf_counter()
    function(argument)
    return time.perf_counter() - start

# %%
listed = {}
for n in (6, 7, 8, 9):
    short, _ = train(Kind(length=n), [0], max_steps=0)  # untrained takes as long
    listed[n] = seconds(counting.n_right, short)
to_prove = {8: seconds(proof.prove, model)}
for n in (16, 32):  # 64 took the time of the bar above
    to_prove[n] = seconds(proof.prove, long[f"{n} digits"][0])
cases = {n: long_proofs[f"{n} digits"].cases for n in (16, 32, 64)}
cases = {8: proof_0.cases, **cases}

# %%
blue, orange, (dark, grey, *_) = plotting.BLUE, plotting.ORANGE, plotting.NEUTRAL
further = {n: listed[9] * 4.0 ** (n - 9) for n in range(9, 65)}
curves = {
    "inputs": ({n: 4.0**n for n in range(6, 65)}, grey, "lines"),
    "cases": (cases, dark, "lines+markers"),
    "seconds, listed": (listed, orange, "markers"),
    "seconds, extrapolated": (further, orange, "lines"),
    "seconds, proved": (to_prove, blue, "lines+markers"),
}

# %% tags=["nbval-ignore-output"]
figure = go.Figure()
for (name, curve), symbol in zip(curves.items(), plotting.SYMBOLS):
    at, colour, mode = curve
    line = dict(color=colour, dash="dash" if "extra" in name else "solid")
    dots = dict(symbol=symbol, size=8)
    x, y = list(at), list(at.values())
    figure.add_scatter(x=x, y=y, name=name, mode=mode, line=line, marker=dots)
figure.update_layout(title="Listing and proving")
figure = plotting.sized(figure, 420)
figure.update_xaxes(title="digits", tickvals=[8, 16, 32, 48, 64])
figure.update_yaxes(title="count, or seconds", type="log", exponentformat="power")
show(figure, "listing-and-proving")

# %%
years = listed[9] * 4.0**23 / (365.25 * 24 * 3600)
least = {n: 4 + 16 * (n - 1) for n in cases}
print("cases:", cases, "the fewest that the search can need:", least)
claim("proof-grows-slowly", cases[64] / cases[8])
claim("proof-list-takes-too-long", years > 10_000)

# %% [markdown]
# The list quadruples with each digit; the shortest proof that this search can find grows by 16 cases.
#
# <details><summary>What makes a model easy to prove, and where it stops</summary>
#
# Tried while this was written, eight seeds of the wide model with 16 digits: stopped after 20 batches without a wrong token in place of 50, the proofs are longer in six of eight seeds (712 cases in place of 512 in the worst), and after 200 batches shorter (412).
# What helps is attention that looks at one place, and training on after the last error sharpens it.
# One lower rate made it worse: with 32 digits and a rate of 0.01 in place of 0.03 the proof of seed 0 took 1,208 cases in place of about 500.
# With 64 digits one seed of three learnt the task in 900 steps, and was proved.
# And some proofs were stopped after a minute on a busy machine, unfinished: one seed of four with 32 digits, three of twelve without MLP and layer norm with 16.
# Such a model is neither proved nor refuted here.
# </details>
#
# ## What is proved, and what is not
#
# - **Proved**: the function of real numbers that these weights define gives the right token the highest logit, at every output, on every input.
#   The prover's own rounding is accounted for.
# - **Proved too**, for the exact models of the article's kind: that a program which takes these steps in floats gives the same answers, in whatever order it adds. In 64 bits for all 934 of the survey, in 32 bits (with the weights rounded to them) for nearly nine in ten.
# - **Proved for seed 0 and for those in the table above**: that a line and constants are enough, with the own token, at all strengths of the rest.
# - **Assumed**: that a program keeps to these steps and its processor to the rules of floats, that its exp is off by at most four parts, and that no rounding was forgotten (both programs count them alike); that FLINT's balls hold what they should, that the code of the search says what it means (for seed 0: that of the search or of the checker), and the processor too.
# - **Not shown**: that the models of 16 to 64 digits are right as programs; *why* training finds such models, or that a larger model could be treated like this.
#   With one layer attention writes a ratio of two sums; a second layer would read ratios.
#
# A short proof shows that two tokens are enough.
# A long one shows that more matter, or only that the bounds are loose.

# %% [markdown]
# ## What you have
#
# - You have bounded what attention writes in one case by hand: 4,096 inputs at once.
# - You have seen balls carry the rounding errors of the arithmetic that proves, through the whole forward pass.
# - You have proved every exact one among 32 seeds, counted where the others are wrong, and had a second program check a proof.
# - You have proved the program too: rounding included, in whatever order it adds.
# - You have proved that the picture, with another constant at y0, is enough at all strengths of the rest.
# - You have measured how many tokens are enough, by the length of a proof.
# - You have proved models for 16, 32 and 64 digits, and found an error that training had not met.
