"""What stands around a figure on a reader's page: its words, the reader's prediction, the claim.

The words of a figure stand in `captions.toml` under its name, not in the code above it: a reader
who has not run the cell yet does not meet the result there. `claims.toml` holds the claims of the
series: of each one sentence, one bound, and on how many seeds and inputs it was tested.
"""

import base64
import html
import io
import json
import math
import operator
import os
import re
import tomllib
import warnings
from functools import cache
from numbers import Real
from pathlib import Path

import plotly.io as pio
from IPython.display import display

from helpers.plotting import MIME

HERE = Path(__file__).parent
CAPTIONS, CLAIMS, DRAWINGS = HERE / "captions.toml", HERE / "claims.toml", HERE / "drawings"
# A page that is not trusted yet has square corners.
CORNERS = "<style scoped>.js-plotly-plot, .plot-img, .jp-RenderedImage img {border-radius:8px; "
CORNERS += "overflow:hidden}</style>"
# Where plotly publishes what draws a figure, for pages that do not bring it.
PLOTLY_JS = "https://cdn.plot.ly/plotly-4.1.1.min.js"
# Of a picture in pixels: that in the HTML is shown at about 700, and has two for each; on a phone
# 390 wide letters of size 12 are still 9 high. The PNG is WIDTH wide.
WIDTH, SCALE = 520, 2.5
# The toolbar offers nothing that leaves this machine, and the wheel scrolls the page.
CONFIG = dict(displaylogo=False, showSendToCloud=False, plotlyServerURL="", scrollZoom=False)
CONFIG["modeBarButtonsToRemove"] = ["select2d", "lasso2d", "zoomIn2d", "zoomOut2d", "autoScale2d"]
HINT = (
    "Here is a figure. To see it, connect to the network, or open the notebook in JupyterLab as "
    "README says; pip install kaleido makes a run leave a picture of it."
)
DRAWN = """<div id="{name}"><div class="still">{still}</div></div>
<script>(figure => import("{source}").then(() => {{
  const place = document.getElementById("{name}")
  place.replaceChildren()
  figure.layout.width = place.clientWidth || {width}
  Plotly.newPlot(place, figure)
}}))({figure})</script>"""
BOUNDS = {"equals": operator.eq, "at_least": operator.ge, "at_most": operator.le}


@cache
def captions() -> dict[str, dict]:
    """Every caption by the name of its figure: `says`, the figure in words, and its `notebook`."""
    return {entry["name"]: entry for entry in tomllib.loads(CAPTIONS.read_text("utf-8"))["figure"]}


@cache
def claims() -> dict[str, dict]:
    """Every claim of the series by its id, as written in claims.toml."""
    return {entry["id"]: entry for entry in tomllib.loads(CLAIMS.read_text("utf-8"))["claim"]}


def show(figure, name: str | None = None, says: str | None = None) -> None:
    """Display `figure` with its words, as caption below it and as alternative text: `says`, or
    those of captions.toml under `name`; KeyError for a name that is not there."""
    says = captions()[name]["says"] if says is None else says
    name = name or "figure-" + "-".join(re.findall(r"[a-z0-9]+", says.lower())[:6])
    still = {"image/png": {"alt": says, "width": 700}}
    display(bundle(figure, says, name), raw=True, metadata=still)
    _caption(says)


def bundle(figure, says: str, name: str, picture: bool = True) -> dict:
    """`figure` in each form that some page can show, with `says` inside: {MIME type: content}.

    plotly's own; HTML, in an element called `name`, for pages that draw by a script from the
    network; and, where kaleido finds a browser, a PNG, which stands in the HTML too, since some
    pages take scripts away. Where none of them can be shown, the text says what would help.
    """
    figure.update_layout(meta=dict(says=says))
    data = json.loads(figure.to_json()) | {"config": CONFIG}
    still, pictures = html.escape(HINT), _pictures(data) if picture else {}
    if pictures:
        source = f"data:image/webp;base64,{pictures.pop('image/webp')}"
        style = "width:700px; max-width:100%; border-radius:8px"
        still = f'<img alt="{html.escape(says)}" style="{style}" src="{source}">'
    script = json.dumps(data, separators=(",", ":")).replace("</", "<\\/")
    made = DRAWN.format(name=name, still=still, source=PLOTLY_JS, width=WIDTH, figure=script)
    return {MIME: data, "text/html": made, "text/plain": HINT, **pictures}


