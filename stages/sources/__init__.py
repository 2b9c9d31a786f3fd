"""The sources of photos: each lists its photos as rows of the `sources` table."""
