"""helpers.reader.claims and colab: claims hold or raise, and lie where the package lies."""

import re
from importlib.resources import files
from pathlib import Path

import pytest
import torch

from conftest import ROOT, read
from helpers import task as T
from helpers.model import load_zoo
from helpers.reader import colab
from helpers.reader.claims import BOUNDS, FILE, claim, claims
from helpers.survey import exact_models, load_survey


def test_the_claims_are_inside_the_package_and_complete():
    assert FILE == Path(str(files("helpers.reader") / "claims.toml")) and FILE.is_file()
    for name, entry in claims().items():
        assert entry["says"].endswith(".") and entry["seeds"] and entry["inputs"], name
        assert set(entry) & set(BOUNDS), f"{name} has no bound"


def test_a_claim_that_holds_prints_one_short_line(capsys):
    claim("parameters", torch.tensor(360))
    said = capsys.readouterr().out
    assert said == "✓ 360  (parameters)\n"


def test_a_claim_that_does_not_hold_raises_and_an_unknown_one_too():
    with pytest.raises(AssertionError, match="measured 359, must be 360"):
        claim("parameters", 359)
    with pytest.raises(AssertionError):
        claim("xor-linear-fit-is-flat", float("nan"))
    with pytest.raises(KeyError, match="not in claims.toml"):
        claim("no-such-claim", 1)


def test_differences_that_are_only_rounding_look_alike_everywhere(capsys):
    claim("xor-linear-fit-is-flat", 3e-16)
    assert "under 1e-9  (xor" in capsys.readouterr().out


def test_what_is_installed_is_what_the_requirements_ask_for():
    lines = read(ROOT / "requirements.txt").splitlines()
    assert set(colab.WANTED.values()) <= set(lines)
    assert all(spec.startswith(name) for name, spec in colab.WANTED.items())


def test_readme_says_what_the_claims_say():
    """The numbers of its first paragraphs; where one changed, the sentence has to follow."""
    readme = " ".join(read(ROOT / "README.md").split())
    found = {name: entry.get("equals") for name, entry in claims().items()}
    n_zoo, n_more = len(load_zoo().seeds), len(exact_models("article"))
    every = n_zoo + len(load_survey("article"))
    assert n_more == found["survey-exact"]
    line = exact_models().right("line").all(1).sum().item()
    for sentence in (
        f"a transformer of {found['parameters']} parameters",
        f"There are {found['all-sequences']:,} inputs",
        f"Of {every:,} seeds {found['zoo-exact-03'] + n_more} become exact",
        f"Of {n_more} other exact models, a line is enough in {line}, and in "
        f"{found['survey-story']} a line with constants in place of the MLP and the own token;",
        f"counted over {n_zoo} seeds",
    ):
        assert sentence in readme
    assert round(3 * (1 - found["before-mlp-often-right"])) == 1
    assert "without the MLP a third goes wrong" in readme


# ---------------------------------------------------------------- a sentence and its bound

NUMBERS = "no one two three four five six seven eight nine ten eleven twelve thirteen".split()
SHARES = {
    "three quarters": 0.75, "a quarter": 0.25, "nine tenths": 0.9, "a tenth": 0.1, "a half": 0.5,
    "half": 0.5, "twice": 2.0,
}  # fmt: skip
# What a word says of k out of n models.
SOME_OF = {
    "all seeds": lambda k, n: k == n,
    "every": lambda k, n: k == n,
    "most": lambda k, n: n / 2 < k < n,
    "about half": lambda k, n: abs(k / n - 0.5) < 0.1,
    "some": lambda k, n: 0 < k < n / 2,
    "few": lambda k, n: 0 < k < n / 4,
    "fewer": lambda k, n: 0 < k < n,
}


def plain(entry):
    """The sentence of a claim without names such as y0, and without what stands in brackets."""
    return re.sub(r"\b[xy]\d\b|\([^)]*\)", "", entry["says"]).lower()


def number(text):
    return float(text.replace(",", ""))


