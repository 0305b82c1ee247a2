"""The files of a student, trained or half trained: exports that were run, report, card, and how good it is."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..data.sets import open_set
from ..device import pick_device
from ..errors import SrKdError
from ..export.export import export_network
from ..export.int8 import export_int8
from ..files import write_text
from ..imaging.load import load_model
from ..networks.files import save_network
from ..report.card import model_card
from ..report.facts import file_facts
from ..report.run import find_run
from ..report.write import write_page
from .answer import StudentAnswer, license_of, measure
from .headline import headline
from .plan import Plan
from .teacher import Teacher


@dataclass(frozen=True)
class Finisher:
    """Makes the files of each student of a plan.

    Attributes:
        folder: of the distillation.
        export: formats. int8: an ONNX file in int8, too.
    """

    plan: Plan
    folder: Path
    teacher: Teacher
    export: Sequence[str]
    int8: bool
    device: str
    quiet: bool

    def finish(self, name: str, experiment: Path) -> StudentAnswer:
        """Write a student's files, checked by running them, the report and the card; those of an earlier call go.

        Args:
            name: of the student. experiment: where it was trained.

        Returns:
            The answer, which is not written.

        Raises:
            SrKdError: a file that cannot be written, or an export that differs from the network.
        """
        plan, teacher, own = self.plan, self.teacher, self.plan.folder(name, self.folder)
        last = experiment / "models" / "last" / "net_g_latest.pth"
        made = last if last.is_file() else experiment / "models" / "net_g_latest.pth"
        network = load_model(made, scale=plan.scale, device="cpu").network
        if network is None:
            raise SrKdError(f"{experiment} holds no student")
        license_name, license_file = license_of(teacher)
        held_out, train_set = (
            open_set(
                str(self.folder / "labels" / part), dataroot_lq=str(self.folder / "images" / part), scale=plan.scale
            )
            for part in ("held_out", "train")
        )
        answer = measure(teacher, made, name, held_out, pick_device(self.device), license_name)
        student = own / f"{name}.safetensors"
        copies = (" scaled down" if plan.hr else "") + (" and a degraded copy of each" if plan.degrade else "")
        metadata = {
            "note": f"Distilled from {teacher.path.name} (SHA-256 {plan.teacher_sha256}): it gives what that gives. "
            f"PSNR to the teacher on {len(held_out)} held-out images: {answer.brief()}.",
            "trained_on": f"{len(plan.train)} images{copies}, labeled by the teacher" + " beside HR" * plan.hr,
            "intended_use": f"What {teacher.path.name} is for, where that is too large or too slow.",
            "recipe": name,
            "license": f"that of the teacher: {license_name}",
        }
        save_network(student, network, metadata=metadata)
        files, notes = [student], []
        for each in self.export:
            path = own / f"{name}.{each}"
            if path.is_dir():
                shutil.rmtree(path)  # Core ML's folder, of the first phase
            if each != "safetensors":
                files.append(export_network(network, path, rgb=network.color == "y").path)
        if self.int8:
            try:
                target = own / f"{name}_int8.onnx"
                files.append(export_int8(network, target, train_set, rgb=network.color == "y").path)
            except SrKdError as error:
                notes.append(str(error))
        if license_file is None:
            notes.append(
                "no license file lies beside the teacher: find out what its author allows before you ship this"
            )
        else:
            files.append(Path(shutil.copyfile(license_file, own / "TEACHER_LICENSE.txt")))
        answer = replace(answer, notes=tuple(notes))
        files.append(self.report({name: answer}))
        card = own / "README.md"
        write_text(card, model_card(file_facts(student)))
        shown = tuple(str(path) for path in [*files, card, own / "recipe.yml"])
        return replace(answer, files=shown)

    def report(self, answers: Mapping[str, StudentAnswer]) -> Path:
        """The page of one student, or of several beside each other."""
        folders = [self.plan.folder(name, self.folder) for name in answers]
        page = folders[0] / "report.html" if len(answers) == 1 else self.folder / "report.html"
        runs = [find_run(folder / "recipe.yml") for folder in folders]
        return write_page(runs, page, pick_device(self.device), answer=headline(answers), quiet=self.quiet)
