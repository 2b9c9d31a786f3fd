"""The tables of a build: one pyarrow schema each, in the order in which they are written.

Rows are never deleted but rejected: `reject` (null for accepted rows) holds the reason, one of
`facerefs.schemas.reject.Reject`; `reject_detail` holds the message of the decoder or the rule.

A `BLOB` column refers to bytes by file, offset and length. Its path is relative to the build's folder for bytes
that the build wrote, and absolute for photos that stay in place. The files lie in `blobs/`, so that a table's folder
holds Parquet files alone, as readers of datasets expect. Only shards lie beside their table, in `samples/`. A column
`X_sha256` beside a `BLOB` column X has the SHA-256 of its bytes, hexadecimal; the storage fills it in.
"""

import math

import pyarrow as pa

from facerefs.schemas.fields import Kind, Number, Numbers, UnitVector, Whole
from facerefs.schemas.sample import FACE, OF_MASKED, PAIR

BLOB = pa.struct([("path", pa.string()), ("offset", pa.int64()), ("length", pa.int64())])
MAX_BLOB_BYTES = 256 << 20
"""Maximum length of a blob; longer ones are not read, so that a part fits into memory."""
LANDMARKS = pa.list_(pa.float32(), 136)
"""68 points as x0, y0, x1, y1, ... in pixels; pixel centres are at whole numbers."""
BOX = pa.list_(pa.float32(), 4)
"""left, top, right, bottom in upright photo pixels"""


def column_type(kind: Kind) -> pa.DataType:
    """The type of the column that a field of a sample's JSON comes from; an object is the text of its JSON."""
    match kind:
        case Whole():
            return pa.int32()
        case Number():
            return pa.float32()
        case Numbers(shape=shape):
            return pa.list_(pa.float32(), math.prod(shape))
        case UnitVector():
            return pa.list_(pa.float32())
        case _:
            return pa.string()


_REJECT = [("reject", pa.string()), ("reject_detail", pa.string())]

SOURCES = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),  # unique in the source: relative path, or label and URL
        ("url", pa.string()),
        ("page", pa.string()),
        ("licence", pa.string()),
        ("attribution", pa.string()),
        ("label", pa.string()),  # name of the person in the photo, from the source
        ("box", BOX),  # box of that person in the photo, from the source
        ("sha256", pa.string()),  # expected SHA-256 of the bytes, hexadecimal
        ("provenance", pa.string()),  # all other columns of the source, as a JSON object
        ("photo", BLOB),  # location of the bytes, for a local source
        ("modified_ns", pa.int64()),  # so that a changed photo is read again
        *_REJECT,
    ]
)
"""The source's metadata of each photo. Tables of photos and faces do not repeat it: join it by `key` if needed."""

DOWNLOADS = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        ("url", pa.string()),  # as listed
        ("final_url", pa.string()),  # after redirects
        ("status", pa.int32()),  # HTTP status of the last answer; null if there was none
        ("attempts", pa.int32()),
        ("ms", pa.int32()),  # from the first attempt to the last byte, without waiting for the rate limiter
        ("fetched_at", pa.string()),  # UTC, ISO 8601
        ("content_type", pa.string()),  # from the response header
        ("etag", pa.string()),
        ("last_modified", pa.string()),
        ("robots", pa.string()),  # allowed, disallowed, none, unknown, ignored
        ("opt_out", pa.string()),  # the opt-out statement that was found, obeyed or not
        ("sha256", pa.string()),  # of the bytes
        ("photo", BLOB),
        *_REJECT,
    ]
)
"""The result of each URL. The only table that differs between two runs: in times and changed host responses."""

IMAGES = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        ("id", pa.string()),  # SHA-256 of the bytes, hexadecimal; null if they could not be read
        ("format", pa.string()),  # as Pillow names it: JPEG, PNG, WEBP ...
        ("bytes", pa.int64()),
        ("width", pa.int32()),  # upright, after EXIF orientation
        ("height", pa.int32()),
        ("phash", pa.uint64()),
        ("phash_mirror", pa.uint64()),  # of the mirror image
        ("detail_hash", pa.binary(32)),  # 256 bits, to distinguish copies from merely similar photos
        ("thumbnail", pa.binary(576)),  # grey, 24 x 24, to find the place where similar photos differ
        ("detail_scale", pa.float32()),  # share of its side that holds all its detail
        ("photo", BLOB),
        *_REJECT,
    ]
)

