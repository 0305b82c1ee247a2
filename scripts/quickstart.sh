#!/usr/bin/env bash
# The whole job in one command: installs what is missing, trains a PISR student and its baseline on photographs that
# come with scikit-image, measures both beside bicubic on photographs held out, and leaves table, montage and an
# upscaled picture in results/quickstart/. Run again, it continues or says what is done already.
#
#   bash scripts/quickstart.sh
#   bash scripts/quickstart.sh --force_yml name=short phases:teacher:total_iter=50 phases:student:total_iter=50
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python="$(bash scripts/install.sh)"
"$python" -m sr_kd train -opt options/train/quickstart.yml --auto_resume "$@"
"$python" -m sr_kd report -opt options/train/quickstart.yml "$@"
