"""helpers.reader.line: the picture says what the model does, and draws what it says."""

import numpy as np
import pytest
import torch

from helpers import interventions as I
from helpers import model as M
from helpers import plotting as P
from helpers import task as T
from helpers.reader import line as L

ORDER = [1, 3, 0, 2]  # of the source tokens, from left to right
HIGHEST = [2, 0, 1, 3]  # their answers: the stretches, from left to right


@pytest.fixture(scope="module")
def model():
    return M.load_trained()


@pytest.fixture(scope="module")
def line(model):
    return L.find_line(model)


@pytest.fixture(scope="module")
def sequences():
    return T.full_sequences()


@pytest.fixture(scope="module")
def cache(model, sequences):
    names = [f"blocks.0.hook_{what}" for what in ("attn_out", "mlp_out")]
    with torch.no_grad():
        return model.run_with_cache(sequences[:, :16], names_filter=names)[1]


def test_places_and_push_are_the_librarys(line, cache, sequences):
    written = cache["attn_out", 0][:, 8:]
    varying = written - written.mean(0)
    assert torch.allclose(line.usual, written.mean(0), atol=1e-9)
    assert torch.allclose(line.push, cache["mlp_out", 0][:, 8:].mean(0), atol=1e-9)
    assert torch.allclose(line.places, varying @ line.direction, atol=1e-9)
    centred = (varying - varying.mean(-1, keepdim=True)).flatten(0, 1)
    longest = torch.linalg.svd(centred[::7], full_matrices=False)[2][0]
    assert abs(line.direction @ longest) > 0.999
    for token in range(4):
        mask = sequences[:, 8 - 3] == token  # the source of y3
        assert torch.equal(line.of_source(3, token), line.places[mask, 3])


def test_source_tokens_lie_in_one_order_each_on_the_stretch_of_its_successor(line):
    for output in range(8):
        middles = torch.stack([line.of_source(output, t).median() for t in range(4)])
        assert middles.argsort().tolist() == ORDER
        low, high, _ = L._window(line, output)
        assert [token for *_, token in line.stretches(output, low, high)] == HIGHEST
        for token, place in enumerate(middles):
            assert line.says(output, place) == (token + 1) % 4


def test_with_mean_push_the_picture_is_right_everywhere_without_it_as_the_model(line, sequences):
    assert torch.equal(line.predicts(), sequences[:, 9:])
    silent = line.zoo.edited({"mlp_out": torch.zeros(1).double()})
    real = torch.cat([silent(part)[0].argmax(-1) for part in sequences.split(8192)])
    agree = (line.predicts(mlp=0) == real).double().mean(0)
    assert 0.96 < agree.mean() < 0.98 and agree.min() > 0.87
    for output in (2, 7):
        low, high, _ = L._window(line, output)
        says = [token for *_, token in line.stretches(output, low, high, mlp=0)]
        assert says == [2, T.BOS, 3]


def test_silent_attention_gives_every_input_one_answer(line):
    says = line.predicts(attention=0)
    assert (says == says[:1]).all()


def test_logits_are_those_of_the_stream_that_the_picture_describes(model, line):
    """Through the library, with the mean of the own tokens' embeddings."""
    place, output = 2.5, 4
    with torch.no_grad():
        own = (model.W_E[:4] + model.W_pos[8 + output]).mean(0)
        stream = own + line.usual[output] + 0.5 * line.push[output] + place * line.direction
        logits = model.ln_final(stream[None, None])[0, 0] @ model.W_U + model.unembed.b_U
    wanted = logits - logits[:4].mean()
    assert torch.allclose(line.logits(output, [place], 0.5)[0], wanted, atol=1e-9)
    stretches = line.stretches(output, -10, 10, 0.5)
    for (_, end, _), (start, _, _) in zip(stretches, stretches[1:]):
        assert end == start  # they meet, and the highest logit changes there
        assert line.says(output, end - 0.02, 0.5) != line.says(output, end + 0.02, 0.5)


def test_the_model_itself_at_other_strengths(model, line):
    x = T.read_tokens(T.EXAMPLE)
    assert line.model_says(x) == T.targets(x).tolist()
    silent = I.ablate(model, "mlp")(T.full_sequences([x]))[0, 0].argmax(-1).tolist()
    assert line.model_says(x, mlp=0) == silent
    middle = I.ablate(model, "attention", "mean")(T.full_sequences([x]))[0, 0].argmax(-1).tolist()
    assert line.model_says(x, attention=0) == middle


