"""Which rules a comparison follows: a protocol by its name, its file or as a value, with the changes to it."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mlrc.harness.machine.given import require_content
from mlrc.harness.plugins import PROTOCOLS
from mlrc.harness.trunks.catalogue import find_trunk, with_trunk
from mlrc.harness.trunks.weights import find_weights
from mlrc.protocols import variant
from mlrc.protocols.protocol import Protocol


class Rules(NamedTuple):
    """A protocol, and the file of its trunk's weights if one was given."""

    protocol: Protocol
    weights: Path | None = None


def chosen(
    protocol: str | Protocol, *, trunk: str | None = None, weights: str | None = None, changes: Sequence[str] = ()
) -> Rules:
    """Give the protocol that is meant.

    Args:
        protocol: a value; or a name from `mlrc list protocols`; or a file, see `found`.
        trunk: another trunk in place of the protocol's.
        weights: of the trunk: a file, or a name that the trunk publishes.
        changes: `field=value` texts, see `Protocol.set`.

    Raises:
        LookupError: no such protocol or trunk.
        ValueError: a change or a file of weights does not fit.
        ImportError: a plug-in or a file does not import.
        TypeError: a plug-in or a file holds something else than a protocol.
        OSError: a file cannot be read.
    """
    require_content(trunk=trunk, weights=weights)
    rules = protocol if isinstance(protocol, Protocol) else found(protocol)
    name = trunk or rules.trunk
    file = find_weights(find_trunk(name), weights) if weights else None
    if trunk or file:
        rules = with_trunk(rules, name, file)
    return Rules(rules.set(changes), file)


def found(reference: str) -> Protocol:
    """Give the protocol of that name, or in that file: `PATH.toml` with a parent and changes, `PATH.py[:NAME]`.

    Raises what `chosen` raises.
    """
    path = Path(reference).expanduser()
    if path.suffix != ".toml":
        return PROTOCOLS.find(reference)
    if not path.is_file():
        raise FileNotFoundError(f"The file {path} must be there, but is not; check the path.")
    try:
        derived = variant.read(path.read_text(encoding="utf-8"))
        return found_beside(derived.parent, path.parent).set(derived.assignments)
    except (ValueError, LookupError) as error:  # also of an encoding
        raise ValueError(f"The protocol in {path} cannot be used: {error}") from None


def found_beside(parent: str, folder: Path) -> Protocol:
    """Give the parent that a file in a folder names; a file of its own is found from there."""
    is_path = parent.endswith(".toml") or ".py" in parent
    return found(str(folder / parent) if is_path else parent)
