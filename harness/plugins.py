"""The one door by which losses, datasets and trunks enter: entry points, ours and a stranger's alike."""

from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, NamedTuple, TypeVar

from mlrc.losses.spec import LossSpec
from mlrc.protocols.suggestion import did_you_mean

T = TypeVar("T")


class Survey(NamedTuple, Generic[T]):
    """All plug-ins of a kind: those that can be used, by name, and a sentence for each that cannot."""

    found: dict[str, T]
    failures: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Kind(Generic[T]):
    """One kind of plug-in: its entry-point group, what it is called, and the type an entry must lead to."""

    group: str
    noun: str
    plural: str
    type: type[T]

    def names(self) -> list[str]:
        """Give the registered names, sorted, without importing any."""
        return sorted({entry.name for entry in entry_points(group=self.group)})

    def find(self, name: str) -> T:
        """Import the plug-in of that name.

        Raises:
            LookupError: there is none, or two distributions claim the name.
            ImportError: the plug-in does not import.
            TypeError: the entry point leads to something else, or to a plug-in of another name.
        """
        claims = [entry for entry in entry_points(group=self.group) if entry.name == name]
        if not claims:
            hint = did_you_mean(name, self.names(), f"See them all with: mlrc list {self.plural}")
            raise LookupError(f"No {self.noun} named {name!r}. {hint}")
        owners = sorted({_owner(claim) for claim in claims})
        if len(owners) > 1:
            raise LookupError(
                f"The {self.noun} name {name!r} is claimed by {' and by '.join(owners)}; uninstall one of them."
            )
        try:
            plugin = claims[0].load()
        except Exception as error:  # a plug-in may fail in any way, and the sentence must name it
            raise ImportError(
                f"The {self.noun} {name!r} of {owners[0]} does not import ({type(error).__name__}: {error}); "
                "update or uninstall it."
            ) from error
        if not isinstance(plugin, self.type):
            raise TypeError(
                f"The {self.noun} {name!r} of {owners[0]} must be a {self.type.__name__}, but is "
                f"a {type(plugin).__name__}; correct its entry point."
            )
        own_name = getattr(plugin, "name", name)
        if own_name != name:
            raise TypeError(
                f"The {self.noun} {name!r} of {owners[0]} must bear the name of its entry point, but calls itself "
                f"{own_name!r}; make the two equal."
            )
        return plugin

    def survey(self) -> Survey[T]:
        """Import every plug-in; one that fails spoils no other."""
        survey: Survey[T] = Survey({}, {})
        for name in self.names():
            try:
                survey.found[name] = self.find(name)
            except (LookupError, ImportError, TypeError) as error:
                survey.failures[name] = str(error)
        return survey


def _owner(entry: EntryPoint) -> str:
    return f"the distribution {entry.dist.name!r}" if entry.dist else repr(entry.value)


LOSSES = Kind(group="mlrc.losses", noun="loss", plural="losses", type=LossSpec)