def test_sign_and_shares_of_the_directions():
    zoo = M.load_zoo("article").where([True] * 3 + [False] * 29)
    usual, directions, shares = I.directions_of(zoo)
    assert torch.allclose(shares.sum(1), torch.ones(3).double())
    assert (shares.diff(dim=1) <= 1e-12).all() and (shares[:, 3] < 1e-12).all()
    eye = torch.eye(4).double().expand(3, 4, 4)
    assert torch.allclose(directions @ directions.mT, eye, atol=1e-9)
    for i in range(3):
        line = L.find_line(zoo.where(torch.arange(3) == i))
        assert torch.allclose(line.direction, directions[i, 0], atol=1e-6)
        sides = [torch.cat([line.of_source(o, t) for o in range(8)]).mean() for t in (1, 2)]
        assert sides[0] < sides[1]
    every = I.keep_directions(usual, directions)
    value = torch.randn(3, 5, 8, 4, dtype=torch.float64)
    assert torch.allclose(every(value, None), value)


# ---------------------------------------------------------------- the pictures


def named(figure, name, col=1):
    axis = "x" if col == 1 else f"x{col}"
    return [t for t in figure.data if t.name == name and (t.xaxis or "x") == axis]


def test_the_figure_draws_the_curves_the_strip_the_sources_and_the_verdicts(line):
    figure, says = L.line_figure(line, 1)
    for col, mlp in ((1, 0.0), (2, 1.0)):
        for token in range(5):
            (curve,) = named(figure, f"logit of {T.TOKEN_NAMES[token]}", col)
            wanted = line.logits(1, torch.tensor(curve.x), mlp)[:, token]
            assert np.allclose(curve.y, wanted, atol=0.02)
            assert curve.line.color == P.TOKEN_COLOURS[token]
            assert (curve.line.dash == "dot") == (token == T.BOS)
    texts = [t for t in figure.data if t.text is not None]
    marks = [list(t.text) for t in texts if set(t.text) <= {"✓", "✗"}]
    assert marks == [["✓", "✓", "✓", "✗"], ["✓"] * 4]  # source 3 needs the MLP at y1
    strips = [list(t.text) for t in texts if any(str(w).startswith("says") for w in t.text)]
    assert sorted(word.removeprefix("says ") for word in strips[1]) == list("0123")
    assert "3 where 2 is" in says and "3 where 0 is" in says
    inks = {
        c for t in texts if t.text[0] == "<b>0</b>" and t.textfont.color for c in t.textfont.color
    }
    assert inks == set(P.TOKEN_INKS)


def test_an_input_is_marked_at_its_place(line):
    place = line.place_of(T.EXAMPLE, 3)
    row = line.places[int(T.number(torch.tensor(T.read_tokens(T.EXAMPLE))))]
    assert place == row[3]
    # Half of the way to its place, it has not reached the stretch of 2 yet.
    for attention, verdict in ((1.0, "source 1, says 2 ✓"), (0.5, "source 1, says 0 ✗")):
        figure, _ = L.line_figure(line, 3, 1.0, attention, T.EXAMPLE)
        (mark,) = [t for t in figure.data if t.marker.symbol == "triangle-down"]
        assert np.isclose(mark.x[0], attention * place, atol=1e-3)
        assert verdict in figure.layout.title.text
        assert line.says(3, attention * place) == int(verdict[-3])


def test_the_slider_shows_one_strength_at_a_time(line):
    figure, says = L.line_slider(line, 1)
    (slider,) = figure.layout.sliders
    assert [float(step.label) for step in slider.steps] == list(L.STRENGTHS)
    shown = np.array([step.args[1] for step in slider.steps])  # [strength, trace]
    assert shown.shape[1] == len(figure.data)
    assert set(shown.sum(0)) == {1, len(L.STRENGTHS)}  # one strength's, or always there
    assert [bool(t.visible) for t in figure.data] == shown[slider.active].tolist()
    for strength, row in zip(L.STRENGTHS, shown):
        (curve,) = [t for t, on in zip(figure.data, row) if on and t.name == "logit of 2"]
        wanted = line.logits(1, torch.tensor(curve.x), strength)[:, 2]
        assert np.allclose(curve.y, wanted, atol=0.02)
    assert "without the MLP" in says and "MLP at 0.50" in says


def test_the_path_of_an_input_has_eight_rows_and_its_answers(line):
    figure, says = L.path_figure(line)
    x = T.read_tokens(T.EXAMPLE)
    answers = [t.text[0] for t in figure.data if t.text is not None and "→" in t.text[0]]
    wanted = zip(x[::-1], T.targets(x).tolist())
    assert answers == [f"{source} → {answer} ✓" for source, answer in wanted]
    assert says.count("highest") == 8 and "y3: source 1 lies where 2 is highest" in says
    wrong, _ = L.path_figure(line, mlp=0.0)
    assert any("✗" in t.text[0] for t in wrong.data if t.text is not None)


def test_readmes_drawing_is_what_the_model_gives(line):
    assert (P.DRAWINGS / "line.svg").read_text(encoding="utf-8") == L.line_svg(line)


def test_refusals(line):
    with pytest.raises(ValueError, match="a line is of 1"):
        L.find_line(M.load_zoo("article"))
    for draw in (L.line_figure, L.line_slider):
        with pytest.raises(ValueError, match="allowed are the whole numbers from 0 to 7"):
            draw(line, 8)
