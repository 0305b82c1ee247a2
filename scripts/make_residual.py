"""Make a residual FSRCNN of a plain one: the last layer is fitted again, to give what bicubic interpolation lacks.

    python scripts/make_residual.py fsrcnn_x4.safetensors --hr datasets/taught_x4/CARN-M \
        --lr datasets/taught_x4/LR_bicubic/X4 -o datasets/start_x4.pth

The result is where options/train/zoo/fsrcnn_x{2,3,4}_distilled.yml begin. All layers but the last stay as they are, so
the task is a linear least-squares problem, solved by L-BFGS on 1,200 patches.
"""

from __future__ import annotations

import argparse

import torch
from torch import Tensor, nn

from sr_kd.data.patches import open_patches
from sr_kd.data.sampler import PatchSampler
from sr_kd.data.sets import open_set
from sr_kd.networks.build import build_network
from sr_kd.networks.files import load_network, save_network

LR_PATCH, BATCH, BATCHES, ROUNDS = 24, 8, 150, 3


def main() -> None:
    """Fit, and write the network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", help="a file with a plain FSRCNN")
    parser.add_argument("--hr", required=True, help="what it shall learn: HR or a teacher's images")
    parser.add_argument("--lr", required=True, help="their LR images")
    parser.add_argument("-o", "--output", required=True)
    arguments = parser.parse_args()

    plain = load_network(arguments.network).network
    network = build_network(plain.type_name, **{**plain.arguments, "skip": "bicubic"})
    network.load_state_dict(plain.state_dict(), strict=False)  # a marker of the skip alone is missing
    images = open_set([arguments.hr], scale=plain.scale, dataroot_lq=[arguments.lr])
    sampler = PatchSampler(images.lr_sizes, LR_PATCH, BATCH, seed=0, stream="residual")
    patches = open_patches(images, sampler, color="y", device=torch.device("cpu"), memory_budget_gib=8, quiet=False)
    with torch.no_grad():
        pairs = [
            (network.features(lr, ["expanding"])[1]["expanding"], lr, hr)
            for lr, hr in (patches.batch(index) for index in range(BATCHES))
        ]
    fit(network, pairs)
    save_network(arguments.output, network.eval())


def fit(network: nn.Module, pairs: list[tuple[Tensor, Tensor, Tensor]]) -> None:
    """Fit the last layer to (features, LR, HR); a border of four LR pixels, which the padding reaches, is left out."""
    border = 4 * network.scale
    inner = (..., slice(border, -border), slice(border, -border))
    optimizer = torch.optim.LBFGS(
        network.last_layer.parameters(), lr=1, max_iter=60, history_size=20, line_search_fn="strong_wolfe"
    )

    def closure() -> float:
        optimizer.zero_grad()
        total = 0.0
        for features, lr, hr in pairs:
            error = (network.tail("expanding", features, lr) - hr)[inner].square().mean() / len(pairs)
            (1e4 * error).backward()  # L-BFGS stops at small gradients
            total += 1e4 * error.item()
        return total

    for _ in range(ROUNDS):
        loss = float(optimizer.step(closure))
        print(f"PSNR at the start of this round: {-10 * torch.log10(torch.tensor(loss / 1e4)):.3f} dB")


if __name__ == "__main__":
    main()
