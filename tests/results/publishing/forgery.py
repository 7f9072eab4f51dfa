"""A folder of evidence in the hands of someone who changes it: whole forgeries, and single lines and sums."""

import hashlib
import json
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlrc.protocols.protocol import digest_of
from mlrc.results.records.ledger import LEDGER
from mlrc.results.records.per_class import PerClassFiles, sealed

Line = dict[str, Any]
Sums = dict[str, NDArray[Any]]
FINAL = {"kind": "fold", "loss": "triplet", "stage": "final", "number": 0, "fold": 1}
TRIAL = {"kind": "fold", "loss": "triplet", "stage": "search", "number": 1, "fold": 2}
REPEAT = {"kind": "run", "loss": "triplet", "number": 0}


class Evidence:
    """A folder of evidence in the hands of someone who changes it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def lines(self) -> list[Line]:
        return [json.loads(line) for line in (self.folder / LEDGER).read_text(encoding="utf-8").splitlines()]

    def write(self, lines: list[Line]) -> None:
        (self.folder / LEDGER).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")

    def change(self, which: Mapping[str, Any], change: Callable[[Line], object]) -> None:
        lines = self.lines
        chosen = [line for line in lines if all(line.get(name) == value for name, value in which.items())]
        assert chosen, "what is changed must be there"
        for line in chosen:
            change(line)
        self.write(lines)

    def drop(self, which: Mapping[str, Any]) -> None:
        lines = self.lines
        kept = [line for line in lines if any(line.get(name) != value for name, value in which.items())]
        assert len(kept) < len(lines), "what is dropped must be there"
        self.write(kept)

    def line(self, which: Mapping[str, Any]) -> Line:
        return next(line for line in self.lines if all(line.get(name) == value for name, value in which.items()))

    def path(self, which: Mapping[str, Any] = REPEAT) -> Path:
        return self.folder / "per_class" / f"{self.line(which)['key']}.npz"

    def sums(self, change: Callable[[Sums], object], *, forged: bool = True, scores: bool = False) -> None:
        """Change the sums of one repeat, by default with the checksum in its record, and with the scores if asked."""
        path = self.path()
        content: Sums = dict(PerClassFiles(self.folder)[path.stem])
        change(content)
        buffer = BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **sealed(path.stem, content))
        path.write_bytes(buffer.getvalue())
        if forged:
            self.change(REPEAT, lambda line: line.update(per_class_sha256=_sha256(path)))
        if scores:
            self.change(REPEAT, lambda line: _rescore(line, content))


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _rescore(line: Line, sums: Sums) -> None:
    for setting in ("separated", "concatenated"):
        for name in line[setting]:
            line[setting][name] = float(100 * sums[f"{setting}/{name}"].sum() / sums["counts"].sum())


def put(**values: Any) -> Callable[[Line], object]:
    return lambda line: line.update(values)


def in_environment(**values: Any) -> Callable[[Line], object]:
    return lambda line: line["environment"].update(values)


def swap_losses(evidence: Evidence) -> None:
    other = {"triplet": "contrastive", "contrastive": "triplet"}
    evidence.write([{**line, "loss": other.get(line["loss"], line["loss"])} if "loss" in line else line
                    for line in evidence.lines])  # fmt: skip


def copy_the_best_repeat(evidence: Evidence) -> None:
    runs = [line for line in evidence.lines if line["kind"] == "run" and line["loss"] == "triplet"]
    best = max(runs, key=lambda line: line["concatenated"]["MAP@R"])
    worst = min(runs, key=lambda line: line["concatenated"]["MAP@R"])
    content = PerClassFiles(evidence.folder)[best["key"]]
    buffer = BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **sealed(worst["key"], content))
    path = evidence.folder / "per_class" / f"{worst['key']}.npz"
    path.write_bytes(buffer.getvalue())
    same = {name: best[name] for name in ("separated", "concatenated")}
    evidence.change({"key": worst["key"]}, put(**same, per_class_sha256=_sha256(path)))


def other_rules(evidence: Evidence) -> None:
    (record,) = (line for line in evidence.lines if line["kind"] == "protocol")
    fields = {**record["fields"], "seed": 1}
    digest = digest_of(fields)
    evidence.change({"kind": "protocol"}, put(fields=fields))
    evidence.change({"digest": record["digest"]}, put(digest=digest))


def move(sums: Sums, name: str, amount: float) -> None:
    sums[name][[0, 1]] += np.array([amount, -amount])


def scale(sums: Sums, factor: float) -> None:
    for name in sums:
        if "/" in name:
            sums[name] = sums[name] * factor


def all_of(name: str, change: Callable[[Any], Any]) -> Callable[[Evidence], None]:
    def everywhere(evidence: Evidence) -> None:
        evidence.change({"kind": "run"}, lambda line: line.update({name: change(line[name])}))

    return everywhere


def again_below(evidence: Evidence) -> None:
    line = evidence.line(REPEAT)
    line["separated"]["RP"] += 1e-7
    evidence.write([*evidence.lines, line])


def impatient(evidence: Evidence) -> None:
    evidence.change(TRIAL, put(history=[[0, 9.0], [7, 5.0], [8, 27.0]]))
    evidence.change({"kind": "protocol"}, lambda line: line["fields"].update(patience=5))


def tear(evidence: Evidence) -> None:
    with (evidence.folder / LEDGER).open("a", encoding="utf-8") as file:
        file.write('{"kind": "run"')


def rename(evidence: Evidence) -> None:
    path = evidence.path()
    path.rename(path.with_name("0123456789abcdef.npz"))
    evidence.change(REPEAT, put(key="0123456789abcdef"))


def cut_file(evidence: Evidence) -> None:
    evidence.path().write_bytes(evidence.path().read_bytes()[:-40])
