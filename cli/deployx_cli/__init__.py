"""`deployx`, the operator's command line: REST alone, no code shared with server or agent."""

__version__ = "0.1.0"