DUPLICATES = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        ("id", pa.string()),
        ("label", pa.string()),
        ("group", pa.string()),  # id of the photo that is kept
        ("kept", pa.bool_()),
        ("kept_key", pa.string()),
        ("kept_label", pa.string()),
        ("kind", pa.string()),  # kept, exact, near, mirror
        ("distance", pa.int32()),  # of the perceptual hash to that of the kept photo, in bits
        ("certain", pa.bool_()),  # False: it differs from the kept photo in some place, so its faces decide
        ("why", pa.string()),  # why the other one was kept
        ("reject", pa.string()),
    ]
)

FACES = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),  # first 16 digits of the photo's id, then -0, -1 ...
        ("image", pa.string()),
        ("key", pa.string()),
        ("box", BOX),
        ("score", pa.float32()),
        ("landmarks", LANDMARKS),  # in crop pixels
        ("transform", pa.list_(pa.float32(), 6)),  # 2x3 affine, row-major: photo pixels to crop pixels
        ("crop", BLOB),  # PNG, FFHQ-aligned, square
        ("crop_sha256", pa.string()),
        ("crop_size", pa.int32()),
        ("outside", pa.float32()),  # share of the crop that lies outside the photo, 0 to 1
        ("embedding", pa.list_(pa.float32())),  # unit length
        ("yaw", pa.float32()),  # degrees; positive: the person looks towards the right edge of the photo
        ("pitch", pa.float32()),  # degrees; positive: looks up
        ("roll", pa.float32()),  # degrees in the photo; positive: clockwise
        ("face_px", pa.float32()),  # side of the FFHQ square in photo pixels
        ("sharpness", pa.float32()),
        ("niqe", pa.float32()),
        ("brisque", pa.float32()),
        ("crop_phash", pa.uint64()),
        ("crop_phash_mirror", pa.uint64()),
        ("detector", pa.string()),
        ("landmarker", pa.string()),
        ("embedder", pa.string()),
        # PNG, gray: 255 on facial pixels of the crop, elsewhere 0; null without `analyse.parser`.
        ("mask", BLOB),
        ("mask_sha256", pa.string()),
        ("parser", pa.string()),  # engine that made the mask
        *_REJECT,
    ]
)

LABELS = pa.schema(
    [
        pa.field("face", pa.string(), nullable=False),
        ("label", pa.string()),  # name of the person, from the source; null if there is none
        *_REJECT,
    ]
)
"""The label of each detected face; a separate table, so that changed labels need no new face detection."""

COPIES = pa.schema(
    [
        pa.field("face", pa.string(), nullable=False),  # the smaller id of the two
        pa.field("other", pa.string(), nullable=False),
        ("kind", pa.string()),  # copy: the same shot; unsure: the same shot only if an override confirms it
        ("mirrored", pa.bool_()),
        ("hash_distance", pa.int32()),  # bits between the hashes of the crops, the minimum over mirroring
        ("landmark_distance", pa.float32()),  # mean L1 over the 68 points, as a share of the crop's side
        ("similarity", pa.float32()),  # cosine
        ("certainty", pa.float32()),  # 0: at the decision threshold; 1: decided by an override
        ("why", pa.string()),
        *_REJECT,
    ]
)
"""Pairs of faces that show the same shot, with the same name or different names."""

IDENTITIES = pa.schema(
    [
        pa.field("face", pa.string(), nullable=False),
        ("label", pa.string()),
        ("identity", pa.string()),  # null if the face is assigned to no person
        ("decision", pa.string()),  # kept, corrected, merged, split, discovered, dropped
        (
            "similarity",
            pa.float32(),
        ),  # cosine to the centroid of the face's own identity (or label, if dropped)
        ("other", pa.string()),  # the nearest other identity
        ("other_similarity", pa.float32()),
        ("certainty", pa.float32()),  # 0: at the decision threshold; 1: decided by an override
        ("forced", pa.bool_()),  # by `overrides.csv`
        ("why", pa.string()),
        ("reject", pa.string()),
    ]
)

