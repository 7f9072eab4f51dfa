"""Weights files: found, verified, read without running code from them, and fitted to a trunk or refused by key."""

import hashlib
import pickle
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlparse

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.hub import download_url_to_file, get_dir

from mlrc.harness.trunks.trunk import Trunk

# what torch's unpickler raises on foreign bytes, besides what it means to raise
_FOREIGN = (LookupError, TypeError, AttributeError, ValueError, struct.error)
_UNREADABLE = (OSError, RuntimeError, EOFError, pickle.UnpicklingError, SafetensorError, *_FOREIGN)
_NAMED = 3
"""Keys that a message names."""


def find_weights(trunk: Trunk, text: str) -> Path:
    """Give the file that a user means: a path, or the name of weights published with the trunk, then downloaded.

    Raises:
        FileNotFoundError: it is neither.
        OSError: the download failed.
    """
    if Path(text).is_file():
        return Path(text)
    if text not in trunk.published:
        names = f" or one of {', '.join(trunk.published)}" if trunk.published else ""
        raise FileNotFoundError(f"--weights must be a file{names} for the trunk {trunk.name}, but there is no {text}.")
    address = trunk.published[text]
    name = Path(urlparse(address).path).name
    path = Path(get_dir()) / "checkpoints" / name
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            # published as name-<first digits of the sha256>.pth
            download_url_to_file(address, str(path), hash_prefix=Path(name).stem.rpartition("-")[2], progress=False)
        except (OSError, RuntimeError) as error:
            raise OSError(f"{name} could not be downloaded from {address} ({error}); bring it to {path}.") from error
    return path


def sha256_of(path: Path) -> str:
    """Hash a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_weights(module: nn.Module, path: Path, sha256: str, *, classifier: Sequence[str] = (), keys: str = "") -> None:
    """Load a state dict, `.safetensors` or PyTorch's format, into a trunk in place.

    Batch-norm tensors may carry a leading axis of size 1 and lack `num_batches_tracked`, as BN-Inception's do.

    Args:
        module: the trunk.
        path: of the file.
        sha256: that the file must have.
        classifier: prefixes of keys of the file that are left out.
        keys: prefix that the trunk's keys have and the file's do not.

    Raises:
        ValueError: the file has another hash, is no plain state dict, or does not fit; the keys are named.
    """
    found = sha256_of(path)
    if found != sha256:
        raise ValueError(f"{path} must have the sha256 {sha256}, but has {found}; give the weights of the protocol.")
    given = {
        keys + name: tensor for name, tensor in read_state_dict(path).items() if not name.startswith(tuple(classifier))
    }
    expected = module.state_dict()
    for name in given.keys() & expected.keys():
        if given[name].shape == (1, *expected[name].shape):
            given[name] = given[name][0]
    missing = [name for name in expected if name not in given and not name.endswith("num_batches_tracked")]
    unknown = [name for name in given if name not in expected]
    shaped = [
        f"{name} {tuple(given[name].shape)} in place of {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in given and given[name].shape != tensor.shape
    ]
    faults = [
        f"{what} {', '.join(names[:_NAMED])}" + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
        for what, names in (("it lacks", missing), ("it has unknown", unknown), ("it has", shaped))
        if names
    ]
    if faults:
        raise ValueError(f"{path} must fit the trunk, but {'; '.join(faults)}; give weights of this trunk.")
    module.load_state_dict(given, strict=False)


def read_state_dict(path: Path) -> Mapping[str, Tensor]:
    """Read a state dict, or the `state_dict` of a checkpoint, without running code from the file.

    Raises:
        ValueError: the file is damaged, or holds something else.
    """
    try:
        content: object = load_file(path) if path.suffix == ".safetensors" else _unpickled(path)
    except _UNREADABLE as error:
        raise ValueError(
            f"{path} must be a whole file of plain tensors, but cannot be read ({_reason(error)}); get it again."
        ) from error
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not all(isinstance(tensor, Tensor) for tensor in content.values()):
        raise ValueError(f"{path} must hold a state dict of tensors, but holds {type(content).__name__}; save one.")
    return {name.removeprefix("module."): tensor for name, tensor in content.items()}


def _reason(error: Exception) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    told = next(
        (line for line in lines if "WeightsUnpickler error" in line), lines[0]
    )  # the rest is advice to unpickle
    return told.strip().split(". ")[0].removesuffix(".")


def _unpickled(path: Path) -> object:
    return torch.load(path, map_location="cpu", weights_only=True)
