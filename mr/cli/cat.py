"""`mr-telemetry cat`."""

import click


@click.command("cat")
@click.argument("block")
@click.option("--raw", is_flag=True, help="Print each record as it stands: id, tab, JSON.")
@click.option("--limit", "-n", type=click.IntRange(min=1), help="Stop after this many records.")
@click.option("--line", type=click.IntRange(min=1), help="Only the record at this line.")
def command(block: str, raw: bool, limit: int | None, line: int | None) -> None:
    """Print the records of BLOCK (a file), as indented JSON or raw; bad ones are told of."""
    import itertools
    import json
    import sys

    from mr.cells import integers_of_any_length
    from mr.errors import UsageError
    from mr.lines import BlockAccount
    from mr.listing import list_blocks
    from mr.records import read_records
    from mr.schema import load_filter, load_schema
    from mr.stores import open_store

    schema = load_schema()
    listing = list_blocks([block], schema, load_filter(None, schema))
    if len(listing.blocks) != 1:
        raise UsageError(f"{block}: must be one block's file; `ls --blocks` lists them.")
    (found,) = listing.blocks
    account = BlockAccount()
    records = read_records(
        found, lambda: open_store(found.store_url).open(found.key, tag=found.tag), account
    )
    if line is not None:
        records, limit = (record for record in records if record.line == line), 1
    shown = 0
    for shown, record in enumerate(itertools.islice(records, limit), 1):  # noqa: B007 - counts
        if raw:
            sys.stdout.buffer.write(record.id.encode("utf-8") + b"\t" + record.raw + b"\n")
        else:
            click.echo(f"# line {record.line}: {record.id}")
            with integers_of_any_length():
                text = json.dumps(record.payload, indent=2, ensure_ascii=False)
            click.echo(text)
    sys.stdout.buffer.flush()
    places = [place for place in account.bad_places if line in (None, place[0])]
    for place, reason in places:
        click.echo(f"line {place}: bad record: {reason}", err=True)
    untold = account.bad.total() - len(account.bad_places)
    if untold and line is None:
        click.echo(f"and {untold:,} more bad records", err=True)
    if account.damage:
        click.echo(f"{found.path}: damaged: {account.damage}", err=True)
    if line is not None and not shown and not places:
        raise UsageError(f"{block}: there is no record at line {line} of {account.lines:,} lines.")
