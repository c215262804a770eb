"""The server: devices, presence and the dashboard."""
