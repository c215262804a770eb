"""What `make check` and `make test` run, and how it is counted."""
