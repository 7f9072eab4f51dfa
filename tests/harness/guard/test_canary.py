"""Training drift: a wrong optimizer setting moves the canary's scores. `make guard` runs the unchanged one."""

from dataclasses import replace
from pathlib import Path

import pytest

from mlrc.harness.cli.carry_out import carry_out
from mlrc.harness.cli.words.option_groups import Effort
from mlrc.harness.engine.perform import record_of
from mlrc.harness.guard.canary import canary
from mlrc.harness.study.comparison import Comparison
from mlrc.harness.training.fold import Trained
from mlrc.protocols.protocol import completed, of
from mlrc.results.publishing.drift import drift
from mlrc.results.publishing.place import PUBLISHED
from mlrc.results.publishing.references import open_side
from mlrc.results.publishing.verdict import Verdicts
from mlrc.results.records.ledger import LEDGER, Ledger


def _sung(comparison: Comparison, runs: Path, *, called: Comparison) -> Verdicts:
    """Run a comparison, say that it was run under the protocol of another, and judge it."""
    carry_out(comparison, runs, Effort(workers=2), "final")
    mine, theirs = (one.studies[0].protocol for one in (comparison, called))
    ledger = runs / LEDGER
    text = ledger.read_text(encoding="utf-8").replace(mine.digest, theirs.digest).replace(mine.name, theirs.name)
    ledger.write_text(text, encoding="utf-8")
    return drift(*(open_side(place, PUBLISHED, completed) for place in ("canary", str(runs))))


@pytest.mark.slow
def test_a_learning_rate_times_ten_is_moved(tmp_path: Path) -> None:
    comparison = canary(tmp_path)
    protocol = comparison.studies[0].protocol
    wrong = protocol.vary({"lr": 10 * of(protocol.lr, "glyphs"), "repeats": 3})
    studies = tuple(replace(study, protocol=wrong) for study in comparison.studies)
    verdicts = _sung(replace(comparison, studies=studies), tmp_path / "runs", called=comparison)
    assert "proxy_anchor" in {one.subject.split()[0] for one in verdicts.findings if one.verdict == "moved"}
    assert verdicts.status == 1


def test_a_canary_of_another_loss_in_the_folder_hides_no_drift(tmp_path: Path) -> None:
    comparison = canary(tmp_path / "root")
    (study,) = (study for study in comparison.studies if study.loss == "proxy_anchor")
    job = study.jobs("final", 0, study.params or {})[0]
    record = record_of(job, Trained("done", None, (), None, None), comparison.workplace, 1.0)
    with Ledger(tmp_path / "same") as ledger:
        ledger.append([record])
    assert canary(tmp_path / "root", runs=tmp_path / "same").studies == comparison.studies
    edited = replace(record.plugins["loss"], source="0123456789abcdef")
    with Ledger(tmp_path / "other") as ledger:
        ledger.append([replace(record, plugins={**record.plugins, "loss": edited})])
    with pytest.raises(ValueError, match=r"The loss 'proxy_anchor' must be the one .* or give another --runs\.$"):
        canary(tmp_path / "root", runs=tmp_path / "other")
