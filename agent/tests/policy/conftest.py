"""A policy is believed only if it is root's, so most of these tests make files that are."""

import os

collect_ignore = [] if os.geteuid() == 0 else ["test_policy_file.py", "test_policy_agent.py"]
