"""OPC UA StatusCodes: severities, and the published symbols."""

import pytest

from idm_assets import status


@pytest.mark.parametrize(
    ("code", "good", "bad"),
    [
        (0, True, False),
        (0x400, True, False),
        (0x3FFFFFFF, True, False),
        (0x40000000, False, False),
        (0x7FFFFFFF, False, False),
        (0x80000000, False, True),
        (0x809B0000, False, True),
        (0xC0000000, False, True),
        (0xFFFFFFFF, False, True),
    ],
)
def test_severity_is_in_the_upper_two_bits(con, code, good, bad):
    query = f"SELECT {status.is_good('s')}, {status.is_bad('s')} FROM (SELECT {code}::BIGINT AS s)"
    assert con.sql(query).fetchall() == [(good, bad)]
    assert (code >> 30 == 0, code >> 30 >= 2) == (good, bad)


def test_the_codes_we_set_are_published_under_these_symbols():
    published = status.symbols()
    assert {code: published[code][0] for code in (
        status.GOOD, status.BAD_NO_DATA, status.BAD_OUT_OF_RANGE, status.BAD_TYPE_MISMATCH,
    )} == {
        0: "Good", 0x809B0000: "BadNoData", 0x803C0000: "BadOutOfRange", 0x80740000: "BadTypeMismatch",
    }  # fmt: skip


def test_the_list_is_whole_and_uses_no_info_bits():
    published = status.symbols()
    assert len(published) > 200
    assert all(code & status.SYMBOL_MASK == code for code in published)
    assert all(symbol and description is not None for symbol, description in published.values())
    assert len({symbol for symbol, _ in published.values()}) == len(published)
