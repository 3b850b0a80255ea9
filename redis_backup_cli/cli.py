"""The command's arguments. Nothing heavy is imported before they are known to be good, so that `--help` is quick."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from redis_backup import __version__

from .durations import Duration

TAGS = "KEY=VALUE"


def _tags(ctx: click.Context, param: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    tags = {}
    for text in values:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise click.BadParameter(f"{text!r} is no {TAGS}", ctx, param)
        tags[key] = value
    return tags


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.argument("instances", nargs=-1, metavar="[INSTANCE]...")
@click.option("--function", required=True, metavar="NAME", help="The backup function.")
@click.option("--service", default="", metavar="NAME", help="Its service, if it is one of Function Compute 2.0.")
@click.option(
    "--region",
    required=True,
    envvar="ALIBABA_CLOUD_REGION_ID",
    show_envvar=True,
    metavar="REGION",
    help="The function's region, and that of instances named without one.",
)
@click.option(
    "--account",
    default="",
    envvar=["ALIBABA_CLOUD_ACCOUNT_ID", "FC_ACCOUNT_ID"],
    show_envvar=True,
    metavar="ID",
    help="The account that the function belongs to.",
)
@click.option(
    "--tag", "tags", multiple=True, callback=_tags, metavar=TAGS, help="Also the instances with this tag; up to 5."
)
@click.option("--wait", type=Duration(), metavar="DURATION", help="Wait for the backups to end, at most this long.")
@click.option("--max-age", type=Duration(60), default="0m", metavar="DURATION", help="A backup this old will do, too.")
@click.option("--since", metavar="TIME", help="A backup begun since then will do (RFC 3339).  [default: now]")
@click.option("--retention-days", type=int, metavar="N", help="Keep the backups so long: 7 to 730, -1 for ever.")
@click.option("--reason", metavar="TEXT", help="Goes into every record, such as the release it is for.")
@click.option("--dry-run", is_flag=True, help="Look and check, start nothing.")
@click.option("--json", "as_json", is_flag=True, help="Write the final report to stdout, progress to stderr.")
@click.version_option(__version__, message="%(version)s")
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> None:
    """Back up Redis and Tair instances by the backup function before something happens to them.

    INSTANCE is r-…, REGION/r-…, or an ARN. An instance whose backup has already begun since the given time gets no
    second one, so a command that was cut off can simply be run again with the same --since.

    \b
    Wait for a backup before a release:
      redis-backup r-bp1zxszhcgatnx01 --function redis-backup --region cn-hangzhou --wait 30m
    Every instance of the shop, unless it has a backup from the last two hours:
      redis-backup --tag app=shop --max-age 2h --function redis-backup --region cn-hangzhou
    Look what would happen, for a program:
      redis-backup r-bp1zxszhcgatnx01 --function redis-backup --region cn-hangzhou --dry-run --json

    \b
    Exit codes:
        0  all succeeded (without --wait: all are under way)
        1  a backup, or the function itself, failed
        2  the command or the request was wrong, or not allowed
        3  time ran out, or some have not begun; what has begun goes on
    130  interrupted; what has begun goes on

    Credentials are found as by every Alibaba Cloud tool: ALIBABA_CLOUD_ACCESS_KEY_ID and …_SECRET, a profile, or the
    machine's role. They need fc:InvokeFunction on the function, and nothing else.
    """
    try:
        from .app import App

        code = App(options, ctx.obj).run()
    except KeyboardInterrupt:
        click.echo("Stopped; nothing was asked for.", err=True)
        code = 130
    ctx.exit(code)
