"""Super-resolution: patches in, PSNR and SSIM out."""

TASKS = {"super_resolution": "sr_kd.tasks.super_resolution.definition:SUPER_RESOLUTION"}
