"""Image files, colour, resizing, sets of images, and patches."""
