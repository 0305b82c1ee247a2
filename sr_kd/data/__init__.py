"""Image files, color, resizing, sets of images, and patches."""
