"""`mr-telemetry copy`."""

import click


@click.command("copy")
@click.argument("source", metavar="SOURCE")
@click.argument("target", metavar="TARGET")
@click.option("--quiet", is_flag=True, help="Show no summary.")
def command(source: str, target: str, quiet: bool) -> None:
    """Copy every object under SOURCE to TARGET; each is a folder or s3://BUCKET/PREFIX.

    It brings blocks where a cluster's workers can read them, and what was published to where you
    are. An object of the same name is replaced. A SOURCE that is one file, or one object, is copied
    to the name TARGET, or into TARGET if that is a folder or ends in "/".
    """
    import shutil
    from concurrent.futures import ThreadPoolExecutor
    from pathlib import Path

    from mr.errors import UsageError
    from mr.store import Entry, Store
    from mr.stores import open_store, split_url
    from mr.text import counted

    #: Objects that are copied at a time, and bytes at once.
    copies, piece_bytes = 8, 1024 * 1024

    def copy(there: Store, entry: Entry, here: Store, name: str) -> int:
        with there.open(entry.name, tag=entry.tag) as reader, here.create(name) as writer:
            shutil.copyfileobj(reader, writer, piece_bytes)
        return entry.size

    sizes: list[int] = []
    if not Path(source).is_file():
        there, here = open_store(source), open_store(target)
        with ThreadPoolExecutor(copies) as pool:
            sizes = list(pool.map(lambda one: copy(there, one, here, one.name), there.list()))
    if not sizes and not source.endswith("/"):
        there, name = split_url(source)
        entry = there.stat(name)
        if entry is not None:
            into = target.endswith("/") or Path(target).is_dir()
            here, new_name = split_url(f"{target.rstrip('/')}/{name}" if into else target)
            sizes = [copy(there, entry, here, new_name)]
    if not sizes:
        raise UsageError(f"{source} holds nothing to copy.")
    if not quiet:
        click.echo(
            f"Copied {counted(len(sizes), 'object')} ({sum(sizes) / 1e6:,.1f} MB) to {target}.",
            err=True,
        )
