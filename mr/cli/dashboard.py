"""`mr-telemetry dashboard`."""

import click


@click.command("dashboard")
@click.argument("published", metavar="[PUBLISHED]", required=False)
@click.option(
    "-o", "--output", required=True, metavar="SITE", help="A folder, or s3://BUCKET/PREFIX."
)
@click.option(
    "--link",
    metavar="URL",
    help="Copy nothing: the page reads what is published there, as ../published/.",
)
@click.option("--quiet", is_flag=True, help="Show no summary.")
def command(published: str, output: str, link: str | None, quiet: bool) -> None:
    """Write a static site that shows what `run histograms` has published in PUBLISHED.

    It works from any web server or bucket, and from a folder by opening SITE/index.html; nothing is
    fetched from elsewhere. Written again, it is brought up to date.
    """
    from mr.dashboard.site import write_linked_site, write_site
    from mr.errors import UsageError
    from mr.stores import open_store
    from mr.text import counted

    if (published is None) == (link is None):
        raise UsageError("name what is published, to be copied, or its URL by --link.")
    if link is not None:
        write_linked_site(link, open_store(output))
        if not quiet:
            click.echo(f"Wrote the dashboard to {output}; it reads {link}.", err=True)
        return
    written = write_site(open_store(published), open_store(output))
    if not quiet:
        click.echo(
            f"Wrote the dashboard of {counted(len(written.versions), 'version')} to {output}: "
            f"{counted(written.files, 'file')} copied ({written.bytes / 1e6:,.1f} MB). Open "
            f"{output.rstrip('/')}/index.html.",
            err=True,
        )
