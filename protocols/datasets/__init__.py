"""The datasets' facts: counts, split, source, licence; one file per dataset. Readers are in `harness.images`."""
