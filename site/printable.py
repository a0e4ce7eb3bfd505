"""Make one file of the six notebooks, to print: `python site/printable.py [FILE.pdf]`.

The saved notebooks, figures in, all folds open, the solutions at the end; Chromium prints them.
Nothing is executed, and nothing asked of the network: formulas become MathML.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
from docutils.utils.math.latex2mathml import tex2mathml
from nbconvert import HTMLExporter

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from tools import build  # noqa: E402

SOLUTION = re.compile(r"<details><summary>Solution</summary>(.*?)</details>", re.S)
PAGE = '<div style="break-before: page"></div>\n\n'
STYLE = """<style>
@page { size: A4; margin: 16mm }
body { font-size: 10pt } pre { white-space: pre-wrap }
img, svg, table, .jp-OutputArea-child { max-width: 100%; break-inside: avoid }
summary { font-weight: bold } h1, h2, h3 { break-after: avoid }
</style>"""


def for_paper(text: str) -> str:
    """Markdown with its folds open, and its formulas as MathML."""
    text = text.replace("<details>", "<details open>")
    return re.sub(r"\$([^$\n]+)\$", lambda found: tex2mathml(found[1]).replace("\n", ""), text)


def one_book():
    """The six as one notebook; a solution stands at the end, under the exercise that it solves."""
    cells, solutions = [], [f"{PAGE}# Solutions"]
    for name in (name for name in build.SOURCES if "/" not in name):
        first, heading = len(cells), ""
        for cell in build.saved(name).cells:
            if {"setup", "badge"} & set(cell.metadata.get("tags", [])):
                continue
            if cell.cell_type == "markdown":
                heading = (
                    re.findall(r"(?m)^#+ (.*)$", SOLUTION.sub("", cell.source)) or [heading]
                )[-1]
                found = [f"## {name}: {heading}\n{text}" for text in SOLUTION.findall(cell.source)]
                solutions += map(for_paper, found)
                cell.source = for_paper(
                    SOLUTION.sub("*The solution stands at the end.*", cell.source)
                )
            for output in cell.get("outputs", []):
                data = output.get("data", {})
                if "image/png" in data:
                    output.data = {"text/html": re.search("<img [^>]*>", data["text/html"])[0]}
                elif data.get("text/plain", "").startswith("Here is an explorer"):
                    output.data = {
                        "text/plain": "(In a running notebook there is an explorer here.)"
                    }
            cells.append(cell)
        cells[first].source = PAGE * bool(first) + cells[first].source
    cells += [nbformat.v4.new_markdown_cell(text) for text in solutions]
    return nbformat.v4.new_notebook(
        cells=cells, metadata={"title": "From Zero to Interpretability"}
    )


def main(out: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium:
        sys.exit("no chromium and no google-chrome on this machine: one of them prints the file")
    exporter = HTMLExporter(template_name="lab", mathjax_url="", require_js_url="", jquery_url="")
    exporter.exclude_input_prompt = exporter.exclude_output_prompt = True
    page, _ = exporter.from_notebook_node(one_book())
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "series.html"
        file.write_text(page.replace("</head>", f"{STYLE}</head>"), encoding="utf-8")
        quiet = ["--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer"]
        quiet += [f"--user-data-dir={folder}/profile", "--disable-background-networking"]
        out.parent.mkdir(parents=True, exist_ok=True)
        command = [chromium, *quiet, f"--print-to-pdf={out}", file.as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=300)
    print(f"{out}: {out.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    default = ROOT / "site" / "_build" / "series.pdf"
    main(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else default)
