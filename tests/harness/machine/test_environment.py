"""What records say of where they were made."""

from importlib.metadata import version

import pytest
import torch

from mlrc.harness.machine.environment import current, differ, resolve_device, resolve_devices


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


@pytest.mark.parametrize(
    ("name", "expected"), [("auto", "cuda:0"), ("cuda", "cuda:0"), ("cuda:1", "cuda:1"), ("cpu", "cpu")]
)
def test_a_gpu_is_named_by_its_number_and_nothing_is_made_on_it(
    name: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    empty = torch.empty

    def made_here(size: int, device: str) -> torch.Tensor:
        made.append(device)
        return empty(size, device="cpu")

    monkeypatch.setattr(torch, "empty", made_here)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert str(resolve_device(name)) == expected
    assert made == (["cpu"] if name == "cpu" else [])
    assert [str(device) for device in resolve_devices("cuda:1,cuda:0")] == ["cuda:1", "cuda:0"]


def test_a_gpu_that_does_not_answer_is_named_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for name in ("cuda:2", "cuda:-1", "cuda:999999"):
        with pytest.raises(ValueError, match=f"The device '{name}' cannot be used here"):
            resolve_device(name)
