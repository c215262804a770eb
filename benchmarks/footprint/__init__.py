"""The parts of `agent_footprint.py`: servers to register with, what is measured, and how the figures are shown."""
