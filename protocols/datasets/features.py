"""Facts of anyone's own vectors: nothing is known before the file is read."""

from mlrc.protocols.datasets.facts import DatasetFacts

FACTS = DatasetFacts(
    name="features",
    title="Features",
    source="features:PATH, vectors with labels: .npz, .safetensors, .parquet, .pt, .csv, or .npy with a .csv beside it "
    "(label, and split, query, camera), as mlrc embed writes them; see docs/data.md",
    licence="Whatever the vectors' owner allows.",
)
