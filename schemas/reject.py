"""The reasons for which a row does not go on."""

from enum import StrEnum


class Reject(StrEnum):
    """A reason, as stored in the `reject` column; `sentence` says it to a person."""

    sentence: str

    def __new__(cls, value: str, sentence: str = "") -> "Reject":
        member = str.__new__(cls, value)
        member._value_ = value
        member.sentence = sentence
        return member

    # crawl
    UNREADABLE = "unreadable", "the file could not be read"
    CHANGED = "changed", "the file changed between two stages"
    TOO_MANY_BYTES = "too_many_bytes", "the file is larger than the byte limit"
    EMPTY = "empty", "the file has no bytes"
    NOT_AN_IMAGE = "not_an_image", "the bytes are of no image format that we accept"
    TOO_MANY_PIXELS = "too_many_pixels", "the image has more pixels than the limit (a decompression bomb?)"
    TOO_SMALL = "too_small", "the image is smaller than the limit"
    TRUNCATED = "truncated", "the image ends before its last pixel"
    CORRUPT = "corrupt", "the image cannot be decoded"
    ANIMATED = "animated", "the image has several frames"
    # dedupe
    DUPLICATE_EXACT = "duplicate_exact", "the same bytes are in the set already"
    DUPLICATE_NEAR = "duplicate_near", "a better copy of the photo is in the set"
    # analyse
    NO_FACE = "no_face", "no face was found in the photo"
    TOO_MANY_FACES = (
        "too_many_faces",
        "the photo shows more faces than the limit, and this is one of the smaller",
    )
    FACE_TOO_SMALL = "face_too_small", "the face has too few pixels in the photo"
    FACE_CUT = "face_cut", "too much of the aligned face lies outside the photo"
    FACE_BLURRED = "face_blurred", "the face is less sharp than the limit"
    FACE_TURNED = "face_turned", "the head is turned further than the limit"
    LOW_QUALITY = "low_quality", "NIQE of the face is worse than the limit"
    # cluster
    UNLABELLED = "unlabelled", "nobody said who the photo shows"
    WRONG_LABEL = "wrong_label", "the face does not belong to the person whom the label names"
    NO_IDENTITY = "no_identity", "the face resembles too few others to make a person"
    # select
    NO_REFERENCE = "no_reference", "no other photo of the person can be its reference"
    COPY = "copy", "the reference would be a copy of the target"
