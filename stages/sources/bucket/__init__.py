"""Photos in object storage, as objects of their own or in tars; they are read where they lie."""
