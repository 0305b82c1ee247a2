"""Networks as files for other programs, checked by running them."""
