"""The two Socket.IO servers, and what stands between them and the services."""
