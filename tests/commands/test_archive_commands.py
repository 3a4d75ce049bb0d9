"""The commands `idm archive`: what they print, with which code they end, and that they change only what they say."""

import hashlib
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from idm_assets.commands import archive as commands
from resources.archive import Archive, ArchivedCapture
from resources.settings import Settings

NOW = datetime.now(UTC)
DAY_NS = 86_400 * 10**9


class Plant:
    """An archive with the captures that the ledger knows, and the rules of their sources."""

    def __init__(self, home: Path) -> None:
        self.archive = Archive(settings=Settings(home=str(home)))
        self.captures: list[ArchivedCapture] = []
        self.rules: dict[str, int | None] = {"logs": None, "short": 30}
        self._home = home

    def kept(self, content: bytes, days_ago: int) -> str:
        """Archive a content as if it was delivered some days ago; returns its hash."""
        path = self._home / "delivered"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        self.archive.keep(path, sha256)
        then = int(NOW.timestamp()) * 10**9 - days_ago * DAY_NS
        os.utime(self.archive.entry_path(sha256), ns=(then, then))
        return sha256

    def captured(self, content: bytes, path: str, days_ago: int, source: str = "logs", plant: str = "nist") -> str:
        """Archive and record a capture."""
        sha256 = self.kept(content, days_ago)
        self.captures.append(ArchivedCapture(sha256, plant, source, NOW - timedelta(days=days_ago), path))
        return sha256

    def held(self) -> set[str]:
        return {stored.sha256 for stored in self.archive.stored()}

    def archived_captures(self) -> list[ArchivedCapture]:
        return self.captures


