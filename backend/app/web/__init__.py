"""What the server shows a browser besides the API: the dashboard's files, health, metrics, API pages."""
