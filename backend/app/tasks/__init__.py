"""Everything a device is asked to do is a task: runs that make them, their delivery, their reports, their output."""
