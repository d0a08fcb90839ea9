"""`python -m gnomon.cli` is `gnomon`."""

from gnomon.cli.main import main

if __name__ == "__main__":
    main()
