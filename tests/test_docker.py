"""The Dockerfile, played through with programs that only note their calls; no Docker is needed.

Each RUN goes to a real shell with the variables that ARG and ENV have set by then, as root or as
the USER.
"""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.checkout import REPO

PROGRAMS = ("apt-get", "rm", "useradd", "install", "make", "pip", "python3", "curl", "git")
NOTE = """#!/bin/sh
{ printf '%s\\037' "${0##*/}" "$@"; printf '\\036'
  env | tr '\\n' '\\037'; printf '\\035'; } >>"$NOTES"
"""


class Call(NamedTuple):
    """One program that the build has called."""

    words: list[str]
    env: dict[str, str]
    user: str
    folder: str
    copied: bool


def instructions() -> list[tuple[str, str]]:
    text = (REPO / "docker" / "Dockerfile").read_text()
    text = re.sub(r"^#.*\n", "", text, flags=re.M).replace("\\\n", " ")
    return [tuple(line.split(maxsplit=1)) for line in map(str.strip, text.splitlines()) if line]  # type: ignore[misc]


def expand(text: str, variables: dict[str, str]) -> str:
    return re.sub(r"\$\{?(\w+)\}?", lambda found: variables.get(found[1], ""), text)


class Image:
    """One target as it is being built; each instruction is a method."""

    def __init__(self, folder: Path, arguments: dict[str, str]) -> None:
        self.folder, self.arguments = folder, arguments
        self.programs = folder / "bin"
        self.programs.mkdir(parents=True)
        for name in PROGRAMS:
            (self.programs / name).write_text(NOTE)
            (self.programs / name).chmod(0o755)
        self.base, self.user, self.place, self.copied = "", "root", "/", False
        self.args: dict[str, str] = {}
        self.env: dict[str, str] = {}
        self.calls: list[Call] = []
        self.command = ["sh"]

    def of(self, *words: str) -> list[Call]:
        """Calls that begin with these words."""
        return [call for call in self.calls if tuple(call.words[: len(words)]) == words]

    def arg(self, rest: str) -> None:
        name, _, default = rest.partition("=")
        if value := self.arguments.get(name, default):
            self.args[name] = value

    def setenv(self, rest: str) -> None:
        pairs = [pair.partition("=")[::2] for pair in rest.split()]
        self.env |= {name: expand(value, {**self.args, **self.env}) for name, value in pairs}

    def become(self, rest: str) -> None:
        self.user = rest

    def workdir(self, rest: str) -> None:
        self.place = rest

    def copy(self, rest: str) -> None:
        self.copied = True

    def cmd(self, rest: str) -> None:
        self.command = json.loads(rest)

    def run(self, rest: str) -> None:
        notes = self.folder / "notes"
        notes.write_text("")
        shell = re.sub(r"^(--\S+ )+", "", rest)
        seen = {
            **self.args,
            **self.env,
            "PATH": f"{self.programs}:/usr/bin:/bin",
            "NOTES": str(notes),
        }
        subprocess.run(["/bin/sh", "-ec", shell], env=seen, cwd=self.folder, check=True)
        for one in notes.read_text().split("\035")[:-1]:
            words, variables = (part.split("\037")[:-1] for part in one.split("\036"))
            env = dict(pair.partition("=")[::2] for pair in variables)
            self.calls.append(Call(words, env, self.user, self.place, self.copied))


def build(target: str, folder: Path, **arguments: str) -> Image:
    """Play one target; an instruction that the play does not know is a KeyError."""
    image, at_it = Image(folder, arguments), False
    methods = {
        "ARG": image.arg,
        "ENV": image.setenv,
        "USER": image.become,
        "WORKDIR": image.workdir,
        "COPY": image.copy,
        "CMD": image.cmd,
        "RUN": image.run,
    }
    for word, rest in instructions():
        if word == "FROM":
            base, _, name = rest.split()
            at_it = name == target
            image.base = base if at_it else image.base
        elif at_it:
            methods[word](rest)
    return image


