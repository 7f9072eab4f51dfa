"""The datasets' facts: counts, split, source, licence; one file per dataset. Readers are in `mlrc.harness.images`."""
