"""python -m nimriz.exporting: started by serve."""

from nimriz.exporting.process import main

main()
