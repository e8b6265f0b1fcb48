"""The dashboard's files: a site that is written and brought up to date, and the server."""

import base64
import gzip
import http.client
import json
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import pytest
from published import payload, times, versions, write_block, write_definitions

import mr
from mr.dashboard import site as sites
from mr.dashboard.page import page_files
from mr.dashboard.serving import make_server
from mr.dashboard.site import write_linked_site, write_site
from mr.directory import DirectoryStore
from mr.errors import StoreError, StoreUnavailable, UsageError


@pytest.fixture
def publish(tmp_path):
    """Publish one more day, and give the folder."""
    days = iter(range(1, 9))

    def more() -> Path:
        day = next(days)
        write_block(tmp_path / "blocks", [payload(TIMES=times(day))],
                    appBuildID=f"2014060{day}030201")  # fmt: skip
        mr.run("histograms", tmp_path / "blocks", output=tmp_path / "published", quiet=True,
               store=str(tmp_path / "store"),
               parameters={"definitions": [str(write_definitions(tmp_path))]})  # fmt: skip
        return tmp_path / "published"

    return more


def write(published: Path, site: Path) -> sites.Written:
    """Write a site."""
    return write_site(DirectoryStore(published), DirectoryStore(site))


def files(folder: Path) -> set[str]:
    """The names of all files below a folder, but for what a store keeps for itself."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {str(path) for path in found if not path.parts[0].startswith(".")}


def test_a_site_has_the_page_and_what_it_reads(publish, tmp_path):
    """As it is, and no state; beside each file a script with the same bytes."""
    published, site = publish(), tmp_path / "site"

    written = write(published, site)

    folder = versions(published)["nightly/31"]
    read = {"histograms.json", "filter-tree.json", "coverage.json"} | {
        f"{measure}-by-{kind}-date.json"
        for measure in ("TIMES", "SIMPLE_MEASURES_UPTIME")
        for kind in ("build", "submission")
    }
    copied = {f"published/{folder}/{name}" for name in read} | {"published/versions.json"}
    page = set(page_files())
    assert "index.html" in page
    assert "Chart.bundle.js" in page
    assert files(site) == page | {"site.json"} | copied | {f"{name}.js" for name in copied}
    assert written == sites.Written(["nightly/31"], len(copied), sum(
        (site / name).stat().st_size for name in copied))  # fmt: skip
    for name in copied:
        data = (site / name).read_bytes()
        assert data == (published / name.removeprefix("published/")).read_bytes()
        twin = (site / f"{name}.js").read_text("ascii")
        told, packed = re.fullmatch(r'takePublished\("(.+)", "(.+)"\);\n', twin).groups()
        assert told == name.removeprefix("published/")
        assert gzip.decompress(base64.b64decode(packed)) == data


def test_the_page_names_every_file_of_its_own_and_nothing_else():
    """Each script and style is loaded, and none from elsewhere."""
    named = set(re.findall(r'(?:src|href)="([^"#]+)"', page_files()["index.html"].decode()))

    assert named == set(page_files()) - {"index.html"} | {"data:,"}


def test_a_site_is_brought_up_to_date(publish, tmp_path):
    """Folders that are there are kept as they are; the one before goes the next time but one."""
    published, site = publish(), tmp_path / "site"
    write(published, site)
    first = versions(published)["nightly/31"]
    assert write(published, site).files == 1  # versions.json
    publish()
    write(published, site)
    second = versions(published)["nightly/31"]
    assert versions(site / "published") == {"nightly/31": second}
    assert {path.name for path in (site / "published").iterdir() if path.is_dir()} == {
        first,
        second,
    }
    publish()

    write(published, site)

    third = versions(published)["nightly/31"]
    assert len({first, second, third}) == 3
    kept = {name.split("/")[1] for name in files(site) if name.count("/") == 2}
    assert kept == {second, third}


def test_a_site_that_was_not_finished_is_finished(publish, tmp_path, monkeypatch):
    """What had been written is no stranger; versions.json came to nothing before."""
    published, site = publish(), tmp_path / "site"
    copy, copied = sites._copy, []

    def fail(store, name, target):
        copied.append(name)
        if len(copied) > 3:
            raise StoreUnavailable("the disk is full")
        return copy(store, name, target)

    with monkeypatch.context() as patch:
        patch.setattr(sites, "_copy", fail)
        with pytest.raises(StoreUnavailable):
            write(published, site)
    assert "published/versions.json" not in files(site)

    write(published, site)

    write(published, tmp_path / "other")
    assert files(site) == files(tmp_path / "other")
    for name in files(site):
        assert (site / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


def test_a_place_with_other_things_is_refused(publish, tmp_path):
    """Nothing in it is touched; nor is a site of which it is not known what it is."""
    published, site = publish(), tmp_path / "site"
    site.mkdir()
    (site / "thesis.txt").write_text("mine")

    with pytest.raises(UsageError, match="holds other things than a dashboard"):
        write(published, site)
    with pytest.raises(UsageError, match="holds other things"):
        write_linked_site("../published/", DirectoryStore(site))
    assert files(site) == {"thesis.txt"}

    for text, told in [
        ('{"version": 1, "folders": 5, "live": []}', "is damaged"),
        ('{"version": 9, "folders": [], "live": []}', "another version"),
        ('{"version": 1, "folders": ["../.."], "live": []}', "is damaged"),
    ]:
        (site / "site.json").write_text(text)
        with pytest.raises(UsageError, match=told):
            write(published, site)
    assert (site / "thesis.txt").read_text() == "mine"


def test_a_link_stands_in_the_page(publish, tmp_path):
    """It is escaped; nothing is copied."""
    site = tmp_path / "site"

    write_linked_site('https://there/"a"', DirectoryStore(site))

    assert files(site) == {*page_files(), "site.json"}
    index = (site / "index.html").read_text()
    assert '<meta name="published" content="https://there/&quot;a&quot;/">' in index


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("s3://bucket/published/", "a page reads http:// and https:// URLs"),
        ("javascript:alert(1)", "a page reads http:// and https:// URLs"),
        ("file:///published/", "a page reads http:// and https:// URLs"),
        ("https:///published/", "a page reads http:// and https:// URLs"),
        ("", "a page reads http:// and https:// URLs"),
        ("https://there/?key=1", "it has no query and no fragment"),
        ("../published/#a", "it has no query and no fragment"),
        ("https://[there/", "this is no URL"),
    ],
)
def test_a_link_that_no_page_can_read_is_refused(tmp_path, url, told):
    """Before anything is written."""
    with pytest.raises(UsageError, match=re.escape(told)):
        write_linked_site(url, DirectoryStore(tmp_path / "site"))
    assert not (tmp_path / "site").exists()


def test_a_folder_that_is_not_whole_is_told(command, publish, tmp_path):
    """No site is written of a live folder without its definitions."""
    published = publish()
    folder = versions(published)["nightly/31"]
    (published / folder / "histograms.json").unlink()

    done = command("dashboard", published, "-o", tmp_path / "site")

    assert done.code == 2
    assert f"{folder} has no histograms.json: run this again if an update has just" in done.err
    assert "Wrote" not in done.err
    assert not (tmp_path / "site").exists()


def test_a_folder_that_an_update_deletes_meanwhile_is_told(publish, tmp_path, monkeypatch):
    """With what to do; done again it is whole."""
    published, site = publish(), tmp_path / "site"
    put = sites._put

    def gone(*arguments):
        shutil.rmtree(published / folder, ignore_errors=True)
        return put(*arguments)

    folder = versions(published)["nightly/31"]
    with monkeypatch.context() as patch:
        patch.setattr(sites, "_COPIES", 1)
        patch.setattr(sites, "_put", gone)
        with pytest.raises(StoreError, match=r"was deleted while it was copied.*run this again"):
            write(published, site)


def test_after_a_kill_the_folders_of_open_pages_are_kept(publish, tmp_path, monkeypatch):
    """Those that the site's versions.json names, even if site.json was not yet written anew."""
    published, site = publish(), tmp_path / "site"
    write(published, site)
    first = versions(published)["nightly/31"]
    publish()
    second = versions(published)["nightly/31"]
    write_own, written = sites._write_site, []

    def killed(*arguments):
        written.append(arguments)
        if len(written) == 2:
            raise KeyboardInterrupt
        write_own(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(sites, "_write_site", killed)
        with pytest.raises(KeyboardInterrupt):
            write(published, site)
    assert versions(site / "published") == {"nightly/31": second}
    publish()

    write(published, site)

    kept = {name.split("/")[1] for name in files(site) if name.count("/") == 2}
    assert kept == {second, versions(published)["nightly/31"]}
    assert first not in kept


def test_what_is_missing_or_cut_in_a_site_is_written_anew(publish, tmp_path):
    """A file whose twin stands, one of another size, a twin; and nothing else."""
    published, site = publish(), tmp_path / "site"
    write(published, site)
    folder = site / "published" / versions(published)["nightly/31"]
    whole = {path: path.read_bytes() for path in folder.iterdir()}
    (folder / "TIMES-by-build-date.json").unlink()
    (folder / "coverage.json").write_text("{")
    (folder / "filter-tree.json.js").unlink()
    # As it is after a copy from a bucket.
    packed = published / folder.name / "histograms.json"
    packed.write_bytes(gzip.compress(packed.read_bytes()))

    assert write(published, site).files == 4  # and versions.json

    assert {path: path.read_bytes() for path in folder.iterdir()} == whole


def test_what_is_missing_is_told(command, publish, tmp_path, monkeypatch):
    """Nothing published; no library; both ways at once, or none."""
    empty = tmp_path / "empty"
    empty.mkdir()
    done = command("dashboard", empty, "-o", tmp_path / "site")
    assert done.code == 2
    assert "empty is no published folder: it has no versions.json." in done.err
    assert not (tmp_path / "site").exists()
    for arguments in ((), (empty, "--link", "../p/")):
        done = command("dashboard", *arguments, "-o", tmp_path / "site")
        assert done.code == 2
        assert "name what is published, to be copied, or its URL by --link." in done.err

    def nothing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "files", nothing)
    site = DirectoryStore(tmp_path / "site")
    for attempt in (
        page_files,
        lambda: write_linked_site("../p/", site),
        lambda: write_site(DirectoryStore(publish()), site),
    ):
        with pytest.raises(UsageError, match=r"pip install 'mr-telemetry\[dashboard\]'"):
            attempt()
    assert files(tmp_path / "site") == set()


