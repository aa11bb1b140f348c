"""``python -m ltzoo``."""

from ltzoo.cli import main

if __name__ == "__main__":
    main()
