"""One byte that changes on its way decides nothing: not what a file is, and not what a receipt says."""

from __future__ import annotations

from typing import Any

import pytest

from simulator import Fault, Faults, Instance
from simulator.downloads.files import File
from tests.proof.cases import STORE, ensure, last, states, stored


@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize("fields", [{"verify": "quick"}, {"verify": "full"}, {"copy": True}], ids=str)
@pytest.mark.parametrize("file", [File(size=20_000), File(checksum=False), File(cut=500), File(version=4)], ids=str)
def test_a_changed_byte_of_a_download(make_cloud, file: File, fields: dict[str, Any], number: int) -> None:
    faults = Faults()
    faults.plan("Download", [None] * number + [Fault("flip")])
    cloud = make_cloud(Instance("r-1", files=(file, File())), settings=STORE, faults=faults)
    records = ensure(cloud, **fields)
    assert states(records)[-1] == "succeeded"
    assert len(cloud.kvstore.instance("r-1").backups) == (2 if file.cut else 1)
    is_known = (file.checksum and file.version > 4) or file.cut
    assert last(records, "backup_succeeded")["verified"] == (
        "full" if is_known and fields != {"verify": "quick"} else "quick"
    )
    if not (file.cut or fields == {"verify": "quick"}):
        [receipt] = stored(cloud.store, "copy.json" if "copy" in fields else "full.json")["files"]
        state = cloud.kvstore.instance("r-1")
        content = state.content(state.backups[0], state.backups[0].jobs[0], 0)
        end = b"".join(content.read(content.size - 8, content.size))
        assert receipt.get("crc64") == (end[::-1].hex() if is_known else None)


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("fields", [{"verify": "full"}, {"copy": True}], ids=str)
def test_a_changed_byte_of_what_is_written(make_cloud, fields: dict[str, Any], number: int) -> None:
    faults = Faults()
    faults.plan("PutObject", [None] * number + [Fault("flip")])
    faults.plan("UploadPart", [Fault("flip")])
    cloud = make_cloud(Instance("r-1"), settings=STORE, faults=faults)
    assert states(ensure(cloud, **fields)) == ["started", "verifying", "succeeded"]
    assert stored(cloud.store, "copy.json" if "copy" in fields else "full.json")["verified"] == "full"
