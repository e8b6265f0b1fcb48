"""`mr-telemetry ls`."""

import click

from mr.cli.options import need_inputs, read_input_list, selection_options
from mr.tables import aligned


@click.command("ls")
@selection_options
@click.option("--by", multiple=True, metavar="FIELD", help="Only these dimensions (repeatable).")
@click.option("--blocks", "each", is_flag=True, help="List each block instead.")
def command(by: tuple[str, ...], each: bool, **options) -> None:
    """Show what every INPUT holds by dimension: blocks, compressed bytes, and dates."""
    from mr.errors import UsageError
    from mr.listing import list_blocks
    from mr.schema import load_filter, load_schema
    from mr.text import counted

    listed = read_input_list(options["input_list"])
    need_inputs(options["inputs"], listed)
    schema = load_schema(options["schema"])
    unknown = [field for field in by if field not in schema.fields]
    if unknown:
        raise UsageError(f"--by {unknown[0]}: the schema has {', '.join(schema.fields)}.")
    selection = load_filter(options["filter"], schema)
    listing = list_blocks(options["inputs"], schema, selection, listed=listed)
    if each:
        for block in listing.blocks:
            click.echo(f"{block.size:>12}  {block.path}")
    else:
        for line in _table(listing.blocks, by or schema.fields[: schema.folders], schema):
            click.echo(line)
    gaps = [
        f"{count} {what}"
        for count, what in (
            (listing.filtered, "left out by the filter"),
            (listing.repeated, "listed twice"),
            (len(listing.missing), "missing"),
            (listing.strays, "files not of the layout"),
        )
        if count
    ]
    notes = f" ({', '.join(gaps)})" if gaps else ""
    click.echo(
        f"{counted(len(listing.blocks), 'block')}, {counted(listing.bytes, 'byte')}{notes}",
        err=True,
    )


def _table(blocks, fields, schema) -> list[str]:
    """One row for each combination of values, with the range of each dimension in file names."""
    dates = [field for field in schema.fields[schema.folders :] if field not in fields]
    groups: dict[tuple[str, ...], _Group] = {}
    for block in blocks:
        values = tuple(block.dimensions[field] for field in fields)
        group = groups.get(values)
        if group is None:
            group = groups[values] = _Group()
        group.add(block.size, [block.dimensions[field] for field in dates])
    rows = [(*fields, "blocks", "bytes", *dates)]
    for values, group in sorted(groups.items(), key=lambda item: item[0]):
        spans = (_span(*ends) for ends in zip(group.low, group.high, strict=True))
        rows.append((*values, str(group.blocks), f"{group.size:,}", *spans))
    return aligned(rows, right=(len(fields), len(fields) + 1))


class _Group:
    """Blocks of the same values, added up."""

    def __init__(self) -> None:
        self.blocks = self.size = 0
        self.low: list[str] = []
        self.high: list[str] = []

    def add(self, size: int, dates: list[str]) -> None:
        """Add one block."""
        self.low = list(map(min, self.low, dates)) if self.blocks else dates
        self.high = list(map(max, self.high, dates)) if self.blocks else dates
        self.blocks += 1
        self.size += size


def _span(low: str, high: str) -> str:
    return low if low == high else f"{low} .. {high}"
