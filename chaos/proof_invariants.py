"""The invariants of reading and copying backups: what is said of their files, what is in the store, what it cost."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

from chaos.history import History, InstanceHistory
from chaos.judgement import CORRUPT, names_of
from simulator.fc.state import Invocation
from simulator.gateway import Call
from simulator.kvstore.state import Backup
from simulator.oss.state import StoredObject, Upload

RECEIPTS = {"full.json": "full", "copy.json": "copy"}
CHECKED_KEY = "/check.json"  # of the object that a check writes
CHECKED_UPLOAD = "/check.upload"
PART_BYTES = 8 * 1024 * 1024
SMALL_READS = 5_000  # bytes; the ends of files
_CORRUPT_BACKUP = re.compile(r"(?:job ([\d,]+)|ClusterBackupId (cb-\d+) of [^,]+), ")
_FAILING_CALLS = 3  # after so many failed calls to tidy up, uploads may be left


def check(history: History, counts: Counter[str], violations: list[str]) -> None:
    """Add to the violations what must not be in records and in the store."""
    by_id = {instance.id: instance for instance in history.instances}
    for key, stored in history.cloud.store.objects.items():
        if not key.endswith(CHECKED_KEY):
            _check_object(history, by_id, key, counts, violations)
        _check_secrets(history, f"object {key}", stored.read().decode(errors="replace"), violations)
    for invocation in (*history.invocations, *history.checks):
        text = invocation.everything() + invocation.event.decode(errors="replace")
        _check_secrets(history, f"invocation {invocation.request_id}", text, violations)
    for instance in history.instances:
        if instance.level == "none":
            continue
        for _, record in instance.records:
            violations.extend(_untrue(history, instance, record))
        if not history.plan.dry_run:
            _check_end(history, instance, counts, violations)
        _check_bytes(history, instance, counts, violations)
    _check_uploads(history, by_id, violations)


def _check_secrets(history: History, where: str, text: str, violations: list[str]) -> None:
    marks = ("OSSAccessKeyId", "security-token=", *history.cloud.addresses.secrets)
    if any(mark in text for mark in marks):
        violations.append(f"address: {where} has the address of a file, or its signature")


def _check_object(
    history: History, by_id: dict[str, InstanceHistory], key: str, counts: Counter[str], violations: list[str]
) -> None:
    """Check an object of the store, all its versions: a receipt has to be true, a copy what it is a copy of."""
    *_, instance_id, folder, name = key.split("/")
    instance = by_id[instance_id]
    if history.plan.dry_run:
        violations.append(f"dry run: {key} was written")
    backup = next((each for each in instance.state.backups if folder.partition("-")[2] in names_of(each)), None)
    if backup is None:
        violations.append(f"receipt: {key} is of no backup")
        return
    for version in history.cloud.store.versions(key):
        if name in RECEIPTS:
            counts[f"receipts {name}"] += 1
            problem = _wrong_in_receipt(history, instance, backup, version, RECEIPTS[name])
            violations.extend([f"receipt: {key}: {problem}"] if problem else [])
        elif name != "progress.json" and version.read() not in _contents(instance, backup):
            violations.append(f"copy: {key} is not what the backup's file is")


def _wrong_in_receipt(
    history: History, instance: InstanceHistory, backup: Backup, stored: StoredObject, level: str
) -> str:
    try:
        receipt = json.loads(stored.read())
    except ValueError:
        return "it is not what was written"
    found = instance.found_at(backup, level)
    if receipt["verified"] != found or not backup.succeeded:
        return f"it says {receipt['verified']}, but the backup is {found if backup.succeeded else 'failed'}"
    contents = [instance.state.content(backup, job, node) for job, node in instance.state.nodes(backup)]
    if sorted(each["bytes"] for each in receipt["files"]) != sorted(each.size for each in contents):
        return "it does not have the backup's files"
    if instance.kind != "cloud-native" and set(receipt["job_ids"]) != set(backup.job_ids):
        return f"it is of jobs {receipt['job_ids']}, not {backup.job_ids}"
    if found == "full":
        stated = {b"".join(each.read(each.size - 8, each.size))[::-1].hex() for each in contents}
        if {each["crc64"] for each in receipt["files"]} != stated:
            return "its checksums are not the files'"
    folder = stored.key.rpartition("/")[0]
    objects = history.cloud.store.objects
    copies = [objects.get(f"{folder}/{each.get('copy')}") for each in receipt["files"]] if level == "copy" else []
    if not all(copies):
        return "not all copies are there"
    if copies and {each.read() for each in copies if each} != set(_contents(instance, backup)):
        return "its copies are not the backup's files"
    wrong = [
        each
        for each in receipt["files"]
        if level == "copy" and objects[f"{folder}/{each['copy']}"].crc64 != int(each["copy_crc64"])
    ]
    return "its checksum of a copy is another one" if wrong else ""


def _contents(instance: InstanceHistory, backup: Backup) -> list[bytes]:
    contents = (instance.state.content(backup, job, node) for job, node in instance.state.nodes(backup))
    return [b"".join(each.read(0, each.size)) for each in contents]


def _untrue(history: History, instance: InstanceHistory, record: dict[str, Any]) -> list[str]:
    """Return what a record says that is not so."""
    if record["event"] == "backup_succeeded":
        return _untrue_success(history, instance, record)
    if record.get("error_code") != "BackupCorrupt":
        return []
    named = [ids or cluster for ids, cluster in _CORRUPT_BACKUP.findall(record["error_message"])]
    if not named:
        return [f"corrupt: {instance.name}: no backup is named: {record['error_message']}"]
    found = []
    for name in named:
        backups = [each for each in instance.state.backups if set(name.split(",")) & names_of(each)]
        is_corrupt = any(instance.found(each) == CORRUPT for each in backups)
        if not is_corrupt and not _was_changed_twice(history, instance):
            found.append(f"corrupt: {instance.name}: {name} is sound, but a record says: {record['error_message']}")
    return found


def _untrue_success(history: History, instance: InstanceHistory, record: dict[str, Any]) -> list[str]:
    ids = {each for each in str(record.get("job_ids", "")).split(",") if each}
    backups = [each for each in instance.state.backups if ids & names_of(each)] or (
        instance.possibly_good if instance.kind == "cloud-native" else []
    )
    said, expected = record.get("verified"), {instance.found(each) for each in backups}
    problems = []
    if said not in expected:
        problems.append(f"verified: {instance.name}: {sorted(ids)} has {sorted(expected)}, a record says {said}")
    if instance.level in ("full", "copy"):
        names = {name for each in backups for name in names_of(each)}
        levels = ("copy.json",) if instance.level == "copy" else ("full.json", "copy.json")
        keys = [key.split("/")[-2:] for key in history.cloud.store.objects]
        if not any(folder.partition("-")[2] in names and name in levels for folder, name in keys):
            problems.append(f"receipt: {instance.name}: {sorted(ids)} has none, but a record says that it succeeded")
    if instance.level == "copy" and f"{record.get('copies')}copy.json".partition("://")[2] not in {
        f"{history.cloud.store.name}/{key}" for key in history.cloud.store.objects
    }:
        problems.append(f"receipt: {instance.name}: none is in {record.get('copies')}")
    return problems


def _was_changed_twice(history: History, instance: InstanceHistory) -> bool:
    """Return whether two downloads were changed on their way: then a sound file may count as corrupt."""
    return sum(call.fault == "flip" for call in _downloads(history, instance)) > 1


def _downloads(history: History, instance: InstanceHistory) -> list[Call]:
    return [call for call in history.calls.get(instance.id, ()) if call.operation == "Download"]


def _check_end(history: History, instance: InstanceHistory, counts: Counter[str], violations: list[str]) -> None:
    """Check that an instance with a backup that was not read is reported."""
    began, _ = history.last_delivery
    if not instance.good:
        return
    if instance.finals:
        last = instance.finals[-1][1]
        counts[f"{last['event']} ({instance.level}, {last.get('error_code') or last.get('verified')})"] += 1
    elif history.is_excused:
        counts["not read: killed until no retry was left"] += 1
    elif instance.was_reported(began):
        counts["not read, and reported"] += 1
    else:
        violations.append(f"unread: {instance.name}: neither finished nor reported")


def _check_bytes(history: History, instance: InstanceHistory, counts: Counter[str], violations: list[str]) -> None:
    """Check that files are not read again and again. Each kill, each repeat and each fault may cost some more."""
    downloads = _downloads(history, instance)
    if not downloads:
        return
    size = sum(
        len(each) for backup in instance.state.backups for each in _contents(instance, backup) if backup.succeeded
    )
    read = sum(call.bytes_sent for call in downloads)
    faults = sum(call.fault is not None for call in history.cloud.calls)
    kills = sum(each.killed for each in history.invocations)
    readings = 3 + kills + len(history.delivered)
    most = size * readings + faults * min(size, PART_BYTES) + SMALL_READS * len(downloads)
    counts["bytes of files"] += size
    counts["bytes read"] += read
    if read > most and history.plan.proof and history.plan.proof.bucket != "worm":
        violations.append(f"bytes: {instance.name}: {read:,} were read of {size:,}, at most {most:,} are expected")


def _check_uploads(history: History, by_id: dict[str, InstanceHistory], violations: list[str]) -> None:
    """Check that no upload is left of a backup that was copied, or is corrupt, but what a killed invocation began."""
    objects = history.cloud.store.objects
    for upload in history.cloud.store.uploads.values():
        if upload.key.endswith(CHECKED_UPLOAD):
            continue
        *_, instance_id, folder, _name = upload.key.split("/")
        instance = by_id[instance_id]
        backups = [each for each in instance.state.backups if folder.partition("-")[2] in names_of(each)]
        note = objects.get(f"{upload.key.rpartition('/')[0]}/progress.json")
        is_corrupt = any(instance.found(each) == CORRUPT for each in backups) and note is not None
        is_noted = is_corrupt and bool(note and json.loads(note.read()).get("corrupt"))
        is_copied = f"{upload.key.rpartition('/')[0]}/copy.json" in objects
        if (is_copied or is_noted) and not _is_excused(history, upload):
            what = "was copied" if is_copied else "is corrupt"
            violations.append(f"upload: {instance.name}: one of {upload.key} is left, though the backup {what}")


def _is_excused(history: History, upload: Upload) -> bool:
    return any(
        each.started <= upload.initiated <= each.started + each.duration
        and (each.killed or _could_not_tidy(history, each))
        for each in history.invocations
    )


def _could_not_tidy(history: History, invocation: Invocation) -> bool:
    tidying = ("ListMultipartUploads", "AbortMultipartUpload")
    calls = [call for call in history.cloud.calls_of(invocation) if call.operation in tidying]
    return sum(call.status not in (200, 204, 404) for call in calls) >= _FAILING_CALLS
