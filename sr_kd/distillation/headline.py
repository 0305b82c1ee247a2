"""What stands at the top of a distillation's page: how close, how fast and how small its students are."""

from __future__ import annotations

from collections.abc import Mapping

from ..report.answer import Answer as Headline
from ..report.answer import Fact, quoted
from .answer import Closeness, StudentAnswer
from .sizes import SHOWN

CAUTION = (
    "The scores compare with the teacher's results, which stand in the place of HR on this page: where they hold "
    "invented details, a student that is close invents them, too."
)


def headline(answers: Mapping[str, StudentAnswer]) -> Headline:
    """Of one student, or of several beside each other.

    Args:
        answers: student -> what it came to; one at least.
    """
    best = max(answers, key=lambda name: answers[name].closeness[name].psnr or 0.0)
    answer = answers[best]
    one = len(answers) == 1
    if one:
        facts = (*_close(best, answer), *_costs(answer))
        verdict = f"{_decibels(answer.closeness[best])}{_times(answer)}"
    else:
        facts = tuple(
            Fact(name, _decibels(each.closeness[name]), f"{each.parameters['student']:,} parameters{_times(each)}")
            for name, each in answers.items()
        )
        verdict = f"{quoted(best)}, {_decibels(answer.closeness[best])}"
    others = [f"{name} {_decibels(close)}" for name, close in answer.closeness.items() if name != best]
    images = f"{answer.images} held-out image{'s' * (answer.images > 1)}"
    return Headline(
        "How close is the student to its teacher?" if one else "How close are the students to their teacher?",
        verdict,
        f"PSNR to the teacher's results on {images}: {quoted(best)} {_decibels(answer.closeness[best])}; "
        f"{', '.join(others)}.",
        facts,
        (CAUTION, *_closer(best, answer), *dict.fromkeys(note for each in answers.values() for note in each.notes)),
        "PSNR and SSIM compare with the teacher's results, not with HR.",
    )


def _close(name: str, answer: StudentAnswer) -> tuple[Fact, ...]:
    own, bicubic = answer.closeness[name], answer.closeness["bicubic"]
    tone = "better" if (own.psnr or 0.0) > (bicubic.psnr or 0.0) else "worse"
    return (
        Fact("PSNR to the teacher", _decibels(own), f"bicubic: {_decibels(bicubic)}", tone),
        *(
            [Fact("SSIM to the teacher", f"{own.ssim:.4f}", f"bicubic: {bicubic.ssim:.4f}")]
            if own.ssim is not None and bicubic.ssim is not None
            else []
        ),
    )


def _costs(answer: StudentAnswer) -> tuple[Fact, ...]:
    """Beside the teacher, which folders and some files of others do not tell about."""
    seconds, parameters = answer.seconds, answer.parameters
    speed, size = f"{1000 * seconds['student']:.3g} ms", f"{parameters['student']:,} parameters"
    frame = f"{SHOWN[0]}x{SHOWN[1]} pixels, {answer.device}"
    facts = [Fact("Speed", speed, frame), Fact("Size", size)]
    if "teacher" in seconds:
        times = f"{seconds['teacher'] / seconds['student']:.3g} times faster"
        facts[0] = Fact("Speed", times, f"{speed}, the teacher {1000 * seconds['teacher']:.3g} ms; {frame}")
    if "teacher" in parameters:
        times = f"{parameters['teacher'] / parameters['student']:.3g} times smaller"
        facts[1] = Fact("Size", times, f"{size}, the teacher {parameters['teacher']:,}")
    return (*facts, Fact("License of the teacher", answer.license))


def _times(answer: StudentAnswer) -> str:
    seconds = answer.seconds
    return f", {seconds['teacher'] / seconds['student']:.3g} times faster" if "teacher" in seconds else ""


def _closer(name: str, answer: StudentAnswer) -> list[str]:
    """Where another is closer than the student."""
    own = answer.closeness[name].psnr or 0.0
    return [
        f"{quoted(other)} is closer to the teacher than the student: train longer."
        for other, close in answer.closeness.items()
        if other != name and (close.psnr or 0.0) > own
    ]


def _decibels(one: Closeness) -> str:
    return "no PSNR" if one.psnr is None else f"{one.psnr:.2f} dB"