@pytest.fixture(params=["cpu", "cuda"])
def image(request: pytest.FixtureRequest, tmp_path: Path) -> Image:
    return build(request.param, tmp_path)


def test_the_set_up_is_make_setup_of_the_checkout_as_an_ordinary_user(image: Image) -> None:
    (made,) = image.of("make")
    assert made.words == ["make", "setup"]
    (account,) = image.of("useradd")
    assert made.user == image.user == account.words[-1] != "root"
    assert made.folder.startswith(f"/home/{made.user}/")
    assert made.copied
    assert not image.of("pip"), "pip is the set-up's business"


def test_torch_is_the_set_up_s_own_unless_the_build_names_another(tmp_path: Path) -> None:
    for target in ("cpu", "cuda"):
        for given, wanted in (({}, torch_of_make_setup({})), ({"TORCH": "2.8.0"}, "2.8.0")):
            played = build(target, tmp_path / f"{target}-{wanted}-{bool(given)}", **given)
            (made,) = played.of("make")
            assert torch_of_make_setup(made.env) == wanted
            assert torch_of_make_setup(played.env) == wanted, "also in the container"


def torch_of_make_setup(env: dict[str, str]) -> str:
    """What the real Makefile hands to the set-up under these variables."""
    seen = {key: env[key] for key in ("TORCH", "MMEXT_CUDA") if key in env}
    done = subprocess.run(
        ["make", "-n", "setup"],
        cwd=REPO,
        env={"PATH": os.environ["PATH"], **seen},
        capture_output=True,
        text=True,
    )
    return re.search(r'--torch "(.*?)"', done.stdout)[1]


def test_the_set_up_knows_for_which_device(tmp_path: Path) -> None:
    for target, backend in (("cpu", ""), ("cpu", "cpu"), ("cuda", "")):
        given = {"UV_TORCH_BACKEND": backend} if backend else {}
        (made,) = build(target, tmp_path / f"{target}{backend}", **given).of("make")
        assert made.env.get("MMEXT_CUDA") == ("1" if target == "cuda" else None)
        assert made.env.get("UV_TORCH_BACKEND", "") == backend


def test_the_base_is_pinned_and_has_a_supported_python(image: Image) -> None:
    assert re.fullmatch(r"debian:1[23]\.\d+-slim", image.base)  # 3.11 and 3.13


def test_the_container_starts_with_what_there_is(tmp_path: Path) -> None:
    cpu, cuda = (build(target, tmp_path / target) for target in ("cpu", "cuda"))
    assert cuda.command == ["bash"]
    assert cpu.command[0] == "make"
    dry = subprocess.run(["make", "-n", *cpu.command[1:]], cwd=REPO, capture_output=True, text=True)
    assert "dev.demo.run" in dry.stdout


def test_the_steps_are_those_that_are_tried_on_a_bare_machine(image: Image, tmp_path: Path) -> None:
    # The script's own variables, told by the script's own shell.
    lines = [
        line
        for line in (REPO / "dev" / "environment" / "bare.sh").read_text().splitlines()
        if re.match(r"(PACKAGES|COMMANDS)=", line)
    ]
    show = "; ".join([*lines, 'printf "%s\n" "$PACKAGES" "${COMMANDS[@]}"'])
    packages, *commands = subprocess.run(
        ["bash", "-c", show], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    (installed,) = image.of("apt-get", "install")
    assert [word for word in installed.words[2:] if not word.startswith("-")] == packages.split()
    assert commands[0] == "make demo"
    for command in commands:
        dry = subprocess.run(
            ["bash", "-c", command.replace("make", "make -n", 1)], cwd=REPO, capture_output=True
        )
        assert dry.returncode == 0, command


def test_the_context_leaves_out_what_the_image_makes_itself() -> None:
    ignored = set((REPO / ".dockerignore").read_text().split())
    assert {".git", ".venv*", "data", "work_dirs"} <= ignored
    kept = {"configs", "mmext", "tools", "requirements", "Makefile", "README.md", "model-index.yml"}
    assert not ignored & kept
