"""What the server asks this machine to do: journalled, run, and reported until the server has it.

`engine` takes what happens: `orders` is what the server says, `turns` is who runs, `work` does one task, `journal`
remembers it, `outbox` reports it. Invariant, each step on the disk before the next: `received`, then the receipt;
`started`, then the child runs; `finished`, then the report.
"""
