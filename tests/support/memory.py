"""What a process takes of this machine's memory."""

from pathlib import Path


def resident_mib(pid: int, *, peak: bool = False) -> float:
    """The resident set of a process, now or at its most since ``forget_peak``, in MiB."""
    field = "VmHWM:" if peak else "VmRSS:"
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    [size] = [line.split()[1] for line in lines if line.startswith(field)]
    return int(size) / 1024


def forget_peak(pid: int) -> None:
    """Measure the most anew from now on."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
