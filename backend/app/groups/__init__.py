"""Which devices are meant: selectors, and groups that keep a selector or a list of devices under a name."""
