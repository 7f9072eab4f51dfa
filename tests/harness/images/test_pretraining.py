"""What pretrained weights may have seen of a data set: who says it, where it is kept, and what the caption says."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mlrc.harness.engine.repeat import score_run
from mlrc.harness.images.catalogue import open_dataset
from mlrc.harness.metrics.task import Task
from mlrc.harness.plan.job import ScoreJob
from mlrc.protocols.datasets import cars196, cub200, glyphs, inshop, omniglot, sop
from mlrc.protocols.quick import QUICK
from mlrc.results.boards.leaderboard import boards
from mlrc.results.records.lines import from_line, to_line
from mlrc.results.rendering.caption import caption
from tests.results.studies import ENVIRONMENT, Made, sound

MakeImage = Callable[..., None]
SAYING = "ImageNet has tits: both classes may have been seen."


def test_photographs_of_what_imagenet_shows_say_so_and_drawings_do_not() -> None:
    assert all("ImageNet" in one.FACTS.pretraining for one in (cub200, cars196, sop, inshop))
    assert [one.FACTS.pretraining for one in (glyphs, omniglot)] == ["", ""]


@pytest.mark.parametrize("manifest", [True, False])
def test_a_folder_says_it_by_a_file_that_changes_nothing_else(
    tmp_path: Path, make_image: MakeImage, manifest: bool
) -> None:
    place = tmp_path / "birds"
    for name in ("tit/1.png", "tit/2.png", "owl/1.png", "owl/2.png"):
        make_image(place / name)
    if manifest:
        rows = "".join(f"{name}/{number}.png,{name}\n" for name in ("owl", "tit") for number in (1, 2))
        (place / "manifest.csv").write_text(f"path,label\n{rows}", encoding="utf-8")
    before = open_dataset(f"folder:{place}", tmp_path)
    (place / "pretraining.txt").write_text("ImageNet has tits:\n both classes may have been seen.\n", encoding="utf-8")
    after = open_dataset(f"folder:{place}", tmp_path)
    assert (before.facts.pretraining, after.facts.pretraining) == ("", SAYING)
    assert (after.fingerprint, after.left_out) == (before.fingerprint, before.left_out)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path, make_image: MakeImage) -> None:
    for name in ("a/1.png", "a/2.png", "b/1.png", "b/2.png"):
        make_image(tmp_path / name)
    (tmp_path / "pretraining.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ValueError, match="must be text in UTF-8"):
        open_dataset(f"folder:{tmp_path}", tmp_path)


@pytest.mark.parametrize(("weights", "told"), [("a" * 64, SAYING), ("", "")])
def test_a_repeat_tells_it_where_its_trunk_began_from_weights(weights: str, told: str) -> None:
    job = ScoreJob(
        protocol=replace(QUICK, weights=weights),
        dataset="birds",
        fingerprint="f" * 16,
        loss="triplet",
        params={},
        number=0,
        cut="half",
        fold_keys=("k",),
        embeddings="",
    )
    embeddings = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
    task = Task(np.repeat(np.arange(3), 4).astype(np.int64))
    record = score_run(job, [embeddings], task, ENVIRONMENT, pretraining=SAYING).record
    assert record.pretraining == told
    assert from_line(to_line(record)) == record
    assert ("pretraining" in to_line(record)) == bool(told)


def _told(made: Made) -> str:
    (board,) = boards(made.records, made.per_class)
    return " ".join(caption(board))


def test_the_caption_says_it_or_that_nobody_does() -> None:
    made = sound({"triplet": 50.0}, fields={"weights": "a" * 64})
    assert "The trunk was pretrained; which of these classes it may have seen is not told." in _told(made)
    for run in list(made.records.runs.values()):
        made.records.add(replace(run, pretraining=SAYING))
    assert f"Pretraining: {SAYING}" in _told(made)
    assert "retrain" not in _told(sound({"triplet": 50.0}))
