"""A copy from the store is loaded by a real server, and has every key that the backup's instance had."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from simulator import Cloud, File, Instance
from tests.proof.cases import STORE, ensure, first, last
from tests.rdb.make import RunningServer, fill

SERVER = shutil.which("redis-server") or shutil.which("valkey-server") or ""
pytestmark = pytest.mark.skipif(not SERVER, reason="no redis-server on this machine: NO COPY IS RESTORED HERE")


def copies(cloud: Cloud) -> list[bytes]:
    """The copies in the store, in the order of their names."""
    return [each.read() for key, each in sorted(cloud.store.objects.items()) if not key.endswith(".json")]


def restored(copy: bytes) -> dict[Any, Any]:
    """The keys of a server that has loaded a copy."""
    with RunningServer(SERVER, copy) as server:
        return server.keys()


def test_a_copy_restores_every_key(make_cloud) -> None:
    with RunningServer(SERVER) as instance:
        fill(instance)
        keys, rdb = instance.keys(), instance.save()
    cloud = make_cloud(Instance("r-1", files=(File(content=rdb),)), settings=STORE)
    assert first(ensure(cloud, copy=True), "backup_succeeded")["verified"] == "full"
    assert len(keys) > 15
    assert [restored(copy) == keys for copy in copies(cloud)] == [True]


@pytest.mark.parametrize("kind", ["classic-cluster", "cloud-native"])
def test_the_copies_of_a_cluster_s_shards_restore_the_keys_of_all(make_cloud, kind: str) -> None:
    shards, keys = [], []
    for number in range(3):
        with RunningServer(SERVER) as shard:
            for key in range(number, 30, 3):
                shard.command("SET", f"key {key}", f"value of shard {number}")
            keys.append(shard.keys())
            shards.append(File(content=shard.save()))
    cloud = make_cloud(Instance("r-1", kind=kind, shards=3, files=(tuple(shards),)), settings=STORE)
    assert first(ensure(cloud, copy=True), "backup_succeeded")["verified"] == "full"
    found = [restored(copy) for copy in copies(cloud)]
    assert sorted(found, key=keys.index) == keys
    assert len({key for each in found for key in each}) == 30


def test_a_copy_that_was_put_together_from_many_parts_restores_every_key(make_cloud) -> None:
    cloud = make_cloud(Instance("r-1", files=(File(size=30_000_000),)), settings=STORE)
    assert first(ensure(cloud, copy=True), "backup_succeeded")["verified"] == "full"
    [copy] = copies(cloud)
    sizes = [len(value) for kind, value in restored(copy).values() if kind == b"string"]
    assert (len(copy), sizes.count(1 << 20)) == (30_000_000, 28)


@pytest.mark.parametrize(
    "damage", [{"flip": 500}, {"flip": -1}, {"flip": 99_990}, {"cut": 1}, {"cut": 50_000}], ids=str
)
def test_what_the_function_calls_corrupt_no_server_loads(make_cloud, damage: dict[str, int]) -> None:
    file = File(size=100_000, **damage)
    cloud = make_cloud(Instance("r-1", files=(file,)), settings={**STORE, "BACKUP_MAX_ATTEMPTS": "1"})
    assert last(ensure(cloud, verify="full"), "backup_failed")["error_code"] == "BackupCorrupt"
    state = cloud.kvstore.instance("r-1")
    content = state.content(state.backups[0], *state.nodes(state.backups[0])[0])
    with pytest.raises(RuntimeError):
        restored(b"".join(content.read(0, content.size)))
