"""Upscales and measures a folder's images under a limit of memory; started by test_imaging_memory.py.

Arguments: folder of images, folder of results, MiB that may be taken beyond what is loaded.
"""

import logging
import resource
import sys
from pathlib import Path

import torch

from sr_kd.data.sets import open_set
from sr_kd.evaluation.benchmark import score_network
from sr_kd.imaging.folder import upscale_files
from sr_kd.imaging.jobs import Naming, plan_jobs
from sr_kd.imaging.upscaler import Upscaler
from sr_kd.networks import build_network

source, target, spare = sys.argv[1], sys.argv[2], int(sys.argv[3])
logging.basicConfig(level=logging.WARNING, format="%(message)s")
torch.set_num_threads(1)
torch.manual_seed(0)
network = build_network("FSRCNN", scale=2, init="bicubic")
upscaler = Upscaler(network, device="cpu", tile=0)
upscale_files(upscaler, plan_jobs([f"{source}/a.png"], target, Naming()), quiet=True)  # loads every library
if spare:
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + (spare << 20),) * 2)
for outcome in upscale_files(upscaler, plan_jobs([source], target, Naming()), quiet=True):
    print(outcome.job.source.name, outcome.status)
upscaler.tile = None
print(score_network(upscaler, open_set([source], scale=2), metrics=("psnr",)).psnr)
