"""What was fetched and is not yet in a part: journals on the disk, and their copies in object storage."""
