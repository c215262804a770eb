"""What this machine lets its server do: read from a file that is root's, judged before each task, shown to people."""
