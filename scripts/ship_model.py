"""Put a trained network into the package: weights as safetensors, scores and provenance in the manifest.

    python scripts/ship_model.py fsrcnn_x2 --network experiments/zoo_fsrcnn_x2/models/net_g_latest.pth \
        --opt options/train/zoo/fsrcnn_x2.yml --hr datasets/Set5 datasets/Set14 datasets/B100 datasets/Urban20 \
        --trained_on "T91, General100, BSDS200" --default

The benchmarks only measure what is shipped; nothing is chosen by them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

from sr_kd.evaluation.api import evaluate
from sr_kd.files import write_text
from sr_kd.networks.complexity import count_parameters
from sr_kd.networks.files import load_network, save_network

ZOO = Path(__file__).parent.parent / "sr_kd" / "zoo"


def main() -> None:
    """Write ``<name>.safetensors`` and its entry of the manifest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("--network", required=True, help="net_g_*.pth of a finished run")
    parser.add_argument("--opt", required=True, help="the option file that made it")
    parser.add_argument("--overrides", nargs="*", default=[], help="the --force_yml overrides it was run with")
    parser.add_argument("--log", help="the run's text log, copied beside the weights")
    parser.add_argument("--hr", nargs="+", required=True, help="benchmark folders to measure on")
    parser.add_argument("--trained_on", required=True, help="the training sets and their terms")
    parser.add_argument("--note", default="", help="what a user should know")
    parser.add_argument("--intended_use", help="a sentence for the card, where it is not for clean photographs")
    parser.add_argument("--license", help="of the weights, where it is not that of the package")
    parser.add_argument("--date", required=True, help="of the training, YYYY-MM-DD")
    parser.add_argument("--default", action="store_true", help="serve this scale where no model is named")
    arguments = parser.parse_args()

    loaded = load_network(arguments.network)
    network, run = loaded.network, loaded.metadata
    file = ZOO / f"{arguments.name}.safetensors"
    provenance = {key: run[key] for key in ("recipe", "phase", "seed", "iteration")}
    save_network(file, network, metadata=provenance)
    scores = evaluate(file, arguments.hr, scale=network.scale, device="cpu", quiet=False)
    entry = {
        "name": arguments.name,
        "file": file.name,
        "scale": network.scale,
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "default": arguments.default,
        "network": network.type_name,
        "parameters": count_parameters(network),
        **provenance,
        "option_file": arguments.opt,
        "overrides": arguments.overrides,
        "date": arguments.date,
        "trained_on": arguments.trained_on,
        "note": arguments.note,
        **{key: value for key in ("intended_use", "license") if (value := getattr(arguments, key))},
        "protocol": "rgb8",
        "scores": [{"name": s.name, "psnr": round(s.psnr, 4), "ssim": round(s.ssim, 5)} for s in scores],
    }
    manifest = ZOO / "manifest.json"
    models = json.loads(manifest.read_text(encoding="utf-8"))["models"] if manifest.exists() else []
    models = [model for model in models if model["name"] != arguments.name] + [entry]
    write_text(manifest, json.dumps({"models": sorted(models, key=lambda model: model["name"])}, indent=2) + "\n")
    if arguments.log:
        write_text(ZOO / "logs" / f"{arguments.name}.log", Path(arguments.log).read_text(encoding="utf-8"))
    print(json.dumps(entry, indent=2))


if __name__ == "__main__":
    main()
