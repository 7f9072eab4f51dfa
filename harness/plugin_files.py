"""A plug-in in one file of one's own, without packaging.

Its text travels, so that a process or a machine without the file has it, and an edit in mid-run changes nothing.
"""

import hashlib
import linecache
import re
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType

_REFERENCE = re.compile(r"(?P<path>.+\.py)(?::(?P<attribute>\w+))?")


@dataclass(frozen=True, kw_only=True)
class PluginFile:
    """What a file says, and the name in it that is the plug-in.

    Attributes:
        path: where it was read, whole; for messages alone.
        attribute: such as `SPEC`.
        text: of the file, when it was read.
    """

    path: str
    attribute: str
    text: str

    @property
    def digest(self) -> str:
        """64 hexadecimal digits over the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def content(self) -> object:
        """Run the file, once in a process, and give what the attribute holds.

        Raises:
            ImportError: it cannot be run, or holds no such name.
        """
        module = _module(self)
        if not hasattr(module, self.attribute):
            raise ImportError(
                f"The file {self.path} must hold {self.attribute}, but does not; name what it holds: "
                f"{Path(self.path).name}:NAME."
            )
        return getattr(module, self.attribute)


def is_file(reference: str) -> bool:
    """Say whether a user's word means a file, `PATH.py` or `PATH.py:NAME`, and no plug-in's name."""
    return _REFERENCE.fullmatch(reference.strip()) is not None


def read(reference: str, attribute: str) -> PluginFile:
    """Read the file that `PATH.py` or `PATH.py:NAME` means.

    Args:
        reference: for which `is_file` holds.
        attribute: the name that `PATH.py` alone means.

    Raises:
        OSError: the file is not there or cannot be read.
        ValueError: it is no text.
    """
    match = _REFERENCE.fullmatch(reference.strip())
    if match is None:
        raise ValueError(f"A plug-in in a file is given as PATH.py or PATH.py:NAME, but got {reference!r}.")
    path = Path(match["path"]).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"The file {path} must be there, but is not; check the path.")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"The file {path} must be Python in UTF-8, but is not ({error}).") from None
    return PluginFile(path=str(path.resolve()), attribute=match["attribute"] or attribute, text=text)


@lru_cache(maxsize=64)
def _module(file: PluginFile) -> ModuleType:
    """Run a file as a module that has a name of its own, which dataclasses, pickle and tracebacks look up."""
    module = ModuleType(f"mlrc_file_{file.digest[:12]}", f"The plug-in of {file.path}.")
    module.__file__ = file.path
    module.__package__ = ""  # of none: a relative import says so
    linecache.cache[file.path] = (len(file.text), None, file.text.splitlines(keepends=True), file.path)
    sys.modules[module.__name__] = module
    try:
        exec(compile(file.text, file.path, "exec"), vars(module))  # noqa: S102 the user's own plug-in, as an import
    except (Exception, SystemExit) as error:  # a plug-in may fail in any way, and the sentence must name it
        del sys.modules[module.__name__]
        raise ImportError(
            f"The file {file.path} does not import ({type(error).__name__}: {error}); correct it. It must stand alone: "
            "what several files make up is a package, see mlrc new-loss."
        ) from error
    return module
