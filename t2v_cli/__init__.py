"""t2v: the command line, on this machine or against a site elsewhere. Knows the REST API alone."""
