"""The door for `python train.py [config.yaml] [--training.num_epochs 1 ...]`."""

import sys

try:
    from forgeml.cli.main import main
except ModuleNotFoundError as error:
    sys.exit(f"train.py: {error}\n  fix: run `make setup`, then `.venv/bin/python train.py`")

if __name__ == "__main__":
    main(["train", *sys.argv[1:]])