def _pictures(figure: dict) -> dict[str, str]:
    """A plotly figure as PNG and, for pages, as WebP, which is smaller: {MIME type: base64};
    empty without kaleido or a browser, and where `SERIES_PICTURES=no` in the environment spares the
    time: what fails here is no reason for a cell to fail."""
    if os.environ.get("SERIES_PICTURES") == "no":
        return {}
    try:
        import kaleido
        from PIL import Image

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # kaleido's, of its own settings
            kaleido.start_sync_server(silence_warnings=True)
            size = dict(width=WIDTH, scale=SCALE, validate=False)
            drawn = pio.to_image({k: figure[k] for k in ("data", "layout")}, "png", **size)
        drawn = Image.open(io.BytesIO(drawn)).convert("RGB")
    except Exception:
        return {}
    palette = drawn.quantize(256, Image.Quantize.FASTOCTREE)  # half as large
    few = palette.convert("RGB")
    small = few.resize((WIDTH, few.height * WIDTH // few.width), Image.Resampling.LANCZOS)
    small = small.quantize(palette=palette, dither=Image.Dither.NONE)  # the same colours
    png, webp = io.BytesIO(), io.BytesIO()
    small.save(png, "PNG", optimize=True)  # JupyterLab shows it as large as it is
    few.save(webp, "WEBP", lossless=True, method=4)
    made = {"image/png": png, "image/webp": webp}
    return {kind: base64.b64encode(file.getvalue()).decode() for kind, file in made.items()}


def drawing(name: str) -> None:
    """Display `drawings/<name>.svg` at the width there is, with its words as `show` does."""
    says = captions()[name]["says"]
    data = base64.b64encode((DRAWINGS / f"{name}.svg").read_bytes()).decode()
    # An image: pages that have not been trusted yet take scripts and inline SVG away, not this.
    # On a phone its letters would be too small: there it scrolls in a box of its own.
    style = "max-width:100%; min-width:560px; height:auto"
    source = f'src="data:image/svg+xml;base64,{data}" style="{style}"'
    image = f'<img role="img" alt="{html.escape(says)}" {source}>'
    picture = f'<div style="overflow-x:auto" tabindex="0">{image}</div>'
    display({"text/html": picture, "text/plain": HINT}, raw=True)
    _caption(says)


def _caption(says: str) -> None:
    words = f"{CORNERS}<p><em>{html.escape(says)}</em></p>"
    display({"text/html": words, "text/plain": says}, raw=True)


def compare(prediction, measured) -> None:
    """Print the reader's prediction, if there is one (`...` is none), beside what was measured."""
    made = "no prediction made" if prediction is ... else f"predicted {_written(prediction)}"
    print(f"{made} · measured {_written(measured)}")


def k_of_n(k, n) -> str:
    """`k` of `n` models in words, with the 95 % interval for the share in seeds like these
    (Clopper and Pearson 1934). ValueError unless 0 <= k <= n and n > 0; TypeError for what is no
    whole number."""
    from scipy.stats import binomtest

    k, n = operator.index(k), operator.index(n)
    low, high = binomtest(k, n).proportion_ci(0.95, method="exact")
    digits = 1 if high - low < 0.015 else 0  # so that the ends are not rounded to one number
    return f"{k} of {n} (95 % interval {low:.{digits}%} to {high:.{digits}%})"


def claim(name: str, measured) -> None:
    """Assert that `measured` (number or bool) is within the bound of claim `name`; print its
    sentence, which `says` with the value in place of {}.

    AssertionError, with the sentence, the value and the bound, when the claim does not hold, and
    for whatever is no such value. KeyError for an id that is not in claims.toml.
    """
    entry = claims()[name]
    value, bounds = _single(measured), {k: entry[k] for k in BOUNDS if k in entry}
    if not _holds(value, bounds):
        asked = ", ".join(f"{k.replace('_', ' ')} {bound}" for k, bound in bounds.items())
        where = f"{entry['seeds']}, {entry['inputs']}"
        raise AssertionError(f"does not hold: {entry['says']!r} of {value!r}, {asked} ({where})")
    print("✓", entry["says"].format(value))


def _holds(value, bounds: dict) -> bool:
    """Whether `value` is a bool where the bound is one, else a finite number within it."""
    if isinstance(value, bool) or isinstance(bounds.get("equals"), bool):
        return value is bounds.get("equals")
    finite = isinstance(value, Real) and math.isfinite(value)
    return finite and all(BOUNDS[k](value, bound) for k, bound in bounds.items())


def _single(value):
    """The plain value in a tensor or array of one; all else as it is."""
    try:
        return value.item()
    except (AttributeError, ValueError, RuntimeError):  # it is plain, or holds several
        return value


def _written(value) -> str:
    value = _single(value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)
