"""`python -m mlrc.harness.cli` is `mlrc`, also where the console script is not on the path."""

from mlrc.harness.cli import main

if __name__ == "__main__":
    main()
