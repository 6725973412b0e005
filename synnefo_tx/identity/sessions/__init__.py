"""Sign-ins of browsers: a cookie for a session that the server keeps."""
