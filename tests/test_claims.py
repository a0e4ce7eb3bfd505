"""helpers.reader.claims and colab: claims hold or raise, and lie where the package lies."""

from importlib.resources import files
from pathlib import Path

import pytest
import torch

from conftest import ROOT, read
from helpers.reader import colab
from helpers.reader.claims import BOUNDS, FILE, claim, claims


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