def numbers_in(says):
    """All whole numbers of a sentence, in digits or in letters."""
    digits = {number(n) for n in re.findall(r"\d[\d,]*\b", says)}
    return digits | {NUMBERS.index(w) for w in re.findall(r"[a-z]+", says) if w in NUMBERS}


def behind(words, says):
    """The numbers that stand right behind one of `words`, a pattern."""
    share = "|".join(SHARES)
    for found in re.findall(rf"\b(?:{words}) ({share}|\d[\d,]*)", says):
        yield SHARES[found] if found in SHARES else number(found)


def wrong_with_count(entry):
    """A count has to be said in numbers, by a word for k of n, or be left open: so many."""
    says, k = plain(entry), entry["equals"]
    models = re.match(r"(\d[\d,]*)(?: exact of \d+)? seeds|(\d+) exact of", entry["seeds"])
    inputs = re.match(r"(\d[\d,]*) inputs", entry["inputs"])
    if re.search(r"\b(how|so) many\b", says) or k in numbers_in(says):
        return None
    if (least := re.search(r"\bmore .*than\D*(\d+)", says)) and number(least[1]) < k:
        return None
    if inputs and k == number(inputs[1]):
        right = re.search(r"\b(every|all)\b", says) and "wrong" not in says
        return None if right else f"{k} is all of them"
    words = [w for w in SOME_OF if re.search(rf"\b{w}\b", says)]
    n = number(models[1] or models[2]) if models else len(T.OUTPUT_NAMES)
    if words and not any(SOME_OF[w](k, n) for w in words):
        return f"{k} of {n:g} is not {words}"
    return None if words or (k == 0 and "never" in says) else f"{k} is not said"


EXTREMES = {1.0: r"\b(every|everywhere|always right|all)\b", 0.0: r"\b(never|always wrong)\b"}


def wrong_with(entry):
    """What the sentence of a claim says otherwise than its bound, or None."""
    says, equals = plain(entry), entry.get("equals")
    if type(equals) is int:
        return wrong_with_count(entry)
    if equals in EXTREMES and type(equals) is float:
        said = {v for v, words in EXTREMES.items() if re.search(words, entry["says"])}
        return None if said == {equals} else f"{equals} is not what it says"
    if equals is not None or "distance" in entry["says"]:
        return None
    low, high = entry.get("at_least"), entry.get("at_most")
    says = says.replace("not much more than", "about")
    for n in behind("more than|at least", says):
        if n != low and (high is None or n != round(1 - high, 9)):  # what costs n leaves 1 - n
            return f"it says at least {n}"
    for n in behind("less than|fewer than|at most", says):
        if n != high:
            return f"it says at most {n}"
    for n in behind("about", says):
        if low is None or high is None or not low < n < high:
            return f"it says about {n}"
    return None


def test_a_sentence_says_what_its_bound_asks():
    wrong = {name: why for name, entry in claims().items() if (why := wrong_with(entry))}
    assert not wrong


@pytest.mark.parametrize(
    "name, old, new",
    [
        ("zoo-clean", "12 of", "13 of"),
        ("neurons-never-fire", "Thirteen", "Twelve"),
        ("none-exact-without-neurons", "No exact seed", "Every exact seed"),
        ("no-mlp-learns-it", "Most", "All"),
        ("zoo-constant-mlp", "few", "most"),
        ("zoo-gap-smaller", "about half", "few"),
        ("exact-04", "right on every", "right on no"),
        ("exact-04", "right on every", "wrong on every"),
        ("before-mlp-not-the-source", "never", "always"),
        ("zeroed-attention-y0-always-wrong", "always wrong", "always right"),
        ("zeroed-W_out", "three quarters", "a half"),
        ("zeroed-W_out", "more than", "fewer than"),
        ("mlp-resample", "nine tenths", "half"),
        ("random-push-hurts", "more than a tenth", "more than a quarter"),
        ("proof-grows-slowly", "14 times", "8 times"),
    ],
)
def test_a_sentence_that_says_something_else_is_noticed(name, old, new):
    entry = claims()[name]
    assert old in entry["says"] and not wrong_with(entry)
    assert wrong_with(entry | {"says": entry["says"].replace(old, new)})
