"""Listing the landing zone: nothing outside of it, nothing unfinished, nothing passed over in silence."""

import os

import pytest

from resources.landing_zone import MAX_DEPTH, LandedFile, is_plant


@pytest.fixture
def land(run_settings):
    def write(path, data=b"x", mtime_ns=None):
        target = run_settings.landing_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        if mtime_ns is not None:
            os.utime(target, ns=(mtime_ns, mtime_ns))
        return target

    return write


def paths(listing):
    return [f"{file.plant}/{file.path}" for file in listing.files]


def test_files_are_listed_with_size_and_time_sorted_by_plant_and_path(landing_zone, land):
    land("b/z.txt", b"12345", 1_478_563_200_123_456_789)
    land("b/m1/a.txt", b"")
    land("a/x.txt")
    listing = landing_zone.look()
    assert paths(listing) == ["a/x.txt", "b/m1/a.txt", "b/z.txt"]
    assert listing.files[2] == LandedFile("b", "z.txt", 5, 1_478_563_200_123_456_789)
    assert listing.files[1].size == 0
    assert (listing.unfinished, listing.problems) == ((), ())
    assert landing_zone.plants() == ["a", "b"]
    assert paths(landing_zone.look(["a"])) == ["a/x.txt"]


def test_no_landing_zone_and_no_plant_folder_are_empty(landing_zone):
    assert landing_zone.plants() == []
    assert landing_zone.look() == landing_zone.look(["nist"])
    assert landing_zone.look().files == ()


@pytest.mark.parametrize("name", ["a.txt.part", "a.tmp", "a.partial", "a.crdownload", "a.txt.swp", "a.txt~", ".a.txt"])
def test_what_is_named_as_unfinished_is_left_for_later(landing_zone, land, name):
    land("nist/m1/" + name)
    land("nist/m1/part.txt")
    listing = landing_zone.look()
    assert paths(listing) == ["nist/m1/part.txt"]
    assert listing.unfinished == (f"nist/m1/{name}",)


def test_links_are_reported_and_never_followed(landing_zone, land, tmp_path):
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "passwd").write_text("root")
    inside = land("nist/real.txt")
    for name, target in (("file", secret / "passwd"), ("folder", secret), ("loop", inside.parent), ("gone", "nowhere")):
        (inside.parent / name).symlink_to(target)
    (inside.parent.parent / "linked").symlink_to(secret)
    listing = landing_zone.look()
    assert paths(listing) == ["nist/real.txt"]
    assert len(listing.problems) == 4
    assert all("it is not read" in problem for problem in listing.problems)
    assert landing_zone.plants() == ["nist"]


def test_a_named_pipe_is_reported_and_not_opened(landing_zone, land):
    os.mkfifo(land("nist/real.txt").parent / "pipe.txt")
    listing = landing_zone.look()
    assert paths(listing) == ["nist/real.txt"]
    assert "pipe.txt: neither a file nor a folder" in listing.problems[0]


def test_an_unreadable_folder_is_reported_and_the_rest_is_listed(landing_zone, land, monkeypatch):
    """Root may read everything, so the refusal is played."""
    land("nist/closed/a.txt")
    land("nist/open/b.txt")
    scandir = os.scandir

    def refuse(folder):
        if str(folder).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    listing = landing_zone.look(["nist"])
    assert paths(listing) == ["nist/open/b.txt"]
    assert len(listing.problems) == 1
    assert "closed: cannot be listed (Permission denied); check its permissions" in listing.problems[0]


def test_a_file_that_vanishes_while_it_is_listed_is_reported(landing_zone, land, monkeypatch):
    land("nist/a.txt")
    doomed = land("nist/b.txt")
    scandir = os.scandir

    class Vanishing:
        def __init__(self, entry):
            self.name, self.path = entry.name, entry.path
            self.is_dir, self.is_file = entry.is_dir, entry.is_file
            self._stat = entry.stat

        def stat(self, *, follow_symlinks):
            if self.name == doomed.name:
                raise FileNotFoundError(2, "No such file or directory")
            return self._stat(follow_symlinks=follow_symlinks)

    class Listed:
        def __init__(self, folder):
            self._entries = scandir(folder)

        def __enter__(self):
            return [Vanishing(entry) for entry in self._entries]

        def __exit__(self, *_error):
            self._entries.close()

    monkeypatch.setattr(os, "scandir", Listed)
    listing = landing_zone.look(["nist"])
    assert paths(listing) == ["nist/a.txt"]
    assert listing.problems == ("nist/b.txt: vanished or unreadable while listing (No such file or directory)",)


def test_a_name_that_is_no_utf8_is_reported_and_does_not_stop_the_rest(landing_zone, land):
    """Such a name could neither be stored nor shown."""
    folder = land("nist/good.txt").parent
    with open(os.fsencode(folder) + b"/\xff.txt", "wb") as stream:  # noqa: PTH123 - a Path cannot say this
        stream.write(b"x")
    listing = landing_zone.look(["nist"])
    assert paths(listing) == ["nist/good.txt"]
    assert "'\\udcff.txt' is no UTF-8" in listing.problems[0]


def test_folders_are_followed_to_a_bounded_depth(landing_zone, land):
    land("nist/" + "d/" * MAX_DEPTH + "in.txt")
    land("nist/" + "d/" * (MAX_DEPTH + 1) + "out.txt")
    listing = landing_zone.look(["nist"])
    assert [file.path.rsplit("/", 1)[1] for file in listing.files] == ["in.txt"]
    assert "nested deeper" in listing.problems[0]


@pytest.mark.parametrize("name", ["a b.txt", "ü漢.txt", "'; DROP TABLE x; --.txt", "a\nb.txt", "%41.txt", "*?[a].txt"])
def test_odd_names_are_listed_as_they_are(landing_zone, land, name):
    land(f"nist/{name}")
    assert [file.path for file in landing_zone.look().files] == [name]
    assert landing_zone.locate("nist", name).read_bytes() == b"x"


@pytest.mark.parametrize("name", ["nist", "a", "0", "plant_2-b", "x" * 63])
def test_plant_names(name):
    assert is_plant(name)


@pytest.mark.parametrize("name", ["", "-a", "_a", "A", "a b", "a/b", "..", ".", "a\n", "é", "x" * 64, "a|b", "a=b"])
def test_what_cannot_name_a_plant(landing_zone, land, name):
    assert not is_plant(name)
    land("nist/a.txt")
    listing = landing_zone.look([name])
    assert listing.files == ()
    assert "is no plant name" in listing.problems[0]


def test_folders_with_other_names_are_no_plants(landing_zone, land):
    land("Paris/a.txt")
    land("nist/a.txt")
    land("stray.txt")
    assert landing_zone.plants() == ["nist"]


@pytest.mark.parametrize(
    ("plant", "path"),
    [
        ("nist", "../other/a.txt"), ("nist", "a/../../b"), ("nist", "/etc/passwd"), ("nist", ".."), ("nist", "a\x00b"),
        ("..", "a.txt"), ("", "a.txt"), ("a/b", "a.txt"),
    ],
)  # fmt: skip
def test_no_path_leads_out_of_the_landing_zone(landing_zone, plant, path):
    with pytest.raises(ValueError, match="would leave the landing zone"):
        landing_zone.locate(plant, path)


def test_a_path_is_located_below_its_plant(landing_zone, run_settings):
    assert landing_zone.locate("nist", "m1/a.txt") == run_settings.landing_path / "nist" / "m1" / "a.txt"
