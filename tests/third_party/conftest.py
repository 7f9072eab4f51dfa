"""The stranger's package is installed by a test and brings its own; the checkout's run does not collect them."""

collect_ignore = ["prototypical"]
