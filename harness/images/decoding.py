"""From one image file to RGB pixels: which files PIL may read, and what it would spoil without a word.

8 bits a channel are taken as they are. 16-bit grey is scaled by its range. Numbers whose range is not known (32-bit
integers, floats) are refused. What is transparent lies on white. Not turned by EXIF, as in the published runs.
"""

import stat
import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from importlib import import_module
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

VERSION = 2
"""Raised when a file gives other pixels than before: 2 scales 16-bit grey and lays what is transparent on white."""

MOST_PIXELS = Image.MAX_IMAGE_PIXELS or 2**30 // 12
"""Of one image, PIL's own bound of what a good image may take of the memory."""

LONGEST = 200
"""Times the shorter side that the longer may be: resized, a line of 60,000 pixels would fill the memory."""

EIGHT_BITS = frozenset({"1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "LAB", "HSV", "LA", "La", "PA", "RGBA", "RGBa"})
NOT_PIXELS = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"})
"""Formats that PIL opens with another program, or only by name."""

NAMED = 10
"""Bad images that one sentence names."""

FAULTS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    EOFError,
    RuntimeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""What PIL's readers raise of a file that is not what it says."""


class UnusableImageError(ValueError):
    """An image cannot be used.

    Attributes:
        path: of its file.
        reason: a clause.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} must be a whole image file, but {reason}; replace it or leave it out.")
        self.path = path
        self.reason = reason

    def __reduce__(self) -> tuple[type["UnusableImageError"], tuple[Path, str]]:
        """Travel between processes."""
        return type(self), (self.path, self.reason)


def together(errors: Sequence[UnusableImageError], images: int, of: str) -> ValueError:
    """Give one error that names the bad images of a set, up to `NAMED`, one or more of the `images` of the set."""
    if len(errors) == 1:
        return errors[0]
    told = "; ".join(f"{error.path}: {error.reason}" for error in errors[:NAMED])
    more = f"; and {len(errors) - NAMED} more" if len(errors) > NAMED else ""
    return ValueError(
        f"Every image of {of} must be a whole image file, but {len(errors)} of {images:,} are not; replace them or "
        f"leave them out: {told}{more}."
    )


@cache
def formats() -> tuple[str, ...]:
    """Give the formats that are read: PIL's, and HEIF where the package pillow-heif is installed."""
    with suppress(ImportError):
        import_module("pillow_heif").register_heif_opener()
    Image.init()
    return tuple(name for name in Image.ID if name not in NOT_PIXELS)


@cache
def suffixes() -> frozenset[str]:
    """Give the suffixes of image files, in small letters with the dot."""
    known = set(formats())
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in known)


def decode(path: Path) -> NDArray[np.uint8]:
    """Decode one file: `(height, width, 3)`.

    Raises:
        UnusableImageError: it is no image, not a whole one, too large, or of numbers without a known range.
    """
    with _opened(path) as image:
        return rgb(image)


def measure(path: Path) -> tuple[int, int]:
    """Read height and width from a file's header, in pixels; raises what `decode` raises if the header tells it."""
    with _opened(path) as image:
        return image.height, image.width


def rgb(image: Image.Image) -> NDArray[np.uint8]:
    """Give the pixels of an opened image: `(height, width, 3)`; raises `ValueError` where their range is not known."""
    require_range(image)
    if image.mode == "I" or image.mode.startswith("I;16"):
        wide = np.asarray(image).astype(np.int64).clip(0, 65535)
        grey = ((wide * 255 + 32767) // 65535).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.has_transparency_data:
        straight = image.convert({"La": "LA", "RGBa": "RGBA"}.get(image.mode, image.mode)).convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", straight.size, "white"), straight)
    return np.asarray(image.convert("RGB"))


def require_range(image: Image.Image) -> None:
    """Raise `ValueError` unless it is known which numbers are black and white.

    Files of 16 bits that PIL opens as 32, as PGM, are known by their format.
    """
    sixteen_bits = image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM"))
    if image.mode not in EIGHT_BITS and not sixteen_bits:
        raise ValueError(f"its mode is {image.mode}, of which nobody knows what is white: save it with 8 or 16 bits")


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    # PIL warns of palettes, metadata and sizes; here each is either of no matter to the pixels or an error
    warnings.filterwarnings("ignore", module=r"PIL\.")
    try:
        _require_file(path)
        with Image.open(path, formats=formats()) as image:
            _require_shape(path, *image.size)
            with _told(path):
                require_range(image)
            yield image
    except UnusableImageError:
        raise
    except UnidentifiedImageError as error:
        raise UnusableImageError(path, "it is of no format that PIL reads") from error
    except FAULTS as error:
        raise UnusableImageError(path, f"it cannot be decoded ({_reason(error)})") from error


def _require_file(path: Path) -> None:
    if not stat.S_ISREG(path.stat().st_mode):
        raise UnusableImageError(path, "it is no regular file")  # a pipe would wait for ever


def _require_shape(path: Path, width: int, height: int) -> None:
    if width * height > MOST_PIXELS or max(width, height) > LONGEST * min(width, height):
        raise UnusableImageError(
            path, f"it is {width} × {height} (at most {MOST_PIXELS:,} pixels and 1 : {LONGEST} can be used)"
        )


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise UnusableImageError(path, str(error)) from error


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
