"""``python -m sr_kd``."""

import sys

from .cli.main import main

sys.exit(main())
