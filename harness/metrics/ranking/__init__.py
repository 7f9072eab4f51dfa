"""The ranking behind the metrics: from embeddings to the relevance of each query's nearest neighbours."""
