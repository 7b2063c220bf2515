"""`python -m nimriz` is `nimriz`."""

from nimriz.cli import main

main()
