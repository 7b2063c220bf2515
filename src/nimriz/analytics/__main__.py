"""python -m nimriz.analytics: what `nimriz serve` starts."""

from nimriz.analytics.process import main

main()
