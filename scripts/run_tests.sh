#!/usr/bin/env bash
# Installs what is missing and runs the tests. Arguments go to pytest:
#
#   bash scripts/run_tests.sh -m "not slow" tests/archs
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python="$(bash scripts/install.sh test)"
exec "$python" -m pytest -q "$@"
