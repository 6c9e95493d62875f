"""One run of a study with the stock tools, found again by all that its numbers depend on."""

import copy
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from dev.demo.report import newest
from dev.evidence import provenance
from dev.evidence.provenance import environment
from dev.evidence.results import write_json
from dev.evidence.start import shared_share
from dev.evidence.study import ROOT, Study, StudyError, config_hash, digest
from mmext.engine.checkpoint import read as read_checkpoint
from mmext.prepare.packages import one_at_a_time

TOOLS = ROOT / "tools"


@dataclass(frozen=True)
class Runner:
    """What every run of one call shares.

    Args:
        study: what is run.
        machine: as :func:`dev.evidence.provenance.read_machine` found it.
        work_dir: of all studies: runs that two of them share are made once.
        split: ``test``, or ``dev`` for choosing a design.
    """

    study: Study
    machine: dict[str, Any]
    work_dir: Path
    split: str = "test"

    def config(self, arm: str) -> Config:
        """The arm's config as this call runs it."""
        cfg = copy.deepcopy(self.study.configs[arm])
        if self.split == "dev":
            cfg.test_dataloader, cfg.test_evaluator = cfg.val_dataloader, cfg.val_evaluator
        return cfg

    def key(self, arm: str) -> str:
        """Names what the arm's numbers depend on beside the seed, not its place among the arms."""
        cfg = self.config(arm)
        return digest(
            dict(
                config=config_hash(cfg),
                start=self.start_key(),
                tests={name: self.options(name) for name in self.study.tests},
                code=self.code(arm),
                data=sorted(self.study.data),
                files=provenance.file_hashes(cfg.to_dict()),
                machine=self.machine,
            )
        )[:16]

    def start_key(self) -> str:
        """Names what the shared start depends on beside the seed."""
        model = self.config(self.study.start_arm).model.to_dict()
        code, files = self.code(self.study.start_arm), provenance.file_hashes(model)
        return digest([model, dict(self.study.aliases), code, files, self.machine])[:16]

    def code(self, arm: str) -> str:
        """Hash of the code that the arm runs."""
        imports = self.config(arm).get("custom_imports", {}).get("imports", [])
        return provenance.code_hash(name for name in imports if not name.startswith("mmext"))

    def options(self, test: str) -> list[str]:
        """Flags and settings with which ``tools/test.py`` runs one of the study's tests."""
        return [option.format(split=self.split) for option in self.study.tests[test]]

    def run(self, arm: str, seed: int, key: str) -> dict[str, Any]:
        """Train and test one arm with one seed, or read what an earlier call found.

        Args:
            arm: its name.
            seed: of weights, data order and augmentation.
            key: the arm's when the study began.

        Raises:
            StudyError: a tool failed, or what the arm's numbers depend on has changed since.
        """
        folder = self.work_dir / "runs" / f"{key}-seed{seed}"
        folder.parent.mkdir(parents=True, exist_ok=True)
        with one_at_a_time(folder):
            done = folder / "result.json"
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                self.check_unchanged(arm, key)
                result = self.train_and_test(arm, seed, folder)
                self.check_unchanged(arm, key)
                write_json(done, {"key": key, **result})
            return json.loads(done.read_text())

    def check_unchanged(self, arm: str, key: str) -> None:
        """Refuse to go on when code or data were changed under the study's feet."""
        if self.key(arm) != key:
            raise StudyError(
                "expected code and data that stay as they are while a study runs, got a change "
                f"before {arm!r} was done; run it again: runs of the older ones are found only if "
                "the change is taken back"
            )

    def train_and_test(self, arm: str, seed: int, folder: Path) -> dict[str, Any]:
        """Do one run in an empty folder."""
        begin = time.monotonic()
        cfg, start = self.config(arm), self.start(seed)
        cfg.load_from = str(start)
        config = folder / "config.py"
        cfg.dump(config)
        train = [TOOLS / "train.py", config, "--work-dir", folder, "--seed", seed]
        call(folder / "train.log", *train, "--no-validate")  # what counts is the test at the end
        checkpoint = Path((folder / "last_checkpoint").read_text())
        measured = {test: self.test(test, config, checkpoint, folder) for test in self.study.tests}
        shared = self.shared(arm, start, checkpoint)
        checkpoint.unlink()  # a study would fill the disk; its config and seed give it again
        return dict(
            arm=arm,
            seed=seed,
            commit=provenance.git("rev-parse", "HEAD") if (ROOT / ".git").exists() else None,
            seconds=round(time.monotonic() - begin),
            shared_start=round(shared, 3),
            measured=measured,
        )

    def start(self, seed: int) -> Path:
        """The checkpoint that all arms of this seed begin with; made if it is not there."""
        file = self.work_dir / "starts" / f"{self.start_key()}-seed{seed}.pth"
        file.parent.mkdir(parents=True, exist_ok=True)
        with one_at_a_time(file):
            if not file.exists():
                config, new = file.with_suffix(".py"), file.with_suffix(".new")
                self.config(self.study.start_arm).dump(config)
                words = ["-m", "dev.evidence.start", config, seed, new]
                call(
                    file.with_suffix(".log"),
                    *words,
                    "--aliases",
                    json.dumps(dict(self.study.aliases)),
                )
                os.replace(new, file)  # complete, or not there
        return file

    def shared(self, arm: str, start: Path, checkpoint: Path) -> float:
        """Share of the arm's weights that began as the start's, a pretrained backbone's aside."""
        backbone = self.config(arm).model.get("backbone") or {}
        pretrained = '"Pretrained"' in json.dumps(backbone, default=str)  # or a backbone inside it
        before, after = (read_checkpoint(file)["state_dict"] for file in (start, checkpoint))
        share = shared_share(before, after, leave_out="backbone." if pretrained else "")
        if not share:
            raise StudyError(
                f"expected the arm {arm!r} to share initial weights with {self.study.start_arm!r}, "
                "got no weight of the same name and shape, so its runs are no pairs; give the "
                "study aliases"
            )
        return share

    def test(self, test: str, config: Path, checkpoint: Path, folder: Path) -> dict[str, float]:
        """Run one of the study's tests; returns all that it measured."""
        options = self.options(test)
        flags = [one for one in options if one.startswith("--")]
        settings = [one for one in options if one not in flags]
        words = [TOOLS / "test.py", config, checkpoint, "--work-dir", folder / test, *flags]
        call(folder / f"{test}.log", *words, *(["--cfg-options", *settings] if settings else []))
        return json.loads(newest(folder / test, "*/*.json", "tools/test.py").read_text())


def call(log: Path, *command: object) -> None:
    """Run a tool with its output in a file; end the study where it fails."""
    words = [sys.executable, *map(str, command)]
    with log.open("w") as out:
        code = subprocess.run(
            words, stdout=out, stderr=subprocess.STDOUT, env=environment()
        ).returncode
    if code:
        raise StudyError(
            f"{' '.join(words[1:])} ended with {code}; see {log}, mend it and run this again, "
            "which goes on"
        )
