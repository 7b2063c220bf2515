"""The ground floor: values and rules that need no I/O."""
