"""Trunks: networks from images to feature maps, each an entry point of `mlrc.trunks`."""
