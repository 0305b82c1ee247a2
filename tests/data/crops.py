"""Images whose sides are multiples of a scale."""


def mod_crop(pixels, scale):
    """Without the rows at the bottom and the columns at the right that are too many."""
    height, width = (side - side % scale for side in pixels.shape[:2])
    return pixels[:height, :width]
