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
    import json
    from pathlib import Path

    from mr.config import parse_share, parse_size
    from mr.generate import generate

    done = generate(
        Path(directory),
        size=parse_size(size),
        seed=options["seed"],
        blocks=options["blocks"],
        record_size=parse_size(record_size),
        bad_records=parse_share(options["bad_records"]),
        bad_blocks=parse_share(options["bad_blocks"]),
    )
    if report is not None:
        Path(report).write_text(json.dumps(done.to_dict(), indent=2) + "\n", encoding="utf-8")
    click.echo(
        f"Wrote {done.written.records:,} records in {done.written.blocks:,} blocks to {directory}: "
        f"{done.raw_bytes / 1e6:,.1f} MB of JSON, {done.compressed_bytes / 1e6:,.1f} MB on disk."
    )
