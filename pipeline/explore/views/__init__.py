"""What `facerefs explore` lists: a view joins tables to one row per photo, face, person, pair or sample."""
