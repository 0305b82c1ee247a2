#!/usr/bin/env bash
# The whole job in one command: installs what is missing, trains a small student on photographs that come with
# scikit-image in three ways (taught by a large network's images, by PISR, alone), measures them beside bicubic on
# photographs held out, and upscales one of them. Everything is in results/quickstart/. Run again, it continues or says
# what is done already.
#
#   bash scripts/quickstart.sh
#   bash scripts/quickstart.sh name=short 'seeds=[0]' phases:{taught,teacher,pisr}:total_iter=50
#
# Arguments override options, as after sr-kd train's --force_yml.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python="$(bash scripts/install.sh)"
options=options/train/quickstart.yml
name=quickstart
for override in "$@"; do
    case "$override" in name=*) name="${override#name=}" ;; esac
done
model="experiments/$name/models/net_g_latest.pth"
image="$("$python" -c 'import pathlib, skimage; print(pathlib.Path(skimage.__file__).parent / "data" / "coffee.png")')"

"$python" -m sr_kd train -opt "$options" --auto_resume --jobs auto ${@:+--force_yml "$@"}
"$python" -m sr_kd upscale -i "$image" -o "results/$name/coffee_x2.png" -n "$model" --skip-existing --quiet

echo
cat "results/$name/table.md"
echo
echo "Made by this command:"
echo "  results/$name/table.md, results.json   the table above, and every image's scores"
echo "  results/$name/montage.png              magnified crops side by side"
echo "  results/$name/coffee_x2.png            an image upscaled by the taught student"
echo "  $model   the student: sr-kd upscale -i IMAGE -o OUT -n THIS_FILE"
echo "  tb_logger/$name                        curves: $python -m tensorboard.main --logdir tb_logger/$name"
echo
echo "Did distillation help? Open in a browser: results/$name/report.html"
