"""The reasons for rejecting a row."""

from enum import StrEnum


class Reject(StrEnum):
    """A reason as stored in the column `reject`; `sentence` describes it to a user.

    transient: whether a new attempt may succeed.
    """

    sentence: str
    transient: bool

    def __new__(cls, value: str, sentence: str = "", transient: bool = False) -> "Reject":
        member = str.__new__(cls, value)
        member._value_ = value
        member.sentence = sentence
        member.transient = transient
        return member

    # sources
    BAD_ROW = "bad_row", "the row of the list cannot be understood"
    LISTED_TWICE = "listed_twice", "the list has the same row further up"
    BAD_LICENCE = "bad_licence", "the licence of the photo is not one of those asked for"
    # fetch: the address
    BAD_URL = "bad_url", "the URL is malformed"
    FORBIDDEN_SCHEME = "forbidden_scheme", "the URL is neither http nor https"
    CREDENTIALS_IN_URL = "credentials_in_url", "the URL holds a user name or a password"
    PRIVATE_ADDRESS = "private_address", "the host has a private, loopback or otherwise internal address"
    # fetch: what its owner wants
    ROBOTS = "robots", "robots.txt forbids to fetch the URL"
    ROBOTS_UNKNOWN = (
        "robots_unknown",
        "the host's robots.txt could not be had, so nothing is taken from it",
        True,
    )
    OPT_OUT = "opt_out", "the owner reserves the photo from machine learning"
    # fetch: the connection
    HOST_UNKNOWN = "host_unknown", "the host's name has no address", True
    CONNECT_FAILED = "connect_failed", "no connection to the host", True
    TLS = "tls", "the host cannot prove who it is, or speaks no TLS of ours"
    CONNECTION_LOST = "connection_lost", "the connection broke before the answer ended", True
    TIMEOUT = "timeout", "the host was too slow", True
    HOST_DOWN = "host_down", "not tried: the host had failed too often, or asked to be left alone", True
    # fetch: the answer
    BAD_ANSWER = "bad_answer", "the answer is no HTTP that we understand"
    TOO_MANY_REDIRECTS = "too_many_redirects", "the URL redirects too often, or in a circle"
    NOT_FOUND = "not_found", "there is nothing at the URL (HTTP 404 or 410)"
    FORBIDDEN = "forbidden", "the host refuses to give the photo (HTTP 401, 402, 403, 407, 451)"
    RATE_LIMITED = "rate_limited", "the host asks for patience (HTTP 429)", True
    SERVER_ERROR = "server_error", "the host failed (HTTP 408, 425 or 5xx)", True
    HTTP_STATUS = "http_status", "the host answered with another HTTP status than a photo's"
    WRONG_HASH = "wrong_hash", "the bytes have another SHA-256 than the list says"
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
    NOT_ALIGNED = "not_aligned", "the photo is no aligned face that can be kept as it is"
    FACE_TOO_SMALL = "face_too_small", "the face has too few pixels in the photo"
    FACE_CUT = "face_cut", "too much of the aligned face lies outside the photo"
    FACE_BLURRED = "face_blurred", "the face is less sharp than the limit"
    FACE_TURNED = "face_turned", "the head is turned further than the limit"
    LOW_QUALITY = "low_quality", "NIQE or BRISQUE of the face is worse than the limit"
    # cluster
    UNLABELLED = "unlabelled", "the source does not name the person in the photo"
    WRONG_LABEL = "wrong_label", "the face does not belong to the person whom the label names"
    NO_IDENTITY = "no_identity", "the face resembles too few others to make a person"
    SECOND_NAME = "second_name", "the same shot is in the set under another name"
    DROPPED_BY_PERSON = "dropped_by_person", "a person dropped it in overrides.csv"
    # made_elsewhere
    NO_TARGET = "no_target", "no face in the set has the name of the file"
    AMBIGUOUS_TARGET = "ambiguous_target", "several faces in the set, or files, have the name of the file"
    ENOUGH_REFERENCES = (
        "enough_references",
        "its target has as many references made elsewhere as were asked for",
    )
    # published pairs and splits
    BAD_PUBLISHED_ROW = "bad_published_row", "a row of the published list cannot be read"
    PHOTO_UNKNOWN = "photo_unknown", "no photo of the source has the name in the published list"
    PHOTO_AMBIGUOUS = "photo_ambiguous", "several photos of the source fit the name in the published list"
    PHOTO_UNUSABLE = "photo_unusable", "the photo in the published list gives no face"
    SEVERAL_FACES = "several_faces", "the photo in the published list shows several faces"
    SELF_REFERENCE = "self_reference", "the published reference is the target itself"
    NAMED_TWICE = "named_twice", "the published list names it twice"
    TOO_MANY_REFERENCES = (
        "too_many_references",
        "the published target has more references than a sample can hold",
    )
    NOT_PUBLISHED = "not_published", "the published pairs do not name the photo as a target"
    BAD_DEGRADED = "bad_degraded", "the published degraded image cannot be used"
    NO_SPLIT = "no_split", "the published splits do not name the photo or its person"
    # select
    NO_REFERENCE = "no_reference", "no other photo of the person can be its reference"
    COPY = "copy", "the reference would be a copy of the target"
    SESSION = "session", "the reference would be of the same session as the target"
