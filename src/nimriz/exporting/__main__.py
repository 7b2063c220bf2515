"""python -m nimriz.exporting: started by serve."""

from nimriz.exporting.watch import main

main()
