from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_backup import timestamps

UTC = timezone.utc


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-24T02:00:00Z", datetime(2026, 11, 24, 2, tzinfo=UTC)),
        ("2026-11-24t02:00:00.5z", datetime(2026, 11, 24, 2, 0, 0, 500_000, UTC)),
        ("2026-11-24 10:00:00+08:00", datetime(2026, 11, 24, 2, tzinfo=UTC)),
        ("2026-11-23T18:30:00.123456789-07:30", datetime(2026, 11, 24, 2, 0, 0, 123_456, UTC)),
        ("2026-12-31T23:59:60Z", datetime(2027, 1, 1, tzinfo=UTC)),
    ],
)
def test_an_rfc_3339_text_is_read(text: str, moment: datetime) -> None:
    assert timestamps.parse(text) == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-24",
        "2026-11-24T02:00:00",
        "2026-13-24T02:00:00Z",
        "2026-11-24T02:00:00+24:00",
        "2026-11-24T02:00Z",
        "0001-01-01T00:00:00+23:00",
        "2020-08-17T16:04:46.149Asia/Shanghai",
        "٢026-11-24T02:00:00Z",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - its text is nobody's to read
        timestamps.parse(text)


@given(st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_a_rendered_time_reads_back_as_it_was(moment: datetime) -> None:
    assert timestamps.parse(timestamps.render(moment)) == moment


def test_a_time_of_another_zone_is_rendered_in_utc() -> None:
    moment = datetime(2026, 11, 24, 10, tzinfo=timezone(timedelta(hours=8)))
    assert timestamps.render(moment) == "2026-11-24T02:00:00Z"
