"""What the guards of a set say against a pair of a target and its reference."""

from enum import StrEnum


class Guard(StrEnum):
    """A finding as stored in the column `guards` of `pairs`; `sentence` describes it to a user."""

    sentence: str

    def __new__(cls, value: str, sentence: str = "") -> "Guard":
        member = str.__new__(cls, value)
        member._value_ = value
        member.sentence = sentence
        return member

    COPY = "copy", "the reference is a copy of the target"
    UNSURE = "unsure", "the reference may be a copy of the target"
    SAME_PHOTO = "same_photo", "the reference is another face of the target's photo"
    SESSION = "session", "target and reference are of one session"
    STRANGER = "stranger", "the embeddings are less alike than those of one person"
    TWO_PEOPLE = "two_people", "labels or clusters of the build put the two with two people"
    LOW_QUALITY = "low_quality", "the target or the reference is beyond a limit of quality"
    LIMITS = "limits", "the pair is beyond a limit that `select` sets"
