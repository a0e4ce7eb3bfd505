"""lessons.line: the picture says what the model does, and draws what it says."""

import numpy as np
import pytest
import torch

from helpers import interventions, model, plotting, task
from lessons import line as lines


@pytest.fixture(scope="module")
def trained():
    return model.load_trained()


@pytest.fixture(scope="module")
def line(trained):
    return lines.find_line(trained)


@torch.no_grad()
def test_places_and_push_are_the_librarys(line, trained):
    sequences = task.full_sequences()
    _, cache = trained.run_with_cache(sequences[:, :16])
    written = cache["attn_out", 0][:, 8:]
    assert torch.allclose(line.usual, written.mean(0), atol=1e-9)
    assert torch.allclose(line.push, cache["mlp_out", 0][:, 8:].mean(0), atol=1e-9)
    assert torch.allclose(line.places, (written - line.usual) @ line.direction, atol=1e-9)
    mask = sequences[:, 8 - 3] == 2  # the source of y3
    assert torch.equal(line.of_source(3, 2), line.places[mask, 3])
    assert line.place_of(task.EXAMPLE, 3) == line.places[60_000, 3]
    with pytest.raises(ValueError, match="a zoo of 32 models"):
        lines.find_line(model.load_zoo("article"))


def test_source_tokens_lie_in_one_order_each_on_the_stretch_of_its_successor(line):
    for output in range(8):
        middles = torch.stack([line.of_source(output, t).median() for t in range(4)])
        assert middles.argsort().tolist() == [1, 3, 0, 2]  # from left to right
        low, high, _ = lines.window(line, output)
        assert [token for *_, token in line.stretches(output, low, high)] == [2, 0, 1, 3]
        assert all(lines.is_right(line, output, t, place, 1.0) for t, place in enumerate(middles))


def test_the_picture_is_right_everywhere_and_without_the_push_answers_as_the_model_does(line):
    sequences = task.full_sequences()
    assert torch.equal(line.predicts(), sequences[:, 9:])
    silent = line.zoo.edited({"mlp_out": torch.zeros(1)})
    real = torch.cat([silent(part)[0].argmax(-1) for part in sequences.split(8192)])
    agree = (line.predicts(mlp=0) == real).double().mean(0)
    assert 0.96 < agree.mean() < 0.98 and agree.min() > 0.87
    says = line.predicts(attention=0)  # one answer, whatever the input
    assert (says == says[:1]).all()
    silent = interventions.ablate(line.zoo, "attention", "mean")(sequences[60_000:60_001])
    assert line.model_says(task.EXAMPLE) == sequences[60_000, 9:].tolist()
    assert line.model_says(task.EXAMPLE, attention=0) == silent[0, 0].argmax(-1).tolist()


@torch.no_grad()
def test_logits_are_those_of_the_stream_that_the_picture_describes(trained, line):
    """Through the library, with the mean of the own tokens' embeddings."""
    place, output = 2.5, 4
    own = (trained.W_E[:4] + trained.W_pos[8 + output]).mean(0)
    stream = own + line.usual[output] + 0.5 * line.push[output] + place * line.direction
    logits = trained.ln_final(stream[None, None])[0, 0] @ trained.W_U + trained.unembed.b_U
    wanted = logits - logits[:4].mean()
    assert torch.allclose(line.logits(output, [place], 0.5)[0], wanted, atol=1e-9)
    stretches = line.stretches(output, -10, 10, 0.5)
    for (_, end, _), (start, _, _) in zip(stretches, stretches[1:]):
        assert end == start  # they meet, and the highest logit changes there
        assert line.says(output, end - 0.02, 0.5) != line.says(output, end + 0.02, 0.5)


def test_the_figure_draws_the_curves_the_strip_and_the_verdicts(line):
    figure, says = lines.line_figure(line, 1)
    for token, colour in enumerate(plotting.TOKEN_COLOURS):
        curves = [t for t in figure.data if t.line.color == colour and "logit" in str(t.name)]
        for curve, mlp in zip(curves, (0.0, 1.0), strict=True):
            wanted = line.logits(1, torch.tensor(curve.x), mlp)[:, token]
            assert np.allclose(curve.y, wanted, atol=0.02)
    texts = [list(trace.text) for trace in figure.data if trace.text is not None]
    marks = [text for text in texts if set(text) <= {"✓", "✗"}]
    assert marks == [["✓", "✓", "✓", "✗"], ["✓"] * 4]  # source 3 needs the MLP at y1
    assert ["says 2", "0", "1", "says 3"] in texts  # the strip, as wide as it is
    assert "3 where 2 is" in says and "3 where 0 is" in says


def test_an_input_is_marked_at_its_place(line):
    place = line.place_of(task.EXAMPLE, 3)
    # Half of the way to its place, it has not reached the stretch of 2 yet.
    for attention, verdict in ((1.0, "source 1, says 2 ✓"), (0.5, "source 1, says 0 ✗")):
        figure, _ = lines.line_figure(line, 3, 1.0, attention, task.EXAMPLE)
        (mark,) = [trace for trace in figure.data if trace.marker.symbol == "triangle-down"]
        assert np.isclose(mark.x[0], attention * place, atol=1e-3)
        assert verdict in figure.layout.title.text


def test_the_slider_shows_one_strength_at_a_time(line):
    figure, says = lines.line_slider(line, 1)
    steps = figure.layout.sliders[0].steps
    assert tuple(bool(trace.visible) for trace in figure.data) == steps[-1].args[1]
    for strength, step in zip(lines.STRENGTHS, steps, strict=True):
        seen = [trace for trace, on in zip(figure.data, step.args[1], strict=True) if on]
        (curve,) = [trace for trace in seen if trace.name == "logit of 2"]
        wanted = line.logits(1, torch.tensor(curve.x), strength)[:, 2]
        assert float(step.label) == strength and np.allclose(curve.y, wanted, atol=0.02)
    assert "without the MLP" in says and "MLP at 0.50" in says


def test_the_path_of_an_input_has_eight_rows_and_its_answers(line):
    figure, says = lines.path_figure(line)
    answers = [t.text[0] for t in figure.data if t.text is not None and "→" in t.text[0]]
    assert answers == [f"{x} → {(x + 1) % 4} ✓" for x in map(int, task.EXAMPLE[::-1])]
    assert says.count("highest") == 8 and "y3: source 1 lies where 2 is highest" in says
    assert "✗" in str(lines.path_figure(line, mlp=0.0)[0].data)
