"""Draw pictures in the manner of cartoons, to train on where no drawings are at hand: outlines, flat and shaded fills.

    python scripts/draw_pictures.py datasets/drawings --pictures 400 --side 192

A picture depends on its number alone. Needs libvips with its SVG reader, as in `pip install pyvips[binary]`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pyvips

from sr_kd.files import atomic_path

CANVAS = 400  # units; the side in pixels is free
WORDS = ("Hey!", "Boom", "What?", "...", "No. 7", "Yes", "ABC", "Stop", "1984", "Kap. 3", "Zack", "Why not?")


def main() -> None:
    """Write ``0000.png`` and so on."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--pictures", type=int, default=400)
    parser.add_argument("--side", type=int, default=192, help="in pixels")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    for number in range(arguments.pictures):
        svg = picture(np.random.default_rng(number))
        image = pyvips.Image.svgload_buffer(svg.encode(), scale=arguments.side / CANVAS).flatten()
        with atomic_path(arguments.output / f"{number:04d}.png") as temporary:
            image.pngsave(str(temporary), strip=True)


def picture(random: np.random.Generator) -> str:
    """An SVG of background, figures, faces and lettering."""
    ink = color(random, 0.0, 0.25)
    parts = [background(random)]
    parts += [blob(random, ink, float(random.uniform(0.1, 0.45)) * CANVAS) for _ in range(random.integers(2, 7))]
    if random.random() < 0.7:
        parts += [face(random, ink) for _ in range(random.integers(1, 3))]
    parts += [strands(random, ink) for _ in range(random.integers(0, 4))]
    if random.random() < 0.4:
        parts.append(lettering(random, ink))
    body = "".join(parts)
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="{CANVAS}" height="{CANVAS}">{body}</svg>'


def color(random: np.random.Generator, darkest: float, brightest: float) -> str:
    """Of a random hue, each channel within the limits (0 to 1)."""
    return "#" + "".join(f"{round(255 * float(value)):02x}" for value in random.uniform(darkest, brightest, 3))


