"""The documents say what the code does: names of fields and settings, defaults, and links."""

from __future__ import annotations

import importlib
import inspect
import re
from dataclasses import fields

import pytest
from click.testing import CliRunner
from deployment import PROJECT, rendered

from redis_backup.request.reader import FIELDS
from redis_backup.settings import Settings
from redis_backup_cli.cli import command

RUNBOOK = (PROJECT / "docs" / "runbook.md").read_text(encoding="utf-8")
REFERENCE = (PROJECT / "docs" / "reference.md").read_text(encoding="utf-8")
DOCUMENTS = [
    *("reference.md", "runbook.md", "deployment.md", "architecture.md", "recipes.md", "restore.md", "failure-modes.md"),
    "verification.md",
    *("../CONTRIBUTING.md", "../SECURITY.md", "../CHANGELOG.md"),
]
PROGRAMS = {
    "log-index",
    "redis-backup",
    "redis-cli",
    "job-ids",
    "redis-server",
    "redis-check-rdb",
    "unknown-format",
    "x-oss-forbid-overwrite",
}  # not saved searches


def table(heading: str) -> list[list[str]]:
    """The rows of the first table under a heading, cell by cell."""
    section = REFERENCE[REFERENCE.index(f"## {heading}\n") :]
    lines = re.search(r"\| ---.*\n((?:\|.*\n)+)", section)
    assert lines
    return [[cell.strip() for cell in line.strip("|\n ").split(" | ")] for line in lines[1].splitlines()]


def names(rows: list[list[str]]) -> list[str]:
    """What stands in code in the first cells."""
    return [name for row in rows for name in re.findall(r"`(\w+)`", row[0])]


def test_the_reference_has_every_field_of_a_request() -> None:
    assert names(table("The request")) == list(FIELDS)


def test_the_reference_has_every_field_of_a_record_with_its_type() -> None:
    written = {name: row[1] for row in table("Records") for name in names([row])}
    index = rendered("log-index.json")["keys"]["message"]["json_keys"]
    assert written == {name: each["type"] for name, each in index.items()}


def test_the_reference_has_every_setting() -> None:
    source = (PROJECT / "redis_backup" / "settings.py").read_text(encoding="utf-8")
    assert names(table("Settings")) == list(dict.fromkeys(re.findall(r'\bread\(\s*"(BACKUP_[A-Z_]+)"', source)))


def test_the_reference_has_the_settings_defaults() -> None:
    defaults = {row[0].strip("`"): row[1].strip("`") for row in table("Settings")}
    numbers = {name: float(text) for name, text in defaults.items() if text.isdigit()}
    settings = Settings()
    assert numbers == {
        f"BACKUP_{each.name.upper()}": value
        for each in fields(Settings)
        if isinstance(value := getattr(settings, each.name), int | float) and not isinstance(value, bool)
    }
    texts = {
        "BACKUP_ALLOW": ",".join(settings.allow),
        "BACKUP_FC_ENDPOINT": settings.fc_endpoint,
        "BACKUP_VERIFY": settings.verify,
        "BACKUP_COPY": str(settings.copy).lower(),
        "BACKUP_DOWNLOAD": settings.download,
    }
    assert {name: defaults[name] for name in texts} == texts


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name: str) -> None:
    page = PROJECT / "docs" / name
    for target in re.findall(r"\]\((?!https://)([^)]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        document = (page.parent / path) if path else page
        assert document.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in slugs, target


@pytest.mark.parametrize("name", DOCUMENTS[:-1])  # the changelog also names what there was
def test_queries_that_a_document_names_are_shipped(name: str) -> None:
    text = (PROJECT / "docs" / name).read_text(encoding="utf-8")
    shipped = {each["savedsearchName"] for each in rendered("queries.json")}
    alerts = {each["name"] for each in rendered("alerts.json")}
    named = set(re.findall(r"`((?:[a-z]+-)+[a-z]+|failures|denied|expired|refused|warnings)`", text))
    assert named - PROGRAMS <= shipped | alerts


def test_the_runbook_explains_each_line_that_the_alert_function_broken_looks_for() -> None:
    (alert,) = [each for each in rendered("alerts.json") if each["name"] == "function-broken"]
    search, _, _ = alert["configuration"]["queryList"][0]["query"].partition(" and not message.event")
    searched = set(re.findall(r"\w+", search.replace('"', ""))) - {"or"}
    section = RUNBOOK[RUNBOOK.index("### function-broken") : RUNBOOK.index("## Error kinds")]
    rows = re.findall(r"^\| (.*?) \| ", section, re.MULTILINE)[2:]
    explained = {word for row in rows for line in re.findall(r"`([^`]+)`", row) for word in line.split()}
    assert explained == searched | {"UnexpectedError"}


RESTORE = (PROJECT / "docs" / "restore.md").read_text(encoding="utf-8")
ALIYUN = re.findall(r"aliyun r-kvstore (\w+) ((?:\\\n|[^|`\n])*)", RESTORE)


def parameters(operation: str) -> set[str]:
    """The parameters of an operation of R-KVStore, as the SDK sends them."""
    model = importlib.import_module("alibabacloud_r_kvstore20150101.models")
    return set(re.findall(r"result\['(\w+)'\]", inspect.getsource(getattr(model, f"{operation}Request").to_map)))


@pytest.mark.parametrize(("operation", "arguments"), ALIYUN, ids=[operation for operation, _ in ALIYUN])
def test_the_commands_that_restore_have_parameters_that_the_api_knows(operation: str, arguments: str) -> None:
    """`--region` is the command line's own."""
    used = set(re.findall(r"--(\w+)", arguments)) - {"region"}
    assert used
    assert used - parameters(operation) == set()


def test_parameters_that_restoring_names_beside_its_commands_are_known() -> None:
    creating = parameters("CreateInstance") | parameters("CreateTairInstance")
    listed = {name for operation, _ in ALIYUN for name in parameters(operation)}
    assert set(re.findall(r"--([A-Z]\w+)", RESTORE)) - creating - listed == set()


def test_restoring_says_first_that_backups_are_deleted_with_their_instance() -> None:
    first = RESTORE.partition("## First of all\n")[2].strip().splitlines()[0]
    assert first.startswith("- **Do not release or delete the instance.")


def test_every_document_that_restoring_names_has_an_address() -> None:
    named = set(re.findall(r"\]\[(\w+)\]", RESTORE))
    assert named == set(re.findall(r"^\[(\w+)\]: https://", RESTORE, re.MULTILINE))


def test_the_reference_and_the_help_have_the_same_exit_codes() -> None:
    shown = CliRunner().invoke(command, ["--help"]).output
    codes = re.findall(r"^ {4,}(\d+)  \w", shown, re.MULTILINE)
    assert [row[0] for row in table("Exit codes of the command")] == codes
