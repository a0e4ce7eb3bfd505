"""The table of the survey: a thousand models, one row each, as helpers.census measures them.

`tools/survey.py` makes it. The weights of the article's models are stored beside it; those of the
other kinds can be trained again from their seeds.
"""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch

from helpers import task as T
from helpers.model import WEIGHTS, Zoo, get_kind, load_zoo
from helpers.storage import NO_SUM, check_seal, sealed, write_whole

TABLE, MODELS = WEIGHTS / "survey.parquet", WEIGHTS / "survey.safetensors"

# What the columns of the table are. `[8]`: a number for each output, y0 to y7. Counts are of all
# 65,536 inputs, and say how many are right, if nothing else is said; `no_own`: with the token at
# the output's own place taken out of the stream (its mean over the four tokens put in), at y1-y7.
COLUMNS = dict(
    kind="the kind of the model, as `helpers.model.KINDS` has it",
    seed="its seed",
    order="the seed of the order of its batches: the same, but for the models with one start",
    steps="training steps",
    stopped="whether 50 batches in a row without a wrong token ended the training",
    right="[8] the model as it is",
    weight="[8] mean weight of attention on the source",
    ideal="[8] with the ideal pattern: weight 1 on the source",
    frozen="[8] with the pattern frozen at its mean",
    attn_zero="[8] attention's output zero",
    attn_zero_bos="at how many of 8 x 65,536 outputs it then says BOS",
    W_O_zero="[8] W_O zero: attention writes its bias",
    W_O_zero_bos="at how many outputs it then says BOS",
    attn_mean="[8] attention's output replaced by its mean",
    attn_resample="[8] attention's output taken from another input",
    W_out_zero="[8] W_out zero: the MLP writes its bias",
    W_out_zero_bos="at how many outputs it then says BOS",
    mlp_zero="[8] the MLP's output zero: what the logit lens reads before the MLP",
    mlp_zero_bos="at how many outputs it then says BOS",
    source_before="[8] how often the logit lens reads the source before the MLP",
    mlp_mean="[8] the MLP's output replaced by its mean",
    mlp_resample="[8] the MLP's output taken from another input",
    mlp_best="[8] ... by the best constant that was found: a lower bound",
    mlp_by_own="[8] ... by its mean for each own token",
    mlp_by_source="[8] ... by its mean for each source token",
    silent_neurons="how many of 16 neurons are never on at an output",
    away="[8, 4] with no weight on the source, by source token (of 16,384)",
    weight_by_source="[8, 4] mean weight on the source, by source token",
    places="[8, 4] mean place along the first direction, by source token; 2 right of 1",
    share="share of the squared size of what attention writes along the first direction",
    line="[8] attention's output cut down to its mean and one direction",
    line_each="[8] the same, each output with a direction of its own",
    plane="[8] attention's output cut down to its mean and two directions",
    no_own="[8] no_own",
    line_no_own="[8] line, no_own",
    line_each_no_own="[8] line_each, no_own",
    plane_no_own="[8] plane, no_own",
    line_mean="[8] line, and the MLP's output replaced by its mean",
    line_best="[8] line, no_own, and the best constant found; -1 where line_no_own fails",
    table="[8] attention's output replaced by its mean for each source token",
    table_no_own="[8] table, no_own: 32 vectors",
    look_no_own="[8] w V + (1 - w) d, no_own: look at the source or at a default",
    four_no_own="[8] m + g v, no_own: four vectors v for y1-y7 together, y0 as in table",
    any_own="[8] right whichever other token stands at the own place; attention as it was",
    proved="of the exact: whether it was proved right on every input",
    cases="of the exact: cases of the proof",
    pause="step at which the accuracy of y1-y7 came to one half; -1: never",
    pairs="[8] the number in `PAIRS` of the pairs that an output then knew; -1: none",
)


def write_table(path, rows: list[dict], note: dict) -> None:
    """Write `rows` (name of `COLUMNS` -> value; what was not measured is left out) as parquet."""
    table = {}
    for name in COLUMNS:
        values = [row.get(name) for row in rows]
        some = next(v for v in values if v is not None)
        if isinstance(some, torch.Tensor):
            exact = not some.is_floating_point() or name == "away"
            kind = pa.int32() if exact else pa.float32()
            kind = pa.list_(kind, some.numel()) if some.dim() else kind
            values = [_plain(v, exact) for v in values]
            table[name] = pa.array(values, kind)
        else:
            table[name] = pa.array(values)
    write_sealed(path, pa.table(table), note)


def write_sealed(path, table: pa.Table, note: dict) -> None:
    """Write `table` as parquet, with `note` and a sum over every byte: parquet has none itself."""
    about = {"note": json.dumps(note), "columns": json.dumps(COLUMNS), "sha256": NO_SUM}
    blob = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(about), blob, compression="zstd")
    write_whole(path, sealed(blob.getvalue()))


