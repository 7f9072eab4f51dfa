"""What records say of where they were made."""

from importlib.metadata import version

import torch

from mlrc.harness.machine.environment import current, differ


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
