"""Super-resolution: patches in, PSNR and SSIM out."""
