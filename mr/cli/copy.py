"""`mr-telemetry copy`."""

import click


@click.command("copy")
@click.argument("source", metavar="SOURCE")
@click.argument("target", metavar="TARGET")
@click.option("--quiet", is_flag=True, help="Show no summary.")
def command(source: str, target: str, quiet: bool) -> None:
    """Copy every object under SOURCE to TARGET; each is a folder or s3://BUCKET/PREFIX.

    It brings blocks where a cluster's workers can read them, and what was published to where you
    are. An object of the same name is replaced.
    """
    import shutil
    from concurrent.futures import ThreadPoolExecutor

    from mr.errors import UsageError
    from mr.store import Entry
    from mr.stores import open_store
    from mr.text import counted

    #: Objects that are copied at a time, and bytes at once.
    copies, piece_bytes = 8, 1024 * 1024
    there, here = open_store(source), open_store(target)

    def copy(entry: Entry) -> int:
        with there.open(entry.name, tag=entry.tag) as reader, here.create(entry.name) as writer:
            shutil.copyfileobj(reader, writer, piece_bytes)
        return entry.size

    with ThreadPoolExecutor(copies) as pool:
        sizes = list(pool.map(copy, there.list()))
    if not sizes:
        raise UsageError(f"{source} holds nothing to copy.")
    if not quiet:
        click.echo(
            f"Copied {counted(len(sizes), 'object')} ({sum(sizes) / 1e6:,.1f} MB) to {here.url}.",
            err=True,
        )
