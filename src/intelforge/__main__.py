"""`python -m intelforge`: the command line."""

from intelforge.interfaces.cli.entry import main

if __name__ == "__main__":
    main()
