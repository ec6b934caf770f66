"""The library between its records and its files: what is done first, and what is left after trouble."""

from dataclasses import dataclass

import pytest

from service.domain.digest import content_digest, vector_key
from service.domain.errors import NotFoundError, OverloadedError, StorageError
from service.domain.library import NewPicture, StoredPicture
from service.gateway.library import Library
from service.ports.vectors import VectorWish
from tests.fakes.memory_blobs import MemoryBlobs
from tests.fakes.memory_library import MemoryLibrary

MODEL_DIGEST = "sha256:" + "cd" * 32


@dataclass(frozen=True)
class Picture:
    pixels: bytes = b"pixels"
    width_px: int = 300
    height_px: int = 400


@pytest.fixture
def records() -> MemoryLibrary:
    return MemoryLibrary(max_per_tenant=2)


@pytest.fixture
def blobs() -> MemoryBlobs:
    return MemoryBlobs()


@pytest.fixture
def library(records: MemoryLibrary, blobs: MemoryBlobs) -> Library:
    return Library(records, blobs, records, MODEL_DIGEST)


async def test_add_when_the_picture_is_new_then_its_pixels_are_there_before_its_record(
    library: Library, records: MemoryLibrary, blobs: MemoryBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = records.add

    async def checked(picture: NewPicture) -> StoredPicture | None:
        assert blobs.get_picture(picture.id) == b"pixels"
        return await add(picture)

    monkeypatch.setattr(records, "add", checked)

    stored, is_new = await library.add("source", "ada", Picture())

    assert is_new
    assert (stored.digest, stored.width_px, stored.height_px) == (content_digest(b"pixels"), 300, 400)
    assert await library.pixels(stored) == b"pixels"


async def test_add_when_the_store_does_not_answer_then_the_pixels_stay_for_the_sweep(
    library: Library, records: MemoryLibrary, blobs: MemoryBlobs
) -> None:
    records.is_down = True

    with pytest.raises(StorageError):
        await library.add("source", "ada", Picture())

    assert len(blobs.content) == 1, "the answer alone may have been lost"


async def test_add_when_the_storage_is_away_then_there_is_no_record(
    library: Library, records: MemoryLibrary, blobs: MemoryBlobs
) -> None:
    blobs.is_down = True

    with pytest.raises(StorageError):
        await library.add("source", "ada", Picture())

    assert records.pictures == {}


async def test_add_when_the_known_ones_pixels_are_lost_then_the_new_one_takes_its_place(
    library: Library, records: MemoryLibrary, blobs: MemoryBlobs
) -> None:
    lost, _ = await library.add("pose", "ada", Picture())
    blobs.clear()

    stored, is_new = await library.add("pose", "ada", Picture())

    assert is_new
    assert list(records.pictures) == [stored.id] != [lost.id]
    assert await library.pixels(stored) == b"pixels"


async def test_add_when_others_delete_it_all_the_time_then_it_gives_up(
    library: Library, records: MemoryLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, _ = await library.add("source", "ada", Picture())

    async def always_there(_: NewPicture) -> StoredPicture:
        return other

    monkeypatch.setattr(records, "add", always_there)
    await library.delete(other.id, "ada")

    with pytest.raises(StorageError):
        await library.add("source", "ada", Picture())


async def test_add_when_there_are_too_many_then_nothing_is_kept(library: Library, blobs: MemoryBlobs) -> None:
    kept = {(await library.add("source", "ada", Picture(bytes([number]))))[0].id for number in range(2)}

    with pytest.raises(OverloadedError, match="quota_exhausted"):
        await library.add("source", "ada", Picture())

    assert {name.removeprefix("lib/") for name in blobs.content} == kept


async def test_find_when_the_record_is_used_then_its_file_is_young_already(
    library: Library, records: MemoryLibrary, blobs: MemoryBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored, _ = await library.add("source", "ada", Picture())
    touched: list[str] = []
    use = records.use

    async def checked(picture_id: str, tenant: str) -> StoredPicture | None:
        assert touched == [picture_id]
        return await use(picture_id, tenant)

    monkeypatch.setattr(blobs, "touch_picture", touched.append)
    monkeypatch.setattr(records, "use", checked)

    found = await library.find(stored.id, "ada")

    assert found.expires_at > stored.expires_at


@pytest.mark.parametrize("kind", ["source", "pose"])
async def test_picture_when_it_is_of_another_kind_then_it_is_not_there(library: Library, kind: str) -> None:
    stored, _ = await library.add(kind, "ada", Picture())  # pyright: ignore[reportArgumentType]
    other = "pose" if kind == "source" else "source"

    with pytest.raises(NotFoundError):
        await library.find(stored.id, "ada", other)
    with pytest.raises(NotFoundError):
        await library.delete(stored.id, "ada", other)
    assert (await library.find(stored.id, "ada", stored.kind)).id == stored.id


async def test_find_when_the_pixels_are_lost_or_the_tenant_is_another_then_it_says_the_same(
    library: Library, blobs: MemoryBlobs
) -> None:
    stored, _ = await library.add("source", "ada", Picture())
    with pytest.raises(NotFoundError) as foreign:
        await library.find(stored.id, "bob")
    blobs.clear()

    with pytest.raises(NotFoundError) as lost:
        await library.find(stored.id, "ada")

    assert str(lost.value) == str(foreign.value)


async def test_delete_when_the_storage_is_away_then_the_record_is_gone_all_the_same(
    library: Library, records: MemoryLibrary, blobs: MemoryBlobs
) -> None:
    stored, _ = await library.add("source", "ada", Picture())
    blobs.is_down = True

    await library.delete(stored.id, "ada")

    assert records.pictures == {}


async def test_warm_when_the_vector_is_there_then_nobody_is_asked(library: Library, records: MemoryLibrary) -> None:
    stored, _ = await library.add("source", "ada", Picture())
    records.vectors.add(vector_key("source", stored.digest, MODEL_DIGEST))

    assert await library.warm(stored)
    assert records.wishes == []


async def test_warm_when_a_worker_makes_it_meanwhile_then_it_is_ready(
    library: Library, records: MemoryLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored, _ = await library.add("pose", "ada", Picture())

    async def grant(wish: VectorWish) -> None:
        assert wish == VectorWish("pose", stored.id, stored.digest)
        records.vectors.add(vector_key(wish.kind, wish.digest, MODEL_DIGEST))

    monkeypatch.setattr(records, "wish", grant)

    assert await library.warm(stored)


async def test_warm_when_every_worker_is_busy_then_it_ends_and_the_wish_stays(
    library: Library, records: MemoryLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.gateway.library._MAX_WARM_SECONDS", 0.1)
    stored, _ = await library.add("source", "ada", Picture())

    assert not await library.warm(stored)
    assert records.wishes == [VectorWish("source", stored.id, stored.digest)]


async def test_vector_when_it_is_of_this_picture_kind_and_model_then_it_is_known(
    library: Library, records: MemoryLibrary
) -> None:
    stored, _ = await library.add("source", "ada", Picture())
    records.vectors = {vector_key("pose", stored.digest, MODEL_DIGEST), vector_key("source", stored.digest, "other")}
    assert not await library.has_vector(stored)

    records.vectors.add(vector_key("source", stored.digest, MODEL_DIGEST))

    assert await library.has_vector(stored)
