"""Where a plug-in of a run comes from: what tells a loss, a dataset's reader or a trunk from an edited one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

KINDS = ("loss", "dataset", "trunk")
"""What the numbers of a training rest on beside the protocol's fields and this code's own commit."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a plug-in comes from.

    Attributes:
        distribution: that registers it, with its `version`; both empty for a file of one's own.
        source: 16 hexadecimal digits over its module and the modules of its package that it imports, see
            `mlrc.harness.plugin_source`; empty where there is no source.
    """

    distribution: str
    version: str
    source: str

    def differs(self, other: "Origin") -> bool:
        """Say whether two are other plug-ins: by their sources, which decide alone where both are known."""
        if self.source and other.source:
            return self.source != other.source
        return (self.distribution, self.version) != (other.distribution, other.version)

    def __str__(self) -> str:
        """Say it in words, for a sentence."""
        package = " ".join(word for word in (self.distribution, self.version) if word) or "a file"
        return f"{package}, source {self.source}" if self.source else package


def origins(content: Any) -> dict[str, Origin]:
    """Read the origins of a line, by kind; what the line does not tell is not known, and never counts as changed.

    Raises:
        KeyError, TypeError, AttributeError: the content is not of that shape.
    """
    return {
        str(kind): Origin(distribution=str(one["distribution"]), version=str(one["version"]), source=str(one["source"]))
        for kind, one in content.items()
    }


Origins = Mapping[str, Origin]
"""Kind, of `KINDS`, to the plug-in."""
