"""The command's arguments. Nothing heavy is imported before they are known to be good, so that `--help` is quick."""

from __future__ import annotations

from functools import partial
from typing import Any

import click
from click.core import ParameterSource

from redis_backup import __version__

from .durations import Duration
from .options import Line, Name, SingleOption, parse_tags

_option = partial(click.option, cls=SingleOption)
_NOT_WITH_CHECK = ("wait", "max_age", "since", "retention_days", "dry_run")


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.argument("instances", nargs=-1, metavar="[INSTANCE]...")
@_option("--function", required=True, type=Name(), metavar="NAME", help="The backup function.")
@_option(
    "--service",
    default="",
    type=Name(),
    metavar="NAME",
    help="Its service, if it is a function of Function Compute 2.0.",
)
@_option(
    "--region",
    required=True,
    envvar="ALIBABA_CLOUD_REGION_ID",
    show_envvar=True,
    type=Line(is_word=True),
    metavar="REGION",
    help="The function's region, and that of instances named without one.",
)
@_option(
    "--account",
    default="",
    envvar=["ALIBABA_CLOUD_ACCOUNT_ID", "FC_ACCOUNT_ID"],
    show_envvar=True,
    type=Line(is_word=True),
    metavar="ID",
    help="The account that the function belongs to.",
)
@click.option(
    "--tag",
    "tags",
    multiple=True,
    callback=parse_tags,
    metavar="KEY=VALUE",
    help="Also the instances of --region that have this tag. Give it up to 5 times; an instance must have all the "
    "tags.",
)
@_option(
    "--wait",
    type=Duration(),
    metavar="DURATION",
    help="Wait for the backups to end, and to be read back if that is asked for, at most this long: 30m, 2h.",
)
@_option(
    "--max-age",
    type=Duration(60),
    default="0m",
    metavar="DURATION",
    help="Also accept a backup that started up to this long before --since.",
)
@_option(
    "--since",
    type=Line(is_word=False, can_be_empty=False),
    metavar="TIME",
    help="Accept a backup that started at this time or later (RFC 3339).  [default: now]",
)
@_option("--retention-days", type=int, metavar="N", help="Keep the backups this long: 7 to 730, or -1 for ever.")
@_option("--reason", metavar="TEXT", help="Text for every record, such as a release.")
@_option(
    "--verify",
    type=click.Choice(["none", "quick", "full"]),
    help="What has to be shown of a backup: quick, that its files begin and end as they must; full, that every byte "
    "was read and the checksums are right.  [default: the function's BACKUP_VERIFY]",
)
@click.option(
    "--copy/--no-copy",
    default=None,
    help="As --verify full, and the files are copied into the function's store.  [default: the function's BACKUP_COPY]",
)
@click.option("--dry-run", is_flag=True, help="Look and check; start nothing.")
@click.option(
    "--check",
    is_flag=True,
    help="Check the function instead: its permissions, its settings, and instances that are named. Starts nothing.",
)
@click.option("--json", "as_json", is_flag=True, help="Write the final report to stdout, and progress to stderr.")
@click.version_option(__version__, message="%(version)s")
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> None:
    """Back up Redis and Tair instances with the backup function, before something happens to them.

    INSTANCE is r-ID, REGION/r-ID, or an ARN. An instance whose backup has started since the given time gets no second
    one, so a command that was cut off can be run again with the same --since.

    \b
    Wait for a backup before a release:
      redis-backup r-bp1zxszhcgatnx01 --function redis-backup --region cn-hangzhou --wait 30m
    Every instance of the shop, unless it has a backup from the last two hours:
      redis-backup --tag app=shop --max-age 2h --function redis-backup --region cn-hangzhou
    After deploying the function, see whether everything that it needs is there:
      redis-backup --check --function redis-backup --region cn-hangzhou
    An audit: which instances of the shop have no backup of the last day that was read back?
      redis-backup --tag app=shop --max-age 1d --verify full --dry-run --function redis-backup --region cn-hangzhou
    See what would happen, for a program:
      redis-backup r-bp1zxszhcgatnx01 --function redis-backup --region cn-hangzhou --dry-run --json

    \b
    Exit codes:
        0  all succeeded (without --wait: all have started; with --dry-run: nothing failed)
        1  a backup, the function itself, or a check failed
        2  the command or the request was wrong, or not allowed
        3  time ran out, or some have not started; what has started goes on
           (with --dry-run and --verify or --copy: some instances have no backup that was read back so)
        4  as 0, but the report of --json could not be written
      130  stopped by Ctrl-C (129 by SIGHUP, 143 by SIGTERM); what has started goes on

    Progress that cannot be written (its reader has gone, the disk is full) is dropped: the command goes on, and the
    exit code tells what became of the backups.

    Credentials are found as by every Alibaba Cloud tool: ALIBABA_CLOUD_ACCESS_KEY_ID and
    ALIBABA_CLOUD_ACCESS_KEY_SECRET, a profile, or the machine's role. They need fc:InvokeFunction on the function, and
    nothing else.
    """
    from .app import App

    if options["check"]:
        given = [name for name in _NOT_WITH_CHECK if ctx.get_parameter_source(name) is not ParameterSource.DEFAULT]
        if given:
            options_given = ", ".join(f"--{name.replace('_', '-')}" for name in given)
            raise click.UsageError(f"--check starts nothing, so leave out {options_given}")
    app = App(options, ctx.obj)
    ctx.exit(app.check() if options["check"] else app.run())
