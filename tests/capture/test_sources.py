"""Source declarations, and which path belongs to which."""

import pytest

from idm_assets.capture.sources import SourceEntry, SourceFile, claim, claim_member, load_sources
from idm_assets.configuration import ConfigurationError
from tests.test_configuration import problems

PATTERN = r"(?P<source>[^/]+)/(?P=source)-(?P<day>\d{8})-\d{8}\.txt(\.gz)?"


def entry(**fields):
    return SourceEntry(**{"name": "logs", "plant": "nist", "glob": "*", "format": "shdr", **fields})


def write(tmp_path, text, name="a.yaml"):
    folder = tmp_path / "sources"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return tmp_path


# Claiming


def test_the_path_gives_the_source_and_the_facts():
    found = claim([entry(path_pattern=PATTERN)], "nist", "Mazak01/Mazak01-20161107-20161108.txt.gz")
    assert (found.source, found.facts) == ("Mazak01", {"day": "20161107"})
    assert found.entry.name == "logs"


@pytest.mark.parametrize(
    "path",
    [
        "Mazak01/Mazak03-20161107-20161108.txt",  # the folder says another machine
        "Mazak01/Mazak01-2016110-20161108.txt",
        "x/Mazak01/Mazak01-20161107-20161108.txt",  # the pattern covers the whole path
        "Mazak01/Mazak01-20161107-20161108.txt.bz2",
        "Mazak01/Mazak01-20161107-20161108.txt\n",
    ],
)
def test_a_path_that_the_pattern_does_not_cover_is_not_claimed(path):
    assert claim([entry(path_pattern=PATTERN)], "nist", path) == "no source declaration claims it"


def test_a_group_that_took_no_part_is_no_fact():
    found = claim([entry(path_pattern=r"a(?P<shift>x)?(?P<source>y)?")], "nist", "a")
    assert (found.source, found.facts) == (None, {})
    named = claim([entry(path_pattern=r"a(?P<source>y)?", source="fixed")], "nist", "a")
    assert named.source == "fixed", "the declaration says it where the path does not"


def test_without_a_pattern_the_declaration_or_the_lines_name_the_source():
    assert claim([entry(source="gateway")], "nist", "a.json").source == "gateway"
    assert claim([entry()], "nist", "a.json").source is None


@pytest.mark.parametrize(
    ("glob", "path", "fits"),
    [
        ("*.txt", "a.txt", True), ("*.txt", "deep/er/a.txt", True), ("m?/*.txt", "m1/a.txt", True),
        ("m?/*.txt", "m12/a.txt", False), ("[ab]*", "b.txt", True), ("[ab]*", "c.txt", False),
        ("*.TXT", "a.txt", False), ("a.txt", "xa.txt", False), ("a.txt", "a.txt.gz", False),
    ],
)  # fmt: skip
def test_globs(glob, path, fits):
    assert isinstance(claim([entry(glob=glob)], "nist", path), str) is not fits


def test_another_plant_claims_nothing():
    assert claim([entry(plant="other")], "nist", "a") == "no source declaration claims it"


def test_two_declarations_for_one_path_are_told_by_name():
    entries = [entry(name="b"), entry(name="a"), entry(name="c", glob="z*")]
    assert claim(entries, "nist", "a.txt") == "several source declarations claim it: b, a"


# Fingerprints


def test_what_decides_the_decoding_changes_the_fingerprint():
    rows = {"format": "json_lines", "time": {"field": "t"}, "long": {"tag": "n", "value": "v"}}
    entries = [
        entry(),
        entry(timezone="Europe/Paris"),
        entry(status={"missing": ["n/a"]}),
        entry(**rows),
        entry(**rows | {"time": {"field": "time"}}),
        entry(**rows | {"long": {"tag": "n", "value": "w"}}),
        entry(**rows | {"record": {"model": "Order"}}),
        entry(**rows | {"options": {"items": "$.rows[*]"}}),
    ]
    assert len({each.fingerprint() for each in entries}) == len(entries)


def test_a_new_version_of_the_decoder_changes_the_fingerprint(monkeypatch):
    before = entry().fingerprint()
    monkeypatch.setattr(type(entry().readings()[0].decoder), "code_version", "next")
    assert entry().fingerprint() != before


@pytest.mark.parametrize(
    "change",
    [
        {"name": "renamed"},
        {"description": "x"},
        {"glob": "*.txt"},
        {"lateness_days": 9},
        {"expected": "irregular"},
        {"archive_days": 30},
    ],
)
def test_what_does_not_decide_it_leaves_the_fingerprint(change):
    assert entry(**change).fingerprint() == entry().fingerprint()


# Reading declarations

GOOD = "sources:\n  - {name: logs, plant: nist, glob: '*', format: shdr}\n"


def test_declarations_are_read_from_all_files_and_sorted_by_name(tmp_path):
    write(tmp_path, GOOD)
    write(tmp_path, "sources:\n  - {name: early, plant: nist, glob: 'x', format: shdr, lateness_days: 0}\n", "b.yml")
    assert [e.name for e in load_sources(tmp_path)] == ["early", "logs"]


def test_no_folder_means_no_declarations(tmp_path):
    assert load_sources(tmp_path) == ()


