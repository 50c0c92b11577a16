"""`python -m forgeml` is the same as `forgeml`."""

from forgeml.cli.main import main

if __name__ == "__main__":
    main()