MADE_ELSEWHERE = pa.schema(
    [
        ("id", pa.string()),  # the target and the file
        ("target", pa.string()),  # the face that it is made of
        pa.field("file", pa.string(), nullable=False),  # its path in `made_elsewhere.folder`
        ("image", pa.string()),  # SHA-256 of its bytes
        ("landmarks", LANDMARKS),
        ("transform", pa.list_(pa.float32(), 6)),
        ("crop", BLOB),
        ("crop_sha256", pa.string()),
        ("mask", BLOB),
        ("mask_sha256", pa.string()),
        ("crop_size", pa.int32()),
        ("embedding", pa.list_(pa.float32())),
        ("yaw", pa.float32()),
        ("pitch", pa.float32()),
        ("roll", pa.float32()),
        ("face_px", pa.float32()),
        ("detector", pa.string()),
        ("landmarker", pa.string()),
        ("embedder", pa.string()),
        ("parser", pa.string()),
        ("landmark_distance", pa.float32()),  # to the target, as in `pairs`
        ("similarity", pa.float32()),
        ("pose_gap", pa.float32()),
        ("elsewhere", pa.string()),  # JSON, as in `pairs`
        *_REJECT,
    ]
)
"""References of single faces that somebody else made of them. The other columns are those of `faces`."""

ELSEWHERE_PLAN = pa.schema(
    [
        ("file", pa.string()),
        ("folder", pa.string()),
        ("pose", pa.string()),
        ("variant", pa.string()),
        ("photo", BLOB),
        ("modified_ns", pa.int64()),
        ("target", pa.string()),
        ("target_landmarks", LANDMARKS),
        ("target_embedding", pa.list_(pa.float32())),
        ("target_yaw", pa.float32()),
        ("target_pitch", pa.float32()),
        ("target_crop_phash", pa.uint64()),
        *_REJECT,
    ]
)
"""The input of the stage `made_elsewhere`: files with their targets."""

GIVEN_PAIRS = pa.schema(
    [
        pa.field("row", pa.int32(), nullable=False),  # of all files together, from 0
        ("file", pa.string()),
        ("line", pa.int32()),  # number of the row in its file, from 1, without the header
        ("target", pa.string()),  # the names of photos, as the file has them
        ("references", pa.list_(pa.string())),  # best first
        ("degraded", BLOB),
        ("degraded_file", pa.string()),
        ("degraded_sha256", pa.string()),
        *_REJECT,
    ]
)
"""The rows of published lists of pairs, as they are (`given.pairs`)."""

GIVEN_SPLITS = pa.schema(
    [
        pa.field("row", pa.int32(), nullable=False),
        ("file", pa.string()),
        ("line", pa.int32()),
        ("name", pa.string()),  # of a photo or a person
        ("kind", pa.string()),  # photo, person; null: either
        ("split", pa.string()),
        *_REJECT,
    ]
)
"""The rows of published splits, as they are (`given.splits`, or the column of splits in `given.pairs`)."""

SPLITS = pa.schema(
    [
        pa.field(
            "target", pa.string(), nullable=False
        ),  # a face; of a rejected row, a name that is no photo's
        ("split", pa.string()),
        ("given_row", pa.int32()),  # of `given_splits`
        *_REJECT,
    ]
)
"""The published split of each target; there is no such table if the splits are drawn."""

PAIRS = pa.schema(
    [
        pa.field("target", pa.string(), nullable=False),  # a face
        ("reference", pa.string()),  # a face; null if the target has no reference
        ("identity", pa.string()),
        ("rank", pa.int32()),  # 0 is the best; null if rejected
        ("landmark_distance", pa.float32()),  # mean L1 over the 68 points, as a share of the crop's side
        ("similarity", pa.float32()),  # cosine
        ("pose_gap", pa.float32()),  # degrees, the larger of the differences in yaw and in pitch
        ("strategy", pa.string()),
        ("synthesis", pa.string()),  # JSON: how it is synthesised from the target; null for a photo
        ("elsewhere", pa.string()),  # JSON: which file made elsewhere it is; null for all others
        ("target_part", pa.string()),  # the part of `faces` that holds the target
        ("reference_part", pa.string()),
        # Of published pairs only. A rejected one may have names of photos in place of faces.
        ("given_row", pa.int32()),  # of `given_pairs`
        ("guards", pa.list_(pa.string())),  # what speaks against the pair, see `facerefs.schemas.guard`
        ("guard_detail", pa.string()),
        *_REJECT,
    ]
)

