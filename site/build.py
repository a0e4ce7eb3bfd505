"""Make the series as a site: `python site/build.py [--serve] [--to FOLDER]`.

Its pages are the saved notebooks, and nothing is executed: each is laid out for a page in
FOLDER/source, and sphinx makes FOLDER/html of these, of README and of the other texts. A page asks
nothing of another server, and can be opened as a file, too: plotly.js and the script of CircuitsVis
come from the installed packages. Without scripts a figure is a picture, and nothing is hidden.

What other commands have made is taken along, and is in the menu then: the page of live/, and
FOLDER/series.pdf for those who print.
"""

import argparse
import base64
import html
import json
import re
import shutil
import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import circuitsvis
import nbformat
import plotly
from sphinx.cmd.build import build_main

HERE, ROOT = Path(__file__).resolve().parent, Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from tools import build  # noqa: E402

LINKED = ("helpers/drawings", "research")  # folders with files that the texts link
SCRIPTS = {
    "_static/plotly.min.js": Path(plotly.__file__).parent / "package_data" / "plotly.min.js",
    "_static/circuitsvis.js": Path(circuitsvis.__file__).parent / "dist" / "cdn" / "iife.js",
}
# What the live page is for, said beside these notebooks.
LIVE = {"03_training": "Train one", "05_mlp": "Move the lines", "06_ablation": "Break the model"}
NO_KERNEL = """<p class="aside">In a running notebook there are controls here, which a page cannot
have. The figure above shows how they start.</p>"""
# A prediction, and what is asked; page.js shows the form, and hides what comes after it.
PREDICTION = r"(?m)(my_\w+) = \.\.\.(?:  # (?:your \w+: )?(.*?)(?: \(or leave it\))?$)?"
ASK = """<form class="ask" hidden><label>Your answer: {} <input required autocomplete="off"></label>
<button>That is my answer</button> <button type="button" value="skip">Skip</button>
<button type="button" value="all">Show the whole page</button>
<p>The rest of this page waits for it.</p></form>"""


def for_page(text: str) -> str:
    """Markdown that leads to pages, and whose badges, pictures from elsewhere, are words."""
    text = re.sub(r"\[!\[Open in Colab\]\(\S+?\)\]\((\S+?)\)", r"[Open in Colab](\1)", text)
    live = (
        "[site/live/index.html](site/live/index.html)",
        '<a href="live/index.html">the live page</a>',
    )
    return text.replace("README.md", "index.md").replace(*live).replace("(site/live/", "(live/")


def glossary(text: str) -> str:
    """The tables of GLOSSARY.md as lists of terms, which the search knows."""
    rows = re.sub(r"^\| \| \|\n\|---\|---\|$", ":::{glossary}", text, flags=re.M)
    rows = re.sub(r"^\| (.+?) \| (.+) \|$", r"\1\n  \2\n", rows, flags=re.M)
    return re.sub(r"(\n  .*\n)\n*(?=##|\Z)", r"\1:::\n\n", rows)


def figure(output, picture: Path, up: str) -> str:
    """A plotly figure as its picture, saved as `picture`, and the data with which page.js draws."""
    png, data = base64.b64decode(output.data["image/png"]), output.data[build.PLOTLY]
    width, height = struct.unpack(">II", png[16:24])  # the picture that is shown has more pixels
    large = re.search(r'image/webp;base64,([^"]+)', output.data["text/html"])[1]
    picture.write_bytes(base64.b64decode(large))
    data["layout"]["template"]["layout"].pop("width", None)  # it is as wide as its place
    script = json.dumps(data).replace("</", r"<\/")  # no text in it ends the script
    says = html.escape(output.metadata["image/png"]["alt"])
    return f"""<div class="plot">
<img src="{up}pictures/{picture.name}" alt="{says}" width="{width}" height="{height}">
<script type="application/json">{script}</script></div>"""


def served(saved: str, up: str) -> str:
    """Saved HTML with the script of CircuitsVis from this site."""
    script = f'<script defer src="{up}_static/circuitsvis.js"></script>\n<script type="module">'
    saved = saved.replace('<script crossorigin type="module">', script)
    return re.sub(r'import (.*?) from "https://unpkg\.com/.*?"', r"const \1 = CircuitsVis", saved)


