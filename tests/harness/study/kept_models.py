"""A kept model without a training: random weights, and the card that `--save-models` would write."""

import json
from pathlib import Path

from safetensors.torch import save_file

from mlrc.harness.training.model import build
from mlrc.protocols.protocol import Protocol
from mlrc.protocols.quick import QUICK


def kept(folder: Path, *, fingerprint: str = "", cut: str = "half") -> tuple[Path, Protocol]:
    """Write a model and its card, as trained on the images of a fingerprint; give its file and protocol."""
    protocol = QUICK.vary({"resize": 16, "crop": 16, "embedding_size": 8})
    weights = build(protocol, seed=3).state_dict()
    path = folder / "0123456789abcdef.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, path)
    card = {
        "loss": "contrastive",
        "dataset": {"name": "folder:images", "fingerprint": fingerprint, "cut": cut},
        "protocol": {"name": protocol.name, "digest": protocol.digest, "fields": protocol.to_json()},
    }
    path.with_suffix(".json").write_text(json.dumps(card))
    return path, protocol