@pytest.fixture
def plant(tmp_path, monkeypatch):
    monkeypatch.setenv("IDM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("IDM_CONFIG", str(tmp_path / "config"))
    monkeypatch.setattr(commands.console, "width", 200)
    found = Plant(tmp_path / "home")
    monkeypatch.setattr(commands, "recorded", lambda _settings: found.captures)
    monkeypatch.setattr(commands, "keep_days", lambda _settings: found.rules)
    return found


def run(*arguments, code=0):
    result = CliRunner().invoke(commands.app, [str(a) for a in arguments])
    assert result.exit_code == code, result.output + repr(result.exception)
    return result.output


def rows(said):
    """The table of `verify`: number and size by name."""
    cells = [[cell.strip() for cell in line.split("│")] for line in said.splitlines() if "│" in line]
    return {name: (number, size) for name, number, size in cells}


# verify


def test_a_sound_archive(plant):
    plant.captured(b"a" * 1000, "m/a.txt", 400)
    plant.captured(b"b" * 1000, "m/b.txt", 2)
    plant.kept(b"not recorded yet", 1)
    said = run("verify")
    size = sum(stored.size for stored in plant.archive.stored())
    found = rows(said)
    assert found["entries"] == ("3", f"{size} bytes")
    assert found["sound"] == ("3", f"{size} bytes")
    assert found["without a capture"][0] == "1"
    assert {name for name, (number, _) in found.items() if number != "0"} == {"entries", "sound", "without a capture"}
    assert "Missing" not in said


@pytest.mark.usefixtures("plant")
def test_an_archive_without_anything():
    assert rows(run("verify"))["entries"] == ("0", "0 bytes")


def test_damage_is_told_with_its_place_and_what_to_do(plant):
    entry = plant.archive.entry_path(plant.captured(b"a" * 1000, "m/a.txt", 2))
    plant.captured(b"b" * 1000, "m/b.txt", 2)
    packed = bytearray(entry.read_bytes())
    packed[-1] ^= 1
    entry.write_bytes(packed)
    said = run("verify", code=1)
    assert (rows(said)["sound"][0], rows(said)["damaged"][0], rows(said)["missing"][0]) == ("1", "1", "0")
    assert f"{entry} is damaged" in said
    assert "from a backup" in said


def test_a_missing_content_is_told_with_all_its_captures(plant):
    sha256 = plant.captured(b"a", "m/a.txt", 2)
    plant.captured(b"a", "m/again.txt", 1, plant="other")
    plant.archive.entry_path(sha256).unlink()
    said = run("verify", code=1)
    assert rows(said)["missing"][0] == "1"
    assert f"nist/m/a.txt of {(NOW - timedelta(days=2)).date()}, content {sha256}" in said
    assert "other/m/again.txt" in said
    assert "touch it" in said


def test_lists_are_cut_and_say_so(plant):
    for number in range(5):
        plant.archive.entry_path(plant.captured(bytes([number]), f"m/{number}.txt", 2)).unlink()
    said = run("verify", "--limit", 2, code=1)
    assert said.count("content ") == 2
    assert "and 3 more" in said


def test_what_was_removed_by_its_rule_is_not_missing(plant):
    plant.archive.entry_path(plant.captured(b"a", "m/a.txt", 31, "short")).unlink()
    assert rows(run("verify"))["past their rule and removed"][0] == "1"
    plant.rules["short"] = 32
    assert rows(run("verify", code=1))["missing"][0] == "1"


def test_a_hash_that_is_none_is_missing(plant):
    plant.captures.append(ArchivedCapture("sha1", "nist", "logs", NOW, "m/\x1b[2J.txt"))
    said = run("verify", code=1)
    assert rows(said)["missing"][0] == "1"
    assert "\x1b[2J" not in said


def test_strays_are_counted_and_told(plant):
    plant.captured(b"a", "m/a.txt", 2)
    (plant.archive.path / "notes [bold].txt").write_text("mine")
    part = plant.archive.path / "ab" / f".{'ab' * 32}.{'0' * 32}.part"
    part.parent.mkdir(exist_ok=True)
    part.write_bytes(b"12345")
    said = run("verify")
    assert rows(said)["foreign files"][0] == "1"
    assert rows(said)["temporary files"] == ("1", "5 bytes")
    assert "notes [bold].txt" in said
    assert str(part) in said


def test_an_archive_that_cannot_be_listed_says_so(plant):
    plant.archive.path.parent.mkdir()
    plant.archive.path.write_text("a file in its place")
    for command in ("verify", "prune"):
        assert "cannot be listed (Not a directory)" in run(command, code=2)


def test_what_may_be_in_a_folder_that_cannot_be_listed_is_not_called_missing(plant, monkeypatch):
    sha256 = plant.captured(b"a", "m/a.txt", 2)
    shard = plant.archive.entry_path(sha256).parent
    scan = os.scandir

    def refuse(folder):
        if Path(folder) == shard:
            raise PermissionError(13, "Permission denied")
        return scan(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    said = run("verify", code=1)
    assert (rows(said)["missing"][0], rows(said)["unreadable"][0]) == ("0", "1")
    assert f"{shard} cannot be listed (Permission denied)" in said


# list


def test_list_shows_the_latest_first_with_until_when_they_are_kept(plant):
    first = plant.captured(b"a" * 1000, "m/a.txt", 20)
    plant.captured(b"b", "m/b.txt", 10, "short")
    plant.captured(b"c", "m/c.txt", 5, plant="other")
    lines = [line for line in run("list").splitlines() if ".txt" in line]
    assert [line.split()[2] for line in lines] == ["m/c.txt", "m/b.txt", "m/a.txt"]
    assert first[:16] in lines[2]
    assert lines[2].rstrip().endswith("for ever")
    assert lines[1].rstrip().endswith(str((NOW + timedelta(days=20)).date()))
    said = run("list", "--plant", "nist", "--limit", 1)
    assert "m/b.txt" in said
    assert "m/a.txt" not in said
    assert "2 captures, the first 1 are shown" in said


def test_list_says_what_is_not_in_the_archive(plant):
    plant.archive.entry_path(plant.captured(b"a", "m/a.txt", 20)).unlink()
    assert "not in the archive" in run("list")


def test_list_of_an_unknown_plant_names_the_known_ones(plant):
    plant.captured(b"a", "m/a.txt", 20)
    assert "No capture of a plant 'mars' is recorded; there are: nist" in run("list", "--plant", "mars", code=2)


@pytest.mark.usefixtures("plant")
def test_list_of_nothing():
    assert "0 captures" in run("list")


# prune


def test_prune_shows_what_would_go_and_why_and_changes_nothing(plant):
    plant.captured(b"a", "m/a.txt", 400)
    gone = plant.captured(b"b" * 1000, "m/b.txt", 31, "short")
    orphan = plant.kept(b"orphan", 8)
    before = plant.held()
    said = run("prune")
    shown = {line.split()[0]: line for line in said.splitlines() if "│" in line}
    assert set(shown) == {gone[:16], orphan[:16]}
    assert "nist/m/b.txt arrived on" in shown[gone[:16]]
    assert "short keeps 30 days" in shown[gone[:16]]
    assert "no capture refers to it" in shown[orphan[:16]]
    size = sum(plant.archive.find(sha256).size for sha256 in (gone, orphan))
    assert f"2 entries, {size} bytes" in said
    assert "Nothing was removed; with --apply it is." in said
    assert plant.held() == before


def test_prune_apply_removes_just_that(plant):
    kept = plant.captured(b"a", "m/a.txt", 400)
    plant.captured(b"b" * 1000, "m/b.txt", 31, "short")
    young = plant.kept(b"young orphan", 6)
    plant.kept(b"orphan", 8)
    part = plant.archive.path / "ab" / f".{'ab' * 32}.{'0' * 32}.part"
    part.parent.mkdir(exist_ok=True)
    part.write_bytes(b"12345")
    os.utime(part, ns=(0, 0))
    assert "Removed 2 entries and 1 temporary files" in run("prune", "--apply")
    assert plant.held() == {kept, young}
    assert not part.exists()
    assert "There is nothing to remove." in run("prune")


def test_prune_without_a_ledger_removes_nothing(plant):
    held = plant.kept(b"all that is left", 4000)
    said = run("prune", "--apply")
    assert plant.held() == {held}
    assert "1 entries" in said
    assert "if the ledger was lost" in said


def test_prune_leaves_what_is_delivered_again_meanwhile(plant, monkeypatch):
    sha256 = plant.captured(b"b", "m/b.txt", 31, "short")
    remove = Archive.remove

    def deliver_first(archive, stored):
        plant.kept(b"b", 0)
        return remove(archive, stored)

    monkeypatch.setattr(Archive, "remove", deliver_first)
    said = run("prune", "--apply")
    assert "Removed 0 entries" in said
    assert "1 entries stay" in said
    assert plant.held() == {sha256}


def test_rules_come_from_the_declarations(tmp_path):
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "a.yaml").write_text(
        "sources:\n"
        "  - {name: logs, plant: nist, glob: '*.txt', format: shdr, source: m}\n"
        "  - {name: short, plant: nist, glob: '*.log', format: shdr, source: m, archive_days: 30}\n"
    )
    assert commands.keep_days(Settings(config=str(tmp_path))) == {"logs": None, "short": 30}
