"""Detection: images with boxes in, mean average precision out."""
