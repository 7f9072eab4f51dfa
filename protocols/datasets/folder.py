"""Facts of anyone's own images: nothing is known before the folder is read."""

from mlrc.protocols.datasets.facts import DatasetFacts

FACTS = DatasetFacts(
    name="folder",
    title="Folder",
    source="folder:PATH, a folder of class folders or with a manifest.csv (path, label, and split, query, camera), or "
    "such a file itself; see docs/data.md",
    licence="Whatever the images' owner allows.",
)
