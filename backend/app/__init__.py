"""The server: devices, presence and the dashboard."""

from importlib.metadata import version

__version__ = version("deployx-server")
