"""Crops of a shard: encoded once, kept within a limit, and refused if damaged."""

from facerefs.stages.images.encode import encode_crop
from facerefs.stages.images.encoded_crops import EncodedCrops
from tests.pipeline.small_set import crop


def test_a_crop_is_encoded_once_however_often_it_is_shown() -> None:
    crops = EncodedCrops("jpeg", 98)
    first = crops.file_of(crop(0, 0))
    assert first == encode_crop(crop(0, 0), "jpeg", 98)
    assert crops.file_of(crop(1, 0)) != first
    assert crops.file_of(crop(0, 0)) is first


def test_the_files_that_were_asked_for_last_are_kept() -> None:
    some = [crop(person, 0) for person in range(3)]
    sizes = [len(encode_crop(one, "jpeg", 98)) for one in some]
    crops = EncodedCrops("jpeg", 98, max_bytes=sum(sizes) - 1)
    old, middle = crops.file_of(some[0]), crops.file_of(some[1])
    assert crops.file_of(some[0]) is old
    crops.file_of(some[2])
    assert crops.file_of(some[0]) is old
    assert crops.file_of(some[1]) is not middle
    assert crops.file_of(some[1]) == middle


def test_files_larger_than_the_limit_are_not_kept() -> None:
    crops = EncodedCrops("jpeg", 98, max_bytes=1)
    assert crops.file_of(crop(0, 0)) == crops.file_of(crop(0, 0)) == encode_crop(crop(0, 0), "jpeg", 98)


def test_a_damaged_crop_has_no_file() -> None:
    data = bytearray(crop(0, 0))
    data[len(data) // 2] ^= 1
    assert EncodedCrops("jpeg", 98).file_of(bytes(data)) is None
    assert EncodedCrops("png", 98).file_of(b"no PNG") is None
