"""The one door: names, and every way in which a plug-in can be missing, doubled or broken, as one sentence."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlrc.harness.plugins import LOSSES
from mlrc.results.records.record import BASELINES

SPEC = """\
from mlrc.losses.spec import LossSpec
from torch import nn
SPEC = LossSpec(name="{name}", title="Odd", source="nowhere", space={{}}, build=lambda *_: nn.Identity(), batch="pairs")
"""
Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Lay a distribution with one entry point where Python finds it, as an installer would."""
    monkeypatch.syspath_prepend(tmp_path)
    laid = []

    def lay(distribution: str, name: str, module: str, source: str) -> None:
        laid.append(module)
        (tmp_path / f"{module}.py").write_text(source)
        metadata = tmp_path / f"{distribution}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(f"[mlrc.losses]\n{name} = {module}:SPEC\n")

    yield lay
    for module in laid:
        sys.modules.pop(module, None)


def test_our_losses_enter_by_the_same_door_as_a_strangers(install: Install) -> None:
    install("strange", "odd", "odd_loss", SPEC.format(name="odd"))
    names = LOSSES.names()
    assert {"odd", "contrastive", "proxy_anchor"} <= set(names)
    assert names == sorted(set(names))
    assert LOSSES.find("odd").title == "Odd"
    assert LOSSES.find("proxy_anchor").title == "ProxyAnchor"


def test_a_misspelt_name_gets_the_nearest_one_suggested() -> None:
    with pytest.raises(LookupError, match=r"^No loss named 'proxyanchor'\. Did you mean 'proxy_anchor'\?$"):
        LOSSES.find("proxyanchor")


def test_a_name_like_no_other_gets_the_list() -> None:
    with pytest.raises(LookupError, match=r"^No loss named 'xyzzy'\. See them all with: mlrc list losses$"):
        LOSSES.find("xyzzy")


def test_two_distributions_with_one_name_are_an_error_that_names_both(install: Install) -> None:
    install("strange", "odd", "odd_loss", SPEC.format(name="odd"))
    install("stranger", "odd", "odder_loss", SPEC.format(name="odd"))
    sentence = "'odd' is claimed by the distribution 'strange' and by the distribution 'stranger'; uninstall one"
    with pytest.raises(LookupError, match=sentence):
        LOSSES.find("odd")
    assert LOSSES.names().count("odd") == 1


def test_a_stranger_cannot_take_the_name_of_one_of_ours_in_silence(install: Install) -> None:
    install("strange", "contrastive", "odd_loss", SPEC.format(name="contrastive"))
    with pytest.raises(LookupError, match="claimed by the distribution 'mlrc' and by the distribution 'strange'"):
        LOSSES.find("contrastive")


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("import nowhere_to_be_found", "does not import .ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
        ("1 / 0", "does not import .ZeroDivisionError"),
        ("SPEC = (", "does not import .SyntaxError"),
        ("", "does not import .AttributeError"),
    ],
)
def test_a_plugin_that_does_not_import_is_named_with_the_remedy(install: Install, source: str, sentence: str) -> None:
    install("strange", "odd", "odd_loss", source)
    with pytest.raises(ImportError, match=f"The loss 'odd' of the distribution 'strange' {sentence}.*uninstall it"):
        LOSSES.find("odd")


def test_an_entry_point_to_something_else_is_named(install: Install) -> None:
    install("strange", "odd", "odd_loss", "SPEC = 3")
    with pytest.raises(TypeError, match="of the distribution 'strange' must be a LossSpec, but is a int"):
        LOSSES.find("odd")


def test_a_loss_must_bear_the_name_of_its_entry_point(install: Install) -> None:
    install("strange", "odd", "odd_loss", SPEC.format(name="even"))
    with pytest.raises(TypeError, match="'odd' of the distribution 'strange' must bear the name.*calls itself 'even'"):
        LOSSES.find("odd")


def test_broken_plugins_spoil_no_other(install: Install) -> None:
    install("strange", "odd", "odd_loss", "1 / 0")
    install("stranger", "even", "even_loss", SPEC.format(name="even"))
    install("strangest", "contrastive", "double_loss", SPEC.format(name="contrastive"))
    survey = LOSSES.survey()
    assert set(survey.failures) == {"odd", "contrastive"}
    assert "ZeroDivisionError" in survey.failures["odd"]
    assert set(survey.found) == set(LOSSES.names()) - {"odd", "contrastive"}
    assert survey.found["even"].title == "Odd"


@pytest.mark.parametrize("name", BASELINES)
def test_no_loss_may_have_the_name_of_a_row_that_no_loss_made(install: Install, tmp_path: Path, name: str) -> None:
    install("strange", name, "odd_loss", SPEC.format(name=name))
    (tmp_path / "mine.py").write_text(SPEC.format(name=name))
    sentence = f"A loss must have a name of its own, but '{name}' is that of a row which no loss made; give it another"
    for word in (name, str(tmp_path / "mine.py")):
        with pytest.raises(ValueError, match=sentence):
            LOSSES.find(word)
    assert sentence in LOSSES.survey().failures[name]
