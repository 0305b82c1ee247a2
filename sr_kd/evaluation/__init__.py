"""PSNR, SSIM, named protocols and tables."""
