"""The one door by which losses, protocols, datasets and trunks enter: entry points, ours and a stranger's alike.

A loss or a protocol may also stand in a file of one's own, which enters by its path (`mlrc.harness.plugin_files`).
"""

import sys
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from mlrc.harness import plugin_files
from mlrc.harness.plugin_files import PluginFile
from mlrc.harness.plugin_source import source_of, source_of_file
from mlrc.losses.spec import LossSpec
from mlrc.protocols.protocol import Protocol
from mlrc.protocols.suggestion import did_you_mean
from mlrc.results.records.origin import Origin
from mlrc.results.records.record import BASELINES

T = TypeVar("T")


class Survey(NamedTuple, Generic[T]):
    """All plug-ins of a kind: those that can be used, by name, and a sentence for each that cannot."""

    found: dict[str, T]
    failures: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Kind(Generic[T]):
    """One kind of plug-in: its entry-point group, what it is called, and the type an entry must lead to.

    Attributes:
        attribute: the name that a file of one's own holds it by; empty where none may enter by a file.
        reserved: names that none may have, as they stand for something else in the tables.
        files: name to the file that it entered by, in this process.
    """

    group: str
    noun: str
    plural: str
    type: type[T]
    attribute: str = ""
    reserved: tuple[str, ...] = ()
    files: dict[str, PluginFile] = field(default_factory=dict, compare=False, repr=False)

    def names(self) -> list[str]:
        """Give the registered names, sorted, without importing any; what entered by a file is not among them."""
        return sorted({entry.name for entry in entry_points(group=self.group)})

    def knows(self, name: str) -> bool:
        """Say whether there is a plug-in of that name, registered or entered by a file."""
        return name in self.files or name in self.names()

    def is_ours(self, name: str) -> bool:
        """Say whether the plug-in of that name comes with mlrc itself."""
        claims = [entry for entry in entry_points(group=self.group) if entry.name == name]
        return bool(claims) and all(entry.value.startswith("mlrc.") for entry in claims)

    def find(self, name: str) -> T:
        """Import the plug-in of that name, or the one in the file `PATH.py` or `PATH.py:NAME`, which enters by it.

        Raises:
            LookupError: there is none, or two distributions claim the name.
            ImportError: the plug-in does not import.
            TypeError: the entry point or the file leads to something else, or to a plug-in of another name.
            ValueError: the plug-in has a reserved name, or one in a file that of a registered one.
            OSError: there is no such file.
        """
        if self.attribute and plugin_files.is_file(name):
            return self.enter(plugin_files.read(name, self.attribute))
        if name in self.files:
            return self.in_file(self.files[name])
        claims = [entry for entry in entry_points(group=self.group) if entry.name == name]
        if not claims:
            hint = did_you_mean(name, self.names(), f"See them all with: mlrc list {self.plural}")
            raise LookupError(f"No {self.noun} named {name!r}. {hint}")
        self.require_free(name)
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
        own_name = _name_of(plugin) or name
        if own_name != name:
            raise TypeError(
                f"The {self.noun} {name!r} of {owners[0]} must bear the name of its entry point, but calls itself "
                f"{own_name!r}; make the two equal."
            )
        return plugin

    def enter(self, file: PluginFile) -> T:
        """Let the plug-in in a file enter, in the place of one that entered before by the same name.

        Raises what `in_file` raises, and:
            ValueError: a registered plug-in has its name.
        """
        plugin = self.in_file(file)
        name = _name_of(plugin)
        if name in self.names():
            raise ValueError(
                f"The {self.noun} in {file.path} must have a name of its own, but there is a {self.noun} named "
                f"{name!r}; give it another `name`."
            )
        self.files[name] = file
        return plugin

    def in_file(self, file: PluginFile) -> T:
        """Give the plug-in in a file; nothing is registered.

        Raises:
            ImportError: the file cannot be run, or holds no such name.
            TypeError: it holds something else.
            ValueError: it has a reserved name.
        """
        plugin = file.content()
        if not isinstance(plugin, self.type):
            raise TypeError(
                f"{file.attribute} in {file.path} must be a {self.type.__name__}, but is a {type(plugin).__name__}; "
                f"name what it holds: {Path(file.path).name}:NAME."
            )
        self.require_free(_name_of(plugin))
        return plugin

    def require_free(self, name: str) -> None:
        """Raise `ValueError` for a reserved name."""
        if name in self.reserved:
            raise ValueError(
                f"A {self.noun} must have a name of its own, but {name!r} is that of a row which no {self.noun} made; "
                "give it another `name`."
            )

    def take(self, plugin: T) -> str:
        """Let a plug-in enter that Python code holds as a value, by the file that defines it; give its name.

        Raises what `enter` raises, and:
            ValueError: no file can be told that gives it again, as other processes need.
        """
        name = _name_of(plugin)
        if name in self.names() and self.find(name) is plugin:
            return name
        found = _defined(plugin)
        if found is None:
            raise ValueError(
                f"The {self.noun} {name!r} must stand in a file, from which every process can make it, but it is "
                "defined in a notebook, a script or a function. Write it into a file (a notebook's cell does so with "
                f"%%writefile {name}.py) that holds it as {self.attribute}, and give the path './{name}.py'."
            )
        if self.enter(found) is not plugin and _told(self.in_file(found)) != _told(plugin):
            raise ValueError(
                f"The {self.noun} {name!r} must be what its file {found.path} says, but that was changed since it was "
                f"imported; give the path in place of the value, or import it again."
            )
        return name

    def origin(self, name: str) -> Origin:
        """Say where the plug-in of that name comes from, registered or entered by a file; raises what `find` raises."""
        self.find(name)
        if name in self.files:
            file = self.files[name]
            return Origin(distribution="", version="", source=source_of_file(file.text, Path(file.path).parent))
        entry = next(entry for entry in entry_points(group=self.group) if entry.name == name)
        return Origin(
            distribution=entry.dist.name if entry.dist else "",
            version=entry.dist.version if entry.dist else "",
            source=source_of(entry.module, self.type.__module__),
        )

    def survey(self) -> Survey[T]:
        """Import every plug-in; one that fails spoils no other."""
        survey: Survey[T] = Survey({}, {})
        for name in self.names():
            try:
                survey.found[name] = self.find(name)
            except (LookupError, ImportError, TypeError, ValueError) as error:
                survey.failures[name] = str(error)
        return survey


