"""The datasets' facts: counts, split, source and licence, one file per dataset. Their readers are in `harness.images`."""
