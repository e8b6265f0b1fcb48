"""`mr-telemetry generate`."""

import click


@click.command("generate")
@click.argument("directory", metavar="DIR")
@click.option("--size", default="20MB", show_default=True, metavar="SIZE", help="Raw JSON.")
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same bytes.")
@click.option("--blocks", type=click.IntRange(min=1), help="How many (grows with the size).")
@click.option("--record-size", default="50KB", show_default=True, metavar="SIZE", help="Typical.")
@click.option("--bad-records", default="0%", show_default=True, metavar="P%", help="Damaged lines.")
@click.option("--bad-blocks", default="0%", show_default=True, metavar="P%", help="Damaged blocks.")
@click.option("--report", metavar="FILE", help="Write what was generated, exactly, as JSON.")
def command(directory: str, size: str, record_size: str, report: str | None, **options) -> None:
    """Write a tree of realistic telemetry blocks to DIR, to try things on."""
    from pathlib import Path

    from mr.cli.outcome import check_report, write_json
    from mr.config import parse_named, parse_share, parse_size
    from mr.generate import generate

    if report is not None:
        check_report(report)
    done = generate(
        Path(directory),
        size=parse_named("--size", parse_size, size),
        seed=options["seed"],
        blocks=options["blocks"],
        record_size=parse_named("--record-size", parse_size, record_size),
        bad_records=parse_named("--bad-records", parse_share, options["bad_records"]),
        bad_blocks=parse_named("--bad-blocks", parse_share, options["bad_blocks"]),
    )
    if report is not None:
        write_json(report, done.to_dict())
    click.echo(
        f"Wrote {done.written.records:,} records in {done.written.blocks:,} blocks to {directory}: "
        f"{done.raw_bytes / 1e6:,.1f} MB of JSON, {done.compressed_bytes / 1e6:,.1f} MB on disk."
    )
