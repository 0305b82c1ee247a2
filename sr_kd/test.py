"""``python -m sr_kd.test -opt FILE``: BasicSR's habit for ``sr-kd test``."""

import sys

from .cli.main import main

if __name__ == "__main__":
    sys.exit(main(["test", *sys.argv[1:]]))
