"""Training drift: a wrong optimizer setting moves the canary's scores. `make guard` runs the unchanged one."""

from dataclasses import replace
from pathlib import Path

import pytest

from mlrc.harness.cli.carry_out import carry_out
from mlrc.harness.cli.words.option_groups import Effort
from mlrc.harness.guard.canary import canary
from mlrc.harness.study.comparison import Comparison
from mlrc.protocols.protocol import completed, of
from mlrc.results.publishing.drift import drift
from mlrc.results.publishing.place import PUBLISHED
from mlrc.results.publishing.references import open_side
from mlrc.results.publishing.verdict import Verdicts
from mlrc.results.records.ledger import LEDGER


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
