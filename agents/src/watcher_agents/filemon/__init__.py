"""filemon: records every saved version of a student's source files."""
