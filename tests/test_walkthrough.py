"""The page docs/referential.md: its walkthrough runs as it stands and says what is shown; its reference is complete."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import BaseModel

from idm_assets.configuration import load_yaml
from idm_assets.referential import configuration, data_models, rules
from idm_assets.referential.findings import QUESTIONS
from idm_assets.referential.table_import import OPTIONAL, REQUIRED

PROJECT = Path(__file__).resolve().parents[1]
PAGE = PROJECT / "docs" / "referential.md"
WALKTHROUGH, REFERENCE = PAGE.read_text(encoding="utf-8").split("\n## Reference\n")
CONFIGURED: tuple[type[BaseModel], ...] = (
    data_models.ModelEntry, data_models.AttributeEntry, data_models.RangeEntry, data_models.SamplingEntry,
    data_models.ModelFile, data_models.ModelImport, configuration.ReferentialConfiguration,
    configuration.EquipmentElement, configuration.AvatarEntry, configuration.SignalEntry, configuration.BindingRule,
    configuration.MachinesImport, configuration.TableImport, rules.RulesConfiguration, rules.Rule, rules.Match,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language and text, and the line of the page where its text starts."""

    line: int
    language: str
    text: str


def blocks_of(page: str) -> Iterator[Block]:
    for found in re.finditer(r"^```(\w*)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        yield Block(page.count("\n", 0, found.start(2)) + 1, found[1], found[2])


class Reader:
    """Somebody who does what the page says, in a home folder of their own."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "my-plant"
        self._state = home / "shell"
        self._state.write_text(f"cd {PROJECT}\n", encoding="utf-8")
        programs = Path(sys.executable).parent
        self._environment = os.environ | {
            "HOME": str(home), "PATH": f"{programs}:{os.environ['PATH']}", "COLUMNS": "250",
        }  # fmt: skip

    def write(self, text: str) -> None:
        """Put a file where its first line says."""
        path = self.folder / text.partition("\n")[0].removeprefix("# ")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def run(self, commands: str) -> tuple[int, str]:
        """Run commands where the former ones ended, with what they exported; the exit code and what was said."""
        self._settle()
        script = f'. "{self._state}"\n{commands}\n{{ export -p; printf "cd %q\\n" "$PWD"; }} > "{self._state}"'
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", script], env=self._environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", timeout=600, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout

    def _settle(self) -> None:
        """Let landed files be old enough to be taken, once, since a later time is another delivery."""
        for path in (self.folder / "data" / "landing").rglob("*"):
            if path.stat().st_mtime > time.time() - 30:
                os.utime(path, (time.time() - 60,) * 2)


def missing(shown: str, said: str) -> list[tuple[int, str]]:
    """Lines of an output on the page, with their number, that were not said, or not in that order.

    ``...`` stands for anything, and tables may lack columns. What a difference adds and removes may be in any order.
    """
    lines = [cells_of(line) for line in said.splitlines()]
    lost: list[tuple[int, str]] = []
    at = 0
    for number, line in enumerate(shown.splitlines()):
        cells = cells_of(line)
        if line.strip() == "..." or set(line) <= set("━╇ "):
            continue
        unordered = cells[0] in {"+", "-"}
        found = next((i for i in range(0 if unordered else at, len(lines)) if says(lines[i], cells)), None)
        if found is None:
            lost.append((number, line))
        elif not unordered:
            at = found + 1
    return lost


def cells_of(line: str) -> list[str]:
    return [" ".join(cell.split()) for cell in re.split("[│┃]", line)]


def says(line: list[str], shown: list[str]) -> bool:
    """Whether the cells shown are cells of a line, in order; text without cells is one cell."""
    if (len(line) == 1) != (len(shown) == 1):
        return False
    rest = iter(line)
    return all(any(fits(cell, wanted) for cell in rest) for wanted in shown)


def fits(cell: str, wanted: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, wanted.split("..."))), cell) is not None


@pytest.mark.parametrize(
    ("shown", "said", "lost"),
    [
        ("a\nb", "a\nx\nb", []),
        ("b\na", "a\nb", ["a"]),
        ("a ... c", "a b  c", []),
        ("a ... c", "a b d", ["a ... c"]),
        ("a", "aa", ["a"]),
        ("a │ c", "a │ b │ c", []),
        ("c │ a", "a │ b │ c", ["c │ a"]),
        ("a │ d", "a │ b │ c", ["a │ d"]),
        ("a │  │ c", "a │ b │ c", ["a │  │ c"]),
        ("+ │ b\n- │ a", "- │ a\n+ │ b", []),
        ("+ │ b\nend", "end\n+ │ b", []),
        ("...\n━━╇━━\nend", "end", []),
    ],
)
def test_lines_that_were_not_said_are_found(shown: str, said: str, lost: list[str]) -> None:
    assert [line for _, line in missing(shown, said)] == lost


@pytest.mark.slow
def test_the_walkthrough_runs_and_says_what_is_shown(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    said = None
    compared = 0
    for block in blocks_of(WALKTHROUGH):
        where = f"docs/referential.md:{block.line}"
        match block.language:
            case "yaml":
                assert block.text.startswith("# config/"), f"{where}: the first line names the file"
                reader.write(block.text)
            case "sh":
                code, said = reader.run(block.text)
                assert code == 0, f"{where}: exit code {code}\n{said}"
                assert "Traceback" not in said, f"{where}:\n{said}"
            case "":
                assert said is not None, f"{where}: an output without commands before it"
                lost = [f"docs/referential.md:{block.line + n}: {line}" for n, line in missing(block.text, said)]
                assert not lost, "\n".join(["not said:", *lost, "but:", said])
                compared += 1
            case other:
                pytest.fail(f"{where}: nobody runs {other!r}")
    assert compared >= 15
    assert (reader.folder / "shells.json").is_file()


def test_the_reference_names_every_field_column_and_check() -> None:
    names = {field.alias or name for model in CONFIGURED for name, field in model.model_fields.items()}
    names |= {name for columns in (*REQUIRED.values(), *OPTIONAL.values()) for name in columns}
    names |= {question.name for question in QUESTIONS}
    named = set(re.findall(r"[A-Za-z0-9_]+", " ".join(re.findall(r"`([^`\n]+)`", REFERENCE))))
    assert sorted(names - named) == []


def test_examples_of_the_reference_are_valid(tmp_path: Path) -> None:
    for block in blocks_of(REFERENCE):
        assert block.language == "yaml"
        path = tmp_path / "example.yaml"
        path.write_text(f"plant: acme\n{block.text}", encoding="utf-8")
        assert load_yaml(path, configuration.ReferentialConfiguration).imports


def test_no_line_of_the_page_is_too_long() -> None:
    assert [n for n, line in enumerate(PAGE.read_text(encoding="utf-8").splitlines(), 1) if len(line) > 120] == []
