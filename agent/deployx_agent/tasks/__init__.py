"""What the server asks this machine to do: journalled, run, and reported until the server has it.

`engine` decides what runs when, `journal` remembers it, `runner` runs one, `outbox` reports. Invariant, each step on
the disk before the next: `received`, then the receipt; `started`, then the child runs; `finished`, then the report.
"""
