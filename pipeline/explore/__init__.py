"""`facerefs explore`: a local web page over the tables of a build, where a person looks, searches and decides."""
