"""``python -m sr_kd.train -opt FILE``: BasicSR's habit for ``sr-kd train``."""

import sys

from .cli.main import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
