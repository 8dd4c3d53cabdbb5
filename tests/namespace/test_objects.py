from pathlib import Path

import pytest

from remote_kernel.namespace.files.objects import (
    CONTENT_BYTES,
    Damaged,
    ObjectWriter,
    decode,
    encode,
    pieces_of,
    read_object,
    read_objects,
    write_file,
)  # fmt: skip


@pytest.mark.parametrize("content", [b"", b"a", b"text " * 1000, bytes(range(256))])
def test_content_comes_back(content: bytes) -> None:
    assert decode(b"".join(encode(content))) == content


def test_what_shrinks_is_compressed() -> None:
    assert len(encode(b"text " * 1000)[1]) < 500
    assert encode(bytes(range(256))) == (b"\0", bytes(range(256)))


@pytest.mark.parametrize("file", [b"", b"\1", b"\1no zlib", b"\1" + encode(b"a" * 1000)[1][:-1], b"\2abc"])
def test_damaged_file_is_refused(file: bytes) -> None:
    with pytest.raises(Damaged):
        decode(file)


def test_more_than_one_content_is_not_decompressed() -> None:
    with pytest.raises(Damaged):
        decode(b"".join(encode(bytes(CONTENT_BYTES + 1))))


def test_data_is_cut_into_pieces() -> None:
    assert [len(piece) for piece in pieces_of(bytes(CONTENT_BYTES + 1))] == [CONTENT_BYTES, 1]
    assert [len(piece) for piece in pieces_of(b"")] == [0]


def test_objects_are_written_once_and_read_again(tmp_path: Path) -> None:
    data = bytes(CONTENT_BYTES) + b"end"
    references = ObjectWriter(str(tmp_path), set()).write(data)
    assert [size for _, size in references] == [CONTENT_BYTES, 3]
    assert {path.name for path in tmp_path.iterdir()} == {name for name, _ in references}
    assert read_objects(str(tmp_path), references) == data


def test_known_object_is_named_and_not_written(tmp_path: Path) -> None:
    (reference,) = ObjectWriter(
        str(tmp_path / "none"), {"ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"}
    ).write(b"a")
    assert reference[1] == 1


def test_object_that_is_not_what_its_name_says_is_refused(tmp_path: Path) -> None:
    ((name, size),) = ObjectWriter(str(tmp_path), set()).write(b"content")
    with pytest.raises(Damaged, match="another size"):
        read_objects(str(tmp_path), [(name, size + 1)])
    (tmp_path / name).write_bytes(b"\0contenT")
    with pytest.raises(Damaged, match="not what was saved"):
        read_object(str(tmp_path), name)
    (tmp_path / name).unlink()
    with pytest.raises(Damaged, match="cannot be read"):
        read_object(str(tmp_path), name)


def test_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_file(str(tmp_path / "file"), b"part", 1)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
