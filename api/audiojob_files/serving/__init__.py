"""What goes out: files by range, zips, logs."""