def test_the_command_writes_a_site(command, publish, tmp_path):
    """It says what it did, and where to look."""
    done = command("dashboard", publish(), "-o", tmp_path / "site")

    assert done.code == 0
    assert "Wrote the dashboard of 1 version to " in done.err
    assert "8 files copied" in done.err
    assert f"Open {tmp_path / 'site'}/index.html." in done.err


# The server


@contextmanager
def connection(folder: Path):
    """A connection to the server, which lives as long as the with-block."""
    server = make_server(DirectoryStore(folder), "127.0.0.1", 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    try:
        yield found
    finally:
        found.close()
        server.shutdown()
        server.server_close()


def get(there: http.client.HTTPConnection, path: str, method: str = "GET", **headers: str):
    """The status, the headers and the body of an answer."""
    there.request(method, path, headers=headers)
    answer = there.getresponse()
    return answer.status, dict(answer.getheaders()), answer.read()


def test_the_server_gives_the_page_and_the_published_files(publish):
    """With their types; packed for those who take that."""
    published = publish()
    folder = versions(published)["nightly/31"]
    with connection(published) as there:
        status, headers, body = get(there, "/")
        assert (status, body) == (200, page_files()["index.html"])
        assert headers["Content-Type"] == "text/html"
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        status, headers, body = get(there, "/page.js", **{"Accept-Encoding": "gzip"})
        assert headers["Content-Type"] in ("text/javascript", "application/javascript")
        assert headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(body) == page_files()["page.js"]
        name = f"{folder}/TIMES-by-build-date.json"
        expected = (published / name).read_bytes()
        status, headers, body = get(there, f"/published/{name}")
        assert (status, body) == (200, expected)
        assert headers["Content-Type"] == "application/json"
        status, headers, body = get(there, f"/published/{name}", "HEAD")
        assert (status, body) == (200, b"")
        assert int(headers["Content-Length"]) == len(expected)
        # As a bucket has it.
        (published / name).write_bytes(gzip.compress(expected))
        assert get(there, f"/published/{name}")[2] == expected


@pytest.mark.parametrize(
    ("accepted", "is_packed"),
    [
        ("gzip", True),
        ("br, gzip;q=0.5", True),
        ("*", True),
        ("gzip;q=0", False),
        ("br, gzip; q=0.000", False),
        ("*;q=0", False),
        ("identity", False),
    ],
)
def test_the_server_packs_for_those_who_take_it(publish, accepted, is_packed):
    """As the header says, with its weights."""
    with connection(publish()) as there:
        _, headers, body = get(there, "/page.js", **{"Accept-Encoding": accepted})
    assert ("Content-Encoding" in headers) == is_packed
    assert (gzip.decompress(body) if is_packed else body) == page_files()["page.js"]


def test_a_damaged_body_is_told(publish):
    """By a sentence, whether the client takes packed bodies or not."""
    published = publish()
    name = f"{versions(published)['nightly/31']}/histograms.json"
    path = published / name
    path.write_bytes(gzip.compress(path.read_bytes() * 9)[:-20])
    with connection(published) as there:
        for accepted in ("gzip", "identity"):
            status, headers, body = get(
                there, f"/published/{name}", **{"Accept-Encoding": accepted}
            )
            assert (status, headers["Content-Type"]) == (502, "text/plain")
            assert body.startswith(b"its gzip is damaged: ")


def test_a_client_that_goes_away_is_nothing_to_tell(publish, capfd):
    """No traceback; the next one is answered."""
    published = publish()
    (published / versions(published)["nightly/31"] / "large.json").write_bytes(b" " * 30_000_000)
    with connection(published) as there:
        path = f"/published/{versions(published)['nightly/31']}/large.json"
        with socket.create_connection(("127.0.0.1", there.port)) as gone:
            gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            gone.sendall(f"GET {path} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
            assert gone.recv(1000).startswith(b"HTTP/1.1 200")
        assert get(there, "/published/versions.json")[0] == 200
        time.sleep(0.2)
    assert capfd.readouterr() == ("", "")


def test_the_server_listens_to_ipv6(publish):
    """Where the machine has it."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
    server = make_server(DirectoryStore(publish()), "::1", 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    there = http.client.HTTPConnection("::1", server.server_port, timeout=20)
    try:
        assert get(there, "/published/versions.json")[0] == 200
    finally:
        there.close()
        server.shutdown()
        server.server_close()


def test_a_host_that_is_not_there_is_told(command, publish):
    """That of another machine, and a name of none: with what to do."""
    for host in ("192.0.2.1", "no-such-host.invalid"):
        done = command("serve", publish(), "--host", host, "--port", "0")
        assert done.code == 2
        assert f"cannot serve on {host}" in done.err
        assert "name another --host." in done.err


@pytest.mark.parametrize(
    "path",
    [
        "/published/{folder}/state/folder.json",
        "/published/{folder}/FILES_PROCESSED",
        "/published/FILES_PROCESSED",
        "/published/../secret.json",
        "/published/%2e%2e/secret.json",
        "/published/..%2fsecret.json",
        "/published//etc/passwd",
        "/../secret.json",
        "/published/{folder}/none.json",
        "/none",
        "/page/index.html",
    ],
)
def test_the_server_gives_nothing_else(publish, path):
    """Neither the state, nor what lies beside."""
    published = publish()
    (published.parent / "secret.json").write_text("{}")
    with connection(published) as there:
        path = path.format(folder=versions(published)["nightly/31"])
        assert get(there, path)[0] == 404
        assert get(there, "/published/versions.json")[0] == 200


def test_serve_says_where_and_ends(publish, environment, tmp_path):
    """By Ctrl-C, without a word; a port that is taken is told."""
    process = subprocess.Popen(
        [sys.executable, "-m", "mr.cli.main", "serve", str(publish()), "--port", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=tmp_path,
    )  # fmt: skip
    try:
        line = process.stdout.readline()
        found = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/ shows .*; Ctrl-C ends it\.\n", line)
        there = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=20)
        assert json.loads(get(there, "/published/versions.json")[2])
        there.close()
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=20) == ("", "")
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()


def test_a_port_that_is_taken_is_told(command, publish):
    """With what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = command("serve", publish(), "--port", port)
    assert done.code == 2
    assert f"cannot serve on 127.0.0.1:{port} (Address already in use)" in done.err