def _read(path) -> tuple[pa.Table, dict]:
    """(table, note) that `write_table` wrote to `path`; the errors of `load_survey`."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; expected the survey's table")
    blob = path.read_bytes()
    try:
        file = pq.ParquetFile(pa.BufferReader(blob))
        if file.schema_arrow.names != list(COLUMNS):
            raise ValueError(f"it has the columns {', '.join(file.schema_arrow.names)}")
        about = file.metadata.metadata
        check_seal(blob, about.get(b"sha256", b"none").decode())
        return file.read(use_threads=False), json.loads(about[b"note"])
    except (pa.ArrowException, OSError, ValueError, LookupError) as error:
        raise ValueError(
            f"{path}: not the survey's table as it was written ({error}). "
            "The file was cut short or altered: fetch it again."
        ) from None


def _plain(value, exact: bool):
    if value is None:
        return None
    value = value.flatten() if value.dim() else value
    return (value.long() if exact else value.mul(1e4).round() / 1e4).tolist()


def digest(zoo: Zoo) -> str:
    """SHA-256 over the bits of all weights, in the order of their names."""
    total = hashlib.sha256()
    for _, value in sorted(zoo.weights.items()):
        total.update(value.contiguous().numpy().astype("<f8").tobytes())
    return total.hexdigest()


class Survey:
    """The rows of one kind: `seeds`, and by name of `COLUMNS` what was measured, as tensors
    `[models]`, `[models, 8]` or `[models, 8, 4]`.

    `survey["ideal"]` is a column, `survey.row(seed)` a row, `survey.where(mask)` fewer rows. A
    column that was measured for some rows only is asked for after `where(survey.has(name))`.
    """

    def __init__(self, kind: str, columns: dict):
        self.kind, self.columns = kind, columns
        self.seeds = [int(s) for s in columns["seed"]]

    def __len__(self):
        return len(self.seeds)

    def has(self, name: str) -> torch.Tensor:
        """For which rows `name` was measured: bool `[models]`. KeyError for no such column."""
        if not T.named(name, self.columns):
            raise KeyError(f"no column {T.shown(name)}; there are {', '.join(self.columns)}")
        measured = [value is not None for value in self.columns[name]]
        return torch.tensor(measured, dtype=torch.bool)

    def __getitem__(self, name: str) -> torch.Tensor:
        missing, values = int((~self.has(name)).sum()), self.columns[name]
        if missing:
            raise ValueError(f"{name} was not measured for {missing} of these {len(self)} models")
        found = torch.tensor(values)
        return (
            found.unflatten(1, (T.LENGTH, T.DIGITS))
            if found.shape[1:] == (T.LENGTH * T.DIGITS,)
            else found
        )

    def right(self, name: str) -> torch.Tensor:
        """At which outputs every input is right under `name`: bool `[models, 8]`."""
        return self[name] == T.N_SEQUENCES

    def where(self, mask) -> Survey:
        keep = T.check_mask(mask, len(self))
        rows = {k: [v for v, wanted in zip(c, keep) if wanted] for k, c in self.columns.items()}
        return Survey(self.kind, rows)

    def row(self, seed: int) -> dict:
        """What was measured of one seed. KeyError, with the seeds there are, for another."""
        if not T.is_whole(seed) or seed not in self.seeds:
            given, there = T.shown(seed), f"{min(self.seeds)} to {max(self.seeds)}"
            raise KeyError(f"seed {given} is not in the survey of {self.kind!r}; it holds {there}")
        one = self.where([s == seed for s in self.seeds])
        return {
            name: one[name][0] for name in self.columns if name != "kind" and one.has(name).all()
        }


def load_survey(kind: str = "article", path=TABLE, crossed: bool = False) -> Survey:
    """The survey's rows of `kind`: each seed with its own order of batches, or if `crossed` the
    models that share starts and orders with each other. FileNotFoundError or ValueError, naming
    the file, where it is missing, altered or no such table; ValueError for a kind that is not in
    it."""
    get_kind(kind)
    if not isinstance(kind, str):
        raise ValueError(f"got {T.shown(kind)}; allowed are the names of kinds")
    table, _ = _read(path)
    own_order = pc.equal(table["order"], table["seed"])
    wanted = pc.and_(pc.equal(table["kind"], kind), pc.xor(own_order, crossed))
    rows = table.filter(wanted).to_pydict()
    if not rows["seed"]:
        raise ValueError(f"{path}: no models of kind {kind!r}")
    return Survey(kind, rows)


def kinds(path=TABLE) -> list[str]:
    """The kinds that the table has rows of."""
    return pc.unique(_read(path)[0]["kind"]).to_pylist()


def load_models(path=MODELS, table=TABLE) -> Zoo:
    """The article's models of the survey. ValueError unless they are those that were measured."""
    zoo = load_zoo("article", path=path)
    if digest(zoo) != _read(table)[1]["weights"]:
        raise ValueError(f"{table} was measured on other weights than those of {path}")
    return zoo


def exact_models(kind: str = "article") -> Survey:
    """The rows of the models of `kind` that are right on every input."""
    survey = load_survey(kind)
    return survey.where(survey.right("right").all(1))


def y0_of(survey: Survey) -> dict[str, torch.Tensor]:
    """The three kinds of y0, each a bool `[models]`: "in place" (right when attention writes its
    mean), "looks" (not in place, and right under the ideal pattern), "looks away" (neither)."""
    in_place, passes = survey.right("attn_mean")[:, 0], survey.right("ideal")[:, 0]
    away = ~in_place & ~passes
    return {"in place": in_place, "looks": ~in_place & passes, "looks away": away}


def needs_of(survey: Survey) -> dict[str, torch.Tensor]:
    """What y1 to y7 need of attention, without their own token: {"a line", "a plane" or "more":
    bool `[models]`}, each mask without the models of the one before."""
    line, plane = (survey.right(f"{what}_no_own")[:, 1:].all(1) for what in ("line", "plane"))
    return {"a line": line, "a plane": plane & ~line, "more": ~plane & ~line}


def sorts_of(survey: Survey) -> dict[str, torch.Tensor]:
    """At how many of y1 to y7 some constant can stand in for the MLP: {"bias" (all), "mixed" or
    "bent" (none was found): bool `[models]`}."""
    n = survey.right("mlp_best")[:, 1:].sum(1)
    return {"bias": n == T.LENGTH - 1, "mixed": (n > 0) & (n < T.LENGTH - 1), "bent": n == 0}
