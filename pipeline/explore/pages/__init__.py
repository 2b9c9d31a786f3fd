"""The pages of `facerefs explore`: each answers some addresses from the build that is explored."""