def _owner(entry: EntryPoint) -> str:
    return f"the distribution {entry.dist.name!r}" if entry.dist else repr(entry.value)


def _name_of(plugin: object) -> str:
    return str(getattr(plugin, "name", ""))


def _told(plugin: object) -> object:
    """Give what can be compared of a plug-in: the functions of two runs of one file are not the same."""
    return plugin.describe() if isinstance(plugin, LossSpec) else plugin


def _defined(plugin: object) -> PluginFile | None:
    """Find the imported module that holds a value, that of its function first, and give its file."""
    home = getattr(getattr(plugin, "build", None), "__module__", "")
    for name, module in sorted(sys.modules.items(), key=lambda pair: pair[0] != home):
        path = getattr(module, "__file__", None)
        if name in ("__main__", "__mp_main__") or not path or not plugin_files.is_file(path):
            continue
        for attribute, value in tuple(vars(module).items()):
            if value is plugin and Path(path).is_file():
                return plugin_files.read(f"{path}:{attribute}", attribute)
    return None


LOSSES = Kind(group="mlrc.losses", noun="loss", plural="losses", type=LossSpec, attribute="SPEC", reserved=BASELINES)
"""What is compared."""

PROTOCOLS = Kind(group="mlrc.protocols", noun="protocol", plural="protocols", type=Protocol, attribute="PROTOCOL")
"""By which rules."""