FACE_IN_SAMPLE = [(field.name, column_type(field.kind)) for field in FACE if field.when != OF_MASKED]
PAIR_IN_SAMPLE = [(field.name, column_type(field.kind)) for field in PAIR]

SAMPLES = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        ("split", pa.string()),
        ("identity", pa.string()),
        ("target", pa.string()),
        ("references", pa.list_(pa.string())),
        ("recipe", pa.string()),
        ("theta", pa.string()),  # JSON, see facerefs.schemas.theta
        ("files", BLOB),  # the sample's files in its shard: from the first tar header to the last padding
        ("files_sha256", pa.string()),
        ("made_from", pa.string()),  # digest of all that the sample was made from, so that it can be copied
        *_REJECT,
    ]
)

OVERRIDES = pa.schema(
    [
        ("line", pa.int32()),  # in `overrides.csv`; the later of two contradicting lines wins
        ("decision", pa.string()),  # keep, drop, same, different, copy
        ("what", pa.string()),  # id of a face, id or key of a photo, or a name: of a label or an identity
        ("other", pa.string()),
        *_REJECT,
    ]
)
"""The decisions of the user in `overrides.csv` in the build's folder."""

TABLES: dict[str, pa.Schema] = {
    "sources": SOURCES,
    "downloads": DOWNLOADS,
    "images": IMAGES,
    "duplicates": DUPLICATES,
    "faces": FACES,
    "labels": LABELS,
    "overrides": OVERRIDES,
    "copies": COPIES,
    "identities": IDENTITIES,
    "made_elsewhere": MADE_ELSEWHERE,
    "given_pairs": GIVEN_PAIRS,
    "given_splits": GIVEN_SPLITS,
    "pairs": PAIRS,
    "splits": SPLITS,
    "samples": SAMPLES,
}


LATER_COLUMNS: dict[str, tuple[str, ...]] = {
    "faces": ("mask", "parser", "crop_sha256", "mask_sha256"),
    "pairs": ("given_row", "guards", "guard_detail"),
    "samples": ("files_sha256", "made_from"),
}
"""Columns that parts of earlier versions lack, and that are null there: nothing is made again for them."""

BUNDLE = pa.list_(pa.struct([("name", pa.string()), ("data", pa.large_binary())]))
"""Several named files that are stored next to each other in the tar of a part, like a WebDataset sample."""

SAMPLE_PLAN = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        ("split", pa.string()),
        ("identity", pa.string()),
        ("target", pa.struct(FACE_IN_SAMPLE)),
        ("target_crop", BLOB),
        ("references", pa.list_(pa.struct([*FACE_IN_SAMPLE, *PAIR_IN_SAMPLE]))),  # best first
        ("reference_crops", pa.list_(BLOB)),
    ]
)
"""The input of the shard stage: a target with all metadata of its sample, joined from the tables above."""

MASKS_IN_PLAN = pa.schema([("masks", pa.list_(BLOB)), ("parsers", pa.list_(pa.string()))])
"""Further columns of a plan of which a face has a mask: of the target, then of the references, a photo each.

Not in the others, so that shards without masks are not made again for columns of nulls.
"""

RECIPE_IN_PLAN = pa.schema([("recipe", pa.string())])
"""A further column of a plan with several recipes: the name of the one that the sample's theta is drawn from."""

GIVEN_IN_PLAN = pa.schema(
    [("degraded", BLOB), ("degraded_file", pa.string()), ("degraded_sha256", pa.string())]
)
"""Further columns of a plan with published degraded images; null for a target without one."""


def loaded(schema: pa.Schema) -> pa.Schema:
    """The schema as a stage writes it: with bytes instead of blob references."""
    return pa.schema(
        [field.with_type(pa.large_binary()) if field.type == BLOB else field for field in schema]
    )
