"""Small damage to bytes and to text, drawn from a generator, so that a number is enough to see a case again."""

from __future__ import annotations

from random import Random

EXTREMES = (
    b"\0",
    b"\xff",
    b"\x7f",
    b"\x80",
    b"\xff\xff",
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\xff" * 8,
)
SCALARS = (
    "",
    "~",
    "0",
    "-1",
    "1",
    "2",
    "3",
    "1e400",
    "-1e-400",
    ".nan",
    ".inf",
    "true",
    "no",
    "[]",
    "{}",
    "[1]",
    "{a: 1}",
    "x",
    "'x'",
    "../../x",
    "/dev/zero",
    "/",
    "9" * 30,
    "0x" + "f" * 50,
    "1:59:59",
    "!!binary zz",
    "!!python/object:os.system x",
    "*a",
    "&a [*a]",
    "[[[[[[[[x]]]]]]]]",
    "FSRCNN",
    "basicsr.SpyNet",
    "bicubic",
    "L1",
    "VID",
    "2020-01-01",
    '"\\0"',
    "\u202e",
    "\ud7ff",
    "null",
    "[null]",
    "{type: L1}",
    "{? [a] : b}",
    "<<",
    "{<<: 1}",
    "%",
    "a: b: c",
    "\t",
    "- ",
)


def damage_bytes(data: bytes, random: Random, head: float = 0.5) -> bytes:
    """One to six small changes; `head` of them within the first 512 bytes, where formats keep their sizes."""
    changed = bytearray(data)
    for _ in range(random.randint(1, 6)):
        if not changed:
            break
        near = min(len(changed), 512) if random.random() < head else len(changed)
        place = random.randrange(near)
        kind = random.randrange(9)
        if kind <= 2:
            changed[place] ^= 1 << random.randrange(8)
        elif kind == 3:
            changed[place] = random.randrange(256)
        elif kind == 4:
            value = random.choice(EXTREMES)
            changed[place : place + len(value)] = value
        elif kind == 5:
            del changed[place : place + random.choice((1, 2, 4, 16, 256))]
        elif kind == 6:
            changed[place:place] = random.randbytes(random.choice((1, 2, 4, 16)))
        elif kind == 7:
            other = random.randrange(len(changed))
            changed[place:place] = changed[other : other + random.choice((4, 16, 64))]
        elif random.random() < 0.3:
            del changed[random.randrange(len(changed)) :]
    return bytes(changed)


def damage_text(text: str, random: Random) -> str:
    """One to four changes of lines, values and characters."""
    lines = text.splitlines()
    for _ in range(random.randint(1, 4)):
        if not lines:
            break
        place = random.randrange(len(lines))
        line, kind = lines[place], random.randrange(9)
        if kind <= 2:
            key, colon, _ = line.partition(":")
            lines[place] = f"{key}{colon or ':'} {random.choice(SCALARS)}"
        elif kind == 3:
            del lines[place]
        elif kind == 4:
            lines.insert(place, lines[random.randrange(len(lines))])
        elif kind == 5:
            lines[place] = " " * random.randrange(8) + line.lstrip()
        elif kind == 6:
            words = line.split(" ")
            words[random.randrange(len(words))] = random.choice(SCALARS)
            lines[place] = " ".join(words)
        elif kind == 7 and line:
            at = random.randrange(len(line))
            lines[place] = (
                line[:at] + chr(random.choice((0, 7, 9, 34, 39, 58, 91, 123, 0x85, 0x2028, 0xFEFF))) + line[at + 1 :]
            )
        else:
            other = random.randrange(len(lines))
            lines[place], lines[other] = lines[other], lines[place]
    return "\n".join(lines) + "\n"
