"""`python -m harness.cli` is `mlrc`, also where the console script is not on the path."""

from harness.cli import main

if __name__ == "__main__":
    main()
