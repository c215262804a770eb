"""`make setup`: everything DeployX needs, on a machine with Python 3.11 and nothing of ours.

Invariant: this file parses and runs on every Python 3, so that an old one gets a sentence and not a SyntaxError. What
does the work is imported after the check.
"""

import sys

OLDEST = (3, 11)


def main(arguments):
    # type: (list[str]) -> int
    """Check the interpreter, then hand over."""
    if sys.version_info < OLDEST:
        sys.stderr.write(
            "DeployX needs Python {}.{} or newer; {} is {}.{}.{}. "
            "Install a newer one and name it: make setup PYTHON=python3.12\n".format(
                OLDEST[0], OLDEST[1], sys.executable, *sys.version_info[:3]
            )
        )
        return 1
    from bootstrap.steps import set_up

    return set_up(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
