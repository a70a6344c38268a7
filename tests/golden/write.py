"""Write the values of every call anew: ``python tests/golden/write.py [ROOM ...]``.

Prints what changed. For a change of numbers that is meant: the commit says why they moved.
"""

import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "factories")]

from golden_rooms import ROOMS  # noqa: E402
from golden_values import EXPECTED, differences, read_room, values_of, write_room  # noqa: E402

SHOWN = 3
"""Lines printed of each call."""


def main(rooms):
    """Run the calls of the rooms (all of them by default) and write what they give."""
    EXPECTED.mkdir(exist_ok=True)
    for room in rooms or ROOMS:
        known = read_room(room) if (EXPECTED / f"{room}.json").exists() else {}
        found = {}
        for call, run in ROOMS[room].items():
            start = time.process_time()
            found[call] = values_of(run)
            spent = time.process_time() - start
            if spent > 1:
                print(f"{room}, {call}: {spent:.1f} s")
            moved = differences(found[call], known[call], call=call) if call in known else []
            for line in moved[:SHOWN]:
                print(f"{room}, {call}, {line}")
            if moved[SHOWN:]:
                print(f"{room}, {call}: {len(moved) - SHOWN} more")
        write_room(room, found)


if __name__ == "__main__":
    main(sys.argv[1:])
