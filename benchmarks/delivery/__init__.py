"""The parts of `fanout.py`: fleets of each kind, how a command is sent to them, how long the disk takes."""
