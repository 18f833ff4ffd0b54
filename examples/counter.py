"""A program that saves itself: run it, and restart counter.crt as often as you like.

python counter.py &             # ends after the checkpoint
crtool restart counter.crt      # goes on where it was
"""

import crtool

total = 0
for number in range(1, 11):
    total += number
    if number == 5:
        side = crtool.checkpoint_self("counter.crt", force=True)
        print(f"{side} with a total of {total}", flush=True)
        if side == "saved":
            break
else:
    print(f"the total is {total}", flush=True)
