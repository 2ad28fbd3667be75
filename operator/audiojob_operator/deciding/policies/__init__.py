"""Rules of a job's life, one a file: plain functions of frozen records and the time."""
