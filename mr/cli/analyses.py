"""`mr-telemetry analyses`."""

import click


@click.command("analyses")
def command() -> None:
    """List the analyses that come with the package, by the names that `run` takes."""
    import ast

    from mr.loading import bundled_analyses

    for name, path in bundled_analyses().items():
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        click.echo(f"{name:<20} {text.partition(chr(10))[0]}")
