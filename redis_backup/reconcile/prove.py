"""Find out what is known of the files of the backups that satisfy a request, and judge the backups by it.

A backup that has ended well counts as running until its files are read, and as failed if they are corrupt
(`redis_backup.reconcile.backups.judge`). For `verify: quick` their ends are read here, at each look. For `full` and
`copy` a receipt in the store says that they were read; without one, they are read in an invocation of their own
(`redis_backup.proof.reading`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from redis_backup.alibaba.api_errors import ApiError
from redis_backup.alibaba.downloads import BackupFile, Downloads, not_listed
from redis_backup.alibaba.oss import ObjectStore
from redis_backup.alibaba.parsing import JobStatus
from redis_backup.alibaba.rkvstore import RKVStore
from redis_backup.backoff import Deadline
from redis_backup.context import Context
from redis_backup.proof.backup import ReadableBackup, Verdict, weakest
from redis_backup.proof.notes import Note
from redis_backup.proof.rdb import Format
from redis_backup.proof.reading import READERS, Reading, corrupt_text, verified_of
from redis_backup.proof.source import Source
from redis_backup.proof.store import ProofStore
from redis_backup.reconcile.backups import Backup, judge
from redis_backup.reconcile.known import Attempt
from redis_backup.reconcile.observe import Observation
from redis_backup.reconcile.work import Call, CallKind, Steps, WorkItem
from redis_backup.runtime import Clock
from redis_backup.settings import Settings
from redis_backup.states import ErrorKind, Problem, Proof

_NOTE_IS_FRESH = 30.0  # seconds; a note that is younger is being written by another invocation


class Prover:
    """Judges backups in one invocation. `clients` has R-KVStore's client for each region."""

    def __init__(
        self, clients: Mapping[str, RKVStore], context: Context, settings: Settings, clock: Clock, deadline: Deadline
    ) -> None:
        self._clients, self._context, self._settings = clients, context, settings
        self._clock, self._deadline = clock, deadline
        self._downloads: Downloads | None = None
        self._store: ProofStore | None = None

    def judge(self, item: WorkItem, seen: Observation) -> Steps[Observation]:
        """Judge the backups that satisfy the request by their files; a dry run looks at the newest one only.

        With a good one, only those that count as attempts matter, too: they are the request's own, and can be corrupt.
        `item.to_read` is the backup whose files have to be read, None if there is none, or another invocation reads it.
        """
        proof = item.request.proof_of(item.instance)
        item.to_read = None
        if proof is Proof.NONE:
            return seen
        good = [each for each in seen.backups if each.is_good and each.began_since(seen.earliest_start)]
        if item.request.dry_run:
            older, good = good[:-1], good[-1:]
            seen = replace(seen, backups=tuple(each for each in seen.backups if each not in older))
        verdicts: dict[Backup, Verdict] = dict.fromkeys(good, Verdict())
        is_found = False
        for backup in reversed(good):
            if is_found and not backup.began_since(seen.since):
                break
            verdicts[backup] = yield from self._verdict(item, backup, proof)
            is_found = is_found or verdicts[backup].verified is not None
        backups = tuple(judge(each, verdicts[each]) if each in verdicts else each for each in seen.backups)
        unread = [each for each in good if not (verdicts[each].verified or verdicts[each].corrupt)]
        for backup in good:
            if verdicts[backup].corrupt or (not is_found and backup in unread[:1]):
                item.known = replace(item.known, attempts=_with_ended(item.known.attempts, backup, verdicts[backup]))
        return replace(seen, backups=backups)

    def read(self, item: WorkItem, backup: ReadableBackup, deadline: Deadline) -> Verdict:
        """Read the files of a backup, as far as there is time, and keep the verdict in `item.verdicts`."""
        proof = item.request.proof_of(item.instance)
        source, readers = self._source(item, backup), min(READERS, self._settings.concurrency)
        reading = Reading(backup, proof, source, self.store(), self._clock, deadline, readers)
        verdict = item.verdicts[backup.name] = reading.run()
        return verdict

    def store(self) -> ProofStore:
        """Return the store. It is not used without the setting: such a request is refused."""
        if self._store is None:
            folder = self._settings.store
            if folder is None:
                raise ApiError(Problem("NoStore", "BACKUP_STORE is not set", ErrorKind.REFUSED))
            self._store = ProofStore(ObjectStore(folder, self._context, self._settings, self._deadline))
        return self._store

    def _verdict(self, item: WorkItem, backup: Backup, proof: Proof) -> Steps[Verdict]:
        """Return what is known of a backup's files. The first that has to be read becomes `item.to_read`."""
        readable = self._readable(item, backup)
        if readable is None:
            return Verdict(problem=not_listed("does not list the backup any more").problem)
        known = item.verdicts.get(readable.name)
        if known and (known.verified or known.corrupt):
            return known
        try:
            if proof is Proof.QUICK:
                verdict = yield from self._quick_verdict(item, readable)
                item.verdicts[readable.name] = verdict
                return verdict
            verdict, may_read = yield from self._stored_verdict(readable, proof)
        except ApiError as error:
            return Verdict(problem=error.problem)
        if known and not verdict.verified and not verdict.corrupt:
            return replace(known, progress=verdict.progress)  # this invocation has tried to read it
        if may_read:
            item.to_read = readable
        return verdict

    def _readable(self, item: WorkItem, backup: Backup) -> ReadableBackup | None:
        if backup.started_at is None or not (backup.job_ids or backup.cluster_backup_id):
            return None
        return ReadableBackup(
            self._context.account_id,
            item.instance.region,
            item.instance.instance_id,
            backup.job_ids,
            backup.cluster_backup_id,
            backup.started_at,
            backup.ended_at,
        )

    def _stored_verdict(self, backup: ReadableBackup, proof: Proof) -> Steps[tuple[Verdict, bool]]:
        """Return what the store knows of a backup, and whether its files may be read now."""
        store = self.store()
        answer = yield Call(CallKind.PROVE, lambda: store.receipt(backup, proof))
        if receipt := answer.value:
            copies = store.url(backup) if proof is Proof.COPY else None
            return Verdict(receipt.verified, copies=copies, bytes_read=0), False
        answer = yield Call(CallKind.PROVE, lambda: store.note(backup))
        note: Note = answer.value[0]
        if note.corrupt:
            return Verdict(corrupt=note.corrupt), False
        is_being_read = not note.is_paused and answer.value[1] < _NOTE_IS_FRESH
        return Verdict(problem=note.problem, progress=note.progress(copied=proof is Proof.COPY)), not is_being_read

    def _quick_verdict(self, item: WorkItem, backup: ReadableBackup) -> Steps[Verdict]:
        """Read the ends of all files."""
        source = self._source(item, backup)
        answer = yield Call(CallKind.PROVE, source.files, attempts=2)
        verified = []
        for file in answer.value:
            answer = yield Call(CallKind.PROVE, partial(source.look, file), attempts=2)
            ends = answer.value.ends
            if ends.format is Format.BROKEN:
                return Verdict(corrupt=corrupt_text(backup, file.node, file.name, ends.found))
            verified.append(verified_of(ends, is_read=False))
        return Verdict(weakest(verified), bytes_read=source.bytes_read)

    def _source(self, item: WorkItem, backup: ReadableBackup) -> Source:
        if self._downloads is None:
            connections = max(READERS, self._settings.concurrency)
            self._downloads = Downloads(self._settings.download, self._deadline, connections)
        client = self._clients[item.instance.region]
        # Its list names no jobs, so a file that is missing there shows by the number of shards alone.
        shards = item.facts.shards if item.facts and backup.cluster_backup_id else 1

        def list_files() -> list[BackupFile]:
            ids = backup.job_ids, backup.cluster_backup_id
            files = client.backup_files(backup.instance_id, backup.began, *ids)
            if len(files) < shards:
                raise not_listed(f"lists {len(files)} of {shards} files of the backup")
            return files

        return Source(list_files, self._downloads, self._clock, self._deadline)


def _with_ended(attempts: tuple[Attempt, ...], backup: Backup, verdict: Verdict) -> tuple[Attempt, ...]:
    """Note how a backup has ended: one whose files are corrupt is a failed attempt; one that is read now is known."""
    ended = JobStatus.FAILED if verdict.corrupt else JobStatus.SUCCEEDED
    own = [attempt for attempt in attempts if _is_of(attempt, backup)]
    others = tuple(attempt for attempt in attempts if attempt not in own)
    if not own:
        own = [Attempt(backup.job_ids, backup.cluster_backup_id, backup.started_at, is_adopted=True)]
    return (*(replace(attempt, ended=ended) for attempt in own), *others)


def _is_of(attempt: Attempt, backup: Backup) -> bool:
    if attempt.cluster_backup_id:
        return attempt.cluster_backup_id == backup.cluster_backup_id
    return bool(set(attempt.job_ids) & set(backup.job_ids))
