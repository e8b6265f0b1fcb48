"""`mr-telemetry wheel`."""

import click


@click.command("wheel")
@click.argument("folder", metavar="FOLDER")
def command(folder: str) -> None:
    """Write the wheel of this very mr-telemetry to FOLDER, to install it on other machines."""
    from pathlib import Path

    from mr.errors import UsageError
    from mr.wheel import own_wheel

    if not Path(folder).is_dir():
        raise UsageError(f"{folder}: no such folder.")
    click.echo(own_wheel(Path(folder)))