def background(random: np.random.Generator) -> str:
    """A gradient, and now and then dots or lines of a halftone, or rays."""
    upper, lower = color(random, 0.2, 1), color(random, 0.2, 1)
    fill = (
        f'<linearGradient id="sky" x2="{random.random():.2f}" y2="1"><stop stop-color="{upper}"/>'
        f'<stop offset="1" stop-color="{lower}"/></linearGradient><rect width="100%" height="100%" fill="url(#sky)"/>'
    )
    kind, tone = random.random(), color(random, 0, 1)
    if kind < 0.2:
        step, radius = random.uniform(7, 18), random.uniform(0.15, 0.45)
        places = np.arange(0, CANVAS, step)
        dots = (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius * step:.1f}"/>' for x in places for y in places)
        return f'{fill}<g fill="{tone}" fill-opacity="0.5">{"".join(dots)}</g>'
    if kind < 0.35:
        x, y = random.uniform(0, CANVAS, 2)
        angles = np.sort(random.uniform(0, 2 * np.pi, 60))
        ends = [(x + 600 * np.cos(angle), y + 600 * np.sin(angle)) for angle in angles]
        rays = (f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{a:.1f}" y2="{b:.1f}"/>' for a, b in ends)
        return f'{fill}<g stroke="{tone}" stroke-width="{random.uniform(0.5, 3):.1f}">{"".join(rays)}</g>'
    return fill


def closed(points: np.ndarray) -> str:
    """A smooth closed path through points (N, 2): a Catmull-Rom spline as cubic Bezier curves."""
    before, after = np.roll(points, 1, 0), np.roll(points, -1, 0)
    first, second = points + (after - before) / 6, after - (np.roll(after, -1, 0) - points) / 6
    curves = (
        f"C{a[0]:.1f},{a[1]:.1f} {b[0]:.1f},{b[1]:.1f} {c[0]:.1f},{c[1]:.1f}"
        for a, b, c in zip(first, second, after, strict=True)
    )
    return f"M{points[0, 0]:.1f},{points[0, 1]:.1f}" + "".join(curves) + "Z"


def ring(random: np.random.Generator, center: np.ndarray, radius: float, wild: float) -> np.ndarray:
    """Points (N, 2) around a center, at distances that differ by the part `wild`."""
    angles = np.linspace(0, 2 * np.pi, int(random.integers(4, 11)), endpoint=False) + random.uniform(0, 6)
    lengths = radius * random.uniform(1 - wild, 1 + wild, len(angles))
    return center + lengths[:, None] * np.stack([np.cos(angles), random.uniform(0.5, 1) * np.sin(angles)], 1)


def blob(random: np.random.Generator, ink: str, radius: float) -> str:
    """An outlined figure, sharp or round, with a shadow of one darker tone."""
    center = random.uniform(0, CANVAS, 2)
    points = ring(random, center, radius, 0.5)
    sharp = random.random() < 0.3
    outline = "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in points) + "Z" if sharp else closed(points)
    shadow = closed(center + 0.75 * (points - center) + random.uniform(-0.15, 0.15, 2) * radius)
    width = random.uniform(1, 7) if random.random() < 0.85 else 0
    return (
        f'<path d="{outline}" fill="{color(random, 0.1, 1)}" stroke="{ink}" stroke-width="{width:.1f}"/>'
        f'<path d="{shadow}" fill="{ink}" fill-opacity="{random.uniform(0, 0.35):.2f}"/>'
    )


def face(random: np.random.Generator, ink: str) -> str:
    """A head with eyes, brows, mouth and hair."""
    size = float(random.uniform(0.15, 0.3)) * CANVAS
    x, y = random.uniform(0.25, 0.75, 2) * CANVAS
    line = f'stroke="{ink}" stroke-width="{random.uniform(1.5, 4):.1f}"'
    skin, iris = color(random, 0.6, 1), color(random, 0, 0.9)
    angle = random.uniform(-20, 20)
    hair = closed(np.array([x, y - 0.6 * size]) + ring(random, np.zeros(2), 0.9 * size, 0.35))
    parts = [f'<path d="{hair}" fill="{color(random, 0, 1)}" {line}/>']
    parts.append(f'<ellipse cx="{x:.1f}" cy="{y:.1f}" rx="{0.75 * size:.1f}" ry="{size:.1f}" fill="{skin}" {line}/>')
    for side in (-1, 1):
        a, b, wide = x + 0.32 * side * size, y + 0.05 * size, random.uniform(0.12, 0.22) * size
        parts.append(f'<ellipse cx="{a:.1f}" cy="{b:.1f}" rx="{wide:.1f}" ry="{1.4 * wide:.1f}" fill="white" {line}/>')
        parts.append(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="{0.75 * wide:.1f}" fill="{iris}" {line}/>')
        parts.append(
            f'<circle cx="{a + 0.3 * wide:.1f}" cy="{b - 0.3 * wide:.1f}" r="{0.25 * wide:.1f}" fill="white"/>'
        )
        brow = f"M{a - wide:.1f},{b - 2 * wide:.1f}q{wide:.1f},{-random.uniform(0, 1) * wide:.1f} {2 * wide:.1f},0"
        parts.append(f'<path d="{brow}" fill="none" {line}/>')
    mouth = f"M{x - 0.25 * size:.1f},{y + 0.55 * size:.1f}q{0.25 * size:.1f},{random.uniform(-0.2, 0.3) * size:.1f} "
    parts.append(f'<path d="{mouth}{0.5 * size:.1f},0" fill="none" {line}/>')
    return f'<g transform="rotate({angle:.0f} {x:.0f} {y:.0f})">{"".join(parts)}</g>'


def strands(random: np.random.Generator, ink: str) -> str:
    """Curved strokes side by side, as of hair, grass or cloth."""
    start, step = random.uniform(0, CANVAS, 2), random.uniform(-12, 12, 2)
    bend, end = random.uniform(-150, 150, 2), random.uniform(-250, 250, 2)
    tone = ink if random.random() < 0.6 else color(random, 0, 1)
    strokes = []
    for number in range(int(random.integers(5, 25))):
        (x, y), (a, b) = start + number * step, bend + random.uniform(-10, 10, 2)
        strokes.append(f'<path d="M{x:.1f},{y:.1f}q{a:.1f},{b:.1f} {end[0]:.1f},{end[1]:.1f}"/>')
    style = f'fill="none" stroke="{tone}" stroke-width="{random.uniform(0.7, 4):.1f}" stroke-linecap="round"'
    return f"<g {style}>{''.join(strokes)}</g>"


def lettering(random: np.random.Generator, ink: str) -> str:
    """A speech balloon, or words alone."""
    word, size = random.choice(WORDS), random.uniform(14, 48)
    x, y = random.uniform(0.1, 0.6) * CANVAS, random.uniform(0.2, 0.9) * CANVAS
    wide = 0.7 * size * len(word)
    balloon = (
        f'<rect x="{x - size:.1f}" y="{y - 1.4 * size:.1f}" width="{wide + 2 * size:.1f}" height="{2.2 * size:.1f}" '
        f'rx="{size:.1f}" fill="white" stroke="{ink}" stroke-width="{random.uniform(1.5, 4):.1f}"/>'
    )
    family, weight = random.choice(["serif", "sans-serif", "monospace"]), random.choice(["normal", "bold"])
    text = f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:.1f}" font-family="{family}" font-weight="{weight}"'
    return (balloon if random.random() < 0.6 else "") + f' {text} fill="{ink}">{word}</text>'.strip()


if __name__ == "__main__":
    main()
