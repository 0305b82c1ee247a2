"""Classification: labeled images in, top-1 accuracy out."""
