"""Where photos come from: each source lists its photos as rows of the `sources` table."""
