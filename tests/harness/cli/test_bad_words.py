"""Bad command lines: each is refused before any work by one sentence with exit status 2, and none shows a traceback."""

import shlex
from pathlib import Path

import numpy as np
import pytest

from tests.harness.cli.idle import make_idle, mlrc, refused

RUN = "run --dataset glyphs --losses contrastive --protocol quick --root ROOT"
EVALUATE = "evaluate --embeddings E.npy --labels L.npy"
SWEEP = "sweep --loss contrastive --dataset glyphs --root ROOT"
HUGE = "9" * 20

BAD = [
    # empty words
    (f'{RUN} --runs ""', "--runs must not be empty"),
    (f'{RUN} --runs " "', "--runs must not be empty, but got ' '; leave it out, or give its value"),
    (f"{RUN} --runs=", "--runs must not be empty"),
    (f'{RUN} --stop-after ""', "--stop-after must not be empty"),
    (f'{RUN} --storage ""', "--storage must not be empty"),
    (f'{RUN} --trunk ""', "--trunk must not be empty"),
    (f'{RUN} --weights ""', "--weights must not be empty"),
    (f'{RUN} --ray ""', "--ray must not be empty"),
    (f'{RUN} --device ""', "--device must not be empty"),
    (f'{RUN} --set ""', "--set must not be empty"),
    (f'{RUN} --out ""', "--out must not be empty"),
    ('run --dataset "" --losses contrastive', "--dataset must not be empty"),
    ('run --dataset glyphs --losses ""', "--losses must not be empty"),
    ("run --dataset glyphs --losses ,", "At least one loss must be given"),
    ('run --dataset glyphs --losses contrastive --protocol ""', "--protocol must not be empty"),
    ('sweep "" --dataset glyphs', "An argument must not be empty"),
    ('sweep --loss "" --vary margin=1 --dataset glyphs', "--loss must not be empty"),
    ('report --losses ""', "--losses must not be empty"),
    ('export-optuna --storage "" --runs runs', "--storage must not be empty"),
    ('goldens --accept ""', "--accept must not be empty"),
    ('leaderboard --published ""', "--published must not be empty"),
    ('leaderboard add runs --name ""', "--name must not be empty"),
    ('accept canary runs --reason ""', "--reason must not be empty"),
    # two values where one is meant
    (f"{RUN} --runs one --runs two", "--runs must have one value, but got 'one' and 'two'; leave one of them out"),
    (f"{RUN} --workers 1 --workers=2", "--workers must have one value"),
    (f"{RUN} --set trials=2 --set trials=3", "trials must be set once, but got 2 and 3; leave one of them out"),
    (f"{RUN} --set patience.sop=2 --set patience.sop=3", "patience.sop must be set once"),
    (f"{RUN} --param pos_margin=0 --param pos_margin=0.1", "pos_margin must be given once, but got 0 and 0.1"),
    (
        "run --dataset glyphs --losses contrastive,triplet,contrastive --root ROOT",
        "Each loss must be given once, but got 'contrastive' again",
    ),
    ("check contrastive contrastive", "Each loss must be given once"),
    (f"{RUN} --device cpu,cpu", "Each device must be named once"),
    (f"{RUN} --workers 2 --per-device 2", "only one can hold, but got 2 and 2"),
    (f"{SWEEP} --vary pos_margin=0,0", "The values of pos_margin must differ"),
    (f"{SWEEP} --vary pos_margin=0 --vary pos_margin=1", "Two factors must have two names"),
    # numbers past their bounds
    (f"{RUN} --workers 0", "workers must lie in [1, 1024], but got 0"),
    (f"{RUN} --workers 100000", "workers must lie in [1, 1024], but got 100000"),
    (f"{RUN} --workers {HUGE}", "workers must lie in [1, 1024]"),
    (f"{RUN} --workers two", "Invalid value for '--workers'"),
    (f"{RUN} --per-device -1", "per_device must lie in [1, 1024], but got -1"),
    (f"{RUN} --per-device {HUGE}", "per_device must lie in"),
    (f"{RUN} --device cpu --mps", "--mps lets trainings share an NVIDIA GPU, but the device is cpu"),
    (f"{RUN} --ray auto --mps", "--mps starts NVIDIA's MPS on this machine, and --ray trains on others"),
    (f"{RUN} --stop-after 0s", "is 1000d at most, but got '0s'"),
    (f"{RUN} --stop-after {HUGE}d", "is 1000d at most"),
    (f"{RUN} --stop-after soon", "is written like 90s, 30m"),
    (f"{RUN} --device meta", "The device 'meta'"),
    (f"{RUN} --device cuda:{HUGE}", "cannot be used here"),
    (f"{RUN} --device toaster", "The device 'toaster' cannot be used here"),
    (f"{RUN} --set embedding_size=1000000000", "embedding_size must be at most 65536, but got 1000000000"),
    (f"{RUN} --set batch_size=100000", "batch_size must be at most 65536"),
    (f"{RUN} --set batch_size=20000", "batch_size must not exceed the"),
    (f"{RUN} --set folds=1000", "folds must not exceed the"),
    (f"{RUN} --set folds=1000000", "folds must be at most 1000"),
    (f"{RUN} --set trials=3 --set startup_trials=4", "startup_trials must not exceed trials=3"),
    (f"{RUN} --set repeats={HUGE}", "repeats must be at most 1000"),
    (f"{RUN} --set trials={HUGE}", "trials must be at most 10000"),
    (f"{RUN} --set resize={HUGE}", "resize must be at most 4096"),
    (f"{RUN} --set recall_at=1,{HUGE}", "recall_at must be at most 1000000"),
    (f"{RUN} --set max_epochs={HUGE}", "max_epochs must be at most 1000000"),
    (f"{RUN} --set seed={HUGE}", "seed must be at most"),
    (f"{RUN} --set lr=nan", "lr must be finite, but got nan"),
    (f"{RUN} --set lr=1e300", "lr must be at most 1000"),
    (f"{RUN} --set momentum=1", "momentum must lie in [0, 1), but got 1.0"),
    (f"{RUN} --set weight_decay=inf", "weight_decay must be finite"),
    (f"{RUN} --set crop_ratio=1e-300,1", "crop_ratio must be two numbers, 0.01 <= low <= high <= 100"),
    (f"{RUN} --set weights=abc", "weights must be the sha256 of a file, or empty, but got abc"),
    (f"{RUN} --set pooling=gem:1e300", "pooling must be one of"),
    (f"{RUN} --set patience.=3", "--set takes field=value"),
    (f"{RUN} --set =3", "--set takes field=value"),
    (f"{RUN} --set trials", "--set takes field=value, but got 'trials'"),
    (f"{RUN} --param pos_margin=nan --param neg_margin=0.5", "pos_margin"),
    (f"{RUN} --param pos_margin={HUGE} --param neg_margin=0.5", "pos_margin=1e+20 of loss"),
    (f"{SWEEP} --vary pos_margin=0 --repeats 0", "repeats must be at least 1, but got 0"),
    (f"{SWEEP} --vary pos_margin=0 --repeats {HUGE}", "repeats must be at most 1000"),
    (f"{SWEEP} --vary embedding_size=8,{HUGE}", "embedding_size must be at most 65536"),
    (f"{EVALUATE} --k {HUGE}", "at most 1000000, but 99999999999999999999 was given"),
    (f"{EVALUATE} --k 0", "must be at least 1"),
    (f"{EVALUATE} --k -1", "must be at least 1"),
    (f"{EVALUATE} --k ,", "--k takes whole numbers"),
    (f"{EVALUATE} --memory {HUGE}T", "must be at most 1024T"),
    (f"{EVALUATE} --memory lots", "must look like 512M"),
    (f"{EVALUATE} --backend magic", "magic"),
    (f"{EVALUATE} --k 1000000000000", "at most 1000000, but 1000000000000 was given"),
    (f"{EVALUATE} --split valid", "valid"),
    (f"{EVALUATE} --per-query Q.txt", "A table must be one of .csv, .npz, .parquet"),
    (f"{EVALUATE} --per-class nowhere/Q.csv", "The folder nowhere must be there"),
    (f"{EVALUATE} --neighbours N.csv --per-query N.csv", "must be files of their own"),
    (f"{EVALUATE} --gallery-includes-queries", "must have embeddings, but none were given"),
    (f"{EVALUATE} --labels E.npy", "--labels must have one value"),
    ("evaluate --embeddings E.npy", "Every row must have a label, but E.npy tells none; give --labels FILE"),
    ("embed glyphs --out E.npz", "What embeds must be told, but nothing was"),
    ("embed glyphs --out E.npz --trunk small_conv", "A trunk must have its weights"),
    ("embed glyphs --out E.npz --model no.safetensors", "A model must be a file of --save-models"),
    (f"embed glyphs --out E.npz --model no.safetensors --threads {HUGE}", "threads must lie in [1, 1024]"),
    ("embed glyphs --out E.zip --model no.safetensors", "A file of vectors must be one of"),
    ("drift canary canary --margin -1", "The margin must be positive and at most 100, in percent points, but got -1.0"),
    ("drift canary canary --margin nan", "The margin must be positive"),
    ("drift canary canary --alpha 0", "alpha must lie in (0, 1)"),
    ("drift canary canary --alpha nan", "alpha must lie in (0, 1)"),
    ("report --runs . --margin nan", "The margin must be positive"),
    ("report --runs . --margin inf", "The margin must be positive and at most 100"),
    (f"{RUN} --workers 0".replace("run", "plan", 1), "workers must lie in"),
    ("canary --workers 0", "workers must lie in [1, 1024], but got 0"),
    ("new-loss Bad-Name", "must be lower_case_with_underscores"),
    ("list wishes", "takes one of losses"),
]


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("root")


@pytest.fixture
def idle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in a folder with small embeddings, where no work begins."""
    monkeypatch.chdir(tmp_path)
    np.save("E.npy", np.eye(4, dtype=np.float32))
    np.save("L.npy", np.array([0, 0, 1, 1]))
    make_idle(monkeypatch)


@pytest.mark.parametrize(("line", "sentence"), BAD, ids=[line for line, _ in BAD])
@pytest.mark.usefixtures("idle")
def test_a_bad_command_line_is_one_sentence_before_any_work(line: str, sentence: str, root: Path) -> None:
    before = sorted(Path().iterdir())
    refused(mlrc(*shlex.split(line.replace("ROOT", str(root)))), sentence)
    assert sorted(Path().iterdir()) == before


def test_the_table_covers_what_the_first_trial_from_outside_found() -> None:
    assert len(BAD) >= 60
    assert len({line for line, _ in BAD}) == len(BAD)
