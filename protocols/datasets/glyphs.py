"""Facts of glyphs, the embedded default: printed letters as classes, so that the whole path runs without a download."""

from mlrc.protocols.datasets.facts import DatasetFacts

FACES = (
    *("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSans-BoldOblique"),
    *("DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSansMono-Oblique", "DejaVuSansMono-BoldOblique"),
    *("DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic", "DejaVuSerif-BoldItalic"),
    *("STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "STIXGeneralBolIta"),
)
"""One image per class and face, in this order."""

# All letters are drawn at one size, so of c and C, or of A, Α and А, only one can be a class. Chosen so that any two
# classes differ clearly in some face and visibly in half of them, which the reader's tests hold.
LATIN_AND_DIGITS = (
    "ABCDEGHIJKLMNOPQRSTUVWXYZabdefghijkmnpqrtuy123456789"
    "ÆØÞßæðŁŒƈƒƕƛƪƫƺƾɐɑɔɕɖɗɘəɚɞɟɠ"
)  # fmt: skip
"""The first half of the classes: trainval."""
GREEK_AND_CYRILLIC = (
    "ΔΞΣΦΨΩαβγδεζηιλμνξπςστυφχωϐϑϒϕϖϘϙϚϛϝϞϟϠϡϰϱϵ"
    "ГДЖЙЛЦЧШЩЪЫЬЭЮЯбийкЂЉЊЋђћџѣҐґЃЇЌЎѓїќў"
)  # fmt: skip
"""The second half of the classes: test."""
CHARACTERS = LATIN_AND_DIGITS + GREEK_AND_CYRILLIC

FACTS = DatasetFacts(
    name="glyphs",
    title="Glyphs",
    source="Made on first use from the DejaVu 2.37 and STIX 1.0 faces that ship with matplotlib",
    licence="The DejaVu and STIX font licences allow any use of images made with the fonts.",
    classes=len(CHARACTERS),
    images=len(CHARACTERS) * len(FACES),
    official_trainval_classes=len(LATIN_AND_DIGITS),
    official_split="alphabets: Latin and digits / Greek and Cyrillic",
    fingerprint="28727e3c44777669",
)
