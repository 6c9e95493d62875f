"""Debian packages as data: real apt-get on a small archive, real dpkg-deb on damaged files."""

import hashlib
import re
import shutil

import pytest

from mmext.prepare import debian
from tests.prepare.tiny_packages import needs_apt, needs_dpkg, package


@needs_dpkg
@pytest.mark.parametrize(
    "damage",
    [lambda whole: whole[: len(whole) // 2], lambda whole: b"no package"],
    ids=["truncated", "other"],
)
def test_a_damaged_package_is_refused(tmp_path, damage):
    path = package(tmp_path, debian.Deb("thing", "2-1", ""), {"usr/share/thing/a.txt": b"content"})
    path.write_bytes(damage(path.read_bytes()))
    sentence = (
        f"{re.escape(str(path))}: expected a Debian package, got one that cannot be unpacked "
        ".*delete it"
    )
    with pytest.raises(debian.DataError, match=sentence):
        debian.read_files(path, lambda name: True)


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """Folder of an archive of one package, thing 2-1, that apt-get takes for its only source."""
    folder = tmp_path / "archive"
    folder.mkdir()
    deb = package(
        folder, debian.Deb("thing", "", ""), {"usr/share/thing/a.txt": b"content"}, version="2-1"
    )
    content = deb.read_bytes()
    (folder / "Packages").write_text(
        f"Package: thing\nVersion: 2-1\nArchitecture: all\nFilename: ./{deb.name}\n"
        f"Size: {len(content)}\nSHA256: {hashlib.sha256(content).hexdigest()}\nDescription: test\n"
    )
    (tmp_path / "sources.list").write_text(f"deb [trusted=yes] copy:{folder} ./\n")
    (tmp_path / "apt.conf").write_text(
        f'Dir::State::lists "{tmp_path}/no-lists/";\nDir::Etc::sourceparts "/dev/null";\n'
        f'Dir::Etc::sourcelist "{tmp_path}/sources.list";\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    return folder


@needs_apt
def test_apt_fetches_the_expected_version_without_lists_of_its_own(archive, tmp_path):
    deb = debian.Deb(
        "thing", "2-1", hashlib.sha256((archive / "thing_2-1_all.deb").read_bytes()).hexdigest()
    )
    path = debian.fetch(deb, tmp_path / "cache")
    assert path == tmp_path / "cache" / "thing_2-1_all.deb"
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    assert debian.read_files(path, lambda name: name.endswith("a.txt")) == {
        "usr/share/thing/a.txt": b"content"
    }
    shutil.rmtree(archive)
    assert debian.fetch(deb, tmp_path / "cache") == path  # the second time without the archive


@needs_apt
def test_apt_fetches_the_archive_s_version_where_the_expected_one_is_gone(archive, tmp_path):
    path = debian.fetch(debian.Deb("thing", "1-1", "0" * 64), tmp_path / "cache")
    assert (path.name, debian.version_of(path)) == ("thing_2-1_all.deb", "2-1")


@needs_apt
def test_another_file_under_the_expected_version_is_not_kept(archive, tmp_path):
    with pytest.raises(debian.DataError, match=r"expected SHA-256 0{64}, got .*nothing was kept"):
        debian.fetch(debian.Deb("thing", "2-1", "0" * 64), tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


@needs_apt
def test_a_package_that_no_archive_has_is_named_with_what_to_do(archive, tmp_path):
    with pytest.raises(
        debian.DataError, match=r"apt-get could not fetch other 1-1 .*Unable to locate"
    ) as error:
        debian.fetch(debian.Deb("other", "1-1", "0" * 64), tmp_path / "cache")
    assert "put other_1-1_all.deb from another machine at" in str(error.value)
    assert list((tmp_path / "cache").iterdir()) == []
