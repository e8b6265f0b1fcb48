"""`mr-telemetry serve`."""

import click


@click.command("serve")
@click.argument("published", metavar="PUBLISHED")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=8000, show_default=True, type=int, help="0 for any that is free.")
def command(published: str, host: str, port: int) -> None:
    """Show in a browser what `run histograms` has published in PUBLISHED, as it is.

    PUBLISHED is a folder or s3://BUCKET/PREFIX. The server only reads; it goes on until Ctrl-C.
    """
    from contextlib import suppress

    from mr.dashboard.serving import make_server
    from mr.stores import open_store

    with make_server(open_store(published), host, port) as server, suppress(KeyboardInterrupt):
        name = f"[{host}]" if ":" in host else host
        click.echo(f"http://{name}:{server.server_port}/ shows {published}; Ctrl-C ends it.")
        server.serve_forever()
