"""The words by which a list of images, or of vectors, says on which side of its own split each of them is."""

TRAINVAL = frozenset({"train", "training", "trainval", "val", "valid", "validation", "dev"})
TEST = frozenset({"test", "testing"})
QUERY = frozenset({"query", "queries"})
GALLERY = frozenset({"gallery"})
_YES, _NO = frozenset({"1", "true", "yes", "query"}), frozenset({"", "0", "false", "no", "gallery"})


def side_of(word: str) -> tuple[bool, bool | None] | None:
    """Give of a word whether it is test and whether that asks or is searched; `None` if it is no side of a split."""
    word = word.strip().casefold()
    if word in TRAINVAL:
        return False, None
    if word in TEST:
        return True, None
    return (True, word in QUERY) if word in QUERY | GALLERY else None


def asks(word: str) -> bool | None:
    """Give of a word in a column `query` whether the image asks; `None` if it says neither."""
    word = word.strip().casefold()
    return word in _YES if word in _YES | _NO else None
