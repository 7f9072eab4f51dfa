"""What records say of where they were made."""

from importlib.metadata import version

import pytest
import torch

from mlrc.harness.machine.environment import current, differ, resolve_device


def test_the_versions_of_all_that_scores_depend_on_are_recorded_where_it_is_installed() -> None:
    versions = current(torch.device("cpu")).versions
    assert {name: versions[name] for name in ("pillow", "scikit-learn", "timm")} == {
        name: version(name) for name in ("pillow", "scikit-learn", "timm")
    }


def test_commits_differ_by_their_hash_where_both_are_known() -> None:
    assert differ("0123456789ab", "ba9876543210")
    assert differ("0123456789ab", "ba9876543210-dirty")
    assert not differ("0123456789ab", "0123456789ab-dirty")
    assert not differ("v0.1.0", "0123456789ab")


@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_a_gpu_is_named_by_its_number_which_torch_needs_to_take_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class There:
        device = torch.device("cuda", 0)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "empty", lambda size, device: There() if device == "cuda" else None)
    assert str(resolve_device(name)) == "cuda:0"
