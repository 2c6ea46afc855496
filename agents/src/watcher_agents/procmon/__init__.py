"""procmon: records every build and run of a student, with how it ended."""