def laid_out(name: str, pictures: Path):
    """The saved notebook of this name, with its cells and outputs as a page shows them."""
    notebook, up, cells = build.saved(name), "../" * (name.count("/") + 1), []
    for number, (output, _) in enumerate(build.figures(notebook), 1):
        picture = pictures / f"{name.replace('/', '-')}-{number}.webp"
        output.data = nbformat.from_dict({"text/html": figure(output, picture, up)})
    compared = re.findall(r"^compare\((my_\w+)", "\n".join(c.source for c in notebook.cells), re.M)
    there = name in LIVE and (HERE / "live" / "index.html").exists()
    words = f"{LIVE.get(name)} in this browser"
    live = f'<a class="button" href="{up}live/index.html">{words}</a>' if there else ""

    for cell in notebook.cells:
        cells.append(cell)
        tags = cell.metadata.setdefault("tags", [])
        if cell.cell_type == "markdown":
            cell.source = for_page(cell.source) + (f"\n\n{live}" if "badge" in tags else "")
            continue
        if "setup" in tags:
            tags.append("hide-input")
        for data in (output.data for output in cell.outputs if "data" in output):
            if data.get("text/plain", "").startswith("Here is an explorer"):
                data["text/html"] = NO_KERNEL + live
            elif "text/html" in data:
                data["text/html"] = served(data["text/html"], up)
        asked = re.match(PREDICTION, cell.source)
        if asked and asked[1] in compared:
            cells.append(nbformat.v4.new_markdown_cell(ASK.format(html.escape(asked[2] or ""))))
    notebook.cells = cells
    return notebook


def with_menu(readme: str) -> str:
    """README as the first page, which holds the order of all pages: that of its table."""
    names = [f"notebooks/{name}" for name in re.findall(r"\]\(notebooks/(.+?)\.ipynb\) \|", readme)]
    parts = {"The course": [name for name in names if "beyond" not in name]}
    parts |= {"Beyond": [name for name in names if "beyond" in name], "Around it": list(TEXTS)[1:]}
    tree = "\n:::{{toctree}}\n:hidden:\n:caption: {}\n\n{}\n:::\n"
    return readme + "".join(tree.format(part, "\n".join(parts[part])) for part in parts)


# The pages that are no notebooks, in their order, and what is done with their text.
TEXTS = {"README": with_menu, "GLOSSARY": glossary, "CONTRIBUTING": str, "CHANGELOG": str}


def make(folder: Path) -> Path:
    """The pages in `folder`/html, made anew. SystemExit where sphinx warns, as of a dead link."""
    source, out = folder / "source", folder / "html"
    shutil.rmtree(source, ignore_errors=True)
    shutil.rmtree(out, ignore_errors=True)
    (out / "pictures").mkdir(parents=True)
    for path in LINKED:
        shutil.copytree(ROOT / path, source / path, ignore=shutil.ignore_patterns("weights", "_*"))
    (source / "live").mkdir()
    shutil.copy(HERE / "live" / "screen.png", source / "live")
    for text, change in TEXTS.items():
        words = change(for_page((ROOT / f"{text}.md").read_text(encoding="utf-8")))
        (source / f"{text}.md".replace("README", "index")).write_text(words, encoding="utf-8")
    for name in build.SOURCES:
        page = source / "notebooks" / f"{name}.ipynb"
        page.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(laid_out(name, out / "pictures"), page)

    extras = {"live/index.html": HERE / "live" / "index.html", "series.pdf": folder / "series.pdf"}
    extras = {to: path for to, path in extras.items() if path.exists()}
    options = ["-q", "-W", "--keep-going", "-c", str(HERE), "-d", str(folder / "cache")]
    options.append(f"-Dhtml_context.extras={','.join(extras)}")
    if build_main([*options, str(source), str(out)]):
        sys.exit("the site was not made: see above")
    for to, path in (extras | SCRIPTS).items():
        (out / to).parent.mkdir(exist_ok=True)
        shutil.copy(path, out / to)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--to", type=Path, default=HERE / "_build", help="default: site/_build")
    parser.add_argument("--serve", action="store_true", help="show it on this machine, port 8000")
    options = parser.parse_args()
    out = make(options.to.resolve())
    print(out / "index.html", flush=True)
    if options.serve:
        command = [sys.executable, "-m", "http.server", "-b", "127.0.0.1", "-d", str(out)]
        with suppress(KeyboardInterrupt):
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
