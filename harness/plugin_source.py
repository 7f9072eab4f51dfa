"""The source that a plug-in stands on, as a hash: what tells an edited one from the one that a run began with.

Counted are the module that holds the plug-in and the modules of its package that it imports, and those that these
import, wherever in them an import stands. Every character of their texts counts, comments too; how a text ends its
lines and where it lies does not, so a wheel, an editable installation and a copy on a node with the same text are the
same. A package's `__init__.py` counts where something is taken from it. Of a plug-in in a file of one's own the modules
count that lie beside the file. Not counted are other packages, whose versions
the records carry, files that are no modules, and the module of ours that defines what a plug-in of that kind is.

Of our own plug-ins the package is their room, as `mlrc.losses`: the rest of this code is told by its commit.
"""

import ast
import hashlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

OURS = "mlrc"


def source_of(module: str, door: str) -> str:
    """Hash the module that holds a plug-in, which is imported, and what it imports of its package.

    Args:
        module: its full name.
        door: the full name of the module that defines what a plug-in of that kind is.

    Returns:
        16 hexadecimal digits; empty where there is no file to hash.
    """
    package = module.rpartition(".")[0] if module.partition(".")[0] == OURS else module.partition(".")[0]
    spec = _spec(module)
    text = None if spec is None else _text(spec)
    if spec is None or text is None:
        return ""
    within = _parent(module, spec)
    return _hash(text, _closure(text, within, {module, door}, lambda name: f"{name}.".startswith(f"{package}.")))


def source_of_file(text: str, folder: Path) -> str:
    """Hash the text of a file that holds a plug-in, and what it imports of the modules that lie beside it."""

    def beside(name: str) -> bool:
        spec = _spec(name.partition(".")[0])
        if spec is None or not spec.has_location or not spec.origin:
            return False
        place = Path(spec.origin)
        return folder in (place.parent, place.parent.parent if place.stem == "__init__" else None)

    return _hash(text.encode(), _closure(text.encode(), "", set(), beside))


def _closure(text: bytes, within: str, without: set[str], counts: Callable[[str], bool]) -> dict[str, bytes]:
    """Give the texts of the modules that count, by full name, among those that a text imports, and these, and so on."""
    texts: dict[str, bytes] = {}
    waiting = [*_imported(text, within)]
    while waiting:
        name = waiting.pop()
        if name in texts or name in without or not counts(name):
            continue
        spec = _spec(name)
        imported = None if spec is None else _text(spec)
        if spec is not None and imported is not None:
            texts[name] = imported
            waiting += _imported(imported, _parent(name, spec))
    return texts


def _hash(text: bytes, imported: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256(_digest(text))
    for name in sorted(imported):
        digest.update(f"\n{name} ".encode() + _digest(imported[name]))
    return digest.hexdigest()[:16]


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(b"\n".join(text.splitlines())).hexdigest().encode()


def _spec(name: str) -> ModuleSpec | None:
    """Find a module without running any."""
    if (loaded := sys.modules.get(name)) is not None and loaded.__spec__ is not None:
        return loaded.__spec__
    parent, _, _ = name.rpartition(".")
    if not parent:
        return PathFinder.find_spec(name)
    above = _spec(parent)
    places = None if above is None else above.submodule_search_locations
    return None if places is None else PathFinder.find_spec(name, list(places))


def _text(spec: ModuleSpec) -> bytes | None:
    """Give the text of a module, or the bytes of one that has none, as a compiled one."""
    read = getattr(spec.loader, "get_data", None)
    if read is None or not spec.has_location or not spec.origin:
        return None
    try:
        return bytes(read(spec.origin))
    except OSError:
        return None


def _parent(name: str, spec: ModuleSpec) -> str:
    """Give the package that a module's relative imports start from."""
    return name if spec.submodule_search_locations is not None else name.rpartition(".")[0]


def _imported(text: bytes, within: str) -> Iterator[str]:
    """Give the modules that a text imports, as far as it says so."""
    for level, module, names in _imports(text):
        if not names:
            yield module
            continue
        try:
            taken_from = importlib.util.resolve_name("." * level + module, within) if level else module
        except ImportError:
            continue
        for one in names:
            yield f"{taken_from}.{one}" if _spec(f"{taken_from}.{one}") is not None else taken_from


@lru_cache(maxsize=256)
def _imports(text: bytes) -> tuple[tuple[int, str, tuple[str, ...]], ...]:
    """Give level, module and taken names of the import statements of a text; of `import a.b` no names."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):  # a compiled module
        return ()
    found: list[tuple[int, str, tuple[str, ...]]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(0, alias.name, ()) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append((node.level, node.module or "", tuple(alias.name for alias in node.names)))
    return tuple(found)
