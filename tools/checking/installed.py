"""Which of our code is installed somewhere: what looks for dangerous code looks at all of it."""

PYTHON = (
    "protocol/deployx_protocol",
    "agent/deployx_agent",
    "agent/main.py",
    "backend/app",
    "backend/migrations",
    "cli/deployx_cli",
)
PAGES = "frontend/src"
