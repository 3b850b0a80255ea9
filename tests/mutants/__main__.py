"""`make mutants`: break the core, one way at a time, and see that a test or a round of chaos tells.

Each mutant is a change of the source in a copy of the tree. First the tests that are named for it run, then rounds of
chaos until one is broken. A mutant that nothing catches is printed, and ends this with exit code 1.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = 60  # of chaos, at most, for a mutant
CHAOS = (
    "import sys\nfrom chaos.rounds import run_round\n"
    "for seed in range(int(sys.argv[1])):\n"
    "    result = run_round(seed)\n"
    "    if result.violations:\n"
    "        print(f'seed {seed}: {result.violations[0][:90]}')\n"
    "        sys.exit(1)\n"
)


@dataclass(frozen=True)
class Mutant:
    """A change of one place in the core. `tests`: what pytest is to run; nothing for chaos alone."""

    name: str
    file: str
    old: str
    new: str
    tests: str = ""


DECIDE = "tests/test_decide.py"
FULL, COPY = "tests/proof/test_full.py", "tests/proof/test_copy.py"
MUTANTS = (
    Mutant(
        "no second look, and no watch, after a lost answer",
        "reconcile/act.py",
        "            self.outcome_unknown(item)\n        return error.problem",
        "            item.has_sent_create = False\n        return error.problem",
        "tests/test_rare_cases.py",
    ),
    Mutant(
        "finished sets are asked for before running tasks",
        "reconcile/observe.py",
        "        answer = yield Call(kind, lambda: client.backup_tasks(instance_id))\n"
        "        moment, tasks = answer.sent_at, answer.value\n",
        "        early = yield Call(kind, lambda: client.backup_sets(instance_id, since))\n"
        "        answer = yield Call(kind, lambda: client.backup_tasks(instance_id))\n"
        "        return early.sent_at, [*running_tasks(answer.value, early.value), *early.value]\n"
        "        moment, tasks = answer.sent_at, answer.value\n",
        "tests/test_states.py",
    ),
    Mutant(
        "nothing that is known travels",
        "followups/payload.py",
        "    return replace(item.known, recorded=item.recorded).encode()",
        "    return []",
        "tests/test_follow.py",
    ),
    Mutant(
        "a watch of 2 s",
        "reconcile/watch.py",
        "WATCH_LENGTH = timedelta(seconds=63)",
        "WATCH_LENGTH = timedelta(seconds=2)",
    ),
    Mutant(
        "looks of a watch 30 s apart",
        "reconcile/watch.py",
        "LOOK_EVERY = timedelta(seconds=8)\nLOOK_WITHIN = timedelta(seconds=12)",
        "LOOK_EVERY = timedelta(seconds=30)\nLOOK_WITHIN = timedelta(seconds=40)",
    ),
    Mutant(
        "follow-ups start at their first look",
        "reconcile/watch.py",
        "    sent = request.follow_up.sent_at if request.follow_up else request.since\n",
        "    sent = began if request.follow_up else request.since\n",
    ),
    Mutant(
        "a known ID does not count as running",
        "reconcile/decide.py",
        "    if current and current.missing_since:\n        return Running(None, current, len(failed) + 1)\n",
        "",
        DECIDE,
    ),
    Mutant(
        "the listed shards of an adopted backup are taken for all",
        "reconcile/backups.py",
        "    if ended_at is None or not _is_partial(backup_jobs, instance, attempt):\n        return True\n",
        "    return True\n",
        "tests/test_backups.py",
    ),
    Mutant(
        "a task ID depends on what was seen",
        "followups/payload.py",
        "        timestamps.render(info.due),\n        *([",
        "        timestamps.render(info.due),\n        [item.known.encode() for item in items],\n        *([",
        "tests/test_follow.py",
    ),
    Mutant("decide without rule 1", "reconcile/decide.py", "    if good:\n", "    if good and False:\n", DECIDE),
    Mutant(
        "decide without rule 2", "reconcile/decide.py", "    if under_way:\n", "    if under_way and False:\n", DECIDE
    ),
    Mutant(
        "decide without rule 4",
        "reconcile/decide.py",
        "    if len(failed) >= max_attempts:\n",
        "    if len(failed) >= 99:\n",
        DECIDE,
    ),
    Mutant(
        "decide without rule 5", "reconcile/decide.py", "    if too_early:\n", "    if too_early and False:\n", DECIDE
    ),
    Mutant(
        "decide without rule 6",
        "reconcile/decide.py",
        "    if may_start is MayStart.WHEN_CLEAR and not is_clear:\n",
        "    if False:\n",
        DECIDE,
    ),
    Mutant(
        "decide without rule 7",
        "reconcile/decide.py",
        "    return Start(len(failed))\n",
        "    return Watch(len(failed))\n",
        DECIDE,
    ),
    Mutant(
        "what is no list is read as none",
        "alibaba/parsing.py",
        "        raise Unreadable\n    return value\n",
        "        return []\n    return value\n",
        "tests/test_odd_servers.py",
    ),
    Mutant(
        "tags select from the first page alone",
        "alibaba/rkvstore.py",
        "            if not listed or (len(found) >= total",
        "            if operation == 'DescribeInstances' or not listed or (len(found) >= total",
        "tests/test_rare_cases.py",
    ),
    Mutant(
        "a shard that could not be sent is said to be",
        "followups/handover.py",
        "            status = SendStatus.FAILED if problem else each.status\n",
        "            status = SendStatus.NEW\n",
        "tests/test_follow.py",
    ),
    Mutant(
        "R-KVStore's clock is not asked",
        "alibaba/api_clock.py",
        "        received = self._clock.time()\n",
        "        return\n",
        "tests/test_promises.py",
    ),
    Mutant(
        "files that were not read are good",
        "reconcile/backups.py",
        "else JobStatus.FAILED if verdict.corrupt else JobStatus.RUNNING",
        "else JobStatus.FAILED if verdict.corrupt else JobStatus.SUCCEEDED",
        FULL,
    ),
    Mutant(
        "corrupt files are good",
        "reconcile/backups.py",
        "else JobStatus.FAILED if verdict.corrupt else JobStatus.RUNNING",
        "else JobStatus.SUCCEEDED if verdict.corrupt else JobStatus.RUNNING",
        FULL,
    ),
    Mutant(
        "a file's end is not looked at",
        "proof/rdb.py",
        "    if size < 2 * END_SIZE or last[0] != _END_MARK:\n",
        "    if size < 2 * END_SIZE:\n",
        "tests/proof/test_rdb.py",
    ),
    Mutant(
        "a file's checksum is not compared",
        "proof/reading.py",
        "        if file.ends.has_checksum and not rdb.is_sound(total):\n",
        "        if False:\n",
        FULL,
    ),
    Mutant(
        "a file is corrupt after one reading",
        "proof/reading.py",
        "        if is_same or len(file.wrong) >= _MOST_READINGS:\n",
        "        if True:\n",
        FULL,
    ),
    Mutant(
        "a file's ends are read once",
        "proof/source.py",
        "        for _ in range(0 if is_good and not twice else _ATTEMPTS):\n",
        "        for _ in range(0):\n",
        "tests/proof/test_changed_bytes.py",
    ),
    Mutant(
        "a file without a checksum is verified in full",
        "proof/reading.py",
        "    return Verified.FULL if ends.has_checksum and is_read else Verified.QUICK\n",
        "    return Verified.FULL if is_read else Verified.QUICK\n",
        FULL,
    ),
    Mutant(
        "a part of a copy is believed whatever OSS states of it",
        "proof/copying.py",
        "        if stored.crc64 not in (None, stream.oss_crc):\n",
        "        if False:\n",
        "tests/proof/test_changed_bytes.py",
    ),
    Mutant(
        "a copy is believed whatever OSS states of it",
        "proof/copying.py",
        "        if found.crc64 not in (None, crc) or found.size not in (0, file.size):\n",
        "        if False:\n",
        COPY,
    ),
    Mutant(
        "a receipt is believed when its copies are gone",
        "proof/store.py",
        "            if receipt and (proof is not Proof.COPY or self._has_copies(backup, receipt)):\n",
        "            if receipt:\n",
        COPY,
    ),
    Mutant(
        "a receipt of another backup is believed",
        "proof/receipts.py",
        'if fields["version"] != _VERSION or identity != own_identity or not files:',
        'if fields["version"] != _VERSION or not files:',
        "tests/proof/test_what_is_written.py",
    ),
    Mutant(
        "uploads are left beside their copies",
        "proof/reading.py",
        "        if self._copier:\n            self._copier.abort_all(self._note.files)\n        self._retry",
        "        self._retry",
        COPY,
    ),
    Mutant(
        "uploads of a corrupt backup are left",
        "proof/reading.py",
        "            if self._note.corrupt and self._copier:\n",
        "            if False:\n",
        COPY,
    ),
    Mutant(
        "two readers read one file",
        "reconcile/prove.py",
        "not note.is_paused and answer.value[1] < _NOTE_IS_FRESH\n",
        "False\n",
        FULL,
    ),
    Mutant(
        "an address that has expired is used again",
        "proof/source.py",
        "                    self._renew(listed)\n",
        "                    pass\n",
        FULL,
    ),
    Mutant(
        "receipts are sent without their MD5",
        "alibaba/oss.py",
        "                content_md5=b64encode(digest).decode(),\n",
        "",
        "tests/proof/test_changed_bytes.py",
    ),
    Mutant(
        "the answer for a whole file is taken for a part of it",
        "alibaba/downloads.py",
        "    if answer.status_code != 206 or not match:\n        return 0, None\n",
        "    if not match:\n        return end, end - start\n",
        FULL,
    ),
)


def caught(mutant: Mutant, tree: Path) -> str:
    """By what the mutant is caught in this copy of the tree; empty where nothing does."""
    path = tree / "redis_backup" / mutant.file
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
    try:
        if mutant.tests:
            arguments = ["-m", "pytest", "-q", "-x", "--no-header", "-p", "no:cacheprovider", *mutant.tests.split()]
            done = _python(tree, *arguments)
            failed = [line for line in done.splitlines() if line.startswith("FAILED")]
            if failed:
                return failed[0].partition(" - ")[0].removeprefix("FAILED ")
        done = _python(tree, "-c", CHAOS, str(ROUNDS))
        return next((f"chaos, {line}" for line in done.splitlines() if line.startswith("seed")), "")
    finally:
        path.write_text(text, encoding="utf-8")


def _python(tree: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False).stdout


def main() -> int:
    """Try all mutants, or those whose names contain the argument."""
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    survived = 0
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".venv", ".git", "build", "__pycache__", ".*_cache"))
        for mutant in (each for each in MUTANTS if wanted in each.name):
            by = caught(mutant, tree)
            survived += not by
            sys.stdout.write(f"{'caught' if by else 'SURVIVED':9}{mutant.name:58}{by}\n")
            sys.stdout.flush()
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
