"""One task on files of this machine, outside any cluster: what the command line's ``run`` does."""
