#!/usr/bin/env bash
# Installs what is missing and runs the tests. Arguments go to pytest:
#
#   bash scripts/run_tests.sh -m "not slow" tests/networks
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python="$(bash scripts/install.sh test)"
# A worker for every core, each with one thread: most tests are too small for more.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
exec "$python" -m pytest -q -n auto --maxprocesses 8 "$@"