def test_two_declarations_of_one_name_are_refused(tmp_path):
    write(tmp_path, GOOD)
    write(tmp_path, GOOD, "b.yaml")
    with pytest.raises(ConfigurationError, match="two sources are named 'logs'; names are unique"):
        load_sources(tmp_path)


@pytest.mark.parametrize(
    ("field", "complaint"),
    [
        ("name: Logs", "name: "),
        ("plant: ../etc", "plant: "),
        ("glob: ''", "glob: "),
        (
            "format: cobol",
            "unknown format 'cobol'; known formats: arrow, b2mml, csv, json, json_lines, line_protocol, ",
        ),
        ("path_pattern: '(?P<source>'", "path_pattern: not a regular expression: "),
        ("timezone: Mars/Olympus", "timezone: unknown IANA time zone 'Mars/Olympus', for example Europe/Paris"),
        ("lateness_days: -1", "lateness_days: "),
        ("expected: sometimes", "expected: expected 'daily' or 'irregular' (got 'sometimes')"),
        ("colour: red", "colour: unknown field; known here: "),
    ],
)
def test_a_wrong_field_is_named_with_file_and_line(tmp_path, field, complaint):
    name = field.split(":", 1)[0]
    fields = {"name": "name: logs", "plant": "plant: nist", "glob": "glob: '*'", "format": "format: shdr", name: field}
    path = write(tmp_path, "sources:\n  - " + "\n    ".join(fields.values()) + "\n") / "sources" / "a.yaml"
    found = problems(path, SourceFile)
    line = 2 if name in ("name", "format") else 2 + list(fields).index(name)
    assert len(found) == 1
    assert found[0].startswith(f"a.yaml:{line}: sources[0]")
    assert complaint in found[0]
    with pytest.raises(ConfigurationError):
        load_sources(tmp_path)


def test_the_options_of_a_format_are_judged_with_the_declaration(tmp_path):
    write(tmp_path, GOOD.replace("shdr}", "shdr, options: {absent_option: 1}}"))
    with pytest.raises(ConfigurationError, match=r"a\.yaml:2: sources\[0\]: options\.absent_option: Extra inputs"):
        load_sources(tmp_path)
    write(tmp_path, GOOD.replace("shdr}", "csv, options: {delimiter: '::'}, time: {field: t}, wide: {}}"))
    with pytest.raises(ConfigurationError, match=r"options\.delimiter: Value error, expected one character"):
        load_sources(tmp_path)


@pytest.mark.parametrize(
    ("declared", "complaint"),
    [
        ("format: csv, wide: {}", "time: say which field of a row tells its time"),
        ("format: csv, time: {field: t}", "exactly one of long, pairs or wide, or record"),
        ("format: csv, time: {field: t}, wide: {}, long: {tag: a, value: b}", "exactly one of long, pairs or wide"),
        ("format: shdr, wide: {}", "the format shdr says itself what it means"),
        ("format: shdr, record: {model: Order}", "the format shdr has no records; remove record"),
        ("format: b2mml", "the format b2mml needs record"),
        ("format: csv, time: {field: t, format: later}, wide: {}", "a strptime pattern such as"),
        ("format: json_lines, time: {field: t}, wide: {}", "objects have no columns of their own"),
        ("format: json, time: {field: t}, record: {model: ''}", "record.model"),
        ("format: csv, time: {field: t, label: end}, wide: {}", "label: end and interval go together"),
        ("format: csv, time: {field: t}, wide: {}, status: {words: {ok: Fine}}", "unknown status 'Fine'"),
        ("format: csv, time: {field: t}, wide: {}, status: {sentinels: {-1: Good}}", "cannot be Good"),
    ],
)
def test_what_a_row_is_must_be_told(tmp_path, declared, complaint):
    write(tmp_path, f"sources:\n  - {{name: logs, plant: nist, glob: '*', {declared}}}\n")
    with pytest.raises(ConfigurationError) as refused:
        load_sources(tmp_path)
    assert complaint in str(refused.value)


# Archives


def test_a_member_of_an_archive_is_claimed_by_its_path_in_it():
    declared = entry(glob="*.zip", path_pattern=r"[^/]+\.zip/(?P<source>\w+)/(?P<day>\d{8})\.txt")
    archive = claim([declared], "nist", "week.zip")
    assert (archive.source, archive.facts) == (None, {})
    member = claim_member(archive, "week.zip/Mazak01/20161107.txt")
    assert (member.source, member.facts) == ("Mazak01", {"day": "20161107"})
    assert "matches neither the archive nor 'week.zip/readme.md'" in claim_member(archive, "week.zip/readme.md")


def test_members_inherit_what_the_path_of_the_archive_says():
    declared = entry(glob="*.zip", path_pattern=r"(?P<source>\w+)-(?P<week>\d+)\.zip")
    found = claim_member(claim([declared], "nist", "Mazak01-45.zip"), "Mazak01-45.zip/a.txt")
    assert (found.source, found.facts) == ("Mazak01", {"week": "45", "member": "Mazak01-45.zip/a.txt"})


def test_the_zone_is_that_of_timestamps_without_one():
    assert entry(timezone="Europe/Paris").zone().key == "Europe/Paris"
